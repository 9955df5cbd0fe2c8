import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.sparse import csr_array

from recsys.ranking import Ranking, exclude, top_k

FEW_VALUES = st.sampled_from([-np.inf, -2.0, -1.0, 0.0, -0.0, 1.0, 1.5, np.inf])
MANY_TIES = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=FEW_VALUES
)


def slow_top_k(scores: np.ndarray, k: int) -> Ranking:
    positions = np.full((len(scores), k), -1, dtype=np.int64)
    best = np.full((len(scores), k), -np.inf, dtype=np.float32)
    for row, values in enumerate(scores):
        order = [i for i in np.argsort(-values, kind="stable") if values[i] > -np.inf][:k]
        positions[row, : len(order)] = order
        best[row, : len(order)] = values[order]
    return Ranking(positions, best)


@settings(max_examples=200, deadline=None)
@given(scores=MANY_TIES, k=st.integers(1, 50))
def test_top_k_is_the_head_of_a_stable_sort(scores, k):
    found, expected = top_k(scores, k), slow_top_k(scores, k)
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("n_items", [1, 7, 99, 100, 101, 799, 800, 801, 2500])
def test_top_k_agrees_with_a_stable_sort_around_every_group_size(n_items):
    rng = np.random.default_rng(n_items)
    smooth = rng.normal(size=(9, n_items)).astype(np.float32)
    tied = rng.integers(0, 6, size=(9, n_items)).astype(np.float32)
    sparse = np.where(rng.random((9, n_items)) < 0.03, smooth, np.float32(-np.inf))
    rising = np.sort(smooth, axis=1)
    scores = np.concatenate([smooth, tied, sparse, rising, rising[:, ::-1]])
    found, expected = top_k(scores, 100), slow_top_k(scores, 100)
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_ties_go_to_the_lower_position():
    scores = np.array([[1, 3, 3, 2, 3]], dtype=np.float32)
    assert top_k(scores, 3).positions.tolist() == [[1, 2, 4]]
    assert top_k(np.zeros((1, 5000), dtype=np.float32), 3).positions.tolist() == [[0, 1, 2]]


def test_minus_infinity_is_never_listed():
    ranking = top_k(np.array([[-np.inf, 1, -np.inf]], dtype=np.float32), 3)
    assert ranking.positions.tolist() == [[1, -1, -1]]
    assert ranking.scores.tolist() == [[1.0, -np.inf, -np.inf]]


def test_more_places_than_items_are_filled_with_minus_one():
    ranking = top_k(np.array([[1, 2]], dtype=np.float32), 4)
    assert ranking.positions.tolist() == [[1, 0, -1, -1]]
    assert ranking.positions.dtype == np.int64
    assert ranking.scores.dtype == np.float32


def test_no_users_and_no_items_give_empty_rankings():
    assert top_k(np.empty((0, 5), dtype=np.float32), 2).positions.shape == (0, 2)
    assert top_k(np.empty((2, 0), dtype=np.float32), 2).positions.tolist() == [[-1, -1]] * 2


def test_scores_are_left_as_they_were():
    scores = np.random.default_rng(0).normal(size=(5, 300)).astype(np.float32)
    before = scores.copy()
    top_k(scores, 10)
    np.testing.assert_array_equal(scores, before)


def test_a_view_of_other_scores_ranks_as_its_copy():
    scores = np.random.default_rng(0).normal(size=(8, 600)).astype(np.float32)
    for view in (scores[::2, ::3], scores[:, 100:], np.asfortranarray(scores)):
        np.testing.assert_array_equal(
            top_k(view, 10).positions, top_k(np.ascontiguousarray(view), 10).positions
        )


def test_seen_items_never_come_back():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(20, 60)).astype(np.float32)
    histories = csr_array((rng.random((20, 60)) < 0.4).astype(np.float32))
    exclude(scores, histories)
    positions = top_k(scores, 60).positions
    for user, listed in enumerate(positions):
        seen = set(histories[[user]].indices.tolist())
        assert set(listed[listed >= 0].tolist()) == set(range(60)) - seen


def test_an_explicit_zero_is_excluded_too():
    histories = csr_array((np.zeros(1, dtype=np.float32), np.array([1]), np.array([0, 1])), (1, 3))
    scores = np.array([[1, 9, 2]], dtype=np.float32)
    exclude(scores, histories)
    assert top_k(scores, 3).positions.tolist() == [[2, 0, -1]]


def test_an_empty_history_excludes_nothing():
    scores = np.array([[1, 2]], dtype=np.float32)
    exclude(scores, csr_array((1, 2), dtype=np.float32))
    assert scores.tolist() == [[1.0, 2.0]]
