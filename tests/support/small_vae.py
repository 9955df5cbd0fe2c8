"""A small VAE of each kind, and how two trainings of it are compared."""

from dataclasses import replace

import torch

from recsys.vae.config import TrainingConfig, VAEConfig

SMALL = VAEConfig(
    values="binary",
    latent_dim=4,
    hidden_dim=8,
    encoder_layers=2,
    kl_weight=0.01,
    dropout=0.5,
    members=1,
)
SHORT = TrainingConfig(epochs=4, batch_size=8, learning_rate=0.01, validate_every=1, seed=3)

FAMILY = {
    "two members": replace(SMALL, members=2),
    "sampled softmax": replace(SMALL, softmax="sampled", negatives=3),
    "multinomial, standard prior": replace(SMALL, prior="standard"),
    "composite prior": replace(SMALL, prior="composite"),
    "gaussian ratings": replace(SMALL, likelihood="gaussian", values="weighted"),
    "gaussian, all entries": replace(SMALL, likelihood="gaussian", kl_scale="constant"),
    "autoencoder": replace(SMALL, autoencoder=True),
    "annealed, weighted, shallow": replace(
        SMALL, values="weighted", anneal_epochs=3, encoder_layers=1
    ),
}


def weights_of(vae) -> dict[str, torch.Tensor]:
    return torch.nn.ModuleList(vae.members).state_dict()


def assert_same_bits(one, other) -> None:
    ours, theirs = weights_of(one), weights_of(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
