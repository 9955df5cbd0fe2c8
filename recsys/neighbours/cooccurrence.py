"""Which items go together: the weighted Gram matrix, and each item's nearest by cosine."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

BLOCK_ITEMS = 512
"""Rows of the Gram matrix that one thread makes at a time."""

SPARSE_BYTES = 16
"""An entry of a sparse Gram matrix while it is made; one of a dense matrix takes 4."""


class Cooccurrence(Protocol):
    """G = X' D X on the binarised matrix, as far as the item-item path has to know it."""

    @property
    def n_items(self) -> int:
        """Number of rows and of columns."""

    def diagonal(self) -> NDArray[np.float32]:
        """Weighted number of each item's users; float32, shape (n_items,)."""

    def rows(self, start: int) -> csr_array:
        """Up to BLOCK_ITEMS rows from `start` on, with sorted indices."""

    def among(self, items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Cut out the rows and columns of `items`; a new array."""


@dataclass(frozen=True, eq=False)
class WholeGram:
    """G in memory, dense where that takes less than sparse.

    Parameters
    ----------
    values : csr_array with sorted indices, or float32 array; shape (n_items, n_items)
        Symmetric; of at least 0.
    """

    values: csr_array | NDArray[np.float32]

    @property
    def n_items(self) -> int:
        """Number of rows and of columns."""
        return int(self.values.shape[0])

    def diagonal(self) -> NDArray[np.float32]:
        """Weighted number of each item's users."""
        return np.asarray(self.values.diagonal())

    def rows(self, start: int) -> csr_array:
        """A block of rows."""
        return csr_array(self.values[start : start + BLOCK_ITEMS])

    def among(self, items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Cut out the rows and columns of `items`."""
        if isinstance(self.values, np.ndarray):
            return self.values[np.ix_(items, items)]
        return np.asarray(self.values[items][:, items].toarray())


@dataclass(frozen=True, eq=False)
class GramInParts:
    """G made where it is looked at, from the interactions: memory linear in their number.

    Parameters
    ----------
    by_item : csr_array of ones, shape (n_items, n_users)
    weighted : csr_array, shape (n_users, n_items)
        Each user's row holds the user's weight.
    """

    by_item: csr_array
    weighted: csr_array

    @property
    def n_items(self) -> int:
        """Number of rows and of columns."""
        return int(self.by_item.shape[0])

    def diagonal(self) -> NDArray[np.float32]:
        """Weighted number of each item's users."""
        return np.asarray(self.weighted.sum(axis=0), dtype=np.float32)

    def rows(self, start: int) -> csr_array:
        """A block of rows."""
        rows = csr_array(self.by_item[start : start + BLOCK_ITEMS] @ self.weighted)
        rows.sort_indices()
        return rows

    def among(self, items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Cut out the rows and columns of `items`, from the histories that hold any of them."""
        users = self.by_item[items]
        weights = self._user_weights[users.indices]
        weighted = csr_array((weights, users.indices, users.indptr), shape=users.shape)
        return np.asarray((weighted @ users.T.tocsr()).toarray())

    @cached_property
    def _user_weights(self) -> NDArray[np.float32]:
        """The weight that each user's row holds; 0 where it is empty."""
        weights = np.zeros(self.weighted.shape[0], dtype=np.float32)
        full = np.flatnonzero(np.diff(self.weighted.indptr))
        weights[full] = self.weighted.data[self.weighted.indptr[full]]
        return weights


def cooccurrence(
    matrix: csr_array, user_exponent: float, *, gram_mb: int, n_threads: int = 1
) -> Cooccurrence:
    """Give G = X' D X on the binarised matrix, D = n_u^-beta rescaled to mean 1.

    Parameters
    ----------
    matrix : csr_array, shape (n_users, n_items)
    user_exponent : float
        beta.
    gram_mb : int
        G is held whole where it takes at most so much memory.
    n_threads : int

    Examples
    --------
    >>> X = csr_array(np.array([[1, 1, 0], [0, 1, 1]], dtype=np.float32))
    >>> cooccurrence(X, 0.5, gram_mb=1).among(np.arange(3)).tolist()
    [[1.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 1.0]]
    """
    lengths = np.diff(matrix.indptr)
    weights = np.where(lengths > 0, np.maximum(lengths, 1.0) ** -user_exponent, 0.0)
    weights *= len(weights) / max(weights.sum(), 1e-12)
    layout = (matrix.indices, matrix.indptr)
    ones = csr_array((np.ones(len(matrix.indices), np.float32), *layout), shape=matrix.shape)
    weighted = csr_array(
        (np.repeat(weights, lengths).astype(np.float32), *layout), shape=matrix.shape
    )
    in_parts = GramInParts(csr_array(ones.T.tocsr()), weighted)
    if gram_bytes(matrix) > gram_mb * 2**20:
        return in_parts
    starts = range(0, matrix.shape[1], BLOCK_ITEMS)
    with ThreadPoolExecutor(n_threads) as pool:
        if _pairs_bytes(matrix) < 4 * matrix.shape[1] ** 2:
            return WholeGram(csr_array(vstack(list(pool.map(in_parts.rows, starts)), format="csr")))
        dense = np.empty((matrix.shape[1], matrix.shape[1]), dtype=np.float32)

        def fill(start: int) -> None:
            dense[start : start + BLOCK_ITEMS] = in_parts.rows(start).toarray()

        list(pool.map(fill, starts))
    return WholeGram(dense)


def gram_bytes(matrix: csr_array) -> int:
    """Bound the memory of the Gram matrix: by the pairs that users make, and by all pairs."""
    return min(_pairs_bytes(matrix), 4 * matrix.shape[1] ** 2)


def _pairs_bytes(matrix: csr_array) -> int:
    lengths = np.diff(matrix.indptr).astype(np.int64)
    return SPARSE_BYTES * int((lengths**2).sum())


def nearest_items(
    gram: Cooccurrence, n_neighbours: int, n_threads: int = 1
) -> list[NDArray[np.int32]]:
    """Give each item's nearest by G_ij / sqrt(G_ii G_jj), itself among them.

    Returns
    -------
    list of int32 arrays
        Ascending positions, at most n_neighbours + 1 of them; only items that share a user.
    """
    scale = np.sqrt(np.maximum(gram.diagonal(), np.float32(1e-12)))

    def nearest_of_block(start: int) -> list[NDArray[np.int32]]:
        rows = gram.rows(start)
        return [
            _nearest(item, *_row(rows, item - start), scale, n_neighbours + 1)
            for item in range(start, start + rows.shape[0])
        ]

    with ThreadPoolExecutor(n_threads) as pool:
        blocks = pool.map(nearest_of_block, range(0, gram.n_items, BLOCK_ITEMS))
        return [items for block in blocks for items in block]


def _row(rows: csr_array, row: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    entries = slice(rows.indptr[row], rows.indptr[row + 1])
    return rows.indices[entries].astype(np.int32), rows.data[entries]


def _nearest(
    item: int,
    others: NDArray[np.int32],
    values: NDArray[np.float32],
    scale: NDArray[np.float32],
    size: int,
) -> NDArray[np.int32]:
    if not len(others):  # nobody met it
        return np.array([item], dtype=np.int32)
    if len(others) <= size:
        return others
    likeness = values / scale[others]
    likeness[others == item] = np.inf
    return others[_best(likeness, size)]


def _best(values: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Places of the k largest, ascending; of equals at the edge the first stay."""
    edge = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > edge)
    at_edge = np.flatnonzero(values == edge)[: k - len(above)]
    return np.sort(np.concatenate([above, at_edge]))


def overlapping_groups(
    neighbourhoods: list[NDArray[np.int32]], size: int
) -> Iterator[NDArray[np.int64]]:
    """Put items with shared neighbours together, so that a group's union is small.

    Every item is in exactly one group; a group has about `size` items.
    """
    free = np.ones(len(neighbourhoods), dtype=bool)
    widest_first = np.argsort([-len(each) for each in neighbourhoods], kind="stable")
    group: list[int] = []
    for seed in widest_first:
        if not free[seed]:
            continue
        free[seed] = False
        around = [item for item in neighbourhoods[seed] if free[item]][: size - 1]
        free[around] = False
        group += [int(seed), *map(int, around)]
        if len(group) >= size // 2:
            yield np.array(group)
            group = []
    if group:
        yield np.array(group)
