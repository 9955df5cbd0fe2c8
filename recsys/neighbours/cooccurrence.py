"""Which items go together: the weighted Gram matrix, and each item's nearest by cosine."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def weighted_gram(matrix: csr_array, user_exponent: float) -> csr_array:
    """Give G = X' D X on the binarised matrix, D = n_u^-beta rescaled to mean 1.

    Parameters
    ----------
    matrix : csr_array, shape (n_users, n_items)
    user_exponent : float
        beta.

    Returns
    -------
    csr_array of float32, shape (n_items, n_items)
        Symmetric, with sorted indices.

    Examples
    --------
    >>> X = csr_array(np.array([[1, 1, 0], [0, 1, 1]], dtype=np.float32))
    >>> weighted_gram(X, 0.5).toarray().tolist()
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
    gram = csr_array(ones.T.tocsr() @ weighted)
    gram.sort_indices()
    if gram.nnz < np.iinfo(np.int32).max:  # half of the index memory
        indices, indptr = gram.indices.astype(np.int32), gram.indptr.astype(np.int32)
        gram = csr_array((gram.data, indices, indptr), shape=gram.shape)
    return gram


def nearest_items(gram: csr_array, n_neighbours: int) -> list[NDArray[np.int32]]:
    """Give each item's nearest by G_ij / sqrt(G_ii G_jj), itself among them.

    Returns
    -------
    list of int32 arrays
        Ascending positions, at most n_neighbours + 1 of them; only items that share a user.
    """
    scale = np.sqrt(np.maximum(gram.diagonal(), 1e-12))
    nearest = []
    for item in range(gram.shape[0]):
        row = slice(gram.indptr[item], gram.indptr[item + 1])
        others = gram.indices[row]
        if not len(others):  # nobody met it
            others = np.array([item], dtype=np.int32)
        if len(others) > n_neighbours + 1:
            likeness = gram.data[row] / scale[others]
            likeness[others == item] = np.inf
            others = others[_best(likeness, n_neighbours + 1)]
        nearest.append(others)
    return nearest


def _best(values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Places of the k largest, ascending; of equals at the edge the first stay."""
    edge = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > edge)
    at_edge = np.flatnonzero(values == edge)[: k - len(above)]
    return np.sort(np.concatenate([above, at_edge]))


def gram_bytes(matrix: csr_array) -> int:
    """Bound the memory of the Gram matrix: by the pairs that users make, and by all pairs."""
    lengths = np.diff(matrix.indptr).astype(np.int64)
    n_entries = min(int((lengths**2).sum()), matrix.shape[1] ** 2)
    return 12 * n_entries


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
