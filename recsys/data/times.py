"""Numbers and times as files write them: plain numbers, or ISO dates as seconds since 1970."""

import math
import re
from datetime import datetime, timezone
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.errors import ConfigError, DataError

LARGEST_VALUE = float(np.finfo(np.float32).max)
"""Values are held as float32; what does not fit is refused, not turned into inf."""


class TimeUnit(NamedTuple):
    """What times since 1970 are counted in."""

    name: str
    per_second: float


SECONDS = TimeUnit("seconds", 1.0)

_FINER_UNITS = (
    (1e17, TimeUnit("nanoseconds", 1e9)),
    (1e14, TimeUnit("microseconds", 1e6)),
    (1e11, TimeUnit("milliseconds", 1e3)),
)
"""From which size on a time is surely in them: 1973. One unit coarser, it is the year 5138."""

_PLAUSIBLE_SECONDS = (1e8, 4102444800)
"""1973 to 2100: below lie counters and dates such as 20240601."""

_NUMBER = r"[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*"
_ISO = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9].*)?"
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_IS_NUMBER = re.compile(_NUMBER)
_IS_ISO = re.compile(_ISO)


def parse_time(text: str) -> float:
    """Read a point in time: a number in the file's own unit, or an ISO date or datetime in UTC.

    Raises
    ------
    ConfigError
        The text is neither.

    Examples
    --------
    >>> parse_time("2001-01-01")
    978307200.0
    >>> parse_time("978307200")
    978307200.0
    """
    try:
        return TimeColumn().parse(text)
    except DataError as problem:
        raise ConfigError(str(problem)) from problem


def unit_of(time: float) -> TimeUnit:
    """Tell by the size of a time since 1970 what it is counted in.

    Examples
    --------
    >>> unit_of(1717200000).name, unit_of(1717200000000).name
    ('seconds', 'milliseconds')
    """
    return next((unit for least, unit in _FINER_UNITS if time >= least), SECONDS)


def are_plausible_seconds(time: float) -> bool:
    """Tell whether a time may be seconds since 1970: it lies between 1973 and 2100."""
    return _PLAUSIBLE_SECONDS[0] <= time < _PLAUSIBLE_SECONDS[1]


def shown_time(time: float) -> str:
    """Write a time for messages, with its date where it can only be seconds since 1970.

    Examples
    --------
    >>> shown_time(1717200000), shown_time(1717200060), shown_time(20240601)
    ('1717200000 (2024-06-01)', '1717200060 (2024-06-01 00:01:00)', '20240601')
    """
    shown = f"{time:.15g}"
    if not are_plausible_seconds(time):
        return shown
    date = datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return f"{shown} ({date.removesuffix(' 00:00:00')})"


def parse_number(text: str, noun: str) -> float:
    """Read a finite number that fits into float32; `noun` says what it is, for messages."""
    value = _finite(text, noun)
    if abs(value) > LARGEST_VALUE:
        raise DataError(f"{noun} {text[:80]!r} is too large")
    return value


def _finite(text: str, noun: str) -> float:
    if not text.strip():
        raise DataError(f"{noun} is empty")
    if _IS_NUMBER.fullmatch(text):
        value = float(text)
        if math.isfinite(value):
            return value
    elif text.strip().lower().lstrip("+-") not in ("nan", "inf", "infinity"):
        point = "; write decimals with a point" if _DECIMAL_COMMA.fullmatch(text.strip()) else ""
        raise DataError(f"{noun} {text[:80]!r} is not a number{point}")
    raise DataError(f"{noun} {text[:80]!r} is not a finite number")


class TimeColumn:
    """One file's times: the first of them decides whether all are numbers or ISO dates."""

    def __init__(self) -> None:
        self.kind: Literal["number", "iso"] | None = None

    def parse(self, text: str) -> float:
        """Read one time; a DataError says what it is not."""
        is_iso = _IS_ISO.fullmatch(text.strip()) is not None
        if not is_iso and not _IS_NUMBER.fullmatch(text):
            raise DataError(f"timestamp {text[:80]!r} is neither a number nor an ISO date")
        value = _iso_seconds(text) if is_iso else _finite(text, "timestamp")
        kind: Literal["number", "iso"] = "iso" if is_iso else "number"
        self.kind = self.kind or kind
        if kind != self.kind:
            expected = "an ISO date" if self.kind == "iso" else "a number"
            raise DataError(f"timestamp {text[:80]!r} is not {expected}, as the first one is")
        return value

    def parse_iso(self, texts: pa.StringArray) -> NDArray[np.float64] | None:
        """Read many ISO times at once; None when one of them is none, to be found row by row."""
        if not pc.all(pc.match_substring_regex(texts, f"^{_ISO}$")).as_py():
            return None
        try:
            times = pd.to_datetime(texts.to_pandas(), format="ISO8601", utc=True)
        except ValueError:
            return None
        micros = times.astype("datetime64[us, UTC]").astype("int64")
        return micros.to_numpy(dtype=np.float64) / 1e6


def _iso_seconds(text: str) -> float:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return _iso_seconds_by_pandas(text)
    # replace() only where there is no zone: the file's own offset is honoured.
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()


def _iso_seconds_by_pandas(text: str) -> float:
    # Python 3.10's fromisoformat knows neither "Z" nor short fractions.
    try:
        return pd.to_datetime(text.strip(), format="ISO8601", utc=True).timestamp()
    except ValueError as problem:
        raise DataError(f"timestamp {text[:80]!r} is not an ISO date that exists") from problem
