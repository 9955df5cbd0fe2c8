"""A FAISS index of many short vectors in cells: near-exact search in a few milliseconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from recsys.index.files import read_index, write_index
from recsys.ranking import Ranking

VECTORS_A_CELL = 500
"""On average; the cells are found by k-means on a sample."""

SAMPLED_A_CELL, FEWEST_SAMPLED = 40, 20_000
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
        n, dim = vectors.shape
        n_cells = max(1, n // VECTORS_A_CELL)
        quantizer = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFScalarQuantizer(
            quantizer,
            dim,
            n_cells,
            faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT,
        )
        index.cp.seed = seed
        index.cp.min_points_per_centroid = 1
        n_sampled = min(n, max(n_cells * SAMPLED_A_CELL, FEWEST_SAMPLED))
        sample = np.random.default_rng(seed).choice(n, n_sampled, replace=False)
        index.train(np.ascontiguousarray(vectors[np.sort(sample)]))
        index.add(np.ascontiguousarray(vectors))
        return cls(index)

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

    @property
    def dim(self) -> int:
        """Width of vectors and queries."""
        return int(self.faiss_index.d)

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
        scores, positions = self.faiss_index.search(query[None], k, params=parameters)
        return Ranking(positions, scores)
