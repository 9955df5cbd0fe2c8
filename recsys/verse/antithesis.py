"""Which characters stand against each other in parallel couplets, and how parallel a couplet is."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from recsys.data.poems import Poem

DIM = 64
OVERSAMPLES = 16
ITERATIONS = 8
FEWEST_OCCURRENCES = 5

PARALLEL_FORMS = ("5-lvshi", "7-lvshi")
PARALLEL_COUPLETS = (1, 2)
"""Of eight lines the second couplet and the third, counted from 0, have to be parallel (對仗)."""


@dataclass(frozen=True, eq=False)
class Antithesis:
    """Characters as directions: two point the same way where the same ones stand against them.

    Parameters
    ----------
    position : mapping of str to int
    directions : float32, shape (n_characters, dim)
        Of length 1, or zeros.
    """

    position: Mapping[str, int]
    directions: NDArray[np.float32]

    @classmethod
    def of(cls, poems: Iterable[Poem]) -> "Antithesis":
        """Learn from the parallel couplets of regulated verse.

        Notes
        -----
        Counts of characters at the same place of both lines, as positive pointwise mutual
        information with the context's share to the power 3/4, factored by a truncated singular
        value decomposition (Levy, Goldberg and Dagan 2015).
        """
        couplets = [
            poem.couplets[at]
            for poem in poems
            if poem.form in PARALLEL_FORMS
            for at in PARALLEL_COUPLETS
        ]
        counts = Counter(each for couplet in couplets for line in couplet for each in line)
        frequent = sorted(each for each, count in counts.items() if count >= FEWEST_OCCURRENCES)
        position = {each: at for at, each in enumerate(frequent)}
        pairs = np.array(
            [
                (position[above], position[below])
                for couplet in couplets
                for above, below in zip(*couplet, strict=True)
                if above in position and below in position
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        return cls(position, _directions(pairs, len(frequent)))

    def parallelism(self, couplets: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Mean cosine of the characters that stand against each other.

        Parameters
        ----------
        couplets : sequence of (str, str)
            All of the same length.

        Returns
        -------
        float32, shape (n_couplets,)
            From -1 to 1, higher is more parallel; a pair with an unknown character counts 0. The
            middle couplets of Tang regulated verse have .18 on average, two random lines .07.
        """
        if not len(self.position):
            return np.zeros(len(couplets), dtype=np.float32)
        lines = np.array([[list(line) for line in each] for each in couplets])
        places = np.array([self.position.get(each, -1) for each in lines.ravel()])
        of_places = self.directions[places] * (places >= 0)[:, None]
        above, below = of_places.reshape(*lines.shape, -1).swapaxes(0, 1)
        return np.asarray((above * below).sum(axis=2).mean(axis=1), dtype=np.float32)


def _directions(pairs: NDArray[np.int64], n: int) -> NDArray[np.float32]:
    if not len(pairs):
        return np.zeros((n, 1), dtype=np.float32)
    both = np.concatenate([pairs, pairs[:, ::-1]]).T
    counts = csr_array(coo_array((np.ones(both.shape[1]), tuple(both)), shape=(n, n))).tocoo()
    of_character = np.asarray(counts.sum(axis=1))
    smoothed = of_character**0.75
    expected = of_character[counts.row] * smoothed[counts.col] / smoothed.sum()
    information = np.maximum(0, np.log(counts.data / expected))
    matrix = csr_array((information, (counts.row, counts.col)), shape=(n, n))
    vectors, values = _largest(matrix, min(DIM, n))
    vectors = vectors * np.sqrt(values)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _largest(
    matrix: csr_array, dim: int
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Left singular vectors and values by subspace iteration (Halko et al. 2011, alg. 4.4)."""
    basis = np.random.default_rng(0).standard_normal((matrix.shape[0], dim + OVERSAMPLES))
    for _ in range(ITERATIONS):
        basis, _ = np.linalg.qr(matrix @ (matrix.T @ basis))
    vectors, values, _ = np.linalg.svd((matrix.T @ basis).T, full_matrices=False)
    return (basis @ vectors)[:, :dim], values[:dim]
