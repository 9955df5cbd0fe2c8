"""A few queries, exactly: most vectors are ruled out by their leading directions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.index.exact import products
from recsys.ranking import lower_bounds

HEAD_SHARE = 0.95
"""Of the vectors' squared lengths that the leading directions hold."""

WIDEST_HEAD = 0.75
"""Share of all directions from which on the leading ones gain nothing."""

SAMPLED = 2048
"""Vectors that the directions are found from, at most."""

FIRST_DIRECTIONS = 32
"""The first stage's. Where a sparse term tells most of the scores, these mostly tell enough."""

MOST_AT_FIRST = 0.05
"""Share of the vectors up to which the first stage scores what it does not rule out."""

MOST_LOOKED_UP = 0.25
"""Share of the vectors from which on one product with all costs less than a copy of these."""

ROUNDING = 1e-5
"""What float32 may leave off a product, as a share of the lengths of its factors; amply. Tails are
taken longer by as much of the squares."""


@dataclass(frozen=True, eq=False)
class Stage:
    """How far the directions are looked along before vectors are ruled out.

    Parameters
    ----------
    n_directions : int
        From the first on.
    tails : float32, shape (n,)
        Lengths of what the vectors hold beyond these.
    most : float
        Share of the vectors that may be left.
    """

    n_directions: int
    tails: NDArray[np.float32]
    most: float

    @classmethod
    def of(
        cls,
        heads: NDArray[np.float32],
        squares: NDArray[np.float64],
        n_directions: int,
        most: float,
    ) -> "Stage":
        """Measure the tails of vectors by their heads and the squares of their lengths."""
        seen = heads[:, :n_directions]
        beyond = squares - np.einsum("ij,ij->i", seen, seen, dtype=np.float64)
        tails = np.sqrt(beyond.clip(0) + ROUNDING * squares)
        return cls(n_directions, tails.astype(np.float32), most)


@dataclass(frozen=True, eq=False)
class LeadingDirections:
    """The vectors along the principal directions that hold nearly all of their squared length.

    A product is that of the heads, which lie along these directions, plus that of the tails, and
    the latter is at most the product of their lengths (Cauchy and Schwarz). Codes of members side
    by side repeat each other: half of the directions are enough, and so is half of the memory
    that a query has to look at. Where a sparse term is added, the first few mostly do.

    Parameters
    ----------
    directions : float32, shape (dim, n_leading)
        Orthonormal columns.
    heads : float32, shape (n, n_leading)
        Direction by direction in memory.
    lengths : float32, shape (n,)
        Of the whole vectors.
    stages : sequence of Stage
        The last one looks along all of them.
    """

    directions: NDArray[np.float32]
    heads: NDArray[np.float32]
    lengths: NDArray[np.float32]
    stages: Sequence[Stage]

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> "LeadingDirections | None":
        """Find them for float32 vectors of shape (n, dim); None where it takes nearly all."""
        leading = leading_directions(vectors)
        if leading is None:
            return None
        heads = (leading.T @ vectors.T).T
        squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
        stages = [Stage.of(heads, squares, heads.shape[1], MOST_LOOKED_UP)]
        if heads.shape[1] > FIRST_DIRECTIONS:
            stages.insert(0, Stage.of(heads, squares, FIRST_DIRECTIONS, MOST_AT_FIRST))
        return cls(leading, heads, np.sqrt(squares).astype(np.float32), stages)

    def search(
        self,
        vectors: NDArray[np.float32],
        queries: NDArray[np.float32],
        k: int,
        permitted: NDArray[np.bool_],
        added: NDArray[np.float32] | None,
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Score for each query some vectors among which the k best are, ties at the cut included.

        Parameters
        ----------
        vectors : float32, shape (n, dim)
            Those that these directions are of.
        queries : float32, shape (n_queries, dim)
        k : int
            From 1 to n.
        permitted : bool, shape (n_queries, n)
        added : float32 or None, shape (n_queries, n)
            Added to the products; finite.

        Returns
        -------
        list of int64 and float32, shape (n_scored,) each
            Positions and exact scores, in no order; all that is permitted where that is less
            than k.
        """
        heads = np.stack([np.einsum("i,ij->j", query, self.directions) for query in queries])
        assert np.isfinite(heads).all(), "a query is not finite"
        about = None if added is None else np.where(permitted, added, -np.inf)
        found: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}
        start = 0
        for stage in self.stages[-1:] if added is None else self.stages:
            left = [row for row in range(len(queries)) if row not in found]
            if not left:
                break
            looked = slice(start, stage.n_directions)
            product = products(heads[left, looked], self.heads[:, looked])
            if about is None:  # the one stage
                about = product
                about[~permitted] = -np.inf
            else:
                about[left] += product
            for row in left:
                head = heads[row, : stage.n_directions]
                bonus = None if added is None else added[row]
                likely = self._likely(stage, vectors, queries[row], head, k, about[row], bonus)
                if likely is not None:
                    found[row] = likely
            start = stage.n_directions
        for row, query in enumerate(queries):
            if row not in found:
                positions = np.flatnonzero(permitted[row])
                scores = products(query[None], vectors)[0, positions]
                found[row] = positions, scores if added is None else scores + added[row, positions]
        return [found[row] for row in range(len(queries))]

    def _likely(
        self,
        stage: Stage,
        vectors: NDArray[np.float32],
        query: NDArray[np.float32],
        head: NDArray[np.float32],
        k: int,
        about: NDArray[np.float32],
        added: NDArray[np.float32] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
        """Score what may be among the k best of a query; None where that is too much.

        `about` are the scores as far as the stage has looked; -inf at what is not permitted.
        """
        (bound,) = lower_bounds(about[None], k)
        likely = np.flatnonzero((about >= bound) & (about > -np.inf))
        scores = scores_of(likely, vectors, query, added)
        if len(likely) < k:  # all that is permitted is here
            return likely, scores
        square = float(query @ query)
        tail = np.float32(np.sqrt(max(square - float(head @ head), 0.0) + ROUNDING * square))
        at_most = about + stage.tails * tail
        at_most += self.lengths * np.float32(ROUNDING * np.sqrt(square))
        if added is not None:
            at_most += ROUNDING * np.abs(added)
        at_most[likely] = -np.inf  # scored already
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        possible = np.flatnonzero(at_most >= least)
        if len(possible) > stage.most * len(vectors):
            return None
        others = scores_of(possible, vectors, query, added)
        return np.concatenate([likely, possible]), np.concatenate([scores, others])


def leading_directions(vectors: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Find the fewest directions that hold nearly all of the squared lengths, by a sample.

    Parameters
    ----------
    vectors : float32, shape (n, dim)

    Returns
    -------
    float32, shape (dim, n_directions), or None
        Orthonormal columns, the one that holds most first; None where it takes nearly all.
    """
    sample = vectors[:: max(1, -(-len(vectors) // SAMPLED))]
    sizes, directions = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    held = np.cumsum(sizes[::-1].clip(0))
    n_leading = 1 + int(np.searchsorted(held, HEAD_SHARE * held[-1]))
    if n_leading > WIDEST_HEAD * vectors.shape[1]:
        return None
    return directions[:, : -n_leading - 1 : -1].astype(np.float32)


def scores_of(
    positions: NDArray[np.int64],
    vectors: NDArray[np.float32],
    query: NDArray[np.float32],
    added: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """Score the vectors at some positions; float32, as many as there are positions."""
    # Not `take`, which copies vectors whole that a mapped file holds at an odd address.
    scores = np.asarray(np.einsum("ij,j->i", vectors[positions], query))
    return scores if added is None else scores + added[positions]
