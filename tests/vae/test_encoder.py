import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from recsys.vae.config import VAEConfig
from recsys.vae.encoder import Batch, Encoder

CPU = torch.device("cpu")
N_ITEMS = 30


@pytest.fixture
def histories(matrix_of) -> csr_array:
    """Twelve users; the fourth has no history."""
    rng = np.random.default_rng(0)
    dense = rng.random((12, N_ITEMS)) * (rng.random((12, N_ITEMS)) < 0.3)
    dense[3] = 0
    return matrix_of(dense)


def encoder_of(layers: int = 3, dropout: float = 0.5) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        encoder = Encoder(
            N_ITEMS,
            VAEConfig(latent_dim=6, hidden_dim=9, encoder_layers=layers, dropout=dropout),
        )
        with torch.no_grad():  # norms that are not the identity, so that a test sees them
            for norm in encoder.norms:
                norm.weight.uniform_(0.5, 2)
                norm.bias.uniform_(-1, 1)
    return encoder.eval()


def batch_of(histories: csr_array, rows=None) -> Batch:
    rows = np.arange(histories.shape[0]) if rows is None else np.asarray(rows)
    return Batch.of(histories, rows.astype(np.int64), CPU)


def layer_norm(h: np.ndarray, norm: torch.nn.LayerNorm) -> np.ndarray:
    centred = h - h.mean(1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 0.1)
    return scaled * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def silu(h: np.ndarray) -> np.ndarray:
    return h / (1 + np.exp(-h))


def affine(h: np.ndarray, layer: torch.nn.Linear) -> np.ndarray:
    return h @ layer.weight.detach().numpy().T.astype(float) + layer.bias.detach().numpy()


def slow_encode(encoder: Encoder, dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The formula of the docstring, densely and in float64."""
    lengths = np.sqrt((dense**2).sum(1, keepdims=True))
    x = dense / np.where(lengths == 0, 1, lengths)
    embeddings = encoder.item_embeddings.detach().numpy().astype(float)
    first = silu(x @ embeddings + encoder.first_bias.detach().numpy())
    outputs = [layer_norm(first, encoder.norms[0])]
    for layer, norm in zip(encoder.layers, encoder.norms[1:], strict=True):
        outputs.append(layer_norm(silu(affine(outputs[-1], layer) + sum(outputs)), norm))
    return affine(outputs[-1], encoder.mean), affine(outputs[-1], encoder.log_variance)


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_layers_follow_the_formula(histories, layers):
    encoder = encoder_of(layers)
    expected = slow_encode(encoder, histories.toarray().astype(float))
    with torch.no_grad():
        found = encoder(batch_of(histories))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


def test_an_empty_history_gives_finite_output(histories):
    mean, log_variance = encoder_of()(batch_of(histories, [3]))
    assert mean.shape == log_variance.shape == (1, 6)
    assert mean.isfinite().all()
    assert log_variance.isfinite().all()


def test_a_batch_of_nobody_is_legal(histories):
    mean, _ = encoder_of()(batch_of(histories, []))
    assert mean.shape == (0, 6)


def test_a_row_of_a_batch_is_the_same_user_alone(histories):
    encoder = encoder_of()
    order = np.random.default_rng(2).permutation(12)
    with torch.no_grad():
        together, _ = encoder(batch_of(histories, order))
        for row, user in enumerate(order):
            alone, _ = encoder(batch_of(histories, [user]))
            np.testing.assert_allclose(together[row], alone[0], atol=1e-6)


def test_the_scale_of_a_history_does_not_matter(histories):
    encoder = encoder_of()
    with torch.no_grad():
        once, _ = encoder(batch_of(histories))
        tenfold, _ = encoder(batch_of(csr_array(histories * np.float32(10))))
    np.testing.assert_allclose(once, tenfold, atol=1e-5)


def test_nothing_is_dropped_without_a_generator(histories):
    encoder = encoder_of(dropout=0.9).train()
    batch = batch_of(histories)
    assert torch.equal(encoder(batch)[0], encoder(batch)[0])


def test_a_generator_drops_items_and_repeats_itself(histories):
    encoder, batch = encoder_of(dropout=0.5), batch_of(histories)
    with torch.no_grad():
        whole, _ = encoder(batch)
        one, _ = encoder(batch, torch.Generator().manual_seed(1))
        same, _ = encoder(batch, torch.Generator().manual_seed(1))
        other, _ = encoder(batch, torch.Generator().manual_seed(2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(one, whole)


def test_no_dropout_means_that_the_generator_is_not_used(histories):
    encoder, batch = encoder_of(dropout=0), batch_of(histories)
    with torch.no_grad():
        assert torch.equal(encoder(batch)[0], encoder(batch, torch.Generator())[0])


def test_a_batch_holds_the_rows_that_were_asked_for(histories):
    batch = batch_of(histories, [5, 3, 0])
    dense = np.zeros((3, N_ITEMS), dtype=np.float32)
    dense[batch.users, batch.items] = batch.values
    np.testing.assert_array_equal(dense, histories.toarray()[[5, 3, 0]])
    assert batch.starts.tolist() == [0, batch.lengths[0], batch.lengths[0]]
    np.testing.assert_allclose(batch.sum_by_user(batch.values), dense.sum(1), rtol=1e-6)
