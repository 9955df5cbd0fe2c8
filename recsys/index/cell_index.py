"""A FAISS index of many short vectors in cells: near-exact search in a few milliseconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from recsys.index.cells import build_cells, padded, padded_width
from recsys.index.files import read_index, write_index
from recsys.ranking import Ranking

VECTORS_A_CELL = 500
"""On average; the cells are found by k-means on a sample."""

SAMPLED_A_CELL, FEWEST_SAMPLED, ITERATIONS = 40, 20_000, 10
"""What faiss's k-means asks for at least, and what tells each dimension's range."""

PROBED = 24
"""Cells that are searched where every vector may be found."""


@dataclass(frozen=True, eq=False)
class CellIndex:
    """Maximum inner product search over 8-bit vectors of length 1, in the nearest cells alone.

    Parameters
    ----------
    faiss_index : faiss.IndexIVFScalarQuantizer
        Position i holds vector i.
    """

    faiss_index: Any

    @classmethod
    def of(cls, vectors: NDArray[np.float32], *, seed: int = 0) -> "CellIndex":
        """Index the rows of a float32 array of shape (n, dim); n at least 1."""
        n_cells = max(1, len(vectors) // VECTORS_A_CELL)
        n_sampled = max(n_cells * SAMPLED_A_CELL, FEWEST_SAMPLED)
        return cls(build_cells(vectors, n_cells, n_sampled, ITERATIONS, seed))

    @classmethod
    def load(cls, path: Path) -> "CellIndex":
        """Read an index that `save` wrote.

        Raises
        ------
        ArtefactError
            The file is no such index.
        """
        noun = "an index of 8-bit cells"
        return cls(read_index(path, faiss.IndexIVFScalarQuantizer, noun, "delete its folder"))

    def save(self, path: Path) -> None:
        """Write to one file; an OSError means what it says (a full disk)."""
        write_index(self.faiss_index, path)

    def __len__(self) -> int:
        return int(self.faiss_index.ntotal)

    def holds(self, dim: int) -> bool:
        """Whether its vectors are of this width, but for the padding."""
        return int(self.faiss_index.d) == padded_width(dim)

    def search(
        self, query: NDArray[np.float32], k: int, *, allowed: NDArray[np.bool_] | None = None
    ) -> Ranking:
        """Find the k best for one query, in all cells where not every vector is allowed.

        Parameters
        ----------
        query : float32, shape (dim,)
        k : int
        allowed : bool or None, shape (n,)

        Returns
        -------
        Ranking
            One row; -1 where fewer than k were found. Scores are as exact as 8 bits a number.
        """
        if allowed is None:
            # More cells where much is asked for, so that as much can be found.
            n_probed = PROBED + 4 * k // VECTORS_A_CELL
            parameters = faiss.SearchParametersIVF(nprobe=n_probed)  # type: ignore[call-arg]
        else:
            bitmap = np.packbits(allowed, bitorder="little")
            parameters = faiss.SearchParametersIVF(  # type: ignore[call-arg]
                sel=faiss.IDSelectorBitmap(len(bitmap) * 8, faiss.swig_ptr(bitmap)),
                nprobe=int(self.faiss_index.nlist),
            )
        scores, positions = self.faiss_index.search(padded(query[None]), k, params=parameters)
        return Ranking(positions, scores)
