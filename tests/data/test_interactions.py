from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions, csr_from_pairs, select_rows

PAIRS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6)), unique=True, min_size=1, max_size=30
)


def events_of(pairs, *, times=True) -> Events:
    users = IdMap.of({f"u{u}" for u, _ in pairs}, "user")
    items = IdMap.of({f"i{i}" for _, i in pairs}, "item")
    n = len(pairs)
    return Events(
        users=users,
        items=items,
        user_positions=users.positions([f"u{u}" for u, _ in pairs]).astype(np.int32),
        item_positions=items.positions([f"i{i}" for _, i in pairs]).astype(np.int32),
        values=np.arange(n, dtype=np.float32),  # the first is an explicit zero
        timestamps=np.arange(n, dtype=np.float64) if times else None,
        value_kind="rating",
    )


def as_triples(data: Interactions) -> set[tuple[str, str, float]]:
    rows = np.repeat(np.arange(data.n_users), data.history_lengths())
    return {
        (data.users.ids[u], data.items.ids[i], float(value))
        for u, i, value in zip(rows, data.matrix.indices, data.matrix.data, strict=True)
    }


@given(PAIRS)
def test_the_matrix_holds_every_row_once_explicit_zeros_too(pairs):
    data = events_of(pairs).interactions()
    expected = {(f"u{u}", f"i{i}", float(n)) for n, (u, i) in enumerate(pairs)}
    assert as_triples(data) == expected
    assert data.matrix.nnz == len(pairs)
    assert data.matrix.has_sorted_indices
    assert data.matrix.dtype == np.float32


@given(PAIRS)
def test_counts_are_those_of_the_pairs(pairs):
    data = events_of(pairs).interactions()
    for position, user in enumerate(data.users.ids):
        assert data.history_lengths()[position] == sum(f"u{u}" == user for u, _ in pairs)
    for position, item in enumerate(data.items.ids):
        assert data.item_counts()[position] == sum(f"i{i}" == item for _, i in pairs)


@given(PAIRS)
def test_the_mean_of_an_item_agrees_with_a_slow_oracle(pairs):
    data = events_of(pairs).interactions()
    means = data.item_means()
    assert means.dtype == np.float32
    for position, item in enumerate(data.items.ids):
        values = [value for _, i, value in as_triples(data) if i == item]
        np.testing.assert_allclose(means[position], sum(values) / len(values), rtol=1e-6)


def test_an_item_that_nobody_has_has_mean_0():
    data = events_of([(0, 1), (1, 1)]).interactions()  # values 0 and 1
    joined, _ = data.joined_to(IdMap.in_order(["i0", "i1"], "item"))
    assert joined.item_means().tolist() == [0.0, 0.5]
    nobody = Interactions(IdMap.of([], "user"), joined.items, csr_array((0, 2), dtype=np.float32))
    assert nobody.item_means().tolist() == [0.0, 0.0]


@given(PAIRS, st.data())
def test_selected_rows_keep_only_the_ids_that_they_hold(pairs, data):
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs))))
    events = events_of(pairs)
    kept = events.select(keep)
    expected = [pair for pair, stays in zip(pairs, keep, strict=True) if stays]
    found = [
        (kept.users.ids[u], kept.items.ids[i])
        for u, i in zip(kept.user_positions, kept.item_positions, strict=True)
    ]
    assert found == [(f"u{u}", f"i{i}") for u, i in expected]
    assert set(kept.users.ids) == {u for u, _ in found}
    assert set(kept.items.ids) == {i for _, i in found}
    assert kept.values.tolist() == kept.timestamps.tolist() == list(np.flatnonzero(keep))
    assert len(kept) == keep.sum()


@given(PAIRS, st.permutations([f"i{n}" for n in range(9)]), st.integers(0, 9))
def test_joining_to_a_catalogue_keeps_exactly_what_it_knows(pairs, catalogue, n_known):
    data = events_of(pairs).interactions()
    items = IdMap.in_order(catalogue[:n_known], "item")
    joined, n_unknown = data.joined_to(items)
    known = set(catalogue[:n_known])
    assert joined.items is items
    assert list(joined.users.ids) == list(data.users.ids)
    assert as_triples(joined) == {each for each in as_triples(data) if each[1] in known}
    assert n_unknown == len(set(data.items.ids) - known)


def test_joining_to_the_same_catalogue_changes_nothing():
    data = events_of([(0, 1), (2, 3)]).interactions()
    twin = IdMap.in_order(list(data.items.ids), "item")
    for items in (data.items, twin):
        joined, n_unknown = data.joined_to(items)
        assert joined.matrix is data.matrix
        assert n_unknown == 0


def test_selected_users_come_in_the_order_that_was_asked_for():
    data = events_of([(0, 1), (1, 2), (2, 3), (2, 1)]).interactions()
    found = data.select_users(np.array([2, 0]))
    assert list(found.users.ids) == ["u2", "u0"]
    np.testing.assert_array_equal(found.matrix.toarray(), data.matrix.toarray()[[2, 0]])
    assert found.items is data.items


def test_rows_are_taken_in_order_and_repeated_when_asked():
    matrix = csr_array(np.arange(12, dtype=np.float32).reshape(3, 4))
    found = select_rows(matrix, np.array([2, 0, 2]))
    np.testing.assert_array_equal(found.toarray(), matrix.toarray()[[2, 0, 2]])
    assert select_rows(matrix, np.array([], dtype=np.int64)).shape == (0, 4)


def test_a_matrix_from_pairs_is_sorted_and_keeps_zeros():
    found = csr_from_pairs(
        np.array([1, 0, 1]), np.array([2, 1, 0]), np.array([3, 0, 5], dtype=np.float32), (2, 3)
    )
    assert found.indices.tolist() == [1, 0, 2]
    assert found.data.tolist() == [0, 5, 3]


def test_a_matrix_that_does_not_fit_its_ids_is_our_own_mistake():
    data = events_of([(0, 1), (1, 2)]).interactions()
    with pytest.raises(AssertionError):
        replace(data, users=IdMap.of(["only one"], "user"))
    with pytest.raises(AssertionError):
        replace(data, matrix=data.matrix.astype(np.float64))


def test_the_fingerprint_of_events_is_of_ids_rows_values_and_times():
    events = events_of([(0, 1), (1, 2), (1, 1)])
    assert events.fingerprint == events_of([(0, 1), (1, 2), (1, 1)]).fingerprint
    renamed = IdMap.in_order(["u0", "x"], "user")
    others = [
        events_of([(0, 1), (1, 1), (1, 2)]),
        events_of([(0, 1), (1, 2), (1, 1)], times=False),
        replace(events, values=events.values + np.float32(1)),
        replace(events, users=renamed),
        replace(events, timestamps=events.timestamps[::-1].copy()),
    ]
    prints = {events.fingerprint, *(each.fingerprint for each in others)}
    assert len(prints) == 6
