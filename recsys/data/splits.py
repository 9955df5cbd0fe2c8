"""Who is trained on and who is tested: strong and weak generalisation, leave-last-out, by time."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.data.holdout import (
    Holdout,
    HoldoutRows,
    Split,
    assemble,
    counted,
    known_rows,
    rows_of_users_in,
)
from recsys.data.ids import sorted_ids
from recsys.data.interactions import Events
from recsys.data.split_files import read_split_file, refuse_too_small, with_test_events
from recsys.errors import ConfigError, DataError

__all__ = [
    "Holdout",
    "Split",
    "SplitConfig",
    "by_time",
    "leave_last_out",
    "read_split_file",
    "split_events",
    "strong_generalisation",
    "weak_generalisation",
]

# (validation, test); strong's validation None is min(5 %, 1,000) of the users.
_DEFAULT_SIZES: dict[str, tuple[float | None, float]] = {
    "strong": (None, 0),
    "weak": (0.1, 0.2),
    "last": (1, 1),
    "time": (0.1, 0.1),
    "none": (0, 0),
}
_MIN_ITEMS = 5
_TRAIN, _VALIDATION, _TEST = 0, 1, 2


@dataclass(frozen=True)
class SplitConfig:
    """How the data are divided.

    Parameters
    ----------
    kind : str
        strong, weak, last, time, none, or the path of a split file.
    validation, test : float, optional
        Sizes; 0 is no such part, None the kind's default. strong: users, a count from 1 on and
        a fraction below (min(5 %, 1,000) and 0); weak: fraction of each user's items (.1, .2);
        last: number of each user's latest items (1, 1); time: fraction of the rows (.1, .1).
    seed : int
        Same seed, same split.

    Raises
    ------
    ConfigError
        A size or the seed is out of the kind's range.
    """

    kind: str = "strong"
    validation: float | None = None
    test: float | None = None
    seed: int = 98765

    def __post_init__(self) -> None:
        if not self.kind:
            raise ConfigError("split = '': expected strong, weak, last, time, none or a file")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed = {self.seed}: expected a whole number from 0 to 4294967295")
        for key, size in (("validation", self.validation), ("test", self.test)):
            if size is not None:
                _check_size(self.kind, key, size)
        validation, test = self.sizes
        if self.kind in ("weak", "time") and (validation or 0) + test >= 1:
            raise ConfigError(
                f"validation = {validation} and test = {test} with split {self.kind}: expected"
                " a sum below 1, so that something is left to train on"
            )

    @property
    def sizes(self) -> tuple[float | None, float]:
        """Validation and test with the kind's defaults filled in."""
        validation, test = _DEFAULT_SIZES.get(self.kind, (0, 0))
        return (
            validation if self.validation is None else self.validation,
            test if self.test is None else self.test,
        )


def _check_size(kind: str, key: str, size: float) -> None:
    whole = math.isfinite(size) and size == int(size)
    fits, expected = {
        "strong": (0 <= size < 1 or (size >= 1 and whole), "users: a count, or a fraction below 1"),
        "weak": (0 <= size < 1, "a fraction of each user's items, from 0 to below 1"),
        "last": (size >= 0 and whole, "a number of items, from 0 on"),
        "time": (0 <= size < 1, "a fraction of the rows, from 0 to below 1"),
        "none": (size == 0, "0 or nothing: everything is trained on"),
    }.get(kind, (size == 0, "0 or nothing: the split file says who is held out"))
    if not fits:
        raise ConfigError(f"{key} = {size} with split {kind}: expected {expected}")


def split_events(events: Events, config: SplitConfig, test_events: Events | None = None) -> Split:
    """Divide the events as `config` says.

    Parameters
    ----------
    events : Events
        The rows of the file after every filter, in the file's order.
    config : SplitConfig
    test_events : Events, optional
        A test file that came with the data: `config` then divides `events` for validation only,
        and the test users are those of this file whom `events` knows.

    Raises
    ------
    ConfigError
        A test size together with a test file.
    DataError
        Too few users, items or rows, or no timestamps where they are needed.
    """
    refuse_too_small(events)
    if test_events is None:
        return _divide(events, config)
    if config.test:
        raise ConfigError(
            f"test = {config.test} together with a test file: expected one of the two;"
            " leave out the size or the file"
        )
    return with_test_events(_divide(events, replace(config, test=0)), events, test_events)


def _divide(events: Events, config: SplitConfig) -> Split:
    validation, test = config.sizes
    if config.kind == "strong":
        return strong_generalisation(events, validation, test, config.seed)
    if config.kind == "weak":
        return weak_generalisation(events, validation or 0, test, config.seed)
    if config.kind == "last":
        return leave_last_out(events, int(validation or 0), int(test))
    if config.kind == "time":
        return by_time(events, validation or 0, test)
    if config.kind == "none":
        return assemble(events, np.ones(len(events), dtype=bool), None, None)
    return read_split_file(Path(config.kind), events)


def strong_generalisation(
    events: Events, validation: float | None = None, test: float = 0, seed: int = 98765
) -> Split:
    """Hold out whole users: the model never trains on them (Liang et al. 2018, section 4).

    ::

        user   items            T train   f fold_in   h held_out
        a      T  T  T  T  T    train users: everything
        b      T  T  T  T  T
        c      f  f  h  f  f    validation users: a fifth is held out, at random
        d      f  f  f  f  h    test users: likewise

    Parameters
    ----------
    events : Events
        The order of a user's rows takes part in the draw, the order of users in the file not.
    validation, test : float, optional
        Number of users (from 1 on) or fraction (below 1, rounded down, at least 1 user);
        validation None is min(5 %, 1,000) of the users.
    seed : int
        Of the one RandomState that permutes the users and then draws what is held out.

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
    (['a', 'd'], ['b'])
    >>> split.validation.fold_in.matrix.toarray().astype(int)
    array([[0, 1, 1, 1, 1]])
    >>> split.validation.held_out.matrix.toarray().astype(int)
    array([[1, 0, 0, 0, 0]])
    """
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
    groups = [
        _fifth_held_out(events, order[users], known, random) if len(users) else None
        for users in (validation_users, test_users)
    ]
    return assemble(events, train, *groups)


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
    return max(1, int(size * n)) if size > 0 else 0


def _fifth_held_out(
    events: Events,
    users: NDArray[np.int64],
    known: NDArray[np.bool_],
    random: np.random.RandomState,
) -> HoldoutRows:
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
    >>> users, items = IdMap.of("abc", "user"), IdMap.of("vwxyz", "item")
    >>> rows, columns = np.indices((3, 5), dtype=np.int32).reshape(2, -1)
    >>> events = Events(users, items, rows, columns, np.ones(15, np.float32), None, "none")
    >>> split = weak_generalisation(events)
    >>> held_out = split.validation.held_out.matrix + 2 * split.test.held_out.matrix
    >>> (split.train.matrix * 8 + held_out).toarray().astype(int)  # 8 train, 1 validation, 2 test
    array([[1, 8, 2, 8, 8],
           [8, 8, 1, 8, 2],
           [2, 8, 8, 8, 1]])
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
    return _split_within_users(events, part, validation > 0, test > 0, _train_only(enough, "5"))


def _share(
    fraction: float, n_items: NDArray[np.int64], at_most: NDArray[np.int64]
) -> NDArray[np.int64]:
    if fraction == 0:
        return np.zeros_like(n_items)
    return np.minimum(np.maximum(1, (fraction * n_items).astype(np.int64)), at_most)


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
    >>> users, items = IdMap.of("ab", "user"), IdMap.of("xyz", "item")
    >>> rows, columns = np.indices((2, 3), dtype=np.int32).reshape(2, -1)
    >>> times = np.array([1.0, 2.0, 3.0, 3.0, 2.0, 1.0])
    >>> events = Events(users, items, rows, columns, np.ones(6, np.float32), times, "none")
    >>> split = leave_last_out(events)
    >>> split.left_out
    ('1 test row on items that train has not', '1 test user with nothing held out')
    >>> list(split.train.items.ids), list(split.test.held_out.users.ids)
    (['x', 'z'], ['b'])
    >>> split.test.held_out.matrix.toarray().astype(int)
    array([[1, 0]])
    """
    times = _timestamps(events, "last")
    n_items = np.bincount(events.user_positions, minlength=len(events.users))
    enough = n_items > validation + test
    part = _from_the_end(events, times, validation * enough, test * enough)
    lines = _train_only(enough, str(validation + test + 1))
    return _split_within_users(events, part, validation > 0, test > 0, lines)
