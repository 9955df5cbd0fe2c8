"""Chunks of rows -> `Events`: ids become positions, repeated pairs become one row."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from recsys.data.ids import IdMap
from recsys.data.interactions import Events, ValueKind
from recsys.data.rows import Chunk, IdArray
from recsys.data.times import LARGEST_VALUE
from recsys.errors import DataError


class IdCollector:
    """Numbers ids as they come; the final positions are known when all have been seen."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._codes: dict[str, int] = {}
        self._blocks: list[NDArray[np.int32]] = []

    def add(self, ids: IdArray) -> None:
        """Take the ids of a chunk."""
        codes = self._codes
        seen = cast("list[str]", ids.dictionary.to_pylist())
        lookup = np.fromiter(
            (codes.setdefault(each, len(codes)) for each in seen), dtype=np.int32, count=len(seen)
        )
        self._blocks.append(lookup[ids.indices.to_numpy()])

    def finish(self) -> tuple[IdMap, NDArray[np.int32]]:
        """Give the ids in their final order, and every row's position, int32, shape (n_rows,)."""
        ids = IdMap.of(self._codes, self._noun)
        final = ids.find(list(self._codes)).astype(np.int32)
        return ids, np.concatenate([final[self._blocks.pop(0)] for _ in range(len(self._blocks))])


class EventCollector:
    """Holds the rows of a file until all have been read."""

    def __init__(self, value_kind: ValueKind) -> None:
        self._value_kind = value_kind
        self._users = IdCollector("user")
        self._items = IdCollector("item")
        self._values: list[NDArray[np.float32]] = []
        self._timestamps: list[NDArray[np.float64]] = []
        self.n_rows = 0

    def add(self, chunk: Chunk) -> None:
        """Take the rows of a chunk."""
        if not len(chunk):
            return
        self.n_rows += len(chunk)
        self._users.add(chunk.users)
        self._items.add(chunk.items)
        if chunk.values is not None:
            self._values.append(chunk.values.astype(np.float32))
        if chunk.timestamps is not None:
            self._timestamps.append(chunk.timestamps)

    def finish(self) -> Events:
        """Give all rows, repeated pairs included; at least one row must have been taken."""
        users, user_positions = self._users.finish()
        items, item_positions = self._items.finish()
        ones = np.ones(self.n_rows, dtype=np.float32)
        return Events(
            users=users,
            items=items,
            user_positions=user_positions,
            item_positions=item_positions,
            values=np.concatenate(self._values) if self._values else ones,
            timestamps=np.concatenate(self._timestamps) if self._timestamps else None,
            value_kind=self._value_kind,
        )


def merge_duplicates(events: Events) -> tuple[Events, int]:
    """Make one row of the rows of each (user, item) pair.

    The latest row stays, in its own place: by time, then by place in the file. Its value is
    its own for ratings, and the sum of the pair's for weights.

    Returns
    -------
    Events
    int
        How many rows went.
    """
    pairs = events.user_positions.astype(np.int64) * len(events.items) + events.item_positions
    in_order = np.sort(pairs)
    repeated = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    del in_order
    if not len(repeated):
        return events, 0
    rows = _rows_of(repeated, pairs)
    times = np.zeros(len(rows)) if events.timestamps is None else events.timestamps[rows]
    order = rows[np.lexsort((rows, times, pairs[rows]))]
    ends = np.append(np.flatnonzero(np.diff(pairs[order])), len(order) - 1)
    keep = np.ones(len(events), dtype=bool)
    keep[order] = False
    keep[order[ends]] = True
    if events.value_kind == "weight":
        _sum_weights(events, order, ends)
    return events.select(keep), len(events) - int(keep.sum())


def _rows_of(repeated: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    places = np.minimum(np.searchsorted(repeated, pairs), len(repeated) - 1)
    return np.flatnonzero(repeated[places] == pairs)


def _sum_weights(events: Events, order: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
    starts = np.append(0, ends[:-1] + 1)
    sums = np.add.reduceat(events.values[order].astype(np.float64), starts)
    if np.abs(sums).max() > LARGEST_VALUE:
        raise DataError("the summed weights of a repeated (user, item) pair are too large")
    events.values[order[ends]] = sums
