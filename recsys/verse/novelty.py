"""The existing line nearest to a written one, by the pairs of characters that they share."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.poems import Poem

_LARGEST = 0x110000
"""One more than the largest code point."""


@dataclass(frozen=True)
class NearestLine:
    """What exists already and comes nearest.

    Parameters
    ----------
    line : str
    poem : Poem
        The first that has the line.
    closeness : float
        Pairs of neighbouring characters that both lines have, as a share of the written line's;
        1 where all of it stands there already.
    """

    line: str
    poem: Poem
    closeness: float


@dataclass(frozen=True, eq=False)
class ExistingLines:
    """Index of the lines of poems.

    Parameters
    ----------
    lines : sequence of str
        Each once, in the order of the poems.
    poem_of : sequence of Poem
        The first poem of each.
    pairs : int64, shape (n_pairs,)
        Keys of the pairs of characters that occur, sorted.
    lines_of : csr_array of float32, shape (n_pairs, n_lines)
        1 where the line has the pair.
    """

    lines: Sequence[str]
    poem_of: Sequence[Poem]
    pairs: NDArray[np.int64]
    lines_of: csr_array

    @classmethod
    def of(cls, poems: Iterable[Poem]) -> "ExistingLines":
        """Index the lines of poems."""
        first: dict[str, Poem] = {}
        for poem in poems:
            for line in poem.lines:
                first.setdefault(line, poem)
        lines = list(first)
        keys, owners = _pairs_of(lines)
        pairs, columns = np.unique(keys, return_inverse=True)
        shape = (len(lines), len(pairs))
        of_line = csr_array((np.ones(len(keys), np.float32), (owners, columns)), shape=shape)
        of_line.data[:] = 1  # a pair that a line has twice counts once
        return cls(lines, list(first.values()), pairs, csr_array(of_line.T))

    def closeness(self, lines: Sequence[str]) -> NDArray[np.float32]:
        """Tell how near the nearest existing line is; float32, shape (n_lines,), from 0 to 1."""
        shared = self._shared(lines)
        most = np.zeros(len(lines), dtype=np.float32)
        for row, (start, stop) in enumerate(pairwise(shared.indptr)):
            most[row] = shared.data[start:stop].max(initial=0)
        return most / self._n_pairs(lines)

    def nearest(self, lines: Sequence[str]) -> list[NearestLine | None]:
        """Find the nearest existing line of each.

        Returns
        -------
        list of NearestLine or None
            None where no existing line shares a pair of characters. Of lines that share equally
            many, the one with most of the same characters at the same places, then the first.
        """
        shared = self._shared(lines)
        counts = self._n_pairs(lines)
        return [
            self._best(line, shared.indices[start:stop], shared.data[start:stop], counts[row])
            for row, (line, (start, stop)) in enumerate(
                zip(lines, pairwise(shared.indptr), strict=True)
            )
        ]

    def has(self, line: str) -> bool:
        """Whether the very line exists."""
        return line in self._known

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.lines)

    def _best(
        self,
        line: str,
        found: NDArray[np.integer],
        shared: NDArray[np.float32],
        n_pairs: float,
    ) -> NearestLine | None:
        if not len(found):
            return None
        most = shared.max()
        nearest_of_all = np.sort(found[shared == most])
        own = _beginnings([line])
        same_places = ((self._beginnings[nearest_of_all] == own) & (own > 0)).sum(axis=1)
        nearest = int(nearest_of_all[same_places.argmax()])
        return NearestLine(self.lines[nearest], self.poem_of[nearest], float(most / n_pairs))

    @cached_property
    def _beginnings(self) -> NDArray[np.uint32]:
        return _beginnings(self.lines)

    def _shared(self, lines: Sequence[str]) -> csr_array:
        """Count shared pairs; sparse, shape (len(lines), n_lines)."""
        keys, owners = _pairs_of(lines)
        at = np.minimum(np.searchsorted(self.pairs, keys), max(0, len(self.pairs) - 1))
        known = self.pairs[at] == keys if len(self.pairs) else np.zeros(len(keys), dtype=bool)
        ones = np.ones(int(known.sum()), dtype=np.float32)
        shape = (len(lines), len(self.pairs))
        asked = csr_array((ones, (owners[known], at[known])), shape=shape)
        asked.data[:] = 1
        return csr_array(asked @ self.lines_of)

    def _n_pairs(self, lines: Sequence[str]) -> NDArray[np.float32]:
        return np.array([max(1, len(set(pairwise(each)))) for each in lines], dtype=np.float32)


def _pairs_of(lines: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys of all pairs of neighbouring characters, and the position of the line of each."""
    lengths = np.array([len(each) for each in lines], dtype=np.int64)
    codes = np.frombuffer("".join(lines).encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
    owner = np.repeat(np.arange(len(lines)), lengths)
    within = owner[1:] == owner[:-1]
    return (codes[:-1] * _LARGEST + codes[1:])[within], owner[:-1][within]


def _beginnings(lines: Sequence[str]) -> NDArray[np.uint32]:
    """Code points of the first seven characters, 0 after the end; shape (n_lines, 7)."""
    return np.array(lines, dtype="<U7").view(np.uint32).reshape(-1, 7)


def distinct_pairs(couplets: Iterable[Sequence[str]]) -> float:
    """Tell distinct-2, the share of pairs of neighbouring characters that are new.

    Parameters
    ----------
    couplets : iterable of sequences of str
        The lines of each; pairs lie within a line.

    Returns
    -------
    float
        From near 0 to 1; higher is more varied. It falls with the size of the sample, so that
        only samples of equal size compare (Li et al. 2016, section 3.3).
    """
    pairs = list(_pairs(couplets))
    return len(set(pairs)) / max(1, len(pairs))


def _pairs(couplets: Iterable[Sequence[str]]) -> Iterator[tuple[str, str]]:
    for lines in couplets:
        for line in lines:
            yield from pairwise(line)
