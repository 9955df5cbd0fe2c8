"""Events that arrived one by one, folded into the rows of a file."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.data.collecting import merge_duplicates
from recsys.data.event_store import Event
from recsys.data.ids import IdMap
from recsys.data.interactions import Events
from recsys.data.times import unit_of

EVENTS_THROUGH = "events_through"
"""In the manifest of interactions: the position of the last event that was folded in."""


def with_events(rows: Events, arrived: Sequence[Event]) -> tuple[Events, int]:
    """Append events to the rows of a file, and make one row of each (user, item) pair.

    The latest row of a pair stays; weights are summed. Where the rows have no values every event
    counts as 1, where they have no times those of the events are dropped, and where theirs are
    milliseconds, microseconds or nanoseconds those of the events become so.

    Parameters
    ----------
    rows : Events
    arrived : sequence of Event
        Oldest first.

    Returns
    -------
    Events
    int
        How many rows gave way to a later one of their pair.
    """
    if not arrived:
        return rows, 0
    users, user_positions = _joined(rows.users, rows.user_positions, [e.user for e in arrived])
    items, item_positions = _joined(rows.items, rows.item_positions, [e.item for e in arrived])
    valued = rows.value_kind != "none"
    values = np.array([each.value if valued else 1.0 for each in arrived], dtype=np.float32)
    timestamps = None
    if rows.timestamps is not None:
        unit = unit_of(float(np.median(rows.timestamps)))
        times = np.array([each.time for each in arrived]) * unit.per_second
        timestamps = np.concatenate([rows.timestamps, times])
    return merge_duplicates(
        Events(
            users=users,
            items=items,
            user_positions=user_positions,
            item_positions=item_positions,
            values=np.concatenate([rows.values, values]),
            timestamps=timestamps,
            value_kind=rows.value_kind,
        )
    )


def _joined(
    ids: IdMap, positions: NDArray[np.int32], more: Sequence[str]
) -> tuple[IdMap, NDArray[np.int32]]:
    """Give all ids their final positions, those of the rows first and then those of `more`."""
    joined = IdMap.of([*ids.ids, *more], ids.noun)
    moved = joined.find(ids.ids)[positions]
    return joined, np.concatenate([moved, joined.find(more)]).astype(np.int32)
