"""Data to stdout or to a file, in the caller's format; everything else goes to stderr."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import click
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from recsys.data.holdout import counted
from recsys.errors import ConfigError
from recsys.storage import write_atomically

Format: TypeAlias = Literal["table", "ndjson", "csv", "json"]
FORMATS: tuple[Format, ...] = ("table", "ndjson", "csv", "json")
_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".ndjson": "ndjson"}

Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """How one kind of result is written in each format.

    Parameters
    ----------
    columns : sequence of (name, Arrow type)
        Of the csv and parquet rows.
    rows : callable
        A record -> its rows, in the order of `columns`.
    tables : callable
        All records -> what a person sees.
    single : bool
        Whether there is one record, which json then shows without a list around it.
    """

    columns: Sequence[tuple[str, pa.DataType]]
    rows: Callable[[Record], Iterable[Sequence[Any]]]
    tables: Callable[[Iterable[Record]], Iterable[RenderableType]]
    single: bool = False


def emit(
    records: Iterable[Record], shape: Shape, chosen: Format | None, output: Path | None
) -> None:
    """Write records to stdout, or to `output` in the format that its suffix names.

    Raises
    ------
    ConfigError
        The suffix of `output` names no format.
    """
    if output is not None:
        _write_file(list(records), shape, output)
        return
    stdout = sys.stdout
    if chosen is None:
        chosen = "table" if stdout.isatty() else "ndjson"
    if chosen == "table":
        console = _Stdout(markup=False, emoji=False)  # ids and titles are text, not markup
        for each in shape.tables(records):
            if isinstance(each, Table) and each.title:
                # A line of its own: rich would fold the title at the table's width.
                console.print(each.title, style="bold", highlight=False)
                each.title = None
            console.print(each)
    elif chosen == "ndjson":
        for record in records:
            stdout.write(_one_line(record))
    else:
        stdout.write(_document(list(records), shape, chosen))


class _Stdout(Console):
    """Leaves a broken pipe to the command line: rich itself would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Let the error be seen."""
        raise BrokenPipeError


def format_of(output: Path) -> str:
    """Tell the format that a file's suffix names.

    Raises
    ------
    ConfigError
        It names none.
    """
    if output.suffix not in _SUFFIXES:
        raise ConfigError(
            f"--output {output}: the suffix names no format; expected one of {', '.join(_SUFFIXES)}"
        )
    return _SUFFIXES[output.suffix]


def clause(n: int, noun: str, one: str, many: str) -> str:
    """Write a count with its noun, and the verb that agrees with them.

    Examples
    --------
    >>> clause(1, "user", "has", "have"), clause(2, "user", "has", "have")
    ('1 user has', '2 users have')
    """
    return f"{counted(n, noun)} {one if n == 1 else many}"


def note(message: str) -> None:
    """Tell a person something, on stderr."""
    click.echo(message, err=True)


def progress_bar() -> Progress:
    """A bar on stderr; invisible when stderr is no terminal."""
    console = Console(stderr=True, markup=False, emoji=False)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def titled_table(
    title: str, *columns: str, right: Sequence[str] = (), whole: Sequence[str] = ()
) -> Table:
    """A table in the one style that all commands share.

    Parameters
    ----------
    title, *columns : str
    right : sequence of str
        Columns that hold numbers.
    whole : sequence of str
        Columns whose cells are never folded: part of a name may be the name of something else.
    """
    table = Table(title=title, box=None, padding=(0, 2, 0, 0))
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in whole)
    return table


def _one_line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _document(records: list[Record], shape: Shape, chosen: str) -> str:
    if chosen == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([name for name, _ in shape.columns])
        for record in records:
            writer.writerows(shape.rows(record))
        return stream.getvalue()
    if chosen == "ndjson":
        return "".join(map(_one_line, records))
    content = records[0] if shape.single else records
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _write_file(records: list[Record], shape: Shape, output: Path) -> None:
    chosen = format_of(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    if chosen == "parquet":
        rows = [tuple(row) for record in records for row in shape.rows(record)]
        columns = list(zip(*rows, strict=True)) or [() for _ in shape.columns]
        arrays = [
            pa.array(list(values), kind)
            for values, (_, kind) in zip(columns, shape.columns, strict=True)
        ]
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.table(arrays, names=[name for name, _ in shape.columns]), buffer)
        content = buffer.getvalue().to_pybytes()
    else:
        content = _document(records, shape, chosen).encode()
    write_atomically(output, content)
    note(f"wrote {output}")
