"""Clicks of any size whose items co-occur as real ones do: tastes, popularity, long tails."""

import numpy as np
from numpy.typing import NDArray

from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions, csr_from_pairs

ITEMS_PER_TASTE = 500
TASTES_PER_USER = 3
OFF_TASTE = 0.15
"""Share of clicks that follow the popularity in the whole catalogue."""


def make_clicks(n_users: int, n_items: int, mean_history: float, seed: int = 0) -> Interactions:
    """Draw log-normal history lengths; each click is on an item of one of the user's tastes.

    Popularity falls by Zipf's law within a taste, among tastes, and in the whole catalogue.
    """
    rng = np.random.default_rng(seed)
    activity = rng.lognormal(sigma=1.0, size=n_users)
    lengths = np.maximum(1, mean_history * activity / activity.mean()).astype(np.int64)
    users = np.repeat(np.arange(n_users, dtype=np.int64), lengths)
    n_tastes = max(1, n_items // ITEMS_PER_TASTE)
    tastes = _zipf(rng, n_tastes, (n_users, TASTES_PER_USER))
    chosen = tastes[users, rng.integers(0, TASTES_PER_USER, len(users))]
    items = chosen * ITEMS_PER_TASTE + _zipf(rng, min(ITEMS_PER_TASTE, n_items), len(users))
    anywhere = rng.random(len(users)) < OFF_TASTE
    items[anywhere] = _zipf(rng, n_items, int(anywhere.sum()))
    # Popular items and tastes lie anywhere in a real catalogue.
    items = rng.permutation(n_items)[np.minimum(items, n_items - 1)]
    pairs = np.unique(users * n_items + items)
    matrix = csr_from_pairs(
        pairs // n_items, pairs % n_items, np.ones(len(pairs), np.float32), (n_users, n_items)
    )
    return Interactions(_numbered(n_users, "user"), _numbered(n_items, "item"), matrix)


def _zipf(rng: np.random.Generator, n: int, size: int | tuple[int, int]) -> NDArray[np.int64]:
    places = np.cumsum(1 / np.arange(1, n + 1))
    return np.searchsorted(places, rng.random(size) * places[-1]).clip(max=n - 1)


def _numbered(n: int, noun: str) -> IdMap:
    return IdMap.in_order(map(str, range(n)), noun)
