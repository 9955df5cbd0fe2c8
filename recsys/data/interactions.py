"""Interactions in their two forms: rows as they were read, and a matrix of users x items."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.ids import IdMap

ValueKind = Literal["none", "rating", "weight"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """A sparse matrix of users x items with the ids of both sides.

    Parameters
    ----------
    users, items : IdMap
        The ids of the rows and of the columns.
    matrix : csr_array of float32, shape (n_users, n_items)
        Sorted, each pair once; an explicit zero is an interaction too (a rating of 0).
    """

    users: IdMap
    items: IdMap
    matrix: csr_array

    def __post_init__(self) -> None:
        assert self.matrix.shape == (len(self.users), len(self.items)), self.matrix.shape
        assert self.matrix.has_sorted_indices
        assert self.matrix.dtype == np.float32

    @property
    def n_users(self) -> int:
        """Number of rows."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of columns."""
        return len(self.items)

    def item_counts(self) -> NDArray[np.int64]:
        """Count the users of each item; int64, shape (n_items,)."""
        return np.bincount(self.matrix.indices, minlength=self.n_items).astype(np.int64)

    def item_means(self) -> NDArray[np.float32]:
        """Mean value of each item; 0 where nobody has it; float32, shape (n_items,)."""
        sums = np.bincount(self.matrix.indices, weights=self.matrix.data, minlength=self.n_items)
        return (sums / np.maximum(self.item_counts(), 1)).astype(np.float32)

    def history_lengths(self) -> NDArray[np.int64]:
        """Count the items of each user; int64, shape (n_users,)."""
        return np.diff(self.matrix.indptr).astype(np.int64)

    def select_users(self, positions: NDArray[np.int64]) -> "Interactions":
        """Keep these users, in this order."""
        users = IdMap(self.users.ids[positions], self.users.noun)
        return Interactions(users, self.items, select_rows(self.matrix, positions))

    def joined_to(self, items: IdMap) -> tuple["Interactions", int]:
        """Re-express over another catalogue, matched by id.

        Returns
        -------
        Interactions
            Every user is kept, with what of its history the catalogue knows.
        int
            How many items of ours the catalogue does not know.
        """
        if items is self.items or items.fingerprint == self.items.fingerprint:
            return replace(self, items=items), 0
        target = items.find(self.items.ids)
        columns = target[self.matrix.indices]
        rows = np.repeat(np.arange(self.n_users), self.history_lengths())
        known = columns >= 0
        matrix = csr_from_pairs(
            rows[known], columns[known], self.matrix.data[known], (self.n_users, len(items))
        )
        return Interactions(self.users, items, matrix), int((target < 0).sum())

    def items_outside(self, items: IdMap) -> list[set[str]]:
        """Give the ids of each user's history that another catalogue does not hold."""
        is_outside = items.find(self.items.ids) < 0
        rows = (self.matrix.indices[start:stop] for start, stop in pairwise(self.matrix.indptr))
        return [set(self.items.ids[row[is_outside[row]]].tolist()) for row in rows]


@dataclass(frozen=True, eq=False)
class Events:
    """Interactions row by row in the order of their file, each (user, item) pair once.

    Parameters
    ----------
    users, items : IdMap
        Every id occurs in at least one row.
    user_positions, item_positions : int32, shape (n_events,)
        int32 because twenty million rows are held in memory.
    values : float32, shape (n_events,)
        Ratings, weights, or 1 throughout.
    timestamps : float64, shape (n_events,), or None
        In the unit of the file; seconds since 1970 where the file had dates.
    value_kind : {"none", "rating", "weight"}
        What `values` are.
    """

    users: IdMap
    items: IdMap
    user_positions: NDArray[np.int32]
    item_positions: NDArray[np.int32]
    values: NDArray[np.float32]
    timestamps: NDArray[np.float64] | None
    value_kind: ValueKind

    def __len__(self) -> int:
        return len(self.user_positions)

    def interactions(self) -> Interactions:
        """Build the matrix of all rows."""
        shape = (len(self.users), len(self.items))
        matrix = csr_from_pairs(self.user_positions, self.item_positions, self.values, shape)
        return Interactions(self.users, self.items, matrix)

    def select(self, keep: NDArray[np.bool_]) -> "Events":
        """Keep the rows where `keep` is true, and only the users and items that these hold."""
        users, user_positions = _compact(self.users, self.user_positions[keep])
        items, item_positions = _compact(self.items, self.item_positions[keep])
        return Events(
            users=users,
            items=items,
            user_positions=user_positions,
            item_positions=item_positions,
            values=self.values[keep],
            timestamps=None if self.timestamps is None else self.timestamps[keep],
            value_kind=self.value_kind,
        )

    @cached_property
    def fingerprint(self) -> str:
        """Hash of ids, rows, values and times."""
        digest = hashlib.sha256()
        digest.update(self.users.fingerprint.encode())
        digest.update(self.items.fingerprint.encode())
        arrays: list[NDArray[Any]] = [self.user_positions, self.item_positions, self.values]
        if self.timestamps is not None:
            arrays.append(self.timestamps)
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def csr_from_pairs(
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
    values: NDArray[np.float32],
    shape: tuple[int, int],
) -> csr_array:
    """Build a sorted float32 CSR matrix from unique (row, column) pairs; keeps explicit zeros."""
    matrix = csr_array((values.astype(np.float32, copy=False), (rows, columns)), shape=shape)
    matrix.sort_indices()
    return matrix


def select_rows(matrix: csr_array, positions: NDArray[np.integer]) -> csr_array:
    """Take rows of a CSR matrix in the order of `positions`, with sorted indices."""
    selected = csr_array(matrix[positions])
    selected.sort_indices()
    return selected


def _compact(ids: IdMap, positions: NDArray[np.int32]) -> tuple[IdMap, NDArray[np.int32]]:
    present = np.zeros(len(ids), dtype=bool)
    present[positions] = True
    new_position = np.cumsum(present, dtype=np.int64) - 1
    return IdMap(ids.ids[present], ids.noun), new_position[positions].astype(np.int32)
