"""Each item's nearest, by the cosine of their users."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.interactions import Interactions
from recsys.neighbours.config import NeighboursConfig
from recsys.neighbours.cooccurrence import BLOCK_ITEMS, Cooccurrence, cooccurrence

Progress = Callable[[int, int], None]
"""Receives how much is done, and how much there is in all."""


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """What a fit looks at, whatever its ridge and dropout are.

    Parameters
    ----------
    gram : Cooccurrence
    nearest : list of int32 arrays
        For each item the positions of its neighbours, ascending, and then its own.
    """

    gram: Cooccurrence
    nearest: list[NDArray[np.int32]]

    @classmethod
    def of(
        cls,
        train: Interactions,
        config: NeighboursConfig,
        n_threads: int | None = None,
        progress: Progress | None = None,
    ) -> "Neighbourhoods":
        """Find them: `user_exponent`, `n_neighbours` (decided) and `gram_mb` of `config` count."""
        assert config.n_neighbours is not None
        n_threads = n_threads or torch.get_num_threads()
        gram = cooccurrence(
            train.matrix, config.user_exponent, gram_mb=config.gram_mb, n_threads=n_threads
        )
        return cls(gram, nearest_items(gram, config.n_neighbours, n_threads, progress))


def nearest_items(
    gram: Cooccurrence,
    n_neighbours: int,
    n_threads: int = 1,
    progress: Progress | None = None,
) -> list[NDArray[np.int32]]:
    """Give each item's nearest by G_ij / sqrt(G_ii G_jj); of equally near ones the first.

    Returns
    -------
    list of int32 arrays
        At most n_neighbours ascending positions, only of items that share a user; then its own.
    """
    scale = np.sqrt(np.maximum(gram.diagonal(), np.float32(1e-12)))

    def nearest_of_block(start: int) -> list[NDArray[np.int32]]:
        rows = gram.rows(start)
        return [
            _nearest(item, *_row(rows, item - start), scale, n_neighbours)
            for item in range(start, start + rows.shape[0])
        ]

    nearest: list[NDArray[np.int32]] = []
    with ThreadPoolExecutor(n_threads) as pool:
        for block in pool.map(nearest_of_block, range(0, gram.n_items, BLOCK_ITEMS)):
            nearest += block
            if progress is not None:
                progress(len(nearest), gram.n_items)
    return nearest


def _row(rows: csr_array, row: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    entries = slice(rows.indptr[row], rows.indptr[row + 1])
    return rows.indices[entries].astype(np.int32), rows.data[entries]


def _nearest(
    item: int,
    others: NDArray[np.int32],
    values: NDArray[np.float32],
    scale: NDArray[np.float32],
    n_neighbours: int,
) -> NDArray[np.int32]:
    is_other = others != item
    others, values = others[is_other], values[is_other]
    if len(others) > n_neighbours:
        others = others[_best(values / scale[others], n_neighbours)]
    return np.append(others, np.int32(item))


def _best(values: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Places of the k largest, ascending; of equals at the edge the first stay."""
    edge = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > edge)
    at_edge = np.flatnonzero(values == edge)[: k - len(above)]
    return np.sort(np.concatenate([above, at_edge]))
