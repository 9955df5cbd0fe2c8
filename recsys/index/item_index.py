"""A FAISS index of vectors: exact inner-product search with exclusions inside the search."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.index.exact import SparseTerm, search_blocks
from recsys.index.files import map_index, write_index
from recsys.index.leading import LeadingDirections, scores_of
from recsys.index.quick import QuickIndex
from recsys.ranking import Ranking

BLOCK_SCORES = 6_000_000
"""Scores held at once when a block of queries is searched: 24 MB, about the size of a cache."""


FEW_QUERIES = 6
"""Queries up to which a search takes longer to read the vectors than to multiply by them."""

MOST_OF_A_LIST = 0.005
"""Share of the vectors up to which a list is short enough for most others to be ruled out."""

LEAST_FOR_LEADING = 12 * 2**20
"""Bytes of vectors from which on a few queries look at their leading directions first: fewer lie in
a processor's cache anyway."""

MOST_HELD_TWICE = 256 * 2**20
"""Bytes of vectors up to which what makes them quicker to look at is held beside them: a second
copy, dimension by dimension, and their leading directions."""

SCANNED_SHARE = 0.01
"""Share of the vectors up to which those that are permitted are all looked at."""

WIDE_SUPPORT = 0.1
"""Share of the vectors from which on a sparse term makes brute force the quicker way."""


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """Maximum inner product search: exact, or by a quick index for queries that come alone.

    Parameters
    ----------
    faiss_index : faiss.IndexFlatIP
        Position i holds vector i.
    quick : QuickIndex or None
        Of the same vectors. What it finds is ranked by the exact vectors, and what it may miss
        was measured when it was built.
    """

    faiss_index: Any
    quick: QuickIndex | None = None

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> "ItemIndex":
        """Index the rows of a float32 array of shape (n, dim)."""
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors))
        return cls(index)

    @classmethod
    def load(cls, path: Path) -> "ItemIndex":
        """Map an index that `save` wrote into memory.

        Raises
        ------
        ArtefactError
            The file is not an exact inner-product index.
        """
        noun = "an exact inner-product index"
        return cls(map_index(path, faiss.IndexFlatIP, noun, "run `recsys index`"))

    def save(self, path: Path) -> None:
        """Write to one file; an OSError means what it says (a full disk)."""
        write_index(self.faiss_index, path)

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Append vectors while an index is being built; float32, shape (n_new, dim)."""
        self.faiss_index.add(np.ascontiguousarray(vectors))

    def __len__(self) -> int:
        return int(self.faiss_index.ntotal)

    @property
    def dim(self) -> int:
        """Width of vectors and queries."""
        return int(self.faiss_index.d)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The indexed vectors, read in place; float32, shape (n, dim)."""
        flat = faiss.rev_swig_ptr(self.faiss_index.get_xb(), len(self) * self.dim)
        return np.asarray(flat).reshape(len(self), self.dim)

    @cached_property
    def _for_products(self) -> NDArray[np.float32]:
        """The vectors, laid out as matrix products like them; float32, shape (n, dim)."""
        small = self.vectors.nbytes <= MOST_HELD_TWICE
        return np.asfortranarray(self.vectors) if small else self.vectors

    @cached_property
    def _leading(self) -> LeadingDirections | None:
        """Made by the first search for a few queries; None where it gains nothing."""
        if (
            self.quick is not None
            or not LEAST_FOR_LEADING <= self.vectors.nbytes <= MOST_HELD_TWICE
        ):
            return None
        return LeadingDirections.of(self.vectors)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        added: SparseTerm | None = None,
        excluded: csr_array | None = None,
        allowed: NDArray[np.bool_] | None = None,
        offset: NDArray[np.float32] | None = None,
    ) -> Ranking:
        """Find the k best of each query among what it may be given.

        Parameters
        ----------
        queries : float32, shape (n_queries, dim)
        k : int
            At least 1.
        added : SparseTerm or None, shape (n_queries, n)
            Added to the scores; its entries are finite and may be negative.
        excluded : csr_array or None, shape (n_queries, n)
            What each query must not be given, its history for example.
        allowed : bool or None, shape (n,)
            What any query may be given.
        offset : float32 or None, shape (n,)
            Added to every query's scores; finite.

        Returns
        -------
        Ranking
            Exact, but for what a quick index misses; ties go to the lower position; -1 where
            fewer than k exist.
        """
        assert queries.shape[1] == self.dim, (queries.shape, self.dim)
        alone = len(queries) == 1
        is_narrow = added is None or added.nnz <= WIDE_SUPPORT * len(self)
        by_quick = alone and self.quick is not None and is_narrow and offset is None
        is_few = 1 <= len(queries) <= FEW_QUERIES and k <= MOST_OF_A_LIST * len(self)
        by_leading = is_few and self._leading is not None
        if not (by_quick or by_leading):
            # Per-query exclusions cost nothing here, and a product is BLAS.
            return search_blocks(
                self._for_products,
                queries,
                k,
                BLOCK_SCORES,
                added=added,
                excluded=excluded,
                allowed=allowed,
                offset=offset,
            )
        permitted = np.ones((len(queries), len(self)), dtype=bool)
        if allowed is not None:
            permitted &= allowed
        if excluded is not None:
            rows = np.repeat(np.arange(len(queries)), np.diff(excluded.indptr))
            permitted[rows, excluded.indices] = False
        bonus = None if added is None else added.toarray()
        if by_quick:
            only = None if bonus is None else bonus[0]
            return self._search_quick(queries[0], k, permitted[0], only)
        if offset is not None:
            bonus = np.tile(offset, (len(queries), 1)) if bonus is None else bonus + offset
        return self._search_leading(queries, k, permitted, bonus)

    def _search_leading(
        self,
        queries: NDArray[np.float32],
        k: int,
        permitted: NDArray[np.bool_],
        bonus: NDArray[np.float32] | None,
    ) -> Ranking:
        """Rank for each query what the leading directions do not rule out."""
        assert self._leading is not None
        found = self._leading.search(self.vectors, queries, min(k, len(self)), permitted, bonus)
        return _best_of(found, k)

    def _search_quick(
        self,
        query: NDArray[np.float32],
        k: int,
        permitted: NDArray[np.bool_],
        bonus: NDArray[np.float32] | None,
    ) -> Ranking:
        """Rank the sparse term's support, and what the quick index finds outside it."""
        assert self.quick is not None
        support = np.empty(0, dtype=np.int64)
        if bonus is not None:
            support = np.flatnonzero((bonus != 0) & permitted)
            permitted[support] = False
        n_permitted = int(permitted.sum())
        found = np.empty(0, dtype=np.int64)
        if n_permitted > max(k, SCANNED_SHARE * len(self)):
            found = self.quick.candidates(query[None], k, permitted)
        if len(found) < k:  # few are permitted: every one of them is looked at
            found = np.flatnonzero(permitted)
        positions = np.concatenate([support, found])
        return _best_of([(positions, scores_of(positions, self.vectors, query, bonus))], k)


def unit_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each row by its length, so that an inner product is a cosine; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _best_of(found: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], k: int) -> Ranking:
    """Rank what each query has found: positions and their scores, in any order."""
    ranking = Ranking(
        np.full((len(found), k), -1, dtype=np.int64),
        np.full((len(found), k), -np.inf, dtype=np.float32),
    )
    for row, (positions, scores) in enumerate(found):
        order = np.lexsort((positions, -scores))[:k]
        ranking.positions[row, : len(order)] = positions[order]
        ranking.scores[row, : len(order)] = scores[order]
    return ranking
