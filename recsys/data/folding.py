"""Events that arrived one by one, folded into the rows of a file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.artefact import InteractionStore
from recsys.data.collecting import merge_duplicates
from recsys.data.event_store import Event, EventStore
from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions
from recsys.data.times import unit_of

EVENTS_THROUGH = "events_through"
EVENTS_STORE = "events_store"
"""In the manifest of interactions: the position of the last event that was folded in, and of which
store it is."""


def folded_through(config: Mapping[str, Any], store: EventStore) -> int:
    """Position of the last event of a store that was looked at when interactions were made.

    Parameters
    ----------
    config : mapping
        Of the interactions' manifest.
    store : EventStore

    Returns
    -------
    int
        0 where it is another store than the one that was folded in then.
    """
    through, identity = int(config.get(EVENTS_THROUGH, 0)), config.get(EVENTS_STORE)
    if identity is None:  # data of an older version do not say which
        return through if through <= store.last_position else 0
    return through if identity == store.identity else 0


def waiting(
    rows: Events | Interactions, through: int, placed: Iterable[tuple[int, Event]]
) -> list[Event]:
    """Give the events that the rows do not hold.

    These are the ones after position `through`, and older ones whose user or item has no row: the
    filters left them out when they were too few, and may not with those that have come since.

    Parameters
    ----------
    rows : Events or Interactions
    through : int
        See `folded_through`.
    placed : iterable of (int, Event)
        Events with their positions.
    """
    return [event for at, event in placed if at > through or not has_rows(rows, event)]


def has_rows(rows: Events | Interactions, event: Event) -> bool:
    """Whether an event's user and item both have rows."""
    return rows.users.position(event.user) >= 0 and rows.items.position(event.item) >= 0


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


def latest(store: InteractionStore, user: str, since: Sequence[Event]) -> Sequence[Event]:
    """Order one user's events as folding them in would have them count, the last one most.

    Where the data say when each interaction was, so do the events: they are ordered by time, and
    those that are older than the user's row of the same item, which stays, are left out.

    Parameters
    ----------
    store : InteractionStore
    user : str
    since : sequence of Event
        As they arrived.
    """
    if not since or store.timestamps is None or store.value_kind == "weight":  # which add up
        return since
    position = store.interactions.users.position(user)
    time_of: dict[str, float] = {}
    if position >= 0:
        row = slice(*store.interactions.matrix.indptr[position : position + 2])
        times = np.array(store.timestamps[row])
        seconds = times / unit_of(float(np.median(times))).per_second
        items = store.interactions.items.ids[store.interactions.matrix.indices[row]]
        time_of = dict(zip(items, seconds.tolist(), strict=True))
    newer = (event for event in since if event.time >= time_of.get(event.item, -np.inf))
    return sorted(newer, key=lambda event: event.time)


def _joined(
    ids: IdMap, positions: NDArray[np.int32], more: Sequence[str]
) -> tuple[IdMap, NDArray[np.int32]]:
    """Give all ids their final positions, those of the rows first and then those of `more`."""
    joined = IdMap.of([*ids.ids, *more], ids.noun)
    moved = joined.find(ids.ids)[positions]
    return joined, np.concatenate([moved, joined.find(more)]).astype(np.int32)
