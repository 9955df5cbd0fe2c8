"""The laws of every split, whatever the data: no leakage, nothing lost, nothing by chance."""

import re
from collections.abc import Callable
from random import Random
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions
from recsys.data.splits import Split, SplitConfig, split_events
from recsys.errors import DataError

Rows: TypeAlias = dict[tuple[str, str], float]
"""(user, item) -> time, in the order of a file."""

_SIZES = {"strong": (3, 2), "weak": (0.2, 0.2), "last": (1, 1), "time": (0.2, 0.2)}


def events_of(rows: Rows) -> Events:
    users = IdMap.of((user for user, _ in rows), "user")
    items = IdMap.of((item for _, item in rows), "item")
    return Events(
        users=users,
        items=items,
        user_positions=users.find([user for user, _ in rows]).astype(np.int32),
        item_positions=items.find([item for _, item in rows]).astype(np.int32),
        values=np.array([value_of(pair) for pair in rows], dtype=np.float32),
        timestamps=np.array(list(rows.values())),
        value_kind="rating",
    )


def value_of(pair: tuple[str, str]) -> float:
    return float(int(pair[0]) * int(pair[1]) % 6)


@st.composite
def tables(draw: st.DrawFn, distinct_times: bool = False) -> Rows:
    """Draw nearly full tables, since the splits rightly refuse most of the sparse ones."""
    n_users, n_items = draw(st.integers(7, 10)), draw(st.integers(5, 9))
    absent = draw(st.sets(st.integers(0, n_users * n_items - 1), max_size=12))
    order = draw(st.randoms(use_true_random=False))
    cells = [each for each in range(n_users * n_items) if each not in absent]
    order.shuffle(cells)
    last = draw(st.sampled_from([12, 1000]))
    times = order.sample(range(1000), len(cells)) if distinct_times else None
    return {
        (str(cell // n_items + 5), str(cell % n_items + 5)): float(
            times[row] if times else order.randint(0, last)
        )
        for row, cell in enumerate(cells)
    }


def split_or_reject(rows: Rows, kind: str, seed: int = 98765) -> Split:
    try:
        return split_events(events_of(rows), SplitConfig(kind, *_SIZES[kind], seed=seed))
    except DataError:
        reject()


def pairs(part: Interactions) -> dict[tuple[str, str], float]:
    triples = part.matrix.tocoo()
    users, items = part.users.ids[triples.coords[0]], part.items.ids[triples.coords[1]]
    return dict(zip(zip(users, items, strict=True), triples.data.tolist(), strict=True))


def parts_of(split: Split) -> list[Interactions]:
    assert split.validation is not None
    assert split.test is not None
    groups = (split.validation, split.test)
    return [split.train, *(part for each in groups for part in (each.fold_in, each.held_out))]


def n_rows_left_out(split: Split) -> int:
    found = [re.search(r"([\d,]+)(?: \w+)? rows?\b", line) for line in split.left_out]
    return sum(int(each[1].replace(",", "")) for each in found if each)


laws = settings(max_examples=40, deadline=None)
any_kind = pytest.mark.parametrize("kind", list(_SIZES))


@any_kind
@laws
@given(rows=tables())
def test_nothing_that_must_be_found_is_shown_or_trained_on(kind: str, rows: Rows) -> None:
    train, *groups = (pairs(part).keys() for part in parts_of(split_or_reject(rows, kind)))
    validation_fold_in, validation_held_out, test_fold_in, test_held_out = groups
    assert not validation_held_out & (validation_fold_in | train | test_held_out)
    assert not test_held_out & (test_fold_in | validation_fold_in | train)


@laws
@given(rows=tables())
def test_strong_never_trains_on_an_evaluated_user(rows: Rows) -> None:
    train, _, validation, _, test = parts_of(split_or_reject(rows, "strong"))
    assert not set(train.users.ids) & set(validation.users.ids)
    assert not set(train.users.ids) & set(test.users.ids)
    assert not set(validation.users.ids) & set(test.users.ids)


@any_kind
@laws
@given(rows=tables())
def test_every_row_is_in_a_part_or_counted(kind: str, rows: Rows) -> None:
    split = split_or_reject(rows, kind)
    placed = set().union(*(pairs(part) for part in parts_of(split)))
    assert placed <= rows.keys()
    assert len(placed) + n_rows_left_out(split) == len(rows)


@any_kind
@laws
@given(rows=tables())
def test_all_parts_have_trains_items_and_the_values_of_their_rows(kind: str, rows: Rows) -> None:
    split = split_or_reject(rows, kind)
    assert (split.train.item_counts() > 0).all()
    assert (split.train.history_lengths() > 0).all()
    for part in parts_of(split):
        assert part.items.fingerprint == split.train.items.fingerprint
        assert pairs(part) == {pair: value_of(pair) for pair in pairs(part)}


@pytest.mark.parametrize("kind", ["weak", "last", "time"])
@laws
@given(rows=tables())
def test_validation_is_shown_train_and_test_is_shown_both(kind: str, rows: Rows) -> None:
    split = split_or_reject(rows, kind)
    train, validation_fold_in, validation_held_out, test_fold_in, _ = parts_of(split)
    evaluated = set(validation_held_out.users.ids)
    shown = {pair for pair in pairs(train) if pair[0] in evaluated}
    assert pairs(validation_fold_in).keys() == shown
    evaluated = set(test_fold_in.users.ids)
    before = pairs(train).keys() | pairs(validation_held_out).keys()
    assert pairs(test_fold_in).keys() == {pair for pair in before if pair[0] in evaluated}


@laws
@given(rows=tables())
def test_last_shows_nothing_later_than_what_it_holds_out(rows: Rows) -> None:
    _, *groups = parts_of(split_or_reject(rows, "last"))
    for fold_in, held_out in (groups[:2], groups[2:]):
        for user, item in pairs(held_out):
            shown = [rows[pair] for pair in pairs(fold_in) if pair[0] == user]
            assert all(rows[user, item] >= time for time in shown)


@laws
@given(rows=tables())
def test_time_holds_out_only_what_came_after_all_that_is_shown(rows: Rows) -> None:
    train, _, validation, _, test = parts_of(split_or_reject(rows, "time"))
    train_times, validation_times, test_times = (
        [rows[pair] for pair in pairs(part)] for part in (train, validation, test)
    )
    assert max(train_times) < min(validation_times)
    assert max(validation_times) < min(test_times)


@any_kind
@laws
@given(rows=tables(), seed=st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_split(kind: str, rows: Rows, seed: int) -> None:
    first, second = (split_or_reject(rows, kind, seed) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert first.left_out == second.left_out


def any_order(rows: Rows, random: Random) -> Rows:
    return dict(random.sample(list(rows.items()), len(rows)))


def any_order_of_users(rows: Rows, random: Random) -> Rows:
    place = {user: random.random() for user, _ in rows}
    return dict(sorted(rows.items(), key=lambda row: place[row[0][0]]))


@pytest.mark.parametrize(
    ("kind", "moved"),
    [("strong", any_order_of_users), ("weak", any_order), ("last", any_order), ("time", any_order)],
)
@laws
@given(rows=tables(distinct_times=True), random=st.randoms(use_true_random=False))
def test_the_order_of_the_file_matters_only_as_stated(
    kind: str, moved: Callable[[Rows, Random], Rows], rows: Rows, random: Random
) -> None:
    ours, theirs = split_or_reject(rows, kind), split_or_reject(moved(rows, random), kind)
    assert ours.fingerprint == theirs.fingerprint


@pytest.mark.parametrize("kind", ["strong", "weak"])
def test_another_seed_gives_another_split(kind: str) -> None:
    rows = {(str(user), str(item)): 0.0 for user in range(20) for item in range(12)}
    first, second = (split_or_reject(rows, kind, seed) for seed in (1, 2))
    assert first.fingerprint != second.fingerprint


def test_the_fingerprint_sees_every_part() -> None:
    rows = {
        (str(user), str(item)): float(user * item % 7) for user in range(9) for item in range(9)
    }
    full = split_or_reject(rows, "last")
    prints = {
        full.fingerprint,
        Split(full.train, full.validation, None, ()).fingerprint,
        Split(full.train, None, full.test, ()).fingerprint,
        Split(full.train, full.test, full.validation, ()).fingerprint,
        Split(full.train, None, None, ()).fingerprint,
    }
    assert len(prints) == 5
