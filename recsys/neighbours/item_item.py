"""The fitted item-item matrix, and how it is found: one small linear system for each item."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.interactions import Interactions, csr_from_pairs
from recsys.neighbours.config import NeighboursConfig
from recsys.neighbours.cooccurrence import (
    Cooccurrence,
    cooccurrence,
    nearest_items,
    overlapping_groups,
)


@dataclass(frozen=True, eq=False)
class ItemItem:
    """A sparse item-item model: score(x, j) = sum over i in x of S[i, j].

    Parameters
    ----------
    weights : csr_array of float32, shape (n_items, n_items)
        S, with a zero diagonal; entries may be negative.
    """

    weights: csr_array

    def scores(self, histories: csr_array) -> csr_array:
        """Score what the histories reach: the rows of S, one after the other.

        Returns
        -------
        csr_array of float32, shape (n_users, n_items)
            Entries of the same place are not added up yet: `toarray` does that many times
            faster than a sparse product would.
        """
        reached = self.weights[histories.indices]
        indptr = reached.indptr[histories.indptr]
        return csr_array((reached.data, reached.indices, indptr), shape=histories.shape)

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        """Score the whole catalogue; float32, shape (n_users, n_items); 0 where nothing reaches."""
        return np.asarray(self.scores(histories).toarray())

    def around(self, item: int) -> csr_array:
        """What the item says for others and they for it, on average; shape (1, n_items)."""
        says, hears = self.weights[[item]], self.weights[:, [item]]
        both = csr_array((says + hears.T) / 2)
        both.sort_indices()
        return both


def fit_item_item(
    train: Interactions,
    config: NeighboursConfig,
    *,
    n_threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
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
    n_threads : int or None
        As many as torch uses when not told otherwise.
    progress : callable or None
        Receives items done and items in all.
    """
    config = config.sized_for(train.n_items)
    threads_before = torch.get_num_threads()
    n_threads = n_threads or threads_before
    assert config.n_neighbours is not None
    gram = cooccurrence(
        train.matrix, config.user_exponent, gram_mb=config.gram_mb, n_threads=n_threads
    )
    neighbourhoods = nearest_items(gram, config.n_neighbours, n_threads)
    groups = list(overlapping_groups(neighbourhoods, _group_size(config, n_threads)))
    solver = _Solver(gram, neighbourhoods, config)
    solved: list[_Entries] = []
    n_done = 0
    torch.set_num_threads(1)  # the systems are small: threads take groups, not parts of one
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            for group, entries in zip(groups, pool.map(solver.solve, groups), strict=True):
                solved.append(entries)
                n_done += len(group)
                if progress is not None:
                    progress(n_done, train.n_items)
    finally:
        torch.set_num_threads(threads_before)
    return ItemItem(_assemble(solved, train.n_items))


@dataclass(frozen=True, eq=False)
class _Entries:
    """Entries of S: its rows, columns and values."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Solver:
    """Solves a group of items whose neighbourhoods overlap."""

    gram: Cooccurrence
    neighbourhoods: list[NDArray[np.int32]]
    config: NeighboursConfig

    def solve(self, group: NDArray[np.int64]) -> _Entries:
        """Find the columns of S that belong to the items of `group`."""
        union = np.unique(np.concatenate([self.neighbourhoods[item] for item in group]))
        dense = self._regularised(union)
        widest = max(len(self.neighbourhoods[item]) for item in group)
        systems = np.tile(np.eye(widest, dtype=np.float32), (len(group), 1, 1))
        members = []
        for system, item in zip(systems, group, strict=True):
            others = self.neighbourhoods[item]
            # The item itself comes last: then one triangular solve gives its column.
            ordered = np.append(others[others != item], np.int32(item))
            places = np.searchsorted(union, ordered)
            first = widest - len(ordered)  # narrower systems are padded with the identity
            system[first:, first:] = dense[places[:, None], places]
            members.append(ordered)
        columns = _last_columns_of_inverses(systems)
        weights = -columns[:, :-1] / columns[:, -1:]
        return _Entries(
            rows=np.concatenate([each[:-1] for each in members]),
            columns=np.repeat(group, [len(each) - 1 for each in members]).astype(np.int32),
            values=np.concatenate(
                [row[widest - len(each) :] for row, each in zip(weights, members, strict=True)]
            ),
        )

    def _regularised(self, items: NDArray[np.int32]) -> NDArray[np.float32]:
        dense = self.gram.among(items)
        diagonal = np.arange(len(items))
        odds = self.config.dropout / (1 - self.config.dropout)
        dense[diagonal, diagonal] *= 1 + odds
        dense[diagonal, diagonal] += self.config.ridge
        return dense


def _last_columns_of_inverses(systems: NDArray[np.float32]) -> NDArray[np.float32]:
    """Solve A c = e_last up to c's scale; float32, shape (n_systems, width).

    With A = L L', e_last is its own forward solution up to scale, so L' c = e_last is left.
    """
    lower = torch.linalg.cholesky(torch.from_numpy(systems))
    last = torch.zeros(len(systems), systems.shape[1], 1)
    last[:, -1] = 1
    solution = torch.linalg.solve_triangular(lower.mT, last, upper=True)
    return solution[:, :, 0].numpy()  # type: ignore[no-any-return]


def _group_size(config: NeighboursConfig, n_threads: int) -> int:
    """Items of a group, so that all threads' systems and factors fit the memory limit."""
    assert config.n_neighbours is not None
    system = 2 * 4 * (config.n_neighbours + 1) ** 2
    return int(np.clip(config.memory_mb * 2**20 / n_threads / system, 1, 64))


def _assemble(solved: Iterable[_Entries], n_items: int) -> csr_array:
    entries = list(solved)
    rows = np.concatenate([each.rows for each in entries])
    columns = np.concatenate([each.columns for each in entries])
    values = np.concatenate([each.values for each in entries])
    return csr_from_pairs(rows, columns, values, (n_items, n_items))
