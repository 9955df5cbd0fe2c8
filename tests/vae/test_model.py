from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from recsys.errors import ConfigError
from recsys.vae import model as model_module
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.model import model_input, without_members
from recsys.vae.training import train


@pytest.fixture(scope="module")
def ratings_model(interactions_of):
    rng = np.random.default_rng(0)
    dense = rng.integers(-5, 6, (20, 9)) * (rng.random((20, 9)) < 0.6)
    config = VAEConfig(
        likelihood="gaussian", values="weighted", latent_dim=3, hidden_dim=8, encoder_layers=2
    )
    return train(interactions_of(dense), config, TrainingConfig(epochs=2, batch_size=10))


def test_a_score_is_the_product_of_user_and_item_vector(trained, split):
    histories = split.test.fold_in.matrix[:7]
    users, items = trained.user_vectors(histories), trained.item_vectors()
    assert users.dtype == items.dtype == trained.score(histories).dtype == np.float32
    assert users.shape == (7, trained.latent_dim + 1)
    np.testing.assert_array_equal(users[:, -1], 1)
    np.testing.assert_allclose(
        trained.score(histories),
        [[float(u.astype(float) @ i.astype(float)) for i in items] for u in users],
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_item_means_of_a_rating_model_are_in_its_scores(ratings_model, matrix_of):
    histories = matrix_of([[0, 3, 0, -2, 0, 0, 0, 0, 1]])
    found = ratings_model.score(histories)
    logits = logits_of(ratings_model, histories)
    np.testing.assert_allclose(found, logits + ratings_model.item_means, atol=1e-5)


def logits_of(model, histories) -> np.ndarray:
    """The mean of the members' logits, each from its own part of the codes."""
    codes = np.split(model.encode(histories), len(model.members), axis=1)
    decoders = [member.decoder for member in model.members]
    with torch.no_grad():
        each = [d(torch.from_numpy(c)).numpy() for d, c in zip(decoders, codes, strict=True)]
    return np.mean(each, axis=0)


def test_a_score_is_the_mean_of_the_members_scores(trained, split):
    assert len(trained.members) == 2
    histories = split.test.fold_in.matrix[:7]
    alone = [replace(trained, members=(each,)).score(histories) for each in trained.members]
    assert not np.allclose(*alone, atol=1e-2)
    np.testing.assert_allclose(trained.score(histories), np.mean(alone, axis=0), atol=1e-5)


def test_without_members_every_score_is_zero(split):
    nothing = without_members(split.train)
    assert nothing.latent_dim == 0
    scores = nothing.score(split.test.fold_in.matrix[:3])
    np.testing.assert_array_equal(scores, np.zeros((3, split.train.n_items)))
    assert nothing.item_counts.sum() == split.train.matrix.nnz


def test_encoding_in_blocks_changes_nothing(trained, split, monkeypatch):
    histories = split.train.matrix[:100]
    whole = trained.encode(histories)
    monkeypatch.setattr(model_module, "ENCODE_BATCH", 7)
    np.testing.assert_allclose(trained.encode(histories), whole, atol=1e-6)


def test_nobody_has_no_codes(trained):
    nobody = csr_array((0, trained.n_items), dtype=np.float32)
    assert trained.encode(nobody).shape == (0, trained.latent_dim)
    assert trained.score(nobody).shape == (0, trained.n_items)


def test_an_empty_history_has_finite_scores(trained):
    nothing = csr_array((2, trained.n_items), dtype=np.float32)
    assert np.isfinite(trained.score(nothing)).all()


def test_binary_input_is_ones_whatever_the_values(matrix_of):
    matrix = matrix_of([[5, 0, -2]])
    found = model_input(matrix, VAEConfig(values="binary"), np.zeros(3, dtype=np.float32))
    assert found.data.tolist() == [1, 1]
    assert matrix.data.tolist() == [5, -2]  # the caller's data stay


def test_weighted_input_is_what_is_above_the_items_mean(matrix_of):
    config = VAEConfig(likelihood="gaussian", values="weighted")
    matrix = matrix_of([[5, 0, 2], [1, 0, 0], [3, 0, 4]])
    means = np.array([3, 0, 3], dtype=np.float32)
    assert model_input(matrix, config, means).data.tolist() == [2, -1, -2, 0, 1]


def test_counts_are_not_centred(interactions_of):
    data = interactions_of([[5, 1], [3, 0]])
    config = VAEConfig(values="weighted", latent_dim=2, hidden_dim=3, autoencoder=True)
    assert train(data, config, TrainingConfig(epochs=1, batch_size=1)).item_means.tolist() == [0, 0]


def test_an_autoencoder_knows_no_spread(interactions_of):
    data = interactions_of([[1, 1], [1, 0]])
    config = VAEConfig(values="binary", latent_dim=2, hidden_dim=3, autoencoder=True)
    model = train(data, config, TrainingConfig(epochs=1, batch_size=1))
    assert not model.posteriors(data.matrix).deviations.any()
    with pytest.raises(ConfigError, match="does not learn how uncertain its codes are"):
        model.require_spread()
