import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.neighbours.cooccurrence import (
    GramInParts,
    WholeGram,
    cooccurrence,
    gram_bytes,
    nearest_items,
    overlapping_groups,
)


def random_clicks(seed: int, n_users: int, n_items: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((n_users, n_items)) < rng.random(n_items)).astype(np.float32)


def slow_gram(dense: np.ndarray, user_exponent: float) -> np.ndarray:
    """One user and one pair at a time; weights have mean 1 over everybody."""
    weights = [row.sum() ** -user_exponent if row.any() else 0.0 for row in dense]
    mean = sum(weights) / len(weights)
    gram = np.zeros((dense.shape[1],) * 2)
    for row, weight in zip(dense, weights, strict=True):
        for i in np.flatnonzero(row):
            for j in np.flatnonzero(row):
                gram[i, j] += weight / mean
    return gram


def slow_nearest(gram: np.ndarray, item: int, n_neighbours: int) -> list[int]:
    """Best first by cosine, of equals the first; then the item itself and in ascending order."""
    likeness = {
        other: gram[item, other] / np.sqrt(gram[other, other])
        for other in np.flatnonzero(gram[item])
        if other != item
    }
    best = sorted(likeness, key=lambda other: (-likeness[other], other))[:n_neighbours]
    return sorted([item, *map(int, best)])


def gram_of(matrix, user_exponent, *, gram_mb=4096, n_threads=1):
    return cooccurrence(matrix, user_exponent, gram_mb=gram_mb, n_threads=n_threads)


@pytest.mark.parametrize("gram_mb", [0, 4096])
@pytest.mark.parametrize("user_exponent", [0.0, 0.6, 2.0])
def test_the_gram_matrix_is_what_a_count_by_hand_gives(matrix_of, user_exponent, gram_mb):
    dense = random_clicks(0, 12, 7)
    dense[3] = 0  # a user without history weighs nothing
    found = gram_of(matrix_of(dense), user_exponent, gram_mb=gram_mb)
    assert isinstance(found, WholeGram if gram_mb else GramInParts)
    np.testing.assert_allclose(whole(found), slow_gram(dense, user_exponent), rtol=1e-5)
    assert whole(found).dtype == np.float32


def whole(gram):
    return gram.among(np.arange(gram.n_items, dtype=np.int32))


def test_a_sparse_gram_matrix_is_the_dense_one(matrix_of):
    clicks = np.zeros((40, 200), dtype=int)
    for user in range(40):
        clicks[user, [user, user + 1, (7 * user) % 200]] = 1
    sparse = gram_of(matrix_of(clicks), 0.6)
    assert not isinstance(sparse.values, np.ndarray)
    assert isinstance(gram_of(matrix_of(clicks[:, :5]), 0.6).values, np.ndarray)
    np.testing.assert_allclose(whole(sparse), slow_gram(clicks, 0.6), rtol=1e-5)
    dense = WholeGram(whole(sparse))
    items = np.array([3, 9, 150], dtype=np.int32)
    np.testing.assert_array_equal(sparse.among(items), dense.among(items))
    np.testing.assert_array_equal(sparse.diagonal(), dense.diagonal())
    np.testing.assert_array_equal(sparse.rows(0).toarray(), dense.rows(0).toarray())


@pytest.mark.parametrize("n_items", [7, 1200])
def test_in_parts_it_is_the_whole_one(matrix_of, n_items):
    matrix = matrix_of(random_clicks(5, 40, n_items))
    whole_gram, in_parts = gram_of(matrix, 0.6), gram_of(matrix, 0.6, gram_mb=0)
    np.testing.assert_allclose(in_parts.diagonal(), whole_gram.diagonal(), rtol=1e-5)
    np.testing.assert_allclose(whole(in_parts), whole(whole_gram), rtol=1e-5)
    items = np.arange(0, n_items, 5, dtype=np.int32)
    np.testing.assert_allclose(in_parts.among(items), whole_gram.among(items), rtol=1e-5)
    for one, other in zip(
        nearest_items(in_parts, 5, n_threads=2), nearest_items(whole_gram, 5), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_threads_change_nothing_in_the_gram_matrix(matrix_of):
    matrix = matrix_of(random_clicks(2, 50, 30))
    np.testing.assert_array_equal(
        whole(gram_of(matrix, 0.6)), whole(gram_of(matrix, 0.6, n_threads=3))
    )


def test_a_long_history_weighs_less_by_the_exponent(matrix_of):
    dense = np.array([[1, 1, 1, 1, 0], [0, 0, 0, 0, 1]])
    diagonal = gram_of(matrix_of(dense), 1.0).diagonal()
    assert diagonal.tolist() == pytest.approx([0.4, 0.4, 0.4, 0.4, 1.6])


def test_the_values_of_the_matrix_do_not_count_in_the_gram_matrix(matrix_of):
    dense = random_clicks(1, 10, 6)
    ratings = dense * np.random.default_rng(0).integers(1, 6, dense.shape)
    found, expected = (gram_of(matrix_of(each), 0.6) for each in (ratings, dense))
    np.testing.assert_array_equal(whole(found), whole(expected))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_users=st.integers(1, 12),
    n_items=st.integers(1, 10),
    n_neighbours=st.integers(1, 12),
)
def test_the_nearest_are_those_of_a_search_one_by_one(
    matrix_of, seed, n_users, n_items, n_neighbours
):
    # Few users and whole counts: equal cosines abound.
    gram = gram_of(matrix_of(random_clicks(seed, n_users, n_items)), 0.0)
    found = nearest_items(gram, n_neighbours)
    dense = whole(gram)
    assert [each.tolist() for each in found] == [
        slow_nearest(dense, item, n_neighbours) for item in range(n_items)
    ]


def test_of_equally_near_items_the_first_are_taken(matrix_of):
    gram = gram_of(matrix_of(np.ones((3, 6))), 0.0)  # six copies of one item
    found = [each.tolist() for each in nearest_items(gram, 2)]
    assert found == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, 5]]


def test_an_item_that_shares_no_user_has_only_itself(matrix_of):
    alone, never_met = 2, 3
    dense = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]])
    found = nearest_items(gram_of(matrix_of(dense), 0.6), 5)
    assert found[alone].tolist() == [alone]
    assert found[never_met].tolist() == [never_met]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_items=st.integers(1, 40),
    size=st.integers(1, 20),
    n_neighbours=st.integers(1, 10),
)
def test_groups_cover_every_item_once(matrix_of, seed, n_items, size, n_neighbours):
    gram = gram_of(matrix_of(random_clicks(seed, 6, n_items)), 0.6)
    groups = list(overlapping_groups(nearest_items(gram, n_neighbours), size))
    assert sorted(np.concatenate(groups).tolist()) == list(range(n_items))
    assert all(0 < len(group) < max(2, size + size // 2) for group in groups)


def test_items_of_one_taste_are_in_one_group():
    neighbourhoods = [np.arange(5 * (item // 5), 5 * (item // 5) + 5) for item in range(20)]
    groups = [sorted(each.tolist()) for each in overlapping_groups(neighbourhoods, 5)]
    assert sorted(groups) == [list(range(start, start + 5)) for start in (0, 5, 10, 15)]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n_users=st.integers(1, 12), n_items=st.integers(1, 12))
def test_the_bound_on_memory_is_never_below_the_truth(matrix_of, seed, n_users, n_items):
    matrix = matrix_of(random_clicks(seed, n_users, n_items))
    values = gram_of(matrix, 0.6).values
    held = [values] if isinstance(values, np.ndarray) else [values.data, values.indices]
    assert gram_bytes(matrix) >= sum(each.nbytes for each in held)


def test_the_bound_on_memory_counts_pairs_of_users_or_of_items_whichever_are_fewer(matrix_of):
    assert gram_bytes(matrix_of(np.eye(100))) == 16 * 100
    assert gram_bytes(matrix_of(np.ones((100, 3)))) == 4 * 9
