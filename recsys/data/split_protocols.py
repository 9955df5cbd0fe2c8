"""The four ways to divide: strong and weak generalisation, leave-last-out, by time."""

import numpy as np
from numpy.typing import NDArray

from recsys.data.holdout import (
    HoldoutRows,
    Split,
    assemble,
    counted,
    known_rows,
    refuse_too_small,
    rows_of_users_in,
)
from recsys.data.ids import sorted_ids
from recsys.data.interactions import Events
from recsys.errors import DataError

_MIN_ITEMS = 5
_TRAIN, _VALIDATION, _TEST = 0, 1, 2

_ROUNDING = 1e-9
"""Fractions of counts are rounded down, but .29 of 100 is 29, which floating point has below."""


def strong_generalisation(
    events: Events,
    validation: float | None = None,
    test: float = 0,
    seed: int = 98765,
    *,
    train_on_shown: bool = False,
) -> Split:
    """Hold out whole users: the model never trains on them (Liang et al. 2018, section 4).

    ::

        user   items            T train   f fold_in   h held_out
        a      f  f  f  h  f    validation users: a fifth is held out, at random
        b      f  f  f  f  h    test users: likewise
        c      T  T  T  T  T    train users: everything
        d      T  T  T  T  T

    Parameters
    ----------
    events : Events
        The order of a user's rows takes part in the draw, the order of users in the file not.
    validation, test : float, optional
        Number of users (from 1 on) or fraction (below 1, rounded down, at least 1 user);
        validation None is min(5 %, 1,000) of the users.
    seed : int
        Of the one RandomState that permutes the users and then draws what is held out.
    train_on_shown : bool
        Also train on what the validation users are shown: right where the test users, too, are
        users of train.

    Notes
    -----
    Train's items are those of the train users; rows of other users on other items are dropped
    before the draw. Users with fewer than 5 rows then left hold nothing out and are left out.

    Examples
    --------
    >>> from recsys.data.ids import IdMap
    >>> users, items = IdMap.of("abcd", "user"), IdMap.of("vwxyz", "item")
    >>> rows, columns = np.indices((4, 5), dtype=np.int32).reshape(2, -1)
    >>> events = Events(users, items, rows, columns, np.ones(20, np.float32), None, "none")
    >>> split = strong_generalisation(events, validation=1, test=1)
    >>> list(split.train.users.ids), list(split.validation.held_out.users.ids)
    (['c', 'd'], ['a'])
    >>> split.validation.fold_in.matrix.toarray().astype(int)
    array([[1, 1, 1, 0, 1]])
    >>> split.validation.held_out.matrix.toarray().astype(int)
    array([[0, 0, 0, 1, 0]])
    """
    refuse_too_small(events)
    n_users = len(events.users)
    n_validation, n_test = _n_held_out_users(n_users, validation, test)
    random = np.random.RandomState(seed)
    # Filters may have left ids whose own order differs from the order of all the ids read.
    order = events.users.find(sorted_ids(events.users.ids))
    shuffled = random.permutation(n_users)
    starts = (n_users - n_test - n_validation, n_users - n_test)
    _, validation_users, test_users = (np.sort(each) for each in np.split(shuffled, starts))
    is_train = np.ones(n_users, dtype=bool)
    is_train[order[validation_users]] = False
    is_train[order[test_users]] = False
    train = is_train[events.user_positions]
    known = known_rows(events, train)
    # Validation draws before test does: the order is part of the protocol.
    validation_rows = _fifth_held_out(events, order[validation_users], known, random)
    test_rows = _fifth_held_out(events, order[test_users], known, random)
    if train_on_shown and validation_rows is not None:
        train |= validation_rows.fold_in
    return assemble(events, train, validation_rows, test_rows)


def _n_held_out_users(n_users: int, validation: float | None, test: float) -> tuple[int, int]:
    if validation is None:
        n_validation = max(1, min(int(0.05 * n_users), 1000))
    else:
        n_validation = _at_least_one(validation, n_users)
    n_test = _at_least_one(test, n_users)
    if n_validation + n_test >= n_users:
        raise DataError(
            f"{n_validation:,} validation and {n_test:,} test users of {n_users:,}: nobody is"
            " left to train on; expected fewer than all users held out, so ask for smaller parts"
        )
    return n_validation, n_test


def _at_least_one(size: float, n: int) -> int:
    if size >= 1:
        return int(size)
    return max(1, int(size * n + _ROUNDING)) if size > 0 else 0


def _fifth_held_out(
    events: Events,
    users: NDArray[np.int64],
    known: NDArray[np.bool_],
    random: np.random.RandomState,
) -> HoldoutRows | None:
    if len(users) == 0:
        return None
    rank = np.full(len(events.users), -1, dtype=np.int64)
    rank[users] = np.arange(len(users))
    row_rank = rank[events.user_positions]
    rows = np.flatnonzero((row_rank >= 0) & known)
    rows = rows[np.argsort(row_rank[rows], kind="stable")]
    ends = np.cumsum(np.bincount(row_rank[rows], minlength=len(users)))
    held_out = np.zeros(len(events), dtype=bool)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        n = int(end - start)
        if n >= _MIN_ITEMS:
            drawn = random.choice(n, int(0.2 * n), replace=False)
            held_out[rows[start + drawn]] = True
    return HoldoutRows((row_rank >= 0) & ~held_out, held_out)


def weak_generalisation(
    events: Events, validation: float = 0.1, test: float = 0.2, seed: int = 98765
) -> Split:
    """Hold out some of each user's items, at random; every user is trained on.

    ::

        user   items                   T train   v validation   t test
        a      T  v  T  T  t  T  T     train: T    validation: T -> v    test: T v -> t
        b      T  T                    fewer than 5 items: train only

    Parameters
    ----------
    events : Events
        The order of its rows does not matter.
    validation, test : float
        Fraction of a user's items, rounded down, but at least one item of each asked for as long
        as one item stays in train.
    seed : int

    Notes
    -----
    Validation's fold_in is what the user has in train; test's is that and the validation items,
    among train's items. Held-out rows on items that train has not are dropped and counted.

    Examples
    --------
    >>> from recsys.data.ids import IdMap
    >>> users, items = IdMap.of("abcd", "user"), IdMap.of("vwxyz", "item")
    >>> rows, columns = np.indices((4, 5), dtype=np.int32).reshape(2, -1)
    >>> events = Events(users, items, rows, columns, np.ones(20, np.float32), None, "none")
    >>> split = weak_generalisation(events, seed=1)
    >>> split.train.matrix.toarray().astype(int)
    array([[1, 0, 1, 0, 1],
           [1, 0, 1, 0, 1],
           [0, 1, 1, 0, 1],
           [0, 1, 0, 1, 1]])
    >>> split.validation.held_out.matrix.toarray().astype(int)
    array([[0, 0, 0, 1, 0],
           [0, 0, 0, 1, 0],
           [1, 0, 0, 0, 0],
           [0, 0, 1, 0, 0]])
    """
    # Keys are dealt out in the order of (user, item), so that the file's order plays no part.
    by_pair = np.lexsort((events.item_positions, events.user_positions))
    keys = np.empty(len(events))
    keys[by_pair] = np.random.default_rng(seed).random(len(events))
    n_items = np.bincount(events.user_positions, minlength=len(events.users))
    n_test = _share(test, n_items, n_items - 1)
    n_validation = _share(validation, n_items, n_items - 1 - n_test)
    enough = n_items >= _MIN_ITEMS
    part = _from_the_end(events, keys, n_validation * enough, n_test * enough)
    return _split_within_users(
        events, part, validation > 0, test > 0, _train_only(enough, _MIN_ITEMS)
    )


def _share(
    fraction: float, n_items: NDArray[np.int64], at_most: NDArray[np.int64]
) -> NDArray[np.int64]:
    if fraction == 0:
        return np.zeros_like(n_items)
    return np.minimum(np.maximum(1, (fraction * n_items + _ROUNDING).astype(np.int64)), at_most)


def leave_last_out(events: Events, validation: int = 1, test: int = 1) -> Split:
    """Hold out each user's latest items; every user is trained on.

    ::

        user   items in the user's own order of time
        a      T  T  T  T  v  t        train: T    validation: T -> v    test: T v -> t
        b      T  T                    no item would stay in train: train only

    Parameters
    ----------
    events : Events
        With timestamps; rows at equal times go by their order in the file.
    validation, test : int
        Number of items.

    Raises
    ------
    DataError
        No timestamps.

    Notes
    -----
    Validation's fold_in is what the user has in train; test's is that and the validation items,
    among train's items. Held-out rows on items that train has not are dropped and counted.

    Examples
    --------
    >>> from recsys.data.ids import IdMap
    >>> users, items = IdMap.of("abc", "user"), IdMap.of("xyz", "item")
    >>> rows, columns = np.indices((3, 3), dtype=np.int32).reshape(2, -1)
    >>> times = np.array([1.0, 2.0, 3.0, 2.0, 1.0, 3.0, 3.0, 1.0, 2.0])
    >>> events = Events(users, items, rows, columns, np.ones(9, np.float32), times, "none")
    >>> split = leave_last_out(events)
    >>> list(split.train.items.ids), list(split.test.held_out.users.ids)
    (['x', 'y'], ['c'])
    >>> split.test.fold_in.matrix.toarray().astype(int)
    array([[0, 1]])
    >>> split.left_out[2:]
    ('2 test rows on items that train has not', '2 test users with nothing held out')
    """
    times = _timestamps(events, "last")
    n_items = np.bincount(events.user_positions, minlength=len(events.users))
    enough = n_items > validation + test
    part = _from_the_end(events, times, validation * enough, test * enough)
    lines = _train_only(enough, validation + test + 1)
    return _split_within_users(events, part, validation > 0, test > 0, lines)


def by_time(events: Events, validation: float = 0.1, test: float = 0.1) -> Split:
    """Hold out what happened last, by two cuts in time that are the same for everybody.

    ::

        user   items along one axis of time
        a      T   T    T | v   v  | t       train: T    validation: T -> v    test: T v -> t
        b        T    T   |        |   t
        c                 |   v    |  t      nothing in train: empty fold_in for validation

    Parameters
    ----------
    events : Events
        With timestamps; the order of its rows does not matter.
    validation, test : float
        Fraction of the rows, rounded down, at least one row. Rows at equal times all go to the
        later side of a cut.

    Raises
    ------
    DataError
        No timestamps.

    Notes
    -----
    Validation's fold_in is what the user has in train; test's is that and the validation rows,
    among train's items. Held-out rows on items that train has not are dropped and counted. A user
    who comes after a cut is evaluated with an empty fold_in: the case of every newcomer.

    Examples
    --------
    >>> from recsys.data.ids import IdMap
    >>> users, items = IdMap.of("abc", "user"), IdMap.of("xy", "item")
    >>> rows, columns = np.indices((3, 2), dtype=np.int32).reshape(2, -1)
    >>> times = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 5.0])
    >>> events = Events(users, items, rows, columns, np.ones(6, np.float32), times, "none")
    >>> split = by_time(events, validation=0.2, test=0.2)  # the cuts: 1 2 3 | 4 | 5 5
    >>> split.train.matrix.toarray().astype(int)
    array([[1, 1],
           [1, 0]])
    >>> list(split.test.held_out.users.ids), split.test.fold_in.matrix.nnz
    (['c'], 0)
    """
    times = _timestamps(events, "time")
    in_order = np.sort(times)
    test_start = _cut(in_order, len(events), _at_least_one(test, len(events)))
    validation_start = _cut(in_order, test_start, _at_least_one(validation, len(events)))
    # The first place of a row's time: rows at equal times share it.
    place = np.searchsorted(in_order, times)
    part = np.select([place >= test_start, place >= validation_start], [_TEST, _VALIDATION], _TRAIN)
    return _split_within_users(events, part, validation > 0, test > 0, [])


def _cut(in_order: NDArray[np.float64], end: int, n: int) -> int:
    """Find where the `n` rows before `end` start, and with them all rows of an equal time."""
    if n == 0:
        return end
    return int(np.searchsorted(in_order, in_order[max(0, end - n)]))


def _timestamps(events: Events, kind: str) -> NDArray[np.float64]:
    if events.timestamps is None:
        raise DataError(
            f"split {kind} needs timestamps and the data have none: expected a time in every row;"
            " name the column of the times or choose split strong or weak"
        )
    return events.timestamps


def _from_the_end(
    events: Events,
    keys: NDArray[np.float64],
    n_validation: NDArray[np.int64],
    n_test: NDArray[np.int64],
) -> NDArray[np.int8]:
    # Each user's rows in ascending order of `keys`: the last ones test, before them validation.
    order = np.lexsort((keys, events.user_positions))
    users = events.user_positions[order]
    ends = np.cumsum(np.bincount(users, minlength=len(events.users)))
    from_end = ends[users] - 1 - np.arange(len(users))
    part = np.full(len(events), _TRAIN, dtype=np.int8)
    part[order[from_end < (n_test + n_validation)[users]]] = _VALIDATION
    part[order[from_end < n_test[users]]] = _TEST
    return part


def _split_within_users(
    events: Events, part: NDArray[np.integer], validation: bool, test: bool, lines: list[str]
) -> Split:
    is_validation, is_test = part == _VALIDATION, part == _TEST
    train = part == _TRAIN
    shown_for_validation = train & rows_of_users_in(events, is_validation)
    shown_for_test = ~is_test & rows_of_users_in(events, is_test)
    return assemble(
        events,
        train,
        HoldoutRows(shown_for_validation, is_validation) if validation else None,
        HoldoutRows(shown_for_test, is_test) if test else None,
        lines,
    )


def _train_only(enough: NDArray[np.bool_], least: int) -> list[str]:
    n = int((~enough).sum())
    return [f"{counted(n, 'user')} with fewer than {least} items, in train only"] if n else []
