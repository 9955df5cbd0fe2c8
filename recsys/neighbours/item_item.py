"""The fitted item-item matrix, and how it is found: one small linear system for each item."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.interactions import Interactions, csr_from_pairs
from recsys.errors import ConfigError
from recsys.neighbours.config import NeighboursConfig
from recsys.neighbours.neighbourhoods import Neighbourhoods, Progress
from recsys.neighbours.products import dense_product, threads_for_parts

BATCH_ROWS = 4096
"""Rows of all systems of a batch: enough to make calls cheap, few enough for the caches."""

MOST_THREADS = 16
"""So many threads each find room for a batch in `memory_mb`."""

FULL_FROM = 0.004
"""Share of all pairs of items that have a weight, from which on x S is made by a product, which
writes every cell. Below it only what is reached is written: the rest are the system's own zeros."""

WEAK_DROPOUT = 0.05
"""Below it the systems are solved in float64: only dropout keeps the systems of items that nearly
the same users have far enough from singular for float32."""


@dataclass(frozen=True, eq=False)
class ItemItem:
    """A sparse item-item model: score(x, j) = sum over i in x of S[i, j].

    Parameters
    ----------
    weights : csr_array of float32, shape (n_items, n_items)
        S, with a zero diagonal; entries may be negative.
    """

    weights: csr_array

    def scores(self, histories: csr_array, scale: float = 1.0) -> "ReachedScores":
        """Score what the histories reach: scale * x S, when it is looked at."""
        return ReachedScores(self, histories, scale)

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        """Score the whole catalogue; float32, shape (n_users, n_items); 0 where nothing reaches."""
        return self.scores(histories).toarray()

    def around(self, item: int) -> csr_array:
        """What the item says for others and they for it, on average; shape (1, n_items)."""
        says, hears = self.weights[[item]], self.weights[:, [item]]
        both = csr_array((says + hears.T) / 2)
        both.sort_indices()
        return both


@dataclass(frozen=True, eq=False)
class ReachedScores:
    """scale * x S of some users, made dense a few of them at a time.

    Looks like the csr_array that it stands for, which would have a row of S for each click.

    Parameters
    ----------
    item_item : ItemItem
    histories : csr_array, shape (n_users, n_items)
        x; only which items are there counts.
    scale : float
    """

    item_item: ItemItem
    histories: csr_array
    scale: float

    @property
    def nnz(self) -> int:
        """Entries of the rows of S; of the same place each counts."""
        indptr, items = self.item_item.weights.indptr, self.histories.indices
        return int((indptr[items + 1] - indptr[items]).sum())

    def __getitem__(self, rows: slice) -> "ReachedScores":
        return ReachedScores(self.item_item, self.histories[rows], self.scale)

    def toarray(self) -> NDArray[np.float32]:
        """Make it dense; float32, shape (n_users, n_items).

        A user's scores have the same bits in whatever company.
        """
        weights, x = self.item_item.weights, self.histories
        if weights.nnz < FULL_FROM * weights.shape[0] ** 2:
            # The rows of S side by side: their entries of the same place are added up below.
            rows = weights[x.indices]
            layout = (rows.data * np.float32(self.scale), rows.indices, rows.indptr[x.indptr])
            return np.asarray(csr_array(layout, shape=x.shape).toarray())
        ones = np.ones(len(x.indices), dtype=np.float32)
        binary = csr_array((ones, x.indices, x.indptr), shape=x.shape)
        return dense_product(binary, weights, self.scale)


def fit_item_item(
    train: Interactions,
    config: NeighboursConfig,
    *,
    neighbourhoods: Neighbourhoods | None = None,
    n_threads: int | None = None,
    progress: Progress | None = None,
) -> ItemItem:
    """Solve the neighbour-restricted EDLAE.

    For each item j with neighbourhood N (j among it), c solves
    (G_NN + diag(lambda + p / (1 - p) * diag(G_NN))) c = e_j, and S_ij = -c_i / c_j. With every
    item in every neighbourhood this is EDLAE's closed form (Steck 2020, eq. 9), and EASE's at
    p = 0 (Steck 2019, eq. 8).

    Parameters
    ----------
    train : Interactions
        Only which pairs are there counts, not their values.
    config : NeighboursConfig
        What it leaves to the size of the catalogue is decided here.
    neighbourhoods : Neighbourhoods or None
        Those of `train` and `config`, where they are known already.
    n_threads : int or None
        As many as torch uses when not told otherwise; the result is the same to the bit.
    progress : callable or None
        Receives how much is done, and how much there is in all, for finding the neighbourhoods
        and then for solving them.

    Raises
    ------
    ConfigError
        Ridge and dropout are too small for the systems to be solved.
    """
    config = config.sized_for(train.n_items)
    n_threads = n_threads or torch.get_num_threads()
    if neighbourhoods is None:
        neighbourhoods = Neighbourhoods.of(train, config, n_threads, progress)
    solver = _Solver(neighbourhoods, config)
    solved: list[_Entries] = []
    n_done = 0
    with threads_for_parts(solver.threads_in_memory(n_threads)) as pool:
        for entries in pool.map(solver.solve, solver.batches()):
            solved.append(entries)
            n_done += entries.n_items
            if progress is not None:
                progress(n_done, train.n_items)
    return ItemItem(_assemble(solved, train.n_items))


@dataclass(frozen=True, eq=False)
class _Entries:
    """Entries of S for `n_items` columns: rows, columns and values."""

    n_items: int
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Solver:
    """Solves a batch of items at a time."""

    neighbourhoods: Neighbourhoods
    config: NeighboursConfig

    def solve(self, items: NDArray[np.int64]) -> _Entries:
        """Find the columns of S that belong to `items`."""
        near = [self.neighbourhoods.nearest[item] for item in items]
        systems = self.neighbourhoods.gram.systems(near).astype(self._dtype, copy=False)
        diagonals = systems.reshape(len(systems), -1)[:, :: systems.shape[1] + 1]
        diagonals *= 1 + self.config.dropout / (1 - self.config.dropout)
        diagonals += self.config.ridge
        try:
            columns = _last_columns_of_inverses(systems)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            raise ConfigError(
                f"neighbours.ridge is {self.config.ridge:g} and neighbours.dropout "
                f"{self.config.dropout:g}: too small for these data, whose items are too alike"
            ) from None
        weights = -columns[:, :-1] / columns[:, -1:]
        n_others = np.array([len(each) - 1 for each in near])
        is_padding = np.arange(weights.shape[1]) < (weights.shape[1] - n_others)[:, None]
        return _Entries(
            n_items=len(items),
            rows=np.concatenate([each[:-1] for each in near]),
            columns=np.repeat(items, n_others).astype(np.int32),
            values=weights[~is_padding].astype(np.float32, copy=False),
        )

    def batches(self) -> list[NDArray[np.int64]]:
        """Put items of equally wide neighbourhoods together, so that padding is small."""
        widths = [len(each) for each in self.neighbourhoods.nearest]
        order = np.argsort(widths, kind="stable")
        return [
            order[start : start + self._batch_size]
            for start in range(0, len(order), self._batch_size)
        ]

    def threads_in_memory(self, n_threads: int) -> int:
        """How many threads can each hold a batch."""
        at_once = self.config.memory_mb * 2**20 // (self._batch_size * self._system_bytes)
        return max(1, min(n_threads, at_once))

    @property
    def _batch_size(self) -> int:
        """Whatever the number of threads, so that they do not change the result."""
        assert self.config.n_neighbours is not None
        in_memory = self.config.memory_mb * 2**20 // (MOST_THREADS * self._system_bytes)
        return max(1, min(in_memory, BATCH_ROWS // (self.config.n_neighbours + 1)))

    @property
    def _system_bytes(self) -> int:
        """A system and its factor."""
        assert self.config.n_neighbours is not None
        return 2 * self._dtype.itemsize * (self.config.n_neighbours + 1) ** 2

    @property
    def _dtype(self) -> "np.dtype[Any]":
        return np.dtype(np.float64 if self.config.dropout < WEAK_DROPOUT else np.float32)


def _last_columns_of_inverses(systems: NDArray[Any]) -> NDArray[Any]:
    """Solve A c = e_last up to c's scale; of the systems' type, shape (n_systems, width).

    With A = L L', e_last is its own forward solution up to scale, so L' c = e_last is left.
    """
    lower = torch.linalg.cholesky(torch.from_numpy(systems))
    last = torch.zeros(len(systems), systems.shape[1], 1, dtype=lower.dtype)
    last[:, -1] = 1
    solution = torch.linalg.solve_triangular(lower.mT, last, upper=True)
    return solution[:, :, 0].numpy()  # type: ignore[no-any-return]


def _assemble(solved: Iterable[_Entries], n_items: int) -> csr_array:
    entries = list(solved)
    rows = np.concatenate([each.rows for each in entries])
    columns = np.concatenate([each.columns for each in entries])
    values = np.concatenate([each.values for each in entries])
    return csr_from_pairs(rows, columns, values, (n_items, n_items))
