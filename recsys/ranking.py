"""The k best of dense scores, exactly: excluded items never, ties by position."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Scorer: TypeAlias = Callable[[csr_array], NDArray[np.float32]]
"""Histories, shape (n_users, n_items) -> scores, float32, same shape; higher is better."""

Ranker: TypeAlias = Callable[[csr_array, int], "Ranking"]
"""Histories, shape (n_users, n_items), and k -> the k best items outside each history."""

_GROUPS_PER_PLACE = 8


@dataclass(frozen=True, eq=False)
class Ranking:
    """The best items of each user, best first.

    Parameters
    ----------
    positions : int64, shape (n_users, k)
        Item positions; -1 where fewer than k exist.
    scores : float32, shape (n_users, k)
        Higher is better; -inf where fewer than k exist.
    """

    positions: NDArray[np.int64]
    scores: NDArray[np.float32]


def exclude(scores: NDArray[np.float32], histories: csr_array) -> None:
    """Set the scores of each row's history to -inf, in place.

    Parameters
    ----------
    scores : float32, shape (n_users, n_items)
    histories : csr_array, shape (n_users, n_items)
    """
    rows = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    scores[rows, histories.indices] = -np.inf


def top_k(scores: NDArray[np.float32], k: int) -> Ranking:
    """Rank the k best of each row; -inf means excluded, ties go to the lower position.

    Parameters
    ----------
    scores : float32, shape (n_users, n_items)
        No NaN.
    k : int
        At least 1; more than n_items is filled up with -1.

    Examples
    --------
    >>> scores = np.array([[1.0, 3.0, 3.0, -np.inf]], dtype=np.float32)
    >>> top_k(scores, 2).positions
    array([[1, 2]])
    >>> top_k(scores, 4).positions
    array([[ 1,  2,  0, -1]])
    """
    n_rows, n_items = scores.shape
    positions = np.full((n_rows, k), -1, dtype=np.int64)
    best = np.full((n_rows, k), -np.inf, dtype=np.float32)
    if n_rows == 0 or n_items == 0:
        return Ranking(positions, best)
    depth = min(k, n_items)
    for row, bound in enumerate(lower_bounds(scores, depth)):
        # Candidates come in ascending position: a stable sort leaves ties in that order.
        candidates = (scores[row] >= bound).nonzero()[0]
        values = scores[row, candidates]
        order = (-values).argsort(kind="stable")[:depth]
        positions[row, :depth] = candidates[order]
        best[row, :depth] = values[order]
    positions[best == -np.inf] = -1
    return Ranking(positions, best)


def lower_bounds(scores: NDArray[np.float32], depth: int) -> NDArray[np.float32]:
    """Bound each row's depth-th best score from below; float32, shape (n_rows,).

    The depth-th best of the maxima of disjoint groups is such a bound, since each maximum is an
    item of its own. It costs one pass, where a partition of the whole row costs ten.

    Parameters
    ----------
    scores : float32, shape (n_rows, n_items)
        No NaN.
    depth : int
        From 1 to n_items.
    """
    n_rows, n_items = scores.shape
    n_groups = min(n_items, _GROUPS_PER_PLACE * depth)
    group_size = n_items // n_groups
    # A group takes every n_groups-th item: neighbours are often alike (sorted by popularity,
    # say), and the best items must not share a group. A remainder at the end is left out.
    grouped = scores[:, : n_groups * group_size].reshape(n_rows, group_size, n_groups)
    maxima: NDArray[np.float32] = grouped.max(axis=1)
    maxima.partition(n_groups - depth, axis=1)
    bounds: NDArray[np.float32] = maxima[:, n_groups - depth]
    return bounds
