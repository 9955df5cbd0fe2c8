"""Which items go together: the weighted Gram matrix, and each item's nearest by cosine."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

BLOCK_ITEMS = 512
"""Rows of the Gram matrix that one thread makes at a time."""

SPARSE_BYTES = 16
"""An entry of a sparse Gram matrix while it is made; one of a dense matrix takes 4."""


@dataclass(frozen=True, eq=False)
class Gram:
    """G = X' D X, dense where that takes less memory than sparse.

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
        """Weighted number of each item's users; float32, shape (n_items,)."""
        return np.asarray(self.values.diagonal())

    def row(self, item: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Items that share a user with `item`, ascending, and their entries."""
        if isinstance(self.values, np.ndarray):
            others = np.flatnonzero(self.values[item]).astype(np.int32)
            return others, self.values[item, others]
        row = slice(self.values.indptr[item], self.values.indptr[item + 1])
        return self.values.indices[row].astype(np.int32), self.values.data[row]

    def among(self, items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Cut out the rows and columns of `items`; a new array."""
        if isinstance(self.values, np.ndarray):
            return self.values[np.ix_(items, items)]
        return np.asarray(self.values[items][:, items].toarray())


def weighted_gram(matrix: csr_array, user_exponent: float, n_threads: int = 1) -> Gram:
    """Give G = X' D X on the binarised matrix, D = n_u^-beta rescaled to mean 1.

    Parameters
    ----------
    matrix : csr_array, shape (n_users, n_items)
    user_exponent : float
        beta.
    n_threads : int

    Examples
    --------
    >>> X = csr_array(np.array([[1, 1, 0], [0, 1, 1]], dtype=np.float32))
    >>> weighted_gram(X, 0.5).among(np.arange(3)).tolist()
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
    by_item = csr_array(ones.T.tocsr())
    n_items = matrix.shape[1]
    if gram_bytes(matrix) < 4 * n_items**2:
        gram = csr_array(by_item @ weighted)
        gram.sort_indices()
        return Gram(gram)
    dense = np.empty((n_items, n_items), dtype=np.float32)

    def fill(start: int) -> None:
        rows = slice(start, start + BLOCK_ITEMS)
        dense[rows] = (by_item[rows] @ weighted).toarray()

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(fill, range(0, n_items, BLOCK_ITEMS)))
    return Gram(dense)


def gram_bytes(matrix: csr_array) -> int:
    """Bound the memory of the Gram matrix: by the pairs that users make, and by all pairs."""
    lengths = np.diff(matrix.indptr).astype(np.int64)
    return min(SPARSE_BYTES * int((lengths**2).sum()), 4 * matrix.shape[1] ** 2)


def nearest_items(gram: Gram, n_neighbours: int) -> list[NDArray[np.int32]]:
    """Give each item's nearest by G_ij / sqrt(G_ii G_jj), itself among them.

    Returns
    -------
    list of int32 arrays
        Ascending positions, at most n_neighbours + 1 of them; only items that share a user.
    """
    scale = np.sqrt(np.maximum(gram.diagonal(), np.float32(1e-12)))
    nearest = []
    for item in range(gram.n_items):
        others, values = gram.row(item)
        if not len(others):  # nobody met it
            others = np.array([item], dtype=np.int32)
        if len(others) > n_neighbours + 1:
            likeness = values / scale[others]
            likeness[others == item] = np.inf
            others = others[_best(likeness, n_neighbours + 1)]
        nearest.append(others)
    return nearest


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
