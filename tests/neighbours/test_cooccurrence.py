import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.neighbours import cooccurrence as module
from recsys.neighbours.cooccurrence import GramInParts, WholeGram, cooccurrence
from recsys.neighbours.neighbourhoods import nearest_items


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
    """The best by cosine in ascending order, of equals the first; then the item itself."""
    likeness = {
        other: gram[item, other] / np.sqrt(gram[other, other])
        for other in np.flatnonzero(gram[item])
        if other != item
    }
    best = sorted(likeness, key=lambda other: (-likeness[other], other))[:n_neighbours]
    return [*sorted(map(int, best)), item]


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
    return cut_out(gram, np.arange(gram.n_items, dtype=np.int32))


def cut_out(gram, items):
    (system,) = gram.systems([items])
    return system


def test_it_is_held_whole_only_where_it_is_mostly_full_and_fits(matrix_of):
    few_pairs, many_pairs = np.eye(40, 200), random_clicks(4, 400, 20)
    assert isinstance(gram_of(matrix_of(few_pairs), 0.6), GramInParts)
    assert isinstance(gram_of(matrix_of(many_pairs), 0.6), WholeGram)
    assert isinstance(gram_of(matrix_of(many_pairs), 0.6, gram_mb=0), GramInParts)


@pytest.mark.parametrize("most_together", [0, 10**9])
@pytest.mark.parametrize("popular_from", [0, 3, 6, 10**9])
def test_rows_of_rare_items_and_one_product_cut_out_the_same(
    matrix_of, monkeypatch, most_together, popular_from
):
    monkeypatch.setattr(module, "MOST_TOGETHER", most_together)
    monkeypatch.setattr(module, "POPULAR_FROM", popular_from)
    rng = np.random.default_rng(7)
    dense = (rng.random((60, 120)) < 0.08 * rng.random(120)).astype(np.float32)
    dense[:, 11] = 0  # an item that nobody met
    gram = gram_of(matrix_of(dense), 0.6)
    assert isinstance(gram, GramInParts)
    assert len(gram.popular) == max(1, int((dense.sum(0) >= popular_from).sum()))
    expected = slow_gram(dense, 0.6)
    neighbourhoods = [
        rng.permutation(120)[: rng.integers(1, 40)].astype(np.int32) for _ in range(20)
    ]
    neighbourhoods.append(np.array([11], dtype=np.int32))
    found = gram.systems(neighbourhoods)
    for system, own in zip(found, neighbourhoods, strict=True):
        corner = system[-len(own) :, -len(own) :]
        np.testing.assert_allclose(corner, expected[np.ix_(own, own)], rtol=1e-5)
        rest = len(system) - len(own)
        np.testing.assert_array_equal(system[:rest], np.eye(len(system))[:rest])


@pytest.mark.parametrize("gram_mb", [0, 4096])
def test_systems_stand_in_the_corner_of_the_widest_and_do_not_touch(matrix_of, gram_mb):
    dense = random_clicks(3, 60, 9)
    dense[:, 4] = 0  # an item that nobody met
    gram = gram_of(matrix_of(dense), 0.6, gram_mb=gram_mb)
    expected = slow_gram(dense, 0.6)
    neighbourhoods = [[2, 7, 0], [5], [0, 4], [8, 3, 2, 7], [4]]
    found = gram.systems([np.array(each, dtype=np.int32) for each in neighbourhoods])
    assert found.shape == (5, 4, 4)
    for system, items in zip(found, neighbourhoods, strict=True):
        padding = 4 - len(items)
        np.testing.assert_allclose(
            system[padding:, padding:], expected[np.ix_(items, items)], rtol=1e-5
        )
        np.testing.assert_array_equal(system[:padding], np.eye(4)[:padding])
        np.testing.assert_array_equal(system[:, :padding], np.eye(4)[:, :padding])


def test_the_longest_histories_have_no_say_in_who_is_near(matrix_of, monkeypatch):
    """A robot that met everything would make every pair of items near, at the square's cost."""
    monkeypatch.setattr("recsys.neighbours.cooccurrence.LONGEST_COUNTED", 4)
    people = np.zeros((6, 10), dtype=int)
    people[:3, :4] = people[3:, 4:8] = 1
    dense = np.vstack([people, np.ones((1, 10), dtype=int)])
    gram = gram_of(matrix_of(dense), 0.6, gram_mb=0)
    found = [each.tolist() for each in nearest_items(gram, 5)]
    assert found[0] == [1, 2, 3, 0]
    assert found[9] == [9]
    # What items weigh together counts everybody.
    np.testing.assert_allclose(whole(gram), slow_gram(dense, 0.6), rtol=1e-5)


@pytest.mark.parametrize("n_items", [7, 1200])
def test_in_parts_it_is_the_whole_one(matrix_of, n_items):
    matrix = matrix_of(random_clicks(5, 40, n_items))
    whole_gram, in_parts = gram_of(matrix, 0.6), gram_of(matrix, 0.6, gram_mb=0)
    np.testing.assert_allclose(in_parts.diagonal(), whole_gram.diagonal(), rtol=1e-5)
    np.testing.assert_allclose(whole(in_parts), whole(whole_gram), rtol=1e-5)
    items = np.arange(0, n_items, 5, dtype=np.int32)
    np.testing.assert_allclose(cut_out(in_parts, items), cut_out(whole_gram, items), rtol=1e-5)
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
    assert found == [[1, 2, 0], [0, 2, 1], [0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, 5]]


def test_an_item_that_shares_no_user_has_only_itself(matrix_of):
    alone, never_met = 2, 3
    dense = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]])
    found = nearest_items(gram_of(matrix_of(dense), 0.6), 5)
    assert found[alone].tolist() == [alone]
    assert found[never_met].tolist() == [never_met]
