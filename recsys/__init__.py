"""Top-N recommendations from a multinomial-likelihood VAE, served by exact vector search."""

__version__ = "0.1.0"
