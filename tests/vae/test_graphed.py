"""Steps on a CUDA device; what needs none is tested everywhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from small_vae import FAMILY, SHORT, SMALL, assert_same_bits

from recsys.vae import graphed as graphed_module
from recsys.vae import training as training_module
from recsys.vae.encoder import Batch
from recsys.vae.graphed import DeviceHistories, GraphedSteps, _Graph
from recsys.vae.labels import Labels, LabelSet
from recsys.vae.multinomial import multinomial_nll
from recsys.vae.training import train

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
N_USERS, N_ITEMS = 300, 40

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch sees no CUDA device here"
)


@pytest.fixture(scope="module")
def data(interactions_of):
    """Two camps of users, with values from 1 to 5; some have nothing."""
    rng = np.random.default_rng(0)
    liked = np.kron(np.eye(2), np.ones((N_USERS // 2, N_ITEMS // 2))) * 0.5 + 0.05
    dense = (rng.random((N_USERS, N_ITEMS)) < liked) * rng.integers(1, 6, (N_USERS, N_ITEMS))
    dense[:, 0] = 1
    dense[[0, 17, 64]] = 0
    return interactions_of(dense)


@pytest.mark.parametrize("n_clicks", [None, 500])
@pytest.mark.parametrize("rows", [[3, 1, 2], [17, 5, 64], [0], [5, 0, 64, 17]])
def test_a_batch_gathered_on_the_device_is_the_batch_filled_up(data, rows, n_clicks):
    expected = Batch.of(data.matrix, np.array(rows), CPU)
    n_real = len(expected.items)
    found = DeviceHistories(data.matrix, CPU).batch(torch.tensor(rows), n_clicks or n_real)
    assert torch.equal(found.items[:n_real], expected.items)
    assert torch.equal(found.values[:n_real], expected.values)
    assert torch.equal(found.users[:n_real], expected.users)
    assert torch.equal(found.normalised[:n_real], expected.normalised)
    assert torch.equal(found.starts, expected.starts)
    assert len(found.items) == len(found.users) == (n_clicks or n_real)
    assert (found.items >= 0).all()
    assert (found.items < N_ITEMS).all()
    assert not found.values[n_real:].any()


def test_a_batch_that_is_filled_up_has_the_same_loss(data):
    rows = np.array([5, 1, 17, 33])
    exact = Batch.of(data.matrix, rows, CPU)
    filled = DeviceHistories(data.matrix, CPU).batch(torch.from_numpy(rows), 256)
    generator = torch.Generator().manual_seed(1)
    latents, weight, bias = (
        torch.randn(shape, generator=generator) for shape in [(4, 3), (N_ITEMS, 3), (N_ITEMS,)]
    )
    one, other = (multinomial_nll(latents, weight, bias, each) for each in (exact, filled))
    torch.testing.assert_close(one, other)


def test_no_graph_is_made_without_a_cuda_device(data, monkeypatch):
    monkeypatch.setattr(training_module, "GraphedSteps", None)
    train(data, SMALL, SHORT, device="cpu")


# --- on the device


class KernelByKernel(GraphedSteps):
    """Takes every step as the first one is taken."""

    def _capture(self):
        return _Graph(self, [])

    def replay(self) -> None:
        self._captured.terms[:] = self._kernels()


@needs_cuda
@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("prior", ["standard", "composite"])
def test_a_graph_takes_the_numbers_of_its_kernels(data, monkeypatch, members, prior):
    config = replace(SMALL, members=members, prior=prior)
    graphed = train(data, config, SHORT, device="cuda")
    monkeypatch.setattr(training_module, "GraphedSteps", KernelByKernel)
    assert_same_bits(train(data, config, SHORT, device="cuda"), graphed)


@needs_cuda
def test_epochs_of_longer_histories_have_graphs_of_their_own(data, monkeypatch):
    monkeypatch.setattr(graphed_module, "CAPACITY_BITS", 30)
    capacities = []
    capture = GraphedSteps._capture
    monkeypatch.setattr(
        GraphedSteps, "_capture", lambda self: capacities.append(self._capacity) or capture(self)
    )
    losses = losses_of(data, SMALL)
    assert len(capacities) > 1
    assert losses == sorted(losses, reverse=True)


@needs_cuda
@pytest.mark.parametrize("name", FAMILY)
def test_the_same_seed_gives_the_same_bits(data, name):
    one, other = (train(data, FAMILY[name], SHORT, device="cuda") for _ in range(2))
    assert_same_bits(one, other)


@needs_cuda
@pytest.mark.parametrize("name", FAMILY)
def test_a_resumed_training_ends_with_the_same_bits(data, tmp_path, monkeypatch, name):
    monkeypatch.setattr(training_module, "CHECKPOINT_SHARE", float("inf"))
    checkpoint = tmp_path / "checkpoint.safetensors"
    unbroken = train(data, FAMILY[name], SHORT, device="cuda")

    def stop(report) -> None:
        if report.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, FAMILY[name], SHORT, on_epoch=stop, checkpoint=checkpoint, device="cuda")
    resumed = train(data, FAMILY[name], SHORT, checkpoint=checkpoint, device="cuda")
    assert_same_bits(resumed, unbroken)


@needs_cuda
@pytest.mark.parametrize("name", FAMILY)
def test_a_device_learns_what_a_processor_learns(data, name):
    config = replace(FAMILY[name], dropout=0.1)
    ours, theirs = losses_of(data, config), losses_of(data, config, device="cpu")
    assert ours[-1] == pytest.approx(theirs[-1], rel=0.03)
    assert ours[-1] < ours[0]


@needs_cuda
@pytest.mark.parametrize("softmax", ["exact", "sampled"])
@pytest.mark.parametrize("on", ["users", "items"])
def test_labels_are_learned_on_the_device(data, on, softmax):
    n = N_USERS if on == "users" else N_ITEMS
    labels = Labels(LabelSet(on, ("one", "other")), np.arange(n) * 2 // n)
    config = replace(SMALL, softmax=softmax, negatives=8, dropout=0.1)
    told = []
    train(data, config, SHORT, labels=labels, on_epoch=told.append, device="cuda")
    assert told[-1].labels < told[0].labels


@needs_cuda
def test_the_likelihood_on_the_device_is_that_of_float64(data):
    batch = Batch.of(data.matrix, np.arange(50), CUDA)
    generator = torch.Generator().manual_seed(1)
    latents, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in [(50, 3), (N_ITEMS, 3), (N_ITEMS,)]
    )
    exact_batch = Batch.of(data.matrix.astype(np.float64), np.arange(50), CPU)
    exact = multinomial_nll(latents, weight, bias, exact_batch)
    found = multinomial_nll(*(each.float().cuda() for each in (latents, weight, bias)), batch)
    assert float(found) == pytest.approx(float(exact), rel=1e-5)


@needs_cuda
def test_scores_leave_the_device_as_numpy(data):
    vae = train(data, SMALL, SHORT, device="cuda")
    scores = vae.score(csr_array(data.matrix[:5]))
    assert scores.shape == (5, N_ITEMS)
    assert np.isfinite(scores).all()


def losses_of(data, config, device="cuda") -> list[float]:
    reports = []
    train(data, config, SHORT, on_epoch=reports.append, device=device)
    return [each.loss for each in reports]
