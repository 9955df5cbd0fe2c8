"""The bound on a history's likelihood agrees with slow obvious versions of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from recsys.vae.config import VAEConfig
from recsys.vae.elbo import elbo
from recsys.vae.model import VAE, VAEModule


@pytest.fixture
def made(interactions_of):
    """Give a function that makes an untrained VAE with loud weights."""

    def make(n_items=6, members=1, values="weighted"):
        config = VAEConfig(values=values, latent_dim=2, hidden_dim=4, encoder_layers=2)
        torch.manual_seed(3)
        modules = tuple(VAEModule(n_items, config).eval() for _ in range(members))
        for module in modules:
            for weights in module.parameters():
                weights.data.normal_(std=0.7)
        catalogue = interactions_of(np.ones((2, n_items)))
        return VAE(
            config=config,
            items=catalogue.items,
            members=modules,
            item_means=np.zeros(n_items, dtype=np.float32),
            item_counts=catalogue.item_counts(),
            n_train_users=2,
            liked_value=1.0,
        )

    return make


POEMS = np.array([[2, 0, 1, 0, 0, 3], [0, 1, 0, 0, 0, 0]], dtype=np.float32)


def log_likelihood(member, codes, counts):
    with torch.no_grad():
        logits = member.decoder(torch.from_numpy(codes).float()).numpy()
    return (log_softmax(logits.astype(np.float64), axis=1) * counts).sum(axis=1)


def test_it_lies_below_the_likelihood_that_integration_finds(made, matrix_of):
    vae = made()
    bounds = elbo(vae, matrix_of(POEMS), n_samples=1000)
    axis = np.linspace(-6, 6, 241)
    codes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    prior = np.exp(-0.5 * (codes**2).sum(axis=1)) / (2 * np.pi) * (axis[1] - axis[0]) ** 2
    for counts, bound in zip(POEMS, bounds, strict=True):
        exact = np.log((np.exp(log_likelihood(vae.members[0], codes, counts)) * prior).sum())
        assert bound < exact


def test_with_the_prior_as_posterior_it_is_the_mean_log_likelihood(made, matrix_of):
    vae = made()
    for layer in (vae.members[0].encoder.mean, vae.members[0].encoder.log_variance):
        layer.weight.data.zero_()
        layer.bias.data.zero_()
    codes = np.random.default_rng(0).standard_normal((40_000, 2))
    slow = [log_likelihood(vae.members[0], codes, counts).mean() for counts in POEMS]
    np.testing.assert_allclose(elbo(vae, matrix_of(POEMS), n_samples=4000), slow, atol=0.2)


def test_it_counts_every_occurrence_also_where_the_model_sees_ones(made, matrix_of):
    vae = made(values="binary")
    once, twice = matrix_of(POEMS > 0), matrix_of(2 * (POEMS > 0))
    kl = elbo(vae, once) * 2 - elbo(vae, twice)
    assert (kl < 0).all()  # twice the reconstruction, and the same divergence once


def test_members_are_a_mixture(made, matrix_of):
    vae = made(members=2)
    each = [
        elbo(replace(vae, members=(one,)), matrix_of(POEMS), n_samples=1000) for one in vae.members
    ]
    mixture = elbo(vae, matrix_of(POEMS), n_samples=1000)
    np.testing.assert_allclose(mixture, np.logaddexp(*each) - np.log(2), atol=0.2)


def test_the_same_seed_gives_the_same_bits(made, matrix_of):
    vae = made()
    first, again, other = (elbo(vae, matrix_of(POEMS), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_poems_may_be_taken_in_blocks(made, matrix_of, monkeypatch):
    vae = made()
    at_once = elbo(vae, matrix_of(POEMS), n_samples=1000)
    monkeypatch.setattr("recsys.vae.elbo.LOGITS_AT_ONCE", 6)
    np.testing.assert_allclose(elbo(vae, matrix_of(POEMS), n_samples=1000), at_once, atol=0.6)
