"""Everybody's history over a model's catalogue: joined by id, read row by row."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions, csr_from_pairs, select_rows


@dataclass(frozen=True, eq=False)
class Histories:
    """The rows of `interactions`, with the columns of `items`.

    Parameters
    ----------
    interactions : Interactions
        May be newer or older than the catalogue, and memory-mapped: only the rows that are
        asked for are read.
    items : IdMap
        The catalogue. What else a history holds counts for nothing.
    """

    interactions: Interactions
    items: IdMap

    @property
    def users(self) -> IdMap:
        """Everybody who has a history."""
        return self.interactions.users

    @cached_property
    def n_unknown_items(self) -> int:
        """Items of the interactions that the catalogue does not have."""
        return int((self._columns < 0).sum())

    @cached_property
    def _columns(self) -> NDArray[np.int64]:
        return self.items.find(self.interactions.items.ids)

    def values_of(self, user_position: int) -> dict[int, float]:
        """Give one user's history as position in the catalogue -> value."""
        matrix = self.interactions.matrix
        row = slice(*matrix.indptr[user_position : user_position + 2])
        columns = self._columns[matrix.indices[row]].tolist()
        values = matrix.data[row].tolist()
        return {at: value for at, value in zip(columns, values, strict=True) if at >= 0}

    def rows(self, user_positions: NDArray[np.int64]) -> csr_array:
        """Give the histories of these users, in this order.

        Returns
        -------
        csr_array of float32, shape (len(user_positions), len(items))
        """
        rows = select_rows(self.interactions.matrix, user_positions)
        columns = self._columns[rows.indices]
        known = columns >= 0
        users = np.repeat(np.arange(len(user_positions)), np.diff(rows.indptr))
        shape = (len(user_positions), len(self.items))
        return csr_from_pairs(users[known], columns[known], rows.data[known], shape)


def row_blocks(matrix: csr_array, size: int) -> Iterator[tuple[NDArray[np.int64], csr_array]]:
    """Cut a matrix into blocks of at most `size` rows: their places and themselves.

    One that is a block already is given as it is, not to be written to: a copy costs a service
    as much as the sums that it is for.

    Parameters
    ----------
    matrix : csr_array
    size : int
        At least 1.

    Examples
    --------
    >>> [(list(map(int, rows)), block.shape) for rows, block in row_blocks(csr_array((3, 2)), 2)]
    [([0, 1], (2, 2)), ([2], (1, 2))]
    """
    n = matrix.shape[0]
    for rows in blocks_of(n, size):
        yield rows, matrix if len(rows) == n else matrix[rows[0] : rows[-1] + 1]


def blocks_of(n: int, size: int) -> Iterator[NDArray[np.int64]]:
    """Cut 0 .. n-1 into runs of at most `size`.

    Examples
    --------
    >>> [list(map(int, block)) for block in blocks_of(5, 2)]
    [[0, 1], [2, 3], [4]]
    """
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))
