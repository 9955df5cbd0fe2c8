"""The sampled softmax against the exact one, and against the probabilities that it claims."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.baselines import Popularity, mean_metric
from recsys.metrics import DEFAULT_VALIDATION_METRIC
from recsys.vae.candidates import CandidateSampler
from recsys.vae.config import EXACT_SOFTMAX_ITEMS, TrainingConfig, VAEConfig
from recsys.vae.encoder import Batch
from recsys.vae.member import Member
from recsys.vae.model import VAEModule
from recsys.vae.multinomial import multinomial_nll
from recsys.vae.sampled import SampledMember
from recsys.vae.training import train

CPU = torch.device("cpu")
SMALL = VAEConfig(
    values="binary", latent_dim=4, hidden_dim=8, encoder_layers=2, dropout=0.0, members=1
)
N_ITEMS = 30


def histories(interactions_of, n_users=12, seed=0):
    rng = np.random.default_rng(seed)
    chance = np.linspace(0.02, 0.6, N_ITEMS)
    dense = rng.random((n_users, N_ITEMS)) < chance
    dense[:, -1] = True  # nobody's row is empty
    return interactions_of(dense)


def sampler_of(data, n_negatives) -> CandidateSampler:
    return CandidateSampler(torch.from_numpy(data.item_counts()), data.n_users, n_negatives)


def test_the_batchs_items_are_candidates_and_none_comes_twice(interactions_of):
    data = histories(interactions_of)
    batch = Batch.of(data.matrix, np.arange(5), CPU)
    found = sampler_of(data, 6).draw(batch, torch.Generator().manual_seed(0))
    assert torch.equal(found.items, found.items.unique())
    assert torch.equal(found.items[found.places_of(batch.items)], batch.items)
    assert (found.log_inclusion <= 0).all()


@pytest.mark.parametrize("n_users", [400, 12, 4])
def test_an_item_is_included_as_often_as_it_claims(interactions_of, n_users):
    """Counts over many batches, for a user who has not met it: within five standard errors."""
    data = histories(interactions_of, n_users=n_users)
    sampler = sampler_of(data, 8)
    met = data.matrix.toarray() > 0
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(1)
    trials, included = np.zeros(N_ITEMS), np.zeros(N_ITEMS)
    claimed = np.zeros(N_ITEMS)
    for _ in range(3000):
        users = rng.choice(n_users, 4, replace=False)
        candidates = sampler.draw(Batch.of(data.matrix, users, CPU), generator)
        stranger = ~met[users[0]]
        trials += stranger
        there = np.isin(np.arange(N_ITEMS), candidates.items)
        included += stranger & there
        claimed[candidates.items] = candidates.log_inclusion.exp()
    often = trials > 300
    share = included[often] / trials[often]
    error = np.sqrt(claimed[often] * (1 - claimed[often]) / trials[often]) + 1e-3
    assert often.sum() > 15
    assert (np.abs(share - claimed[often]) < 5 * error).all()


def problem(interactions_of, n_negatives, seed=0):
    """A batch with an exact and a sampled member of the same weights."""
    data = histories(interactions_of)
    torch.manual_seed(seed)
    module = VAEModule(N_ITEMS, SMALL)
    exact = Member(module, SMALL, data.n_users, 2**20)
    sampled = SampledMember(module, SMALL, data.n_users, 2**20, sampler_of(data, n_negatives))
    for member in (exact, sampled):
        member.begin_epoch(5)
    return Batch.of(data.matrix, np.arange(6), CPU), exact, sampled


def test_with_enough_draws_loss_and_gradients_are_exact(interactions_of):
    batch, exact, sampled = problem(interactions_of, 50_000)
    ours = sampled.add_gradient(batch, 0.01)
    dense = {name: p.grad for name, p in sampled.module.named_parameters() if p.grad is not None}
    touched = {id(each.adam): each for each in sampled._touched}
    for parameter in exact.module.parameters():
        parameter.grad = None
    exact.begin_epoch(5)
    theirs = exact.add_gradient(batch, 0.01)
    torch.testing.assert_close(ours.reconstruction, theirs.reconstruction, rtol=1e-4, atol=1e-3)
    module = exact.module
    for adam, parameter in (
        (sampled.embeddings, module.encoder.item_embeddings),
        (sampled.weight, module.decoder.weight),
        (sampled.bias, module.decoder.bias),
    ):
        rows = touched[id(adam)]
        spread = torch.zeros_like(parameter)
        spread[rows.rows] = rows.values.grad
        torch.testing.assert_close(spread, parameter.grad, rtol=1e-3, atol=1e-4)
    assert dense.keys() == {
        name
        for name, _ in module.named_parameters()
        if not name.startswith("decoder") and name != "encoder.item_embeddings"
    }


def test_the_sum_over_the_catalogue_is_estimated_without_bias(interactions_of):
    """The normaliser, averaged over draws of batches and negatives, is the exact one."""
    data = histories(interactions_of, n_users=200)
    rng, generator = np.random.default_rng(2), torch.Generator().manual_seed(2)
    scores = torch.from_numpy(rng.normal(size=N_ITEMS))
    sampler = sampler_of(data, 5)
    mine = torch.from_numpy(data.matrix[[0]].indices.astype(np.int64))
    estimates = []
    for _ in range(4000):
        others = rng.choice(np.arange(1, 200), 3, replace=False)
        users = np.concatenate([[0], others])
        found = sampler.draw(Batch.of(data.matrix, users, CPU), generator)
        weight = torch.exp(-found.log_inclusion.double())
        weight[torch.isin(found.items, mine)] = 1
        estimates.append(float((scores[found.items].exp() * weight).sum()))
    exact = float(scores.exp().sum())
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - exact) < 4 * error
    assert error < 0.02 * exact


def test_only_touched_rows_move(interactions_of):
    data = histories(interactions_of)
    batch, _, sampled = problem(interactions_of, 1)
    before = {name: p.detach().clone() for name, p in sampled.module.named_parameters()}
    sampled.add_gradient(batch, 0.01)
    touched = {each.adam: set(each.rows.tolist()) for each in sampled._touched}
    sampled.update_rows(0.1)
    for adam, name in (
        (sampled.embeddings, "encoder.item_embeddings"),
        (sampled.weight, "decoder.weight"),
        (sampled.bias, "decoder.bias"),
    ):
        moved = (adam.table != before[name]).reshape(N_ITEMS, -1).any(1)
        assert set(moved.nonzero()[:, 0].tolist()) == touched[adam]
        assert len(touched[adam]) < data.n_items


def test_a_click_added_below_zero_counts_in_the_sum_and_in_the_click():
    """at_clicks against autograd of the dense formula."""
    torch.manual_seed(0)
    latents, weight, bias = (torch.randn(s, dtype=torch.float64) for s in ((2, 3), (5, 3), (5,)))
    parameters = [each.requires_grad_() for each in (latents, weight, bias)]
    items, lengths = torch.tensor([0, 3, 2]), torch.tensor([2, 1])
    values = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    batch = Batch(items, lengths.cumsum(0) - lengths, values, lengths)
    addends = torch.tensor([-1.0, -2.0, -0.5], dtype=torch.float64)
    spread = torch.zeros(2, 5, dtype=torch.float64)
    spread[batch.users, items] = addends
    logs = torch.log_softmax(latents @ weight.T + bias + spread, dim=1)
    dense = -(values * logs[batch.users, items]).sum()
    for max_bytes in (16, 2**20):
        ours = multinomial_nll(*parameters, batch, max_bytes, addends)
        torch.testing.assert_close(ours, dense)
        for one, other in zip(
            torch.autograd.grad(ours, parameters),
            torch.autograd.grad(dense, parameters, retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(one, other)


def test_a_sampled_training_learns_almost_what_an_exact_one_learns(split):
    training = TrainingConfig(epochs=30, batch_size=64, learning_rate=3e-3)
    config = replace(SMALL, latent_dim=16, hidden_dim=48, dropout=0.3, softmax="exact")
    sampled = replace(config, softmax="sampled", negatives=60)
    values = [
        mean_metric(train(split.train, each, training).score, split.test, DEFAULT_VALIDATION_METRIC)
        for each in (config, sampled)
    ]
    popular = Popularity.fit(split.train).score
    floor = mean_metric(popular, split.test, DEFAULT_VALIDATION_METRIC)
    assert values[1] > floor + 0.7 * (values[0] - floor)


def test_size_decides_what_is_left_to_it():
    assert VAEConfig().sized_for(EXACT_SOFTMAX_ITEMS, 10**6).softmax == "exact"
    assert [VAEConfig().sized_for(n, 10**6).members for n in (10, 100_000, 100_001)] == [2, 2, 1]
    large = VAEConfig().sized_for(EXACT_SOFTMAX_ITEMS + 1, 10**6)
    assert (large.softmax, large.members) == ("sampled", 1)
    assert VAEConfig(likelihood="gaussian").sized_for(10**6, 10**6).softmax == "exact"
    asked = VAEConfig(softmax="exact", members=3).sized_for(10**6, 10**6)
    assert (asked.softmax, asked.members) == ("exact", 3)
    sizes = [
        TrainingConfig().sized_for(10**5, n, sampled=n > 10**5).batch_size
        for n in (10**3, 10**5, 10**6)
    ]
    assert sizes == [250, 500, 1000]
    given = TrainingConfig(epochs=7, batch_size=9)
    assert given.sized_for(10, 10, sampled=False) == given


@pytest.mark.parametrize(("n_users", "epochs"), [(100, 60), (5_000, 35), (10**6, 20)])
def test_epochs_make_about_as_many_steps_whatever_the_users(n_users, epochs):
    assert TrainingConfig().sized_for(n_users, 1000, sampled=False).epochs == epochs
