"""Pure functions on ranked positions: how good is each user's list, how wide are all of them.

The functions of hits share one signature, `(hits, n_held_out, k) -> float64, shape (n_users,)`:

hits : bool, shape (n_users, depth)
    Whether the item at each rank was held out for the user, best rank first. What lies beyond
    rank k is ignored; a depth below k means that no further items were listed.
n_held_out : int64, shape (n_users,)
    How many items were held out for each user; at least 1.
k : int
    Length of the list; at least 1.

All lie in [0, 1]; higher is better. What is held out is relevant, whatever its value.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.errors import ConfigError

HitMetric: TypeAlias = Callable[[NDArray[np.bool_], NDArray[np.int64], int], NDArray[np.float64]]


def find_hits(positions: NDArray[np.int64], held_out: csr_array) -> NDArray[np.bool_]:
    """Mark which listed items were held out.

    Parameters
    ----------
    positions : int64, shape (n_users, k)
        Item positions, best first; -1 for none.
    held_out : csr_array, shape (n_users, n_items)
        Sorted; an explicit zero is held out too (a rating of 0).

    Returns
    -------
    bool, shape (n_users, k)

    Examples
    --------
    >>> held_out = csr_array(np.array([[0, 1, 0, 1], [1, 0, 0, 0]]))
    >>> find_hits(np.array([[3, 0, -1], [1, 0, -1]]), held_out)
    array([[ True, False, False],
           [False,  True, False]])
    """
    n_users, n_items = held_out.shape
    rows = np.repeat(np.arange(n_users, dtype=np.int64), np.diff(held_out.indptr))
    # (user, item) as one ascending number: membership is then one binary search.
    wanted = np.append(rows * n_items + held_out.indices, np.int64(n_users * n_items))
    keys = np.arange(n_users, dtype=np.int64)[:, None] * n_items + positions
    found = wanted[np.searchsorted(wanted, keys)] == keys
    return np.asarray(found & (positions >= 0))


def recall(hits: NDArray[np.bool_], n_held_out: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Share of what could be found in k places that was (Liang et al. 2018, section 4.2).

    Examples
    --------
    >>> recall(np.array([[True, False]]), np.array([5]), 2)  # 1 of min(2, 5)
    array([0.5])
    """
    return _count(hits, k) / np.minimum(n_held_out, k)


def full_recall(
    hits: NDArray[np.bool_], n_held_out: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """Share of all that was held out (trec_eval's recall, LightGCN's convention).

    Examples
    --------
    >>> full_recall(np.array([[True, False]]), np.array([5]), 2)  # 1 of 5
    array([0.2])
    """
    return _count(hits, k) / n_held_out


def precision(
    hits: NDArray[np.bool_], n_held_out: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """Share of the k places that hold a hit; an empty place is a miss.

    Examples
    --------
    >>> precision(np.array([[True, False]]), np.array([5]), 4)
    array([0.25])
    """
    return np.asarray(_count(hits, k) / k)


def ndcg(hits: NDArray[np.bool_], n_held_out: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Discounted gain, 1 / log2(1 + rank) a hit, over that of the best list of k.

    Examples
    --------
    >>> ndcg(np.array([[False, True], [True, False]]), np.array([1, 1]), 2).round(4)
    array([0.6309, 1.    ])
    """
    shown = hits[:, :k]
    depth = max(shown.shape[1], int(np.minimum(n_held_out, k).max(initial=0)))
    discounts = 1.0 / np.log2(np.arange(2, depth + 2, dtype=np.float64))
    ideal = np.cumsum(discounts)[np.minimum(n_held_out, k) - 1]
    # cumsum adds one by one, as for the ideal: a perfect list is 1 to the last bit.
    gains = np.cumsum(shown * discounts[: shown.shape[1]], axis=1)[:, -1]
    return np.asarray(gains / ideal)


def average_precision(
    hits: NDArray[np.bool_], n_held_out: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """Precision at each hit's rank, summed, over how many were held out; its mean is MAP.

    Notes
    -----
    This is trec_eval's `map_cut` (Buckley and Voorhees 2005) and the AP(cutoff) of ir-measures:
    the divisor is all that was held out. Other libraries divide by min(k, held out).

    Examples
    --------
    >>> average_precision(np.array([[True, False, True]]), np.array([4]), 3).round(4)
    array([0.4167])
    """
    shown = hits[:, :k]
    ranks = np.arange(1, shown.shape[1] + 1, dtype=np.float64)
    precisions = np.cumsum(shown, axis=1) / ranks
    return np.asarray((precisions * shown).sum(axis=1) / n_held_out)


def hit_rate(hits: NDArray[np.bool_], n_held_out: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """1 where the list holds at least one hit, else 0.

    Examples
    --------
    >>> hit_rate(np.array([[False, True], [False, False]]), np.array([3, 3]), 2)
    array([1., 0.])
    """
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def reciprocal_rank(
    hits: NDArray[np.bool_], n_held_out: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """1 / rank of the first hit, 0 without one; its mean is MRR.

    Examples
    --------
    >>> reciprocal_rank(np.array([[False, True], [False, False]]), np.array([3, 3]), 2)
    array([0.5, 0. ])
    """
    shown = hits[:, :k]
    return np.where(shown.any(axis=1), 1.0 / (1.0 + shown.argmax(axis=1)), 0.0)


def _count(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    return np.asarray(hits[:, :k].sum(axis=1), dtype=np.float64)


def coverage(positions: NDArray[np.int64], n_items: int) -> float:
    """Share of the catalogue that is in anybody's list; higher is wider.

    Parameters
    ----------
    positions : int64, any shape
        Item positions; -1 for none.

    Examples
    --------
    >>> coverage(np.array([[0, 1], [1, -1]]), n_items=4)
    0.5
    """
    return float(len(np.unique(positions[positions >= 0])) / n_items)


def novelty(
    positions: NDArray[np.int64], item_counts: NDArray[np.int64], n_users: int
) -> NDArray[np.float64]:
    """Mean self-information of each list (Zhou et al. 2010), in bits; higher is less known.

    Parameters
    ----------
    positions : int64, shape (n_lists, k)
        Item positions; -1 for none. A list without items has novelty 0.
    item_counts : int64, shape (n_items,)
        How many training users met each item. One that nobody met counts as met by one user:
        the rarest there is, and finite.
    n_users : int
        Number of training users.

    Returns
    -------
    float64, shape (n_lists,)

    Examples
    --------
    >>> novelty(np.array([[0, 1], [0, -1]]), item_counts=np.array([8, 2]), n_users=8)
    array([1., 0.])
    """
    bits = -np.log2(np.maximum(item_counts, 1) / n_users)
    listed = positions >= 0
    total = np.where(listed, bits[positions], 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(listed.sum(axis=1), 1))


def rmse(predicted: NDArray[np.floating], observed: NDArray[np.floating]) -> float:
    """Root mean squared error, in units of the rating; lower is better.

    Examples
    --------
    >>> rmse(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.4142135623730951
    """
    return float(np.sqrt(np.mean((predicted.astype(np.float64) - observed) ** 2)))


def mae(predicted: NDArray[np.floating], observed: NDArray[np.floating]) -> float:
    """Mean absolute error, in units of the rating; lower is better.

    Examples
    --------
    >>> mae(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.0
    """
    return float(np.mean(np.abs(predicted.astype(np.float64) - observed)))


HIT_METRICS: Mapping[str, HitMetric] = MappingProxyType(
    {
        "recall": recall,
        "full_recall": full_recall,
        "precision": precision,
        "ndcg": ndcg,
        "map": average_precision,
        "hit_rate": hit_rate,
        "mrr": reciprocal_rank,
    }
)
METRIC_NAMES = (*HIT_METRICS, "coverage", "novelty")

_WRITTEN = re.compile(r"([^@=]+)@([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Metric:
    """A metric and the length of the list it looks at, written `ndcg@100`.

    Parameters
    ----------
    name : str
        One of METRIC_NAMES.
    k : int
        At least 1.

    Examples
    --------
    >>> Metric.parse("ndcg@100")
    Metric(name='ndcg', k=100)
    >>> str(Metric("recall", 20))
    'recall@20'
    """

    name: str
    k: int

    def __post_init__(self) -> None:
        if self.name not in METRIC_NAMES:
            raise ConfigError(f"unknown metric {self.name!r}; {_known_metrics(self.name)}")
        if self.k < 1:
            raise ConfigError(f"{self.name}@{self.k}: the list length must be at least 1")

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"

    @classmethod
    def parse(cls, text: str) -> "Metric":
        """Read `NAME@K`.

        Raises
        ------
        ConfigError
            Names the nearest known metric.
        """
        written = _WRITTEN.fullmatch(text)
        if written is None:
            raise ConfigError(
                f"{text!r} is not a metric: expected NAME@K with a whole number K >= 1, such as "
                f"ndcg@100; {_known_metrics(text.partition('@')[0])}"
            )
        return cls(written[1], int(written[2]))

    def of_hits(
        self, hits: NDArray[np.bool_], n_held_out: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Measure each user's list; float64, shape (n_users,)."""
        return HIT_METRICS[self.name](hits, n_held_out, self.k)

    def of_hits_only(self) -> "Metric":
        """Give this metric back if it measures hits, as choosing between models asks.

        Raises
        ------
        ConfigError
            It is coverage or novelty, which a useless model can win.
        """
        if self.name not in HIT_METRICS:
            raise ConfigError(
                f"{self} cannot choose between models, because it does not look at what was held "
                f"out; use one of {', '.join(HIT_METRICS)}"
            )
        return self


def _known_metrics(name: str) -> str:
    near = difflib.get_close_matches(name.strip().casefold(), METRIC_NAMES, n=1, cutoff=0.5)
    hint = f"the nearest known: {near[0]}; " if near else ""
    return f"{hint}known are {', '.join(METRIC_NAMES)}"


DEFAULT_VALIDATION_METRIC = Metric("ndcg", 100)
"""What chooses between epochs, and between settings, where nothing else is asked for."""

DEFAULT_METRICS = (
    Metric("recall", 20),
    Metric("recall", 50),
    Metric("ndcg", 100),
    Metric("full_recall", 20),
    Metric("precision", 10),
    Metric("map", 10),
    Metric("hit_rate", 10),
    Metric("mrr", 10),
    Metric("coverage", 10),
    Metric("novelty", 10),
)
