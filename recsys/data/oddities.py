"""What is odd about interactions that can be used all the same: one warning line each."""

import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recsys.data.ids import IdMap
from recsys.data.interactions import Events
from recsys.data.times import SECONDS, unit_of


def find_oddities(events: Events, *, to_train: bool) -> list[str]:
    """Word what a careful person would want to know about `events`.

    Parameters
    ----------
    events : Events
    to_train : bool
        Whether they are the catalogue and the values to learn from. Of a few histories, or of
        held-out rows, it says nothing that a user has every item or that the ratings are equal.
    """
    found = [*_odd_ids(events.users), *_odd_ids(events.items)]
    if to_train:
        found += [*_odd_users(events), *_odd_ratings(events)]
    if events.timestamps is not None:
        found += _odd_times(events.timestamps)
    return found


def _odd_ids(ids: IdMap) -> Iterator[str]:
    edged = [each for each in ids.ids if each != each.strip(" \t\"'")]
    if edged:
        are = "id begins or ends" if len(edged) == 1 else "ids begin or end"
        yield f"{len(edged):,} {ids.noun} {are} with a blank or a quote, such as {edged[0]!r}"
    folded = [each.casefold() for each in ids.ids]
    counts = Counter(folded)
    if len(counts) == len(folded):
        return
    n_alike = sum(count for count in counts.values() if count > 1)
    first = next(each for each in folded if counts[each] > 1)
    pair = [each for each, fold in zip(ids.ids, folded, strict=True) if fold == first][:2]
    yield (
        f"{n_alike:,} {ids.noun} ids differ from another one only by case, such as "
        f"{pair[0]!r} and {pair[1]!r}; they were kept apart"
    )


def _odd_users(events: Events) -> Iterator[str]:
    lengths = np.bincount(events.user_positions, minlength=len(events.users))
    full = np.flatnonzero(lengths == len(events.items))
    if len(full):
        has = "user has" if len(full) == 1 else "users have"
        yield (
            f"{len(full):,} {has} every item (such as {events.users.ids[full[0]]!r}): "
            "nothing is left to recommend to them"
        )


def _odd_ratings(events: Events) -> Iterator[str]:
    values = events.values
    if events.value_kind == "rating" and len(values) > 1 and values.min() == values.max():
        yield f"all {len(values):,} ratings are {values[0]:g}: they tell nothing apart"


def _odd_times(timestamps: NDArray[np.float64]) -> Iterator[str]:
    n_negative = int((timestamps < 0).sum())
    if n_negative:
        yield f"{n_negative:,} timestamps are negative (the least is {timestamps.min():.15g})"
    n_future = int((timestamps > time.time()).sum())
    if n_future:
        latest = timestamps.max()
        unit = unit_of(latest)
        perhaps = "" if unit == SECONDS else f"; they may be {unit.name}"
        yield (
            f"{n_future:,} timestamps lie in the future if they are seconds since 1970 "
            f"(the largest is {latest:.15g}{perhaps})"
        )
