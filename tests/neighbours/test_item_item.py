from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from recsys.baselines import EASE
from recsys.errors import ConfigError
from recsys.neighbours.config import NeighboursConfig
from recsys.neighbours.item_item import ItemItem, _Solver, fit_item_item
from recsys.neighbours.neighbourhoods import Neighbourhoods

EVERYBODY = 1_000
"""More neighbours than there are items."""


def random_clicks(seed: int, n_users: int, n_items: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dense = rng.random((n_users, n_items)) < rng.uniform(0.05, 0.6, n_items)
    return dense.astype(np.float32)


def regularised(dense: np.ndarray, config: NeighboursConfig) -> np.ndarray:
    """G + lambda + p / (1 - p) diag(G), in float64."""
    lengths = np.maximum(dense.sum(axis=1), 1)
    weights = np.where(dense.any(axis=1), lengths**-config.user_exponent, 0)
    weights *= len(weights) / weights.sum()
    gram = dense.T.astype(float) @ (weights[:, None] * dense)
    odds = config.dropout / (1 - config.dropout)
    return gram + np.diag(config.ridge + odds * np.diag(gram))


def edlae(dense: np.ndarray, config: NeighboursConfig) -> np.ndarray:
    """Full rank, in closed form (Steck 2020, eq. 9)."""
    inverse = np.linalg.inv(regularised(dense, config))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def slow_fit(dense, neighbourhoods, config: NeighboursConfig) -> np.ndarray:
    """Column by column: each item regressed on its neighbours, by the normal equations."""
    system = regularised(dense, config)
    weights = np.zeros_like(system)
    for item, near in enumerate(neighbourhoods):
        others = near[near != item]
        if len(others):
            inner = system[np.ix_(others, others)]
            weights[others, item] = np.linalg.solve(inner, system[others, item])
    return weights


@pytest.mark.parametrize("gram_mb", [0, 4096])
@pytest.mark.parametrize("user_exponent", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("dropout", [0.0, 0.3, 0.7])
def test_with_every_item_as_neighbour_it_is_edlae(interactions_of, user_exponent, dropout, gram_mb):
    dense = np.vstack([random_clicks(0, 60, 25), np.ones((1, 25))])  # all pairs co-occur
    config = NeighboursConfig(EVERYBODY, 5.0, dropout, user_exponent, gram_mb=gram_mb)
    found = fit_item_item(interactions_of(dense), config, n_threads=1)
    np.testing.assert_allclose(found.weights.toarray(), edlae(dense, config), atol=1e-5)


@pytest.mark.parametrize("gram_mb", [0, 4096])
@pytest.mark.parametrize("ridge", [1.0, 20.0, 500.0])
def test_without_dropout_and_weights_it_is_ease(interactions_of, ridge, gram_mb):
    train = interactions_of(np.vstack([random_clicks(1, 80, 30), np.ones((1, 30))]))
    config = NeighboursConfig(EVERYBODY, ridge, dropout=0, user_exponent=0, gram_mb=gram_mb)
    found = fit_item_item(train, config, n_threads=1)
    np.testing.assert_allclose(found.weights.toarray(), EASE.fit(train, ridge).weights, atol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.04, 0.05])
def test_items_that_the_same_users_have_are_told_apart_by_little(interactions_of, dropout):
    """A thousand users and a ridge of .01: nearly singular, and hopeless in float32."""
    dense = random_clicks(3, 1000, 12)
    dense = np.vstack([np.hstack([dense, dense[:, :6]]), np.ones((1, 18))])
    config = NeighboursConfig(EVERYBODY, 0.01, dropout, user_exponent=0)
    found = fit_item_item(interactions_of(dense), config, n_threads=1)
    np.testing.assert_allclose(found.weights.toarray(), edlae(dense, config), atol=1e-4)


def test_systems_that_cannot_be_solved_name_what_is_too_small(interactions_of):
    dense = np.hstack([random_clicks(3, 1000, 12)] * 2)
    config = NeighboursConfig(EVERYBODY, 1e-20, dropout=0, user_exponent=0)
    with pytest.raises(ConfigError, match=r"neighbours.ridge is 1e-20 and .*: too small"):
        fit_item_item(interactions_of(dense), config, n_threads=1)


def test_two_items_have_the_weights_of_a_sum_by_hand(interactions_of):
    # G = [[2, 1], [1, 2]], ridge 1, p = 1/2: the diagonal is 2 + 1 + 2 = 5, and 1 / 5 is left.
    train = interactions_of([[1, 1], [1, 0], [0, 1]])
    found = fit_item_item(train, NeighboursConfig(5, 1.0, 0.5, 0.0), n_threads=1)
    np.testing.assert_allclose(found.weights.toarray(), [[0, 0.2], [0.2, 0]], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_users=st.integers(1, 20),
    n_items=st.integers(1, 15),
    n_neighbours=st.integers(1, 8),
    user_exponent=st.sampled_from([0.0, 0.6]),
)
def test_each_column_is_the_one_that_a_slow_solver_finds(
    interactions_of, seed, n_users, n_items, n_neighbours, user_exponent
):
    dense = random_clicks(seed, n_users, n_items)
    dense[0, 0] = 1
    train = interactions_of(dense)
    config = NeighboursConfig(n_neighbours, 2.0, 0.4, user_exponent)
    known = Neighbourhoods.of(train, config)
    found = fit_item_item(train, config, n_threads=1).weights
    np.testing.assert_allclose(found.toarray(), slow_fit(dense, known.nearest, config), atol=1e-5)
    reused = fit_item_item(train, config, neighbourhoods=known, n_threads=1).weights
    np.testing.assert_array_equal(found.toarray(), reused.toarray())
    assert not found.diagonal().any()
    assert np.diff(found.tocsc().indptr).max() <= n_neighbours
    assert found.dtype == np.float32


def test_an_item_without_co_occurrence_has_no_weights(interactions_of):
    dense = np.zeros((6, 5), dtype=np.float32)
    dense[:5, :3] = random_clicks(3, 5, 3)
    dense[:2, :2] = 1
    dense[5, 3] = 1  # alone, and item 4 was met by nobody
    config = NeighboursConfig(EVERYBODY, 2.0)
    weights = fit_item_item(interactions_of(dense), config, n_threads=1).weights.toarray()
    assert np.isfinite(weights).all()
    assert not weights[3:].any()
    assert not weights[:, 3:].any()
    assert weights[0, 1] > 0


def test_one_user_is_enough(interactions_of):
    train = interactions_of([[1, 1, 0, 1]])
    weights = fit_item_item(train, NeighboursConfig(2, 1.0), n_threads=1).weights.toarray()
    assert weights[0, 1] == pytest.approx(weights[1, 0])
    assert not weights[2].any()
    assert not weights[:, 2].any()


def test_one_item_has_nothing_to_be_explained_by(interactions_of):
    found = fit_item_item(interactions_of([[1], [1]]), NeighboursConfig(), n_threads=1)
    assert found.weights.toarray().tolist() == [[0]]


def test_the_values_of_the_interactions_do_not_matter(interactions_of):
    dense = random_clicks(4, 30, 12)
    ratings = dense * np.random.default_rng(0).integers(1, 6, dense.shape)
    binary, rated = (
        fit_item_item(interactions_of(each), NeighboursConfig(4, 3.0), n_threads=1).weights
        for each in (dense, ratings)
    )
    np.testing.assert_array_equal(binary.toarray(), rated.toarray())


@pytest.mark.parametrize("gram_mb", [0, 4096])
def test_threads_do_not_change_a_bit(interactions_of, gram_mb):
    train = interactions_of(random_clicks(5, 200, 150))
    config = NeighboursConfig(40, 5.0, gram_mb=gram_mb)
    expected = fit_item_item(train, config, n_threads=1).weights
    for n_threads in (2, 3):
        found = fit_item_item(train, config, n_threads=n_threads).weights
        np.testing.assert_array_equal(found.toarray(), expected.toarray())


def test_less_memory_gives_the_same_up_to_rounding(interactions_of):
    train = interactions_of(random_clicks(5, 200, 150))
    config = NeighboursConfig(40, 5.0)
    expected = fit_item_item(train, config, n_threads=1).weights.toarray()
    found = fit_item_item(train, replace(config, memory_mb=1), n_threads=2).weights.toarray()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("memory_mb", [1, 5, 64, 512])
@pytest.mark.parametrize("n_neighbours", [20, 100, 300, 1_000])
def test_systems_held_at_once_stay_in_the_memory_given(
    interactions_of, monkeypatch, memory_mb, n_neighbours
):
    config = NeighboursConfig(n_neighbours, memory_mb=memory_mb)
    system = 2 * 4 * (n_neighbours + 1) ** 2
    held = []

    def pool(n_threads):
        held.append(n_threads)
        return ThreadPoolExecutor(1)

    monkeypatch.setattr("recsys.neighbours.item_item.threads_for_parts", pool)
    solve = _Solver.solve
    monkeypatch.setattr(
        _Solver, "solve", lambda solver, items: held.append(len(items)) or solve(solver, items)
    )
    fit_item_item(interactions_of(random_clicks(5, 20, 150)), config, n_threads=4)
    n_threads, *batches = held
    assert sum(batches) == 150
    # A single system may be more than what was given: it has to be held all the same.
    assert n_threads * max(batches) * system <= max(memory_mb * 2**20, system)


def test_the_same_fit_gives_the_same_bits(interactions_of):
    train = interactions_of(random_clicks(5, 100, 60))
    one, other = (fit_item_item(train, NeighboursConfig(20), n_threads=2).weights for _ in "ab")
    np.testing.assert_array_equal(one.toarray(), other.toarray())


def test_torch_has_its_threads_back_afterwards(interactions_of):
    before = torch.get_num_threads()
    fit_item_item(interactions_of(random_clicks(6, 10, 5)), NeighboursConfig(), n_threads=2)
    assert torch.get_num_threads() == before


def test_progress_is_told_up_to_the_last_item(interactions_of):
    told = []
    train = interactions_of(random_clicks(7, 50, 200))
    config = NeighboursConfig(5)
    fit_item_item(train, config, n_threads=1, progress=lambda *each: told.append(each))
    done = [each for each, _ in told]
    found, solved = done[: done.index(200) + 1], done[done.index(200) + 1 :]
    assert found == sorted(set(found))
    assert solved == sorted(set(solved))
    assert solved[-1] == 200
    assert {total for _, total in told} == {200}


def test_a_score_is_the_sum_of_the_weights_of_the_history(matrix_of):
    weights = matrix_of([[0, 0.5, -1], [2, 0, 0], [0, 0, 0]])
    histories = matrix_of([[5, 3, 0], [0, 0, 1], [0, 0, 0]])  # ratings count as clicks
    item_item = ItemItem(weights)
    assert item_item.score(histories).tolist() == [[2, 0.5, -1], [0, 0, 0], [0, 0, 0]]
    assert item_item.score(histories).dtype == np.float32
    assert item_item.scores(histories).nnz == 3


@pytest.fixture
def path_and_histories():
    """A path of 60 items, and 40 users' histories, some of them empty."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(60, 60)) * (rng.random((60, 60)) < 0.3)
    clicks = (rng.random((40, 60)) < 0.2) & (np.arange(40) % 7 > 0)[:, None]
    return ItemItem(csr_array(weights.astype(np.float32))), csr_array(clicks.astype(np.float32))


@pytest.mark.parametrize("full_from", [0, 1])
def test_scores_are_made_dense_as_a_product_in_double_precision_says(
    path_and_histories, full_from, monkeypatch
):
    monkeypatch.setattr("recsys.neighbours.item_item.FULL_FROM", full_from)
    path, histories = path_and_histories
    reached = path.scores(histories, scale=20.0)
    expected = 20 * (histories.toarray().astype(float) @ path.weights.toarray())
    np.testing.assert_allclose(reached.toarray(), expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(reached[5:9].toarray(), reached.toarray()[5:9])
    assert reached[:0].toarray().shape == (0, 60)
    assert reached[7:8].nnz == 0  # an empty history
    n_entries = np.diff(path.weights.indptr)
    assert reached.nnz == histories.toarray().astype(int).dot(n_entries).sum()


def test_a_path_without_entries_says_nothing(matrix_of):
    nothing = ItemItem(csr_array((3, 3), dtype=np.float32))
    assert nothing.score(matrix_of([[1, 0, 1], [0, 0, 0]])).tolist() == [[0, 0, 0]] * 2


def test_the_path_alone_finds_the_taste_of_most_users(split):
    from recsys.baselines import Popularity
    from recsys.evaluation.protocols import ndcg_validator

    measure = ndcg_validator(split.validation)
    found = fit_item_item(split.train, NeighboursConfig(50, 20.0), n_threads=1)
    assert measure(found.score) > 1.2 * measure(Popularity.fit(split.train).score)


def test_what_is_around_an_item_is_what_both_say_for_each_other(interactions_of):
    train = interactions_of((np.random.default_rng(3).random((40, 9)) < 0.4).astype(int))
    item_item = fit_item_item(train, NeighboursConfig(n_neighbours=4))
    weights = item_item.weights.toarray()
    for item in range(9):
        expected = (weights[item] + weights[:, item]) / 2
        np.testing.assert_allclose(item_item.around(item).toarray()[0], expected, atol=1e-7)
