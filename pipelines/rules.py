"""--allow and --deny: files that say which items may be given."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.data.holdout import counted
from recsys.errors import DataError

from .output import note
from .reading import read_lines

if TYPE_CHECKING:
    from recsys.recommendation import ItemRules
    from recsys.recommender import Recommender

SHOWN_UNKNOWN = 3
"""Unknown ids that are named where they are counted."""

allow_option = click.option(
    "--allow",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Only these items, one id a line (repeatable: the files add up).",
)
deny_option = click.option(
    "--deny",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="None of these items, one id a line (repeatable).",
)


def item_rules(
    allow: tuple[Path, ...], deny: tuple[Path, ...], recommender: "Recommender"
) -> "ItemRules":
    """Read the files of both options; ids that the model has not met are counted on stderr.

    Raises
    ------
    DataError
        A file cannot be read, or one of --allow holds no id.
    """
    from recsys.recommendation import ItemRules

    allowed = [each for path in allow for each in _allowed(path, recommender)]
    denied = [each for path in deny for each in _ids_in(path, recommender, "--deny")]
    return ItemRules(allowed if allow else None, denied)


def _allowed(path: Path, recommender: "Recommender") -> list[str]:
    ids = _ids_in(path, recommender, "--allow")
    if not ids:
        raise DataError(
            f"--allow {path} holds no id, expected one a line: nothing could be given; leave the "
            "option out to allow every item"
        )
    return ids


def _ids_in(path: Path, recommender: "Recommender", option: str) -> list[str]:
    ids = read_lines(path)
    found = recommender.items.find(ids)
    unknown = [each for each, position in zip(ids, found, strict=True) if position < 0]
    if unknown:
        shown = ", ".join(map(repr, unknown[:SHOWN_UNKNOWN]))
        more = ", ..." if len(unknown) > SHOWN_UNKNOWN else ""
        note(
            f"{option} {path}: not in the model: {len(unknown):,} of {counted(len(ids), 'id')} "
            f"({shown}{more})"
        )
    return ids
