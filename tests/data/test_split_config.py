"""The settings of a split: defaults and refusals."""

import pytest

from recsys.data.splits import SplitConfig
from recsys.errors import ConfigError


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("strong", (None, 0)),
        ("weak", (0.1, 0.2)),
        ("last", (1, 1)),
        ("time", (0.1, 0.1)),
        ("none", (0, 0)),
        ("parts.csv", (0, 0)),
    ],
)
def test_every_kind_has_its_default_sizes(kind: str, sizes: tuple[float | None, float]) -> None:
    assert SplitConfig(kind).sizes == sizes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"validation": 1.5},
            "validation = 1.5 with split strong: expected users: a count, or a fraction below 1",
        ),
        (
            {"test": -1},
            "test = -1 with split strong: expected users: a count, or a fraction below 1",
        ),
        (
            {"validation": float("nan")},
            "validation = nan with split strong: expected users: a count, or a fraction below 1",
        ),
        (
            {"kind": "weak", "test": 1},
            "test = 1 with split weak: expected a fraction of each user's items, from 0 to below 1",
        ),
        (
            {"kind": "last", "validation": 0.1},
            "validation = 0.1 with split last: expected a number of items, from 0 on",
        ),
        (
            {"kind": "last", "validation": float("inf")},
            "validation = inf with split last: expected a number of items, from 0 on",
        ),
        (
            {"kind": "time", "test": 2},
            "test = 2 with split time: expected a fraction of the rows, from 0 to below 1",
        ),
        (
            {"kind": "none", "validation": 10},
            "validation = 10 with split none: expected 0 or nothing: everything is trained on",
        ),
        (
            {"kind": "parts.csv", "test": 10},
            "test = 10 with split parts.csv: expected 0 or nothing: the split file says who is"
            " held out",
        ),
        (
            {"kind": "time", "validation": 0.9},
            "validation = 0.9 and test = 0.1 with split time: expected a sum below 1, so that"
            " something is left to train on",
        ),
        ({"seed": -1}, "seed = -1: expected a whole number from 0 to 4294967295"),
        ({"kind": ""}, "split = '': expected strong, weak, last, time, none or a file"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SplitConfig(**settings)  # type: ignore[arg-type]
    assert str(caught.value) == message
