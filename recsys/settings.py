"""Checks that the records of settings share: a wrong value is refused with its key."""

import math
import numbers
from typing import Any

from recsys.errors import ConfigError


def check_one_of(key: str, value: str, literal: Any) -> None:
    """Refuse a text that is not one of a Literal's.

    Raises
    ------
    ConfigError
    """
    if value not in literal.__args__:
        raise ConfigError(f"{key} is {value!r}, expected one of {', '.join(literal.__args__)}")


LARGEST_SEED = 2**63 - 1
"""That torch takes."""

LARGEST_COUNT = 2**31 - 1
"""More of anything is a slip of the hand."""


def check_range(
    key: str,
    value: float,
    *,
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Refuse what is no number, not finite, or out of bounds.

    Parameters
    ----------
    key : str
        section.key, to be named.
    value : float
    at_least, above, below, at_most : float or None
        Bounds; None: none, but LARGEST_COUNT for whole numbers.

    Raises
    ------
    ConfigError
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ConfigError(f"{key} is {value!r}, expected a number")
    if at_most is None and isinstance(value, int):
        at_most = LARGEST_COUNT if value > LARGEST_COUNT else None
    good = math.isfinite(value)
    expected = [] if good else ["a finite number"]
    if at_least is not None:
        good &= value >= at_least
        expected.append(f"at least {at_least}")
    if above is not None:
        good &= value > above
        expected.append(f"above {above}")
    if below is not None:
        good &= value < below
        expected.append(f"below {below}")
    if at_most is not None:
        good &= value <= at_most
        expected.append(f"at most {at_most}")
    if not good:
        raise ConfigError(f"{key} is {value}, expected {' and '.join(expected)}")
