"""The variational autoencoder: encoder, linear decoder, objective, training, artefact."""
