"""Which interactions are kept: by rating, by time, by how often users and items occur."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.data.interactions import Events
from recsys.data.times import (
    SECONDS,
    are_plausible_seconds,
    parse_time,
    shown_time,
    unit_of,
)
from recsys.errors import ConfigError, DataError

_BARE_DATE = re.compile("(19|20)[0-9]{2}((0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])?)?")
"""2022, 202201, 20220101: as seconds since 1970 all of them lie in that year."""

__all__ = ["Dropped", "FilterConfig", "filter_events", "parse_time"]


@dataclass(frozen=True)
class FilterConfig:
    """Which rows are kept; by default every one.

    Parameters
    ----------
    min_rating : float, optional
        Ratings of at least this.
    min_user_interactions, min_item_interactions : int
        At least 1. Items first, then users, once: afterwards an item may again have fewer.
    k_core : bool
        Repeat these two until neither takes anything more; one of them is above 1.
    since, until : float, optional
        Times with since <= t < until, in the unit of the file; see `parse_time`.
    """

    min_rating: float | None = None
    min_user_interactions: int = 1
    min_item_interactions: int = 1
    k_core: bool = False
    since: float | None = None
    until: float | None = None

    def __post_init__(self) -> None:
        for name in ("min_user_interactions", "min_item_interactions"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.k_core and max(self.min_user_interactions, self.min_item_interactions) == 1:
            raise ConfigError(
                "k_core needs min_user_interactions or min_item_interactions above 1, and both "
                "are 1: raise one, or leave k_core out"
            )
        for name in ("min_rating", "since", "until"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value):
                raise ConfigError(f"{name} is {value}; expected a finite number")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ConfigError(
                f"since ({shown_time(self.since)}) is not before until "
                f"({shown_time(self.until)}): no time lies between them"
            )


@dataclass(frozen=True)
class Dropped:
    """How many rows a filter took, and why."""

    reason: str
    n_rows: int


def filter_events(events: Events, config: FilterConfig) -> tuple[Events, tuple[Dropped, ...]]:
    """Keep the rows that pass every filter, in their order.

    Returns
    -------
    Events
        With the users and items that still occur.
    tuple of Dropped
        One for each filter that was asked for, in the order of their use.

    Raises
    ------
    ConfigError
        A filter needs ratings or times that the data lack.
    DataError
        No row is left, or the window is in another unit than the times.

    Examples
    --------
    >>> from recsys.data.ids import IdMap
    >>> users, items = IdMap.of("ab", "user"), IdMap.of("xy", "item")
    >>> where = np.array([0, 0, 1], dtype=np.int32), np.array([0, 1, 1], dtype=np.int32)
    >>> events = Events(users, items, *where, np.ones(3, np.float32), None, "none")
    >>> kept, dropped = filter_events(events, FilterConfig(min_user_interactions=2))
    >>> len(kept), dropped
    (2, (Dropped(reason='users with fewer than 2 items', n_rows=1),))
    """
    _check_columns(events, config)
    filters = _Filters(events)
    if config.min_rating is not None:
        filters.keep_if(events.values >= config.min_rating, f"rating below {config.min_rating:g}")
    if events.timestamps is not None:
        _check_unit(events.timestamps, config)
        if config.since is not None:
            filters.keep_if(events.timestamps >= config.since, f"before {shown_time(config.since)}")
        if config.until is not None:
            filters.keep_if(
                events.timestamps < config.until, f"not before {shown_time(config.until)}"
            )
    filters.keep_frequent(config)
    dropped = tuple(Dropped(reason, n_rows) for reason, n_rows in filters.n_dropped.items())
    if not filters.keep.any():
        taken = "; ".join(f"{each.reason}: {each.n_rows:,}" for each in dropped)
        raise DataError(f"no row of {len(events):,} is left ({taken}): loosen the filters")
    return events if filters.keep.all() else events.select(filters.keep), dropped


class _Filters:
    """Applies filters one after the other and counts what each takes from the rest."""

    def __init__(self, events: Events) -> None:
        self._users = events.user_positions
        self._items = events.item_positions
        self.keep = np.ones(len(events), dtype=bool)
        self.n_dropped: dict[str, int] = {}

    def keep_if(self, passes: NDArray[np.bool_], reason: str) -> int:
        n_before = int(self.keep.sum())
        self.keep &= passes
        n_taken = n_before - int(self.keep.sum())
        self.n_dropped[reason] = self.n_dropped.get(reason, 0) + n_taken
        return n_taken

    def keep_frequent(self, config: FilterConfig) -> None:
        n_taken = self._keep_frequent_once(config)
        while config.k_core and n_taken:
            n_taken = self._keep_frequent_once(config)

    def _keep_frequent_once(self, config: FilterConfig) -> int:
        n_taken = 0
        least = config.min_item_interactions
        if least > 1:
            reason = f"items with fewer than {least} users"
            n_taken += self.keep_if(self._is_frequent(self._items, least), reason)
        least = config.min_user_interactions
        if least > 1:
            reason = f"users with fewer than {least} items"
            n_taken += self.keep_if(self._is_frequent(self._users, least), reason)
        return n_taken

    def _is_frequent(self, positions: NDArray[np.int32], least: int) -> NDArray[np.bool_]:
        counts = np.bincount(positions[self.keep], minlength=int(positions.max(initial=-1)) + 1)
        return counts[positions] >= least


def _check_columns(events: Events, config: FilterConfig) -> None:
    if config.min_rating is not None and events.value_kind != "rating":
        found = "weights" if events.value_kind == "weight" else "no values"
        raise ConfigError(
            f"min_rating {config.min_rating:g} needs ratings and the data hold {found}: "
            "name the column with --rating-column, or leave --min-rating out"
        )
    if (config.since is not None or config.until is not None) and events.timestamps is None:
        raise ConfigError(
            "since and until need times and the data hold none: name the column with "
            "--timestamp-column, or leave --since and --until out"
        )


def _check_unit(timestamps: NDArray[np.float64], config: FilterConfig) -> None:
    """Refuse a bound in another unit than the times: it would keep all of them, or none."""
    median = float(np.median(timestamps))
    unit = unit_of(median)
    for name, bound in (("since", config.since), ("until", config.until)):
        if bound is None:
            continue
        if unit_of(bound) != unit and (unit != SECONDS or are_plausible_seconds(median)):
            raise DataError(
                f"the times look like {unit.name} (median {median:.15g}), but {name} is "
                f"{shown_time(bound)}, in {unit_of(bound).name}: give it in the file's unit"
            )
        if are_plausible_seconds(median) and _BARE_DATE.fullmatch(f"{bound:.15g}"):
            raise DataError(
                f"the times look like seconds since 1970 (median {shown_time(median)}), but "
                f"{name} is {bound:.15g}: write a date with its hyphens, such as 2022-01-01"
            )
