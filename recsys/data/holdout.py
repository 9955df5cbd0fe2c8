"""What a split gives: train, and for validation and test the pair (fold_in, held_out)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions, csr_from_pairs
from recsys.errors import DataError


@dataclass(frozen=True, eq=False)
class Holdout:
    """One group of users to be evaluated.

    Parameters
    ----------
    fold_in : Interactions
        What the model is shown of each user; a row may be empty.
    held_out : Interactions
        What it must find: same users, same items; every row has at least one entry.
    """

    fold_in: Interactions
    held_out: Interactions

    def __post_init__(self) -> None:
        assert _same_ids(self.fold_in.users, self.held_out.users)
        assert _same_ids(self.fold_in.items, self.held_out.items)
        assert (self.held_out.history_lengths() > 0).all()

    def whole(self) -> csr_array:
        """Put what is shown and what is held out together; shape (n_users, n_items).

        Explicit zeros stay interactions, which a sum of the matrices would drop.
        """
        parts = [each.matrix.tocoo() for each in (self.fold_in, self.held_out)]
        rows, columns, values = (
            np.concatenate([getattr(each, name) for each in parts])
            for name in ("row", "col", "data")
        )
        return csr_from_pairs(rows, columns, values, parts[0].shape)


@dataclass(frozen=True, eq=False)
class Split:
    """The data divided for training and for evaluation; all parts have train's items.

    Parameters
    ----------
    train : Interactions
        What the model is trained on; every user and every item has at least one entry.
    validation, test : Holdout or None
        The users that choose and the users that report; None where none were asked for.
    left_out : tuple of str
        What is in no part, a line each with its count.
    """

    train: Interactions
    validation: Holdout | None
    test: Holdout | None
    left_out: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the ids, pairs and values of all parts."""
        digest = hashlib.sha256()
        _hash_interactions(digest, self.train)
        for holdout in (self.validation, self.test):
            digest.update(b"\0" if holdout is None else b"\1")
            if holdout is not None:
                _hash_interactions(digest, holdout.fold_in)
                _hash_interactions(digest, holdout.held_out)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class HoldoutRows:
    """Which rows of the events a group of users is shown, and which it must find.

    Parameters
    ----------
    fold_in, held_out : bool, shape (n_events,)
        Never both true; rows on items that train has not may be marked still.
    """

    fold_in: NDArray[np.bool_]
    held_out: NDArray[np.bool_]


def assemble(
    events: Events,
    train: NDArray[np.bool_],
    validation: HoldoutRows | None,
    test: HoldoutRows | None,
    left_out: Sequence[str] = (),
) -> Split:
    """Build the parts from marked rows, over the items of train.

    Parameters
    ----------
    events : Events
    train : bool, shape (n_events,)
        The rows to train on.
    validation, test : HoldoutRows or None
        Rows on items that train has not are dropped, users with nothing held out are left out.
    left_out : sequence of str
        Lines that the caller has counted; the ones counted here follow them.

    Raises
    ------
    DataError
        Train is empty, or a group that was asked for has nothing held out.
    """
    refuse_too_small(events)
    if not train.any():
        raise DataError(
            f"no row is left to train on: all {len(events):,} are held out or named for another"
            " part; hold out less"
        )
    known = known_rows(events, train)
    items = IdMap.of(events.items.ids[np.unique(events.item_positions[train])], events.items.noun)
    marked = {"validation": validation, "test": test}
    asked = {name: rows for name, rows in marked.items() if rows is not None}
    kept = {name: _evaluable(events, rows, known) for name, rows in asked.items()}
    lines = [*left_out, *_account(events, train, known, asked, kept)]
    for name, rows in kept.items():
        _refuse_empty(name, rows, lines)
    groups = {name: _holdout(events, rows, items) for name, rows in kept.items()}
    return Split(
        train=gather(events, train, np.unique(events.user_positions[train]), items),
        validation=groups.get("validation"),
        test=groups.get("test"),
        left_out=tuple(lines),
    )


def refuse_too_small(events: Events) -> None:
    """Refuse events of fewer than two users or two items with a DataError."""
    for ids in (events.users, events.items):
        if len(ids) < 2:
            noun = ids.noun
            found = f"one, {ids.ids[0]!r}" if len(ids) else "none"
            raise DataError(
                f"at least two {noun}s are needed to learn from, found {found};"
                f" give more data, or check the {noun} column and the filters"
            )


def known_rows(events: Events, train: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the rows on items that some row of `train` has; bool, shape (n_events,)."""
    in_train = np.zeros(len(events.items), dtype=bool)
    in_train[events.item_positions[train]] = True
    return in_train[events.item_positions]


def rows_of_users_in(events: Events, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark every row of the users who have one in `rows`; bool, shape (n_events,)."""
    has_row = np.zeros(len(events.users), dtype=bool)
    has_row[events.user_positions[rows]] = True
    return has_row[events.user_positions]


def gather(
    events: Events, rows: NDArray[np.bool_], users: NDArray[np.integer], items: IdMap
) -> Interactions:
    """Build the matrix of the marked rows.

    Parameters
    ----------
    events : Events
    rows : bool, shape (n_events,)
        Only rows of `users` on `items`.
    users : int, shape (n_users,)
        Positions in `events.users`: the rows of the matrix, in this order.
    items : IdMap
        The columns of the matrix.
    """
    row_of = np.full(len(events.users), -1, dtype=np.int32)
    row_of[users] = np.arange(len(users), dtype=np.int32)
    column_of = items.find(events.items.ids).astype(np.int32)
    matrix = csr_from_pairs(
        row_of[events.user_positions[rows]],
        column_of[events.item_positions[rows]],
        events.values[rows],
        (len(users), len(items)),
    )
    return Interactions(IdMap(events.users.ids[users], events.users.noun), items, matrix)


def counted(n: int, noun: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _evaluable(events: Events, rows: HoldoutRows, known: NDArray[np.bool_]) -> HoldoutRows:
    held_out = rows.held_out & known
    return HoldoutRows(rows.fold_in & known & rows_of_users_in(events, held_out), held_out)


def _holdout(events: Events, rows: HoldoutRows, items: IdMap) -> Holdout:
    users = np.unique(events.user_positions[rows.held_out])
    return Holdout(
        fold_in=gather(events, rows.fold_in, users, items),
        held_out=gather(events, rows.held_out, users, items),
    )


def _account(
    events: Events,
    train: NDArray[np.bool_],
    known: NDArray[np.bool_],
    asked: dict[str, HoldoutRows],
    kept: dict[str, HoldoutRows],
) -> list[str]:
    # A row may be marked for two groups (a validation item is shown again to a test user):
    # `done` sees to it that each row is placed or counted once.
    done = train.copy()
    for rows in kept.values():
        done |= rows.fold_in | rows.held_out
    lines = []
    for name, rows in asked.items():
        group = rows.fold_in | rows.held_out
        unknown = group & ~known & ~done
        stranded = group & known & ~done
        done |= group
        if unknown.any():
            dropped = counted(int(unknown.sum()), f"{name} row")
            lines.append(f"{dropped} on items that train has not")
        n_left = _n_users(events, group) - _n_users(events, kept[name].held_out)
        if n_left:
            users = counted(n_left, f"{name} user")
            lost = f", with {counted(int(stranded.sum()), 'row')}" if stranded.any() else ""
            lines.append(f"{users} with nothing held out{lost}")
    return lines


def _n_users(events: Events, rows: NDArray[np.bool_]) -> int:
    return len(np.unique(events.user_positions[rows]))


def _refuse_empty(name: str, rows: HoldoutRows, lines: Sequence[str]) -> None:
    if rows.held_out.any():
        return
    found = "; ".join(lines) or f"no row was set aside for {name}"
    raise DataError(
        f"nothing is held out for {name} ({found}); expected at least one row: give more data,"
        f" hold out more for {name}, or nothing"
    )


def _same_ids(ours: IdMap, theirs: IdMap) -> bool:
    return ours is theirs or ours.fingerprint == theirs.fingerprint


def _hash_interactions(digest: "hashlib._Hash", part: Interactions) -> None:
    digest.update(part.users.fingerprint.encode())
    digest.update(part.items.fingerprint.encode())
    # scipy chooses the width of its indices by size: hash the numbers, not their width.
    digest.update(part.matrix.indptr.astype(np.int64).data)
    digest.update(part.matrix.indices.astype(np.int64).data)
    digest.update(np.ascontiguousarray(part.matrix.data).data)
