"""How the data are divided for training and evaluation: one config, one function."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recsys.data.holdout import Holdout, Split, assemble
from recsys.data.interactions import Events
from recsys.data.split_files import read_split_file, with_test_events
from recsys.data.split_protocols import (
    by_time,
    leave_last_out,
    strong_generalisation,
    weak_generalisation,
)
from recsys.errors import ConfigError

__all__ = [
    "Holdout",
    "Split",
    "SplitConfig",
    "by_time",
    "leave_last_out",
    "read_split_file",
    "split_events",
    "strong_generalisation",
    "weak_generalisation",
]

# (validation, test); strong's validation None is min(5 %, 1,000) of the users.
_DEFAULT_SIZES: dict[str, tuple[float | None, float]] = {
    "strong": (None, 0),
    "weak": (0.1, 0.2),
    "last": (1, 1),
    "time": (0.1, 0.1),
    "none": (0, 0),
}


@dataclass(frozen=True)
class SplitConfig:
    """How the data are divided.

    Parameters
    ----------
    kind : str
        strong, weak, last, time, none, or the path of a split file.
    validation, test : float, optional
        Sizes; 0 is no such part, None the kind's default. strong: users, a count from 1 on and
        a fraction below (min(5 %, 1,000) and 0); weak: fraction of each user's items (.1, .2);
        last: number of each user's latest items (1, 1); time: fraction of the rows (.1, .1).
    seed : int
        Same seed, same split.

    Raises
    ------
    ConfigError
        A size or the seed is out of the kind's range.
    """

    kind: str = "strong"
    validation: float | None = None
    test: float | None = None
    seed: int = 98765

    def __post_init__(self) -> None:
        if not self.kind:
            raise ConfigError("split = '': expected strong, weak, last, time, none or a file")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed = {self.seed}: expected a whole number from 0 to 4294967295")
        for key, size in (("validation", self.validation), ("test", self.test)):
            if size is not None:
                _check_size(self.kind, key, size)
        validation, test = self.sizes
        if self.kind in ("weak", "time") and (validation or 0) + test >= 1:
            raise ConfigError(
                f"validation = {validation} and test = {test} with split {self.kind}: expected"
                " a sum below 1, so that something is left to train on"
            )

    @property
    def sizes(self) -> tuple[float | None, float]:
        """Validation and test with the kind's defaults filled in."""
        validation, test = _DEFAULT_SIZES.get(self.kind, (0, 0))
        return (
            validation if self.validation is None else self.validation,
            test if self.test is None else self.test,
        )


def _check_size(kind: str, key: str, size: float) -> None:
    whole = math.isfinite(size) and size == int(size)
    fits, expected = {
        "strong": (0 <= size < 1 or (size >= 1 and whole), "users: a count, or a fraction below 1"),
        "weak": (0 <= size < 1, "a fraction of each user's items, from 0 to below 1"),
        "last": (size >= 0 and whole, "a number of items, from 0 on"),
        "time": (0 <= size < 1, "a fraction of the rows, from 0 to below 1"),
        "none": (size == 0, "0 or nothing: everything is trained on"),
    }.get(kind, (size == 0, "0 or nothing: the split file says who is held out"))
    if not fits:
        raise ConfigError(f"{key} = {size} with split {kind}: expected {expected}")


def split_events(events: Events, config: SplitConfig, test_events: Events | None = None) -> Split:
    """Divide the events as `config` says.

    Parameters
    ----------
    events : Events
        The rows of the file after every filter, in the file's order.
    config : SplitConfig
    test_events : Events, optional
        A test file that came with the data: `config` then divides `events` for validation only,
        and the test users are those of this file whom `events` knows. They are users of train,
        so with strong the validation users' shown items are trained on as well.

    Raises
    ------
    ConfigError
        A test size together with a test file.
    DataError
        Too few users, items or rows, or no timestamps where they are needed.
    """
    if test_events is None:
        return _divide(events, config)
    if config.test:
        raise ConfigError(
            f"test = {config.test} together with a test file: expected one of the two;"
            " leave out the size or the file"
        )
    split = _divide(events, replace(config, test=0), train_on_shown=True)
    return with_test_events(split, events, test_events)


def _divide(events: Events, config: SplitConfig, *, train_on_shown: bool = False) -> Split:
    validation, test = config.sizes
    if config.kind == "strong":
        return strong_generalisation(
            events, validation, test, config.seed, train_on_shown=train_on_shown
        )
    if config.kind == "weak":
        return weak_generalisation(events, validation or 0, test, config.seed)
    if config.kind == "last":
        return leave_last_out(events, int(validation or 0), int(test))
    if config.kind == "time":
        return by_time(events, validation or 0, test)
    if config.kind == "none":
        return assemble(events, np.ones(len(events), dtype=bool), None, None)
    return read_split_file(Path(config.kind), events)
