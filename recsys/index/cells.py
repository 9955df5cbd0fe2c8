"""faiss cells of 8-bit vectors: how they are built, padded to the widths that faiss is quick at."""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

QUICK_WIDTH = 8
"""faiss decodes 8-bit and float16 vectors seven times as fast where their width is a multiple."""

ADDED_AT_ONCE = 100_000
"""Vectors that a second copy is held of."""


def padded(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Append zeros up to a quick width: inner products stay what they are.

    Examples
    --------
    >>> padded(np.ones((2, 3), dtype=np.float32)).shape
    (2, 8)
    """
    missing = padded_width(vectors.shape[-1]) - vectors.shape[-1]
    widths = [(0, 0)] * (vectors.ndim - 1) + [(0, missing)]
    return np.ascontiguousarray(np.pad(vectors, widths) if missing else vectors)


def padded_width(dim: int) -> int:
    """Give the width of padded vectors."""
    return dim + -dim % QUICK_WIDTH


def build_cells(
    vectors: NDArray[np.float32],
    n_cells: int,
    n_sampled: int,
    n_iterations: int,
    seed: int,
    directions: NDArray[np.float32] | None = None,
) -> Any:
    """Build a faiss.IndexIVFScalarQuantizer for inner products.

    Each vector goes to the cell whose centre is nearest, which keeps cells small; a query looks
    into those whose centres have the largest product with it.

    Parameters
    ----------
    vectors : float32, shape (n, dim)
        Position i will hold vector i, padded.
    n_cells : int
    n_sampled : int
        Vectors that k-means and the range of each dimension are found by.
    n_iterations : int
        Of k-means.
    seed : int
    directions : float32 or None, shape (dim, n_directions)
        Orthonormal columns: what is held of each vector is its parts along them.
    """

    def held(some: NDArray[np.float32]) -> NDArray[np.float32]:
        return padded(some if directions is None else some @ directions)

    n, dim = len(vectors), held(vectors[:0]).shape[1]
    cells = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatL2(dim),
        dim,
        n_cells,
        faiss.ScalarQuantizer.QT_8bit,
        faiss.METRIC_INNER_PRODUCT,
    )
    cells.cp.spherical = False
    cells.cp.seed = seed
    cells.cp.niter = n_iterations
    cells.cp.min_points_per_centroid = 1
    sample = np.random.default_rng(seed).choice(n, min(n, n_sampled), replace=False)
    cells.train(held(vectors[np.sort(sample)]))
    for start in range(0, n, ADDED_AT_ONCE):
        cells.add(held(vectors[start : start + ADDED_AT_ONCE]))
    by_product = faiss.IndexFlatIP(dim)
    by_product.add(cells.quantizer.reconstruct_n(0, n_cells))
    cells.quantizer = by_product
    by_product.this.disown()  # type: ignore[attr-defined]  # `cells` frees it
    cells.own_fields = True
    return cells
