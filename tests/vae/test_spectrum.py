"""Where a training starts from: alike items near each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.model import VAEModule
from recsys.vae.spectrum import (
    DECODER_LENGTH,
    ENCODER_LENGTH,
    factors_of_members,
    item_factors,
    start_from,
)
from recsys.vae.training import train


def camps(n_users=40, n_items=30, seed=0):
    """Two camps of users who have items of their own."""
    rng = np.random.default_rng(seed)
    liked = np.kron(np.eye(2), np.ones((n_users // 2, n_items // 2))) * 0.55 + 0.05
    return (rng.random((n_users, n_items)) < liked).astype(np.float32)


@pytest.fixture(autouse=True)
def _same_random_numbers():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_factors_are_those_of_an_exact_decomposition():
    dense = camps()
    counts, lengths = dense.sum(0), dense.sum(1)
    normalised = dense / np.sqrt(np.outer(lengths, counts))
    _, sizes, vectors = np.linalg.svd(normalised, full_matrices=False)
    exact = vectors.T * np.sqrt(sizes)
    exact /= np.linalg.norm(exact, axis=1).mean()
    found = item_factors(csr_array(dense), 30).numpy()
    np.testing.assert_allclose(found @ found.T, exact @ exact.T, atol=1e-4)


def test_items_of_one_camp_lie_nearer_than_those_of_two():
    factors = torch.nn.functional.normalize(item_factors(csr_array(camps()), 2))
    cosines = (factors @ factors.T).numpy()
    assert cosines[:15, :15].min() > cosines[:15, 15:].max()


def test_values_count_for_nothing_and_explicit_zeros_are_interactions():
    dense = camps()
    ones = csr_array(dense)
    weighted = ones.copy()
    weighted.data[:] = np.arange(len(weighted.data))
    torch.manual_seed(1)
    expected = item_factors(ones, 4)
    torch.manual_seed(1)
    assert torch.equal(item_factors(weighted, 4), expected)


def test_an_item_without_users_and_an_empty_history_are_legal():
    dense = camps()
    dense[3], dense[:, 5] = 0, 0
    factors = item_factors(csr_array(dense), 4)
    assert factors.isfinite().all()
    assert not factors[5].any()


def test_a_code_wider_than_the_data_gets_as_many_factors_as_there_are():
    assert item_factors(csr_array(camps(8, 6)), 50).shape == (6, 6)


@pytest.mark.parametrize("n_factors", [3, 9, 20])
def test_both_tables_keep_the_angles_and_no_item_is_ahead(n_factors):
    factors = torch.nn.functional.normalize(torch.randn(12, n_factors))
    module = VAEModule(12, VAEConfig(values="binary", latent_dim=9, hidden_dim=24))
    start_from(module, factors)
    embeddings = module.encoder.item_embeddings.detach()
    torch.testing.assert_close(embeddings @ embeddings.T / ENCODER_LENGTH**2, products(factors))
    rows = module.decoder.weight.detach()
    if n_factors <= 9:  # else they are shadows of what has more dimensions
        torch.testing.assert_close(rows @ rows.T / DECODER_LENGTH**2, products(factors))
    assert not module.decoder.bias.any()


def products(factors):
    return factors @ factors.T


def test_members_start_from_decompositions_of_their_own(interactions_of):
    config = VAEConfig(values="binary", latent_dim=4, hidden_dim=8, encoder_layers=2, members=2)
    still = TrainingConfig(epochs=1, batch_size=40, learning_rate=1e-12)
    data = interactions_of(camps())
    one, other = train(data, config, still).members
    tables = [each.encoder.item_embeddings.detach() for each in (one, other)]
    assert not torch.allclose(*tables, atol=1e-2)
    for table, own in zip(tables, factors_of_members(data.matrix, config, still.seed), strict=True):
        torch.testing.assert_close(products(table), products(own), atol=1e-4, rtol=0)


def test_a_spectral_start_is_ahead_of_a_random_one_after_an_epoch(interactions_of):
    data = interactions_of(camps(400, 60))
    config = VAEConfig(values="binary", latent_dim=8, hidden_dim=16, encoder_layers=2, members=1)
    training = TrainingConfig(epochs=2, batch_size=50)
    losses = {}
    for start in ("spectral", "random"):
        reports = []
        train(data, config, replace(training, start=start), on_epoch=reports.append)
        losses[start] = reports[-1].reconstruction
    assert losses["spectral"] < losses["random"] - 0.5


def test_every_start_is_the_same_for_the_same_seed(interactions_of):
    data = interactions_of(camps())
    config = VAEConfig(values="binary", latent_dim=4, hidden_dim=8, encoder_layers=2, members=1)
    training = TrainingConfig(epochs=1, batch_size=40)
    torch.manual_seed(5)
    one = train(data, config, training).item_vectors()
    torch.manual_seed(6)
    np.testing.assert_array_equal(train(data, config, training).item_vectors(), one)


def test_data_without_a_click_have_no_factors():
    assert not item_factors(csr_array((5, 4), dtype=np.float32), 3).any()
