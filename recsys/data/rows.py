"""Rows on their way from a file to `Events`: good ones in chunks, bad ones counted."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.data.interactions import ValueKind
from recsys.data.times import LARGEST_VALUE, TimeColumn, parse_number
from recsys.errors import DataError

IdArray: TypeAlias = "pa.DictionaryArray[Any, Any]"
Column: TypeAlias = "pa.Array[Any]"


@dataclass(frozen=True, eq=False)
class Chunk:
    """Good rows in the order of their file.

    Parameters
    ----------
    users, items : DictionaryArray of str, length n_rows
    values, timestamps : float64, shape (n_rows,), or None
    """

    users: IdArray
    items: IdArray
    values: NDArray[np.float64] | None
    timestamps: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.users)

    def is_good(self) -> bool:
        """Tell whether no id is empty, and every number finite and no larger than float32 holds."""
        return (
            not _has_empty_id(self.users)
            and not _has_empty_id(self.items)
            # NaN compares false, so one comparison finds NaN, inf and too large.
            and (self.values is None or bool((np.abs(self.values) <= LARGEST_VALUE).all()))
            and (self.timestamps is None or bool(np.isfinite(self.timestamps).all()))
        )


def _has_empty_id(ids: IdArray) -> bool:
    return ids.null_count > 0 or "" in ids.dictionary.to_pylist()


class BadRows:
    """Counts bad rows and stops the reading at the first one that is not tolerated."""

    def __init__(self, name: str, tolerated: int, noun: str = "line") -> None:
        self._name = name
        self._tolerated = tolerated
        self._noun = noun
        self.n_rows = 0
        self.messages: list[str] = []

    def add(self, number: int, problem: str) -> None:
        """Count the row of this number.

        Raises
        ------
        DataError
            There are more than are tolerated; the first one is shown.
        """
        self.n_rows += 1
        if len(self.messages) < 5:
            self.messages.append(f"{self._name}, {self._noun} {number}: {problem}")
        if self.n_rows <= self._tolerated:
            return
        if self._tolerated == 0:
            raise DataError(
                f"{self.messages[0]} (use --skip-bad-rows N to tolerate up to N such rows)"
            )
        raise DataError(
            f"more than the {self._tolerated:,} bad rows that --skip-bad-rows tolerates; "
            f"the first: {self.messages[0]}"
        )


class RowGatherer:
    """Checks rows one by one, where a block could not be read at once."""

    def __init__(self, value_kind: ValueKind, times: TimeColumn | None, bad: BadRows) -> None:
        self._value_kind = value_kind
        self._times = times
        self._bad = bad
        self._users: list[str] = []
        self._items: list[str] = []
        self._values: list[float] = []
        self._timestamps: list[float] = []

    def add(self, number: int, user: str, item: str, value: str = "", time: str = "") -> None:
        """Take a row; `value` and `time` are looked at only where the file has them."""
        try:
            _check_id(user, "user")
            _check_id(item, "item")
            if self._value_kind != "none":
                parsed_value = parse_number(value, self._value_kind)
            if self._times is not None:
                self._timestamps.append(self._time(self._times, time))
        except DataError as problem:
            self._bad.add(number, str(problem))
            return
        self._users.append(user)
        self._items.append(item)
        if self._value_kind != "none":
            self._values.append(parsed_value)

    @staticmethod
    def _time(times: TimeColumn, text: str) -> float:
        try:
            return times.parse(text)
        except DataError as problem:
            raise DataError(f'{problem}; without times: ingest.timestamp_column=""') from problem

    def chunk(self) -> Chunk:
        """Give the good rows."""
        return Chunk(
            users=pa.array(self._users, pa.string()).dictionary_encode(),
            items=pa.array(self._items, pa.string()).dictionary_encode(),
            values=np.array(self._values) if self._value_kind != "none" else None,
            timestamps=np.array(self._timestamps) if self._times is not None else None,
        )


def _check_id(text: str, noun: str) -> None:
    if not text:
        raise DataError(f"the {noun} id is empty")
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        # JSON can spell half of a surrogate pair, which no file or index can hold.
        raise DataError(f"the {noun} id {text!a} is no valid Unicode text") from problem
