"""Which items go together: the weighted Gram matrix, held whole or made where it is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.interactions import select_rows
from recsys.neighbours.products import dense_product, threads_for_parts

BLOCK_ITEMS = 512
"""Rows of the Gram matrix that one thread makes at a time."""

LONGEST_COUNTED = 10_000
"""Longer histories have no say in which items are near: their pairs grow with the square."""

POPULAR_FROM = 500
"""Users from which on an item is popular: where the whole of G is too large, that among popular
items is held."""

POPULAR_SHARE = 0.25
"""Of the memory that a whole G may take is at most for that."""

MOST_TOGETHER = 400_000
"""Users of all items of some neighbourhoods, up to which one product over them is the quicker way:
as many as a hundred an item (`fit_item_item` asks for 4,096 rows at a time)."""


class Cooccurrence(Protocol):
    """G = X' D X on the binarised matrix, as far as the item-item path has to know it."""

    @property
    def n_items(self) -> int:
        """Number of rows and of columns."""

    def diagonal(self) -> NDArray[np.float32]:
        """Weighted number of each item's users; float32, shape (n_items,)."""

    def rows(self, start: int) -> csr_array:
        """Up to BLOCK_ITEMS rows from `start` on, with sorted indices, to find neighbours by."""

    def systems(self, neighbourhoods: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """Cut out the rows and columns of each neighbourhood.

        Returns
        -------
        float32, shape (n_neighbourhoods, width, width)
            A new array, as wide as the widest; before a narrower one there is the identity.
        """


@dataclass(frozen=True, eq=False)
class WholeGram:
    """G in memory.

    Parameters
    ----------
    values : float32, shape (n_items, n_items)
        Symmetric; of at least 0.
    """

    values: NDArray[np.float32]

    @property
    def n_items(self) -> int:
        """Number of rows and of columns."""
        return len(self.values)

    def diagonal(self) -> NDArray[np.float32]:
        """Weighted number of each item's users."""
        return np.asarray(self.values.diagonal())

    def rows(self, start: int) -> csr_array:
        """A block of rows."""
        return csr_array(self.values[start : start + BLOCK_ITEMS])

    def systems(self, neighbourhoods: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """Cut out the rows and columns of each neighbourhood."""
        systems = _identities(len(neighbourhoods), max(map(len, neighbourhoods)))
        cells = self.values.reshape(-1)
        for system, items in zip(systems, neighbourhoods, strict=True):
            wanted = items[:, None] * np.int64(self.n_items) + items
            # No place is out of range: telling numpy so saves a third of the time.
            system[-len(items) :, -len(items) :] = cells.take(wanted, mode="clip")
        return systems


@dataclass(frozen=True, eq=False)
class GramInParts:
    """G made where it is looked at, from the interactions: memory linear in their number.

    Among popular items it is held: many neighbourhoods look there, and their users are many.

    Parameters
    ----------
    by_item : csr_array of float32, shape (n_items, n_users)
        Each column holds the user's weight.
    histories : csr_array of ones, shape (n_users, n_items)
    counted : csr_array of ones, shape (n_users, n_items)
        The histories of at most LONGEST_COUNTED items.
    popular : int64, shape (n_popular,)
        Items of at least POPULAR_FROM users, ascending; the most popular where memory is short.
    among_popular : float32, shape (n_popular, n_popular)
    """

    by_item: csr_array
    histories: csr_array
    counted: csr_array
    popular: NDArray[np.int64]
    among_popular: NDArray[np.float32]

    @property
    def n_items(self) -> int:
        """Number of rows and of columns."""
        return int(self.by_item.shape[0])

    @cached_property
    def n_users(self) -> NDArray[np.int64]:
        """Users of each item; int64, shape (n_items,)."""
        return np.diff(self.by_item.indptr).astype(np.int64)

    def diagonal(self) -> NDArray[np.float32]:
        """Weighted number of each item's users."""
        return np.asarray(self.by_item.sum(axis=1), dtype=np.float32)

    def rows(self, start: int) -> csr_array:
        """A block of rows, without the longest histories."""
        return _rows(self.by_item, self.counted, start)

    def systems(self, neighbourhoods: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """Cut out the rows and columns of each neighbourhood, from the users of its items."""
        if self.n_users[np.concatenate(neighbourhoods)].sum() <= MOST_TOGETHER:
            return self._by_product(neighbourhoods)
        return self._by_rows(neighbourhoods)

    def _by_product(self, neighbourhoods: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """Serve them all by one sparse product, whose blocks of rows are the systems.

        The users of different neighbourhoods are told apart, so that their columns may be shared.
        """
        lengths = np.array([len(each) for each in neighbourhoods])
        n, width = len(lengths), int(lengths.max())
        block = np.repeat(np.arange(n), lengths)
        # A neighbourhood ends in its system's corner.
        place = np.concatenate([np.arange(width - length, width) for length in lengths])
        members = self.by_item[np.concatenate(neighbourhoods)]
        n_users = np.diff(members.indptr)
        keys = np.repeat(block * self.by_item.shape[1], n_users) + members.indices
        users, distinct = pd.factorize(keys)
        cells = (users, np.repeat(place, n_users))
        by_user = csr_array((np.ones(len(users), np.float32), cells), shape=(len(distinct), width))
        n_in_row = np.zeros(n * width, dtype=np.int64)
        n_in_row[block * width + place] = n_users
        row_starts = np.concatenate([[0], np.cumsum(n_in_row)])
        by_item = csr_array((members.data, users, row_starts), shape=(n * width, len(distinct)))
        systems = dense_product(by_item, by_user).reshape(n, width, width)
        diagonal = systems.reshape(n, -1)[:, :: width + 1]
        diagonal[np.arange(width) < (width - lengths)[:, None]] = 1
        return systems

    def _by_rows(self, neighbourhoods: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """Make the rows of all their rare items, from the few users of these."""
        items = np.unique(np.concatenate(neighbourhoods))
        is_rare = ~np.isin(items, self.popular, assume_unique=True)
        rows = self._rows_of(items[is_rare], items).reshape(-1)
        # Where an item stands among the rows of rare ones, or among the popular ones.
        place = np.cumsum(is_rare) - 1
        place[~is_rare] = np.searchsorted(self.popular, items[~is_rare])
        cells = self.among_popular.reshape(-1)
        systems = _identities(len(neighbourhoods), max(map(len, neighbourhoods)))
        for system, own in zip(systems, neighbourhoods, strict=True):
            columns = np.searchsorted(items, own)
            places, rare = place[columns], np.flatnonzero(is_rare[columns])
            # What is of a rare item is taken from any place here, and put right below.
            wanted = places[:, None] * np.int64(len(self.popular)) + places
            corner = system[-len(own) :, -len(own) :]
            corner[:] = cells.take(wanted, mode="clip")
            of_rare = rows.take(places[rare, None] * np.int64(len(items)) + columns, mode="clip")
            corner[rare] = of_rare
            corner[:, rare] = of_rare.T
        return systems

    def _rows_of(self, rare: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Make rows of G, as far as `items` go; float32, shape (len(rare), len(items))."""
        by_rare = self.by_item[rare]
        users, places = np.unique(by_rare.indices, return_inverse=True)
        column = np.full(self.n_items, -1, dtype=np.int32)
        column[items] = np.arange(len(items), dtype=np.int32)
        theirs = self.histories[users]
        columns = column[theirs.indices]
        is_wanted = columns >= 0
        indptr = np.concatenate([[0], np.cumsum(is_wanted)])[theirs.indptr]
        shape = (len(users), len(items))
        wanted = csr_array((theirs.data[is_wanted], columns[is_wanted], indptr), shape=shape)
        own = csr_array((by_rare.data, places, by_rare.indptr), shape=(len(rare), len(users)))
        # So few of these cells hold something that a sparse product is the quicker one.
        return np.asarray((own @ wanted).toarray())


def cooccurrence(
    matrix: csr_array, user_exponent: float, *, gram_mb: int, n_threads: int = 1
) -> Cooccurrence:
    """Give G = X' D X on the binarised matrix, D = n_u^-beta rescaled to mean 1.

    It is held whole where users make more pairs than it has cells: else most of it is zero, and
    the parts that are looked at cost less.

    Parameters
    ----------
    matrix : csr_array, shape (n_users, n_items)
    user_exponent : float
        beta.
    gram_mb : int
        G is never held whole where it takes more memory.
    n_threads : int

    Examples
    --------
    >>> X = csr_array(np.array([[1, 1, 0], [0, 1, 1]], dtype=np.float32))
    >>> cooccurrence(X, 0.5, gram_mb=1).systems([np.arange(3)]).tolist()
    [[[1.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 1.0]]]
    """
    lengths = np.diff(matrix.indptr).astype(np.int64)
    weights = np.where(lengths > 0, np.maximum(lengths, 1.0) ** -user_exponent, 0.0)
    weights *= len(weights) / max(weights.sum(), 1e-12)
    layout = (matrix.indices, matrix.indptr)
    ones = csr_array((np.ones(len(matrix.indices), np.float32), *layout), shape=matrix.shape)
    by_user = csr_array(
        (np.repeat(weights, lengths).astype(np.float32), *layout), shape=matrix.shape
    )
    by_item = csr_array(by_user.T.tocsr())
    n_cells = matrix.shape[1] ** 2
    if 4 * n_cells > gram_mb * 2**20 or (lengths**2).sum() < n_cells:
        counted = lengths <= LONGEST_COUNTED
        n_users = np.diff(by_item.indptr)
        room = int((gram_mb * POPULAR_SHARE * 2**20 / 4) ** 0.5)
        n_popular = min(max(1, room), max(1, int((n_users >= POPULAR_FROM).sum())))
        popular = np.sort(np.argsort(-n_users, kind="stable")[:n_popular])
        return GramInParts(
            by_item,
            ones,
            ones if counted.all() else _only(ones, counted),
            popular,
            _dense(csr_array(by_item[popular]), csr_array(ones[:, popular]), n_threads),
        )
    return WholeGram(_dense(by_item, ones, n_threads))


def _dense(by_item: csr_array, histories: csr_array, n_threads: int) -> NDArray[np.float32]:
    """Make all of G; float32, shape (n_items, n_items)."""
    n_items = by_item.shape[0]
    dense = np.empty((n_items, n_items), dtype=np.float32)

    def fill(start: int) -> None:
        block = slice(start, start + BLOCK_ITEMS)
        dense[block] = dense_product(csr_array(by_item[block]), histories)

    with threads_for_parts(n_threads) as pool:
        list(pool.map(fill, range(0, n_items, BLOCK_ITEMS)))
    return dense


def _only(histories: csr_array, kept: NDArray[np.bool_]) -> csr_array:
    """Empty the rows that are not kept."""
    lengths = np.where(kept, np.diff(histories.indptr), 0)
    entries = select_rows(histories, np.flatnonzero(kept))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return csr_array((entries.data, entries.indices, indptr), shape=histories.shape)


def _rows(by_item: csr_array, histories: csr_array, start: int) -> csr_array:
    rows = csr_array(by_item[start : start + BLOCK_ITEMS] @ histories)
    rows.sort_indices()
    return rows


def _identities(n: int, width: int) -> NDArray[np.float32]:
    systems = np.zeros((n, width, width), dtype=np.float32)
    systems.reshape(n, -1)[:, :: width + 1] = 1
    return systems
