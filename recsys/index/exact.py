"""Brute force: every inner product, then the exact k best. The oracle, and the way for blocks."""

from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.ranking import Ranking, exclude, top_k

TOGETHER = 4
"""Rows from which on BLAS goes over the vectors once for all of them."""

COPIED_AT_ONCE = 1024
"""Vectors that BLAS is given a copy of: 1.6 MB of 401 dimensions, which stay in a cache."""


class SparseTerm(Protocol):
    """A term of the scores that most vectors have none of, shape (n_queries, n): a csr_array."""

    @property
    def nnz(self) -> int:
        """Number of entries; those of the same place add up."""

    def __getitem__(self, rows: slice) -> "SparseTerm":
        """That of some queries."""

    def toarray(self) -> NDArray[np.float32]:
        """Give all of it, zeros included."""


def products(queries: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give every inner product; float32, shape (n_queries, n)."""
    n_queries, n = len(queries), len(vectors)
    if not vectors.flags.aligned:
        # A mapped file holds them at an odd address: for BLAS numpy would copy them all.
        scores = np.empty((n_queries, n), dtype=np.float32)
        for start in range(0, n, COPIED_AT_ONCE):
            rows = slice(start, start + COPIED_AT_ONCE)
            copied = np.frombuffer(vectors[rows].tobytes(), dtype=np.float32)
            scores[:, rows] = products(queries, copied.reshape(-1, vectors.shape[1]))
        return scores
    if n_queries == 1:
        return np.asarray(queries[0] @ vectors.T)[None]
    if n_queries < TOGETHER:
        queries = np.pad(queries, ((0, TOGETHER - n_queries), (0, 0)))
    return np.asarray(queries @ vectors.T)[:n_queries]


def exact_search(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    *,
    added: SparseTerm | None = None,
    excluded: csr_array | None = None,
    allowed: NDArray[np.bool_] | None = None,
    offset: NDArray[np.float32] | None = None,
) -> Ranking:
    """Rank all vectors by inner product with each query, plus a sparse term.

    Ties go to the lower position: of scores as computed. BLAS may add up one product in another
    order than its neighbour's, so that the scores of equal vectors differ in the last digit.

    Parameters
    ----------
    vectors : float32, shape (n, dim)
    queries : float32, shape (n_queries, dim)
        Rows x n scores are held at once: meant for blocks of a few hundred queries.
    k : int
    added : SparseTerm or None, shape (n_queries, n)
    excluded : csr_array or None, shape (n_queries, n)
        What each query must not be given.
    allowed : bool or None, shape (n,)
        What any query may be given.
    offset : float32 or None, shape (n,)
        Added to every query's scores.
    """
    scores = products(queries, vectors)
    if added is not None:
        scores += added.toarray()
    if offset is not None:
        scores += offset
    if excluded is not None:
        exclude(scores, excluded)
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    return top_k(scores, k)


def search_blocks(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    scores_held: int,
    *,
    added: SparseTerm | None = None,
    excluded: csr_array | None = None,
    allowed: NDArray[np.bool_] | None = None,
    offset: NDArray[np.float32] | None = None,
) -> Ranking:
    """Search exactly for any number of queries, so many at once that their scores can be held.

    Parameters
    ----------
    scores_held : int
        At most, but for a query that has more of its own.
    vectors, queries, k, added, excluded, allowed, offset
        As of `exact_search`.
    """
    n_rows = max(1, scores_held // max(1, len(vectors)))
    search = partial(exact_search, vectors, k=k, allowed=allowed, offset=offset)
    if len(queries) <= n_rows:  # no copies of the sparse parts
        return search(queries, added=added, excluded=excluded)
    positions = np.empty((len(queries), k), dtype=np.int64)
    scores = np.empty((len(queries), k), dtype=np.float32)
    for start in range(0, len(queries), n_rows):
        block = slice(start, start + n_rows)
        ranking = search(
            queries[block],
            added=None if added is None else added[block],
            excluded=None if excluded is None else excluded[block],
        )
        positions[block], scores[block] = ranking.positions, ranking.scores
    return Ranking(positions, scores)
