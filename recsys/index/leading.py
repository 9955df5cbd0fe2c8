"""A few queries, exactly: most vectors are ruled out by their leading directions."""

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

MOST_LOOKED_UP = 0.25
"""Share of the vectors from which on one product with all costs less than a copy of these."""

ROUNDING = 1e-5
"""What float32 may leave off a product, as a share of the lengths of its factors; amply. Tails are
taken longer by as much of the squares."""


@dataclass(frozen=True, eq=False)
class LeadingDirections:
    """The vectors along the principal directions that hold nearly all of their squared length.

    A product is that of the heads, which lie along these directions, plus that of the tails, and
    the latter is at most the product of their lengths (Cauchy and Schwarz). Codes of members side
    by side repeat each other: half of the directions are enough, and so is half of the memory
    that a query has to look at.

    Parameters
    ----------
    directions : float32, shape (dim, n_leading)
        Orthonormal columns.
    heads : float32, shape (n, n_leading)
        Direction by direction in memory.
    tails, lengths : float32, shape (n,)
        Lengths of the tails, and of the whole vectors.
    """

    directions: NDArray[np.float32]
    heads: NDArray[np.float32]
    tails: NDArray[np.float32]
    lengths: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> "LeadingDirections | None":
        """Find them for float32 vectors of shape (n, dim); None where it takes nearly all."""
        leading = leading_directions(vectors)
        if leading is None:
            return None
        heads = (leading.T @ vectors.T).T
        squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
        of_heads = np.einsum("ij,ij->i", heads, heads, dtype=np.float64)
        return cls(
            directions=leading,
            heads=heads,
            tails=np.sqrt((squares - of_heads).clip(0) + ROUNDING * squares).astype(np.float32),
            lengths=np.sqrt(squares).astype(np.float32),
        )

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
        about = products(heads, self.heads)
        if added is not None:
            about += added
        about[~permitted] = -np.inf
        bounds = lower_bounds(about, k)
        found = []
        for row, query in enumerate(queries):
            bonus = None if added is None else added[row]
            likely = np.flatnonzero(permitted[row] & (about[row] >= bounds[row]))
            scores = scores_of(likely, vectors, query, bonus)
            if len(likely) >= k:  # else all that is permitted is here
                tail = np.linalg.norm(query - np.einsum("ij,j->i", self.directions, heads[row]))
                at_most = about[row] + self.tails * tail
                at_most += self.lengths * (ROUNDING * np.linalg.norm(query))
                if bonus is not None:
                    at_most += ROUNDING * np.abs(bonus)
                at_most[likely] = -np.inf  # scored already
                least = np.partition(scores, len(scores) - k)[len(scores) - k]
                possible = np.flatnonzero(at_most >= least)
                if len(possible) > MOST_LOOKED_UP * len(vectors):
                    likely = np.flatnonzero(permitted[row])
                    scores = products(query[None], vectors)[0, likely]
                    scores = scores if bonus is None else scores + bonus[likely]
                else:
                    others = scores_of(possible, vectors, query, bonus)
                    likely = np.concatenate([likely, possible])
                    scores = np.concatenate([scores, others])
            found.append((likely, scores))
        return found


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
