from dataclasses import replace

import numpy as np
import pytest
import torch
from dense_interactions import interactions
from peers import edlae, fit_peer, recvae
from peers.fitted import search
from torch.nn.functional import log_softmax

from recsys.baselines import EASE, Popularity, mean_metric
from recsys.data.splits import Holdout
from recsys.metrics import DEFAULT_VALIDATION_METRIC, Metric
from recsys.neighbours.config import NeighboursConfig
from recsys.neighbours.item_item import fit_item_item
from recsys.vae.objective import composite_kl

SMALL = recvae.Schedule(
    outer_epochs=3, batch_size=20, learning_rate=5e-3, hidden_dim=24, latent_dim=8, seed=7
)


def random_train(seed=0, n_users=60, n_items=14):
    clicks = np.random.default_rng(seed).random((n_users, n_items)) < 0.3
    clicks[~clicks.any(1), 0] = True  # every user of a train part has met something
    return interactions(clicks)


def dense_batch(seed=0):
    return torch.from_numpy(random_train(seed).matrix.toarray())


def test_edlae_without_dropout_is_ease():
    train = random_train()
    weights = edlae.solve(edlae.count_together(train.matrix), edlae.Values(0.0, 20.0))
    np.testing.assert_allclose(weights, EASE.fit(train, 20.0).weights, atol=1e-6)


def test_edlae_is_the_item_item_path_with_every_item_a_neighbour():
    clicks = random_train().matrix.toarray()
    train = interactions(np.vstack([clicks, np.ones(14)]))  # all pairs occur together
    config = NeighboursConfig(n_neighbours=14, ridge=5.0, dropout=0.4, user_exponent=0.0)
    weights = edlae.solve(edlae.count_together(train.matrix), edlae.Values(0.4, 5.0))
    expected = fit_item_item(train, config).weights.toarray()
    np.testing.assert_allclose(weights, expected, atol=1e-5)


def test_a_search_keeps_the_first_of_the_best_and_counts_its_fits():
    wanted = interactions([[0, 0, 1]])
    validation = Holdout(interactions([[1, 0, 0]]), wanted)
    good, bad = [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]
    table = {"bad": bad, "first": good, "second": good}

    def fit(name):
        return lambda histories: np.array([table[name]], dtype=np.float32)

    best = search(["bad", "first"], fit, validation)
    best = search(["second", "bad"], fit, validation, best)
    assert (best.values, best.value, best.n_fits) == ("first", 1.0, 4)


def test_recvae_minimises_the_negative_elbo_under_the_composite_prior():
    x, weight = dense_batch(), 0.3
    torch.manual_seed(0)
    model = recvae.RecVAE(x.shape[1], SMALL)
    for parameter in model.encoder.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    torch.manual_seed(1)
    loss = model.loss(x, 0.0, weight)
    mean, log_variance = model.encoder(x)
    torch.manual_seed(1)
    latents = mean + torch.randn_like(mean) * (log_variance / 2).exp()
    kl = composite_kl(latents, mean, log_variance, *model.old_encoder(x))
    log_likelihood = (log_softmax(model.decoder(latents), 1) * x).sum(1)
    expected = (weight * x.sum(1) * kl - log_likelihood).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_passing_over_the_zeros_changes_nothing():
    x = dense_batch()
    x[3] = 0
    of_layouts = []
    for dense in (True, False):
        torch.manual_seed(0)
        model = recvae.RecVAE(x.shape[1], replace(SMALL, dense=dense))
        loss = model.loss(x, 0.5, 0.3)
        loss.backward()
        gradients = [each.grad for each in model.parameters() if each.requires_grad]
        of_layouts.append([loss.detach(), *gradients])
    for one, other in zip(*of_layouts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_prior_remembers_the_encoder_and_is_not_trained():
    model = recvae.RecVAE(14, SMALL)
    before = model.old_encoder.first.weight.clone()
    model.encoder.first.weight.data += 1
    assert torch.equal(model.old_encoder.first.weight, before)
    model.remember_encoder()
    assert torch.equal(model.old_encoder.first.weight, before + 1)
    model.loss(dense_batch(), 0.5, 0.1).backward()
    assert all(each.grad is None for each in model.old_encoder.parameters())


@pytest.fixture(scope="module")
def tastes():
    """Users of two tastes to train on, and two who have shown half of theirs."""
    train = interactions(np.kron(np.eye(2), np.ones((20, 6))))
    shown = np.kron(np.eye(2), [1, 1, 1, 0, 0, 0])
    return train, Holdout(interactions(shown), interactions(np.kron(np.eye(2), 6 * [1]) - shown))


def test_recvae_finds_the_rest_of_a_taste(tastes):
    train, validation = tastes
    fitted = recvae.fit_best(train, validation, [replace(SMALL, outer_epochs=6)])
    assert mean_metric(fitted.score, validation, Metric("recall", 3)) == 1.0


def test_recvae_repeats_to_the_bit(tastes):
    train, validation = tastes
    histories = validation.fold_in.matrix
    one, other = (recvae.fit_best(train, validation, [SMALL]).score(histories) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_recvae_keeps_the_outer_epoch_that_validated_best(monkeypatch, tastes):
    train, validation = tastes
    told = iter([0.1, 0.3, 0.2])
    scores = []

    def measured(score, *_):
        scores.append(score(validation.fold_in.matrix))
        return next(told)

    monkeypatch.setattr(recvae, "mean_metric", measured)
    fitted = recvae.fit_best(train, validation, [SMALL])
    assert fitted.chosen == "outer epoch 2 of 3, batch 20"
    np.testing.assert_array_equal(fitted.score(validation.fold_in.matrix), scores[1])


def test_few_users_are_trained_on_in_smaller_batches_too(monkeypatch, tastes):
    tried = {}

    def trained(train, validation, schedule):
        tried[schedule.batch_size] = schedule
        model = recvae.RecVAE(train.n_items, SMALL)
        return recvae.Trained(model, 5, 1 / schedule.batch_size)

    monkeypatch.setattr(recvae, "train_recvae", trained)
    fitted = recvae.fit(*tastes)
    sooner = replace(recvae.PUBLISHED, dense=False)
    assert tried == {500: sooner, 100: replace(sooner, batch_size=100)}
    assert (fitted.chosen, fitted.n_fits) == ("outer epoch 5 of 50, batch 100", 2)
    monkeypatch.setattr(recvae, "FEW_USERS", 40)
    assert recvae.fit(*tastes).n_fits == 1


def test_recvae_scores_an_empty_history():
    model = recvae.RecVAE(14, SMALL)
    assert np.isfinite(model.score(interactions(np.zeros((1, 14))).matrix)).all()


def test_als_finds_the_rest_of_a_taste_and_gives_strangers_nothing(tastes):
    pytest.importorskip("implicit", reason="needs the extra `benchmarks`")
    from peers import als

    train, validation = tastes
    values = als.Values(factors=4, iterations=5, regularisation=0.1)
    score = als.factorise(als.clicks_of(train.matrix), values)
    assert mean_metric(score, validation, Metric("recall", 3)) == 1.0
    assert (score(interactions(np.zeros((1, 12))).matrix) == 0).all()


def test_als_is_searched_in_three_steps(monkeypatch, tastes):
    pytest.importorskip("implicit", reason="needs the extra `benchmarks`")
    from peers import als

    train, validation = tastes
    best = als.Values(factors=256, alpha=16.0, regularisation=50.0, iterations=15)
    wanted, slope = validation.held_out.matrix.toarray(), np.arange(12, dtype=np.float32) / 3

    def factorise(clicks, values):
        # The nearer to `best`, the more of what is held out stands above the slope.
        n_right = sum(getattr(values, each) == getattr(best, each) for each in vars(best))
        return lambda _: wanted * np.float32(0.8 * n_right) + slope

    monkeypatch.setattr(als, "factorise", factorise)
    fitted = als.fit(train, validation)
    assert fitted.chosen == str(best)
    assert fitted.n_fits == 4 * 3 + 2 + 1


@pytest.mark.parametrize("name", ["popularity", "ease", "edlae"])
def test_a_peer_chooses_on_validation_users(name, split):
    fitted = fit_peer(name, split.train, split.validation)
    floor = Popularity.fit(split.train).score
    ahead = [
        mean_metric(each, split.validation, DEFAULT_VALIDATION_METRIC)
        for each in (fitted.score, floor)
    ]
    assert (ahead[0] > ahead[1]) == (fitted.n_fits > 1) == bool(fitted.chosen)
    assert (name == "popularity") == (fitted.n_fits == 1)
