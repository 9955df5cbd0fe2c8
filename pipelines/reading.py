"""Files that the commands read: interactions as the settings describe them, and lists of ids."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recsys.errors import DataError

from .config import IngestSettings
from .output import note, progress_bar

if TYPE_CHECKING:
    from recsys.data.interactions import Events
    from recsys.data.readers import ReadOptions, ReadReport


def read_file(
    source: Path, settings: IngestSettings, *, to_train: bool
) -> "tuple[Events, ReadReport]":
    """Read a file, a GroupLens folder or - with a progress bar; warnings go to stderr."""
    from recsys.data.readers import ReadOptions, locate, read_events

    path: Path | Literal["-"] = "-"
    known = ReadOptions()
    if str(source) != "-":
        found = locate(source)
        path, known = found.interactions, found.options
    with progress_bar() as bar:
        task = bar.add_task("reading", total=None)
        events, report = read_events(
            path,
            _said(settings, known),
            to_train=to_train,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for warning in report.warnings:
        note(f"warning: {warning}")
    return events, report


def read_lines(path: Path) -> list[str]:
    """Read ids, one a line, from a file or - for stdin; blank lines are passed over.

    Raises
    ------
    DataError
        There is no such file, or it is not UTF-8.
    """
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        name = "standard input" if str(path) == "-" else path
        raise DataError(f"{name} is not UTF-8 (byte {error.start}); convert it first") from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    lines = io.StringIO(text.removeprefix("\ufeff"), newline=None).read().split("\n")
    return [line for line in lines if line.strip()]


def _said(settings: IngestSettings, known: "ReadOptions") -> "ReadOptions":
    """What the settings say goes before what the layout of a folder tells."""
    columns = {
        "user": settings.user_column,
        "item": settings.item_column,
        "rating": settings.rating_column,
        "weight": settings.weight_column,
        "timestamp": settings.timestamp_column,
    }
    return replace(
        known,
        input_format=settings.input_format or known.input_format,
        columns=settings.columns or known.columns,
        skip_bad_rows=settings.skip_bad_rows,
        # An empty name says that there is no such column.
        **{role: name for role, name in columns.items() if name is not None},
    )
