"""Every term against the formula written out densely, in float64."""

import math
from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import MixtureSameFamily, Normal, kl_divergence
from torch.distributions.categorical import Categorical
from torch.profiler import ProfilerActivity, profile

from recsys.vae import multinomial
from recsys.vae.encoder import Batch
from recsys.vae.multinomial import multinomial_nll
from recsys.vae.objective import (
    COMPOSITE_WEIGHTS,
    composite_kl,
    gaussian_nll,
    standard_kl,
)


def random_problem(seed: int, n_users=4, n_items=7, dim=3, *, values="weights"):
    """A dense x, the same as a batch in float64, and parameters that want gradients."""
    rng = np.random.default_rng(seed)
    x = rng.random((n_users, n_items)) * (rng.random((n_users, n_items)) < 0.5)
    if values == "ones":
        x = (x > 0).astype(float)
    elif values == "signed":
        x = x * rng.choice([-1, 1], x.shape)
    rows, columns = x.nonzero()
    lengths = torch.from_numpy((x != 0).sum(1))
    batch = Batch(
        items=torch.from_numpy(columns),
        starts=lengths.cumsum(0) - lengths,
        values=torch.from_numpy(x[rows, columns]),
        lengths=lengths,
    )
    parameters = [
        torch.from_numpy(rng.normal(size=shape)).requires_grad_()
        for shape in ((n_users, dim), (n_items, dim), (n_items,))
    ]
    return torch.from_numpy(x), batch, parameters


def value_and_gradients(loss, parameters):
    return [loss.detach(), *torch.autograd.grad(loss, parameters)]


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cached_bytes", [1, 2**20])
@pytest.mark.parametrize("items_at_once", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("values", ["ones", "weights"])
@pytest.mark.parametrize("seed", range(3))
def test_multinomial_nll_is_autograd_of_the_dense_formula(
    seed, values, items_at_once, cached_bytes, monkeypatch
):
    monkeypatch.setattr(multinomial, "CACHED_BYTES", cached_bytes)
    x, batch, (z, W, b) = random_problem(seed, values=values)
    dense = -(x * torch.log_softmax(z @ W.T + b, dim=1)).sum()
    ours = multinomial_nll(z, W, b, batch, max_bytes=8 * len(z) * items_at_once)
    assert_same(value_and_gradients(ours, [z, W, b]), value_and_gradients(dense, [z, W, b]))


def test_users_without_clicks_and_clicks_of_no_weight_leave_no_trace():
    _, batch, parameters = random_problem(0, n_users=3)
    nothing = replace(batch, values=torch.zeros_like(batch.values))
    found = value_and_gradients(multinomial_nll(*parameters, nothing), parameters)
    assert all(each.abs().max() == 0 for each in found)


def test_logits_far_apart_do_not_overflow():
    _, batch, (z, W, b) = random_problem(0)
    huge = (1e4 * b.detach()).requires_grad_()
    for max_bytes in (8 * len(z), 2**20):
        loss = multinomial_nll(z, W, huge, batch, max_bytes)
        found = value_and_gradients(loss, [z, W, huge])
        assert all(each.isfinite().all() for each in found)


@pytest.mark.parametrize("max_bytes", [2**15, 2**20, 2**22, 2**30])
def test_no_more_memory_is_taken_than_allowed(max_bytes, monkeypatch):
    """64 users meet 10,000 items: 5 MB of logits, which autograd would hold three times."""
    monkeypatch.setattr(multinomial, "CACHED_BYTES", 2**18)
    n_users, n_items, each = 64, 10_000, 5
    batch = Batch(
        items=torch.arange(n_users * each),
        starts=each * torch.arange(n_users),
        values=torch.ones(n_users * each, dtype=torch.float64),
        lengths=torch.full((n_users,), each),
    )
    parameters = [
        torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((n_users, 1), (n_items, 1), (n_items,))
    ]

    def step():
        torch.autograd.grad(multinomial_nll(*parameters, batch, max_bytes), parameters)

    gradients = 8 * 2 * n_items
    clicks_and_users = 8 * 16 * len(batch.items)
    peak = peak_allocation(step)
    assert peak <= max_bytes + gradients + clicks_and_users
    assert peak >= min(max_bytes, 8 * n_users * n_items) / 2  # what is allowed is made use of


@pytest.mark.parametrize("cached_bytes", [2**8, 2**30])
def test_logits_that_there_is_memory_for_are_made_once(monkeypatch, cached_bytes):
    """Blocks may be as large as the memory, as they are on a GPU."""
    monkeypatch.setattr(multinomial, "CACHED_BYTES", cached_bytes)
    _, batch, parameters = random_problem(0)
    n_items = len(parameters[1])
    made = []
    logits = multinomial._Block.logits
    monkeypatch.setattr(
        multinomial._Block, "logits", lambda *each: made.append(logits(*each)) or made[-1]
    )
    torch.autograd.grad(multinomial_nll(*parameters, batch, max_bytes=2**20), parameters)
    assert sum(each.shape[1] for each in made) == n_items


def peak_allocation(function) -> int:
    """The most bytes of tensors that stand at a time while the function runs."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    results = profiler.profiler.kineto_results.events()
    changes = [(each.start_ns(), each.nbytes()) for each in results if each.name() == "[memory]"]
    return max(accumulate(n_bytes for _, n_bytes in sorted(changes)))


def test_multinomial_nll_is_known_for_equal_logits():
    _, batch, (z, W, b) = random_problem(0, n_items=7, values="ones")
    found = multinomial_nll(z, torch.zeros_like(W), torch.zeros_like(b), batch)
    assert found.item() == pytest.approx(len(batch.items) * math.log(7))


def test_multinomial_gradients_agree_with_finite_differences():
    _, batch, parameters = random_problem(3)
    found = value_and_gradients(multinomial_nll(*parameters, batch), parameters)[1:]
    step = 1e-6
    for parameter, gradient in zip(parameters, found, strict=True):
        flat = parameter.detach().view(-1)
        for place in range(len(flat)):
            start = flat[place].item()
            flat[place] = start + step
            above = multinomial_nll(*parameters, batch).item()
            flat[place] = start - step
            below = multinomial_nll(*parameters, batch).item()
            flat[place] = start
            slope = (above - below) / (2 * step)
            assert gradient.view(-1)[place].item() == pytest.approx(slope, abs=1e-6)


def test_multinomial_gradients_scale_with_the_incoming_one():
    _, batch, parameters = random_problem(4)
    once = torch.autograd.grad(multinomial_nll(*parameters, batch), parameters)
    thrice = torch.autograd.grad(-3 * multinomial_nll(*parameters, batch), parameters)
    assert_same(thrice, [-3 * each for each in once])


def test_a_second_backward_pass_gives_the_same_gradients():
    _, batch, parameters = random_problem(5)
    loss = multinomial_nll(*parameters, batch)
    once = torch.autograd.grad(loss, parameters, retain_graph=True)
    assert_same(torch.autograd.grad(loss, parameters), once)


def test_a_user_without_clicks_adds_nothing():
    _, batch, (z, W, b) = random_problem(6)
    longer = Batch(
        batch.items,
        torch.cat([batch.starts, torch.tensor([len(batch.items)])]),
        batch.values,
        torch.cat([batch.lengths, torch.tensor([0])]),
    )
    more = torch.cat([z, torch.ones(1, z.shape[1], dtype=z.dtype)])
    loss = multinomial_nll(more, W, b, longer)
    assert loss.item() == pytest.approx(multinomial_nll(z, W, b, batch).item(), rel=1e-12)
    assert torch.autograd.grad(loss, more)[0][-1].abs().max() == 0


@pytest.mark.parametrize("observed", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_gaussian_nll_is_autograd_of_the_dense_formula(seed, observed):
    x, batch, (z, W, b) = random_problem(seed, values="signed")
    errors = (x - (z @ W.T + b)).square()
    dense = 2.5 * (errors[x != 0].sum() if observed else errors.sum())
    ours = gaussian_nll(z, W, b, batch, scale=2.5, observed=observed)
    assert_same(value_and_gradients(ours, [z, W, b]), value_and_gradients(dense, [z, W, b]))


@pytest.mark.parametrize("observed", [True, False])
def test_gaussian_nll_passes_gradcheck(observed):
    _, batch, parameters = random_problem(7, values="signed")
    assert torch.autograd.gradcheck(
        lambda *p: gaussian_nll(*p, batch, scale=1.5, observed=observed), parameters
    )


def random_normals(seed: int, shape=(5, 3)):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for _ in range(5)
    ]


def normal(mean, log_variance):
    return Normal(mean, (0.5 * log_variance).exp())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_standard_kl_is_that_of_torch_distributions(seed):
    mean, log_variance, *_ = random_normals(seed)
    standard = Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = kl_divergence(normal(mean, log_variance), standard).sum(1)
    torch.testing.assert_close(standard_kl(mean, log_variance), expected)


def test_standard_kl_is_zero_for_the_prior_itself():
    zero = torch.zeros(2, 3)
    assert standard_kl(zero, zero).tolist() == [0, 0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_composite_kl_is_that_of_the_mixture_written_out(seed):
    z, mean, log_variance, old_mean, old_log_variance = random_normals(seed)
    centres = torch.stack([torch.zeros_like(z), old_mean, torch.zeros_like(z)], dim=-1)
    logs = torch.stack([torch.zeros_like(z), old_log_variance, torch.full_like(z, 10.0)], dim=-1)
    weights = Categorical(probs=torch.tensor(COMPOSITE_WEIGHTS, dtype=z.dtype).expand(*z.shape, 3))
    prior = MixtureSameFamily(weights, normal(centres, logs))
    expected = (normal(mean, log_variance).log_prob(z) - prior.log_prob(z)).sum(1)
    found = composite_kl(z, mean, log_variance, old_mean, old_log_variance)
    torch.testing.assert_close(found, expected)


def test_the_weights_of_the_composite_prior_sum_to_one():
    assert sum(COMPOSITE_WEIGHTS) == pytest.approx(1)


def test_both_kl_terms_pass_gradcheck():
    normals = random_normals(1, (2, 2))
    assert torch.autograd.gradcheck(standard_kl, normals[:2])
    assert torch.autograd.gradcheck(composite_kl, normals)
