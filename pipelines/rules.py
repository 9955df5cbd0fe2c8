"""The options that say which items may be given, and how a list is put together."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.data.holdout import counted
from recsys.errors import ConfigError, DataError

from .output import note
from .reading import read_lines

if TYPE_CHECKING:
    from recsys.data.ids import IdMap
    from recsys.rules import Rules

SHOWN_UNKNOWN = 3
"""Unknown ids that are named where they are counted."""

_OPTIONS = (
    click.option(
        "--allow",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Only these items, one id a line (repeatable: the files add up).",
    ),
    click.option(
        "--deny",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="None of these items, one id a line (repeatable).",
    ),
    click.option(
        "--where",
        metavar="RULE",
        help="Only items whose attributes pass, such as \"genres contains 'Drama' and "
        'year >= 1990" '
        "(= != < <= > >= contains, and or not, parentheses).",
    ),
    click.option(
        "--at-most",
        metavar="N:COLUMN",
        help="At most N items of a list with the same COLUMN, such as 2:artist.",
    ),
    click.option(
        "--diversity",
        type=float,
        default=0.0,
        metavar="X",
        help="From 0 to 1: how much an item that is like others of its list loses  [0]",
    ),
    click.option(
        "--popularity",
        type=float,
        default=0.0,
        metavar="X",
        help="Above 0 what is popular gains, below 0 it loses: -1 for what is likelier for this "
        "user than for others, -100 to 100  [0]",
    ),
)


@dataclass(frozen=True)
class RuleFlags:
    """What was said on the command line.

    Parameters
    ----------
    allow, deny : tuple of Path
    where, at_most : str or None
    diversity, popularity : float
    """

    allow: tuple[Path, ...]
    deny: tuple[Path, ...]
    where: str | None
    at_most: str | None
    diversity: float
    popularity: float

    @property
    def given(self) -> bool:
        """Whether there is any rule."""
        return self != RuleFlags((), (), None, None, 0.0, 0.0)

    def read(self, items: "IdMap") -> "Rules":
        """Read the files; ids that the model has not met are counted on stderr.

        Raises
        ------
        DataError
            A file cannot be read, or one of --allow holds no id.
        ConfigError
            A rule cannot be read, or a number is out of its range.
        """
        from recsys.rules import Rules

        allowed = [each for path in self.allow for each in _allowed(path, items)]
        return Rules(
            allow=allowed if self.allow else None,
            deny=[each for path in self.deny for each in _ids_in(path, items, "--deny")],
            where=self.where,
            at_most=None if self.at_most is None else _at_most(self.at_most),
            diversity=self.diversity,
            popularity=self.popularity,
        )


def rule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of rules, and hand them to it together, as `rules`."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        flags = RuleFlags(**{each.name: kwargs.pop(each.name) for each in fields(RuleFlags)})
        return command(*args, rules=flags, **kwargs)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def _at_most(text: str) -> tuple[str, int]:
    number, _, column = text.partition(":")
    if not (number.isdecimal() and column):
        raise ConfigError(f"--at-most {text!r}: expected N:COLUMN, such as 2:artist")
    return column, int(number)


def _allowed(path: Path, items: "IdMap") -> list[str]:
    ids = _ids_in(path, items, "--allow")
    if not ids:
        raise DataError(
            f"--allow {path} holds no id, expected one a line: nothing could be given; leave the "
            "option out to allow every item"
        )
    return ids


def _ids_in(path: Path, items: "IdMap", option: str) -> list[str]:
    ids = read_lines(path)
    found = items.find(ids)
    unknown = [each for each, position in zip(ids, found, strict=True) if position < 0]
    if unknown:
        shown = ", ".join(map(repr, unknown[:SHOWN_UNKNOWN]))
        more = ", ..." if len(unknown) > SHOWN_UNKNOWN else ""
        note(
            f"{option} {path}: not in the model: {len(unknown):,} of {counted(len(ids), 'id')} "
            f"({shown}{more})"
        )
    return ids
