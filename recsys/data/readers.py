"""An interactions file in any of nine formats -> `Events` and a report of what was read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from recsys.data.collecting import EventCollector, merge_duplicates
from recsys.data.columns import (
    Columns,
    column_name,
    find_columns,
    has_known_name,
    undecided_names,
)
from recsys.data.delimited import DelimitedRows, split_fields
from recsys.data.formats import (
    InputFormat,
    excel_format,
    find_format,
    refuse_table_like,
)
from recsys.data.interactions import Events
from recsys.data.layouts import DataSource, ReadOptions, locate
from recsys.data.lines import Block, ByteSource, LineBlocks, open_source
from recsys.data.oddities import find_oddities
from recsys.data.records import (
    AdjacencyRows,
    JsonRows,
    ParquetRows,
    json_fields,
    json_object,
    open_parquet,
)
from recsys.data.rows import BadRows, Chunk
from recsys.errors import ConfigError, DataError

__all__ = ["DataSource", "ReadOptions", "ReadReport", "locate", "read_events"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes done and, where known, the bytes in all."""


@dataclass(frozen=True)
class ReadReport:
    """What was read and what became of it: n_rows - n_bad_rows - n_duplicates events.

    Parameters
    ----------
    columns : mapping of str to str
        Role ("user", "item", "rating" or "weight", "timestamp") -> the column that holds it.
    n_rows : int
        Data rows, good and bad; of an adjacency list, (user, item) pairs.
    bad_rows : tuple of str
        Up to five, each with its line and value.
    n_duplicates : int
        Rows that gave way to a later one of the same user and item.
    warnings : tuple of str
        One line each.
    """

    source: str
    input_format: str
    columns: Mapping[str, str]
    n_rows: int
    n_bad_rows: int
    bad_rows: tuple[str, ...]
    n_duplicates: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Opened:
    """A source whose format and columns are known: its rows, still to be read."""

    input_format: InputFormat
    columns: Columns | None
    chunks: Iterator[Chunk]
    bad: BadRows
    warnings: Callable[[], list[str]]


def read_events(
    source: Path | Literal["-"],
    options: ReadOptions | None = None,
    *,
    to_train: bool = True,
    progress: Progress | None = None,
) -> tuple[Events, ReadReport]:
    """Read interactions in the order of their file.

    Of several rows with the same user and item the latest stays, by time and then by place in
    the file; weights are summed.

    Parameters
    ----------
    source : Path or "-"
        A file, or standard input. Gzip is recognised by content.
    options : ReadOptions, optional
    to_train : bool
        False for histories and held-out rows: what is odd only about data to learn from (a user
        with every item, ratings that are all equal) is then no warning.
    progress : callable, optional
        Told the bytes done and the bytes in all after every block.

    Raises
    ------
    DataError
        The file is missing, empty, damaged, or holds more bad rows than are tolerated.
    ConfigError
        The format or a column cannot be told for sure.
    """
    options = options or ReadOptions()
    with open_source(source) as opened:
        rows = _open_rows(opened, options)
        collector = EventCollector("none" if rows.columns is None else rows.columns.value_kind)
        for chunk in rows.chunks:
            collector.add(chunk)
            if progress is not None:
                progress(opened.done(), opened.total)
        return _finish(collector, rows, opened.name, to_train)


def _finish(
    collector: EventCollector, rows: _Opened, name: str, to_train: bool
) -> tuple[Events, ReadReport]:
    if not collector.n_rows:
        if rows.bad.n_rows:
            raise DataError(f"all {rows.bad.n_rows:,} rows are bad; {rows.bad.messages[0]}")
        raise DataError(f"{name}: no data rows, expected one a user and item")
    events, n_duplicates = merge_duplicates(collector.finish())
    report = ReadReport(
        source=name,
        input_format=rows.input_format,
        columns={} if rows.columns is None else rows.columns.names(),
        n_rows=collector.n_rows + rows.bad.n_rows,
        n_bad_rows=rows.bad.n_rows,
        bad_rows=tuple(rows.bad.messages),
        n_duplicates=n_duplicates,
        warnings=(*rows.warnings(), *find_oddities(events, to_train=to_train)),
    )
    return events, report


def _open_rows(source: ByteSource, options: ReadOptions) -> _Opened:
    if source.starts_with(b"PAR1") or options.input_format == "parquet":
        return _open_parquet(source, options)
    lines = LineBlocks(source)
    blocks = iter(lines)
    first = next((block for block in blocks if any(block.lines())), None)
    if first is None:
        raise DataError(f"{source.name}: empty, expected a header and rows")
    line = next(first.lines())[1]
    found = excel_format(line, source.name)
    if found is None:
        found = options.input_format or _found_format(line, options, source.name)
    else:
        _refuse_other_format(found, line, options, source.name)
        first = _without_excel_line(first, blocks, source.name)
    if found == "adjacency":
        if options.input_format is None:
            refuse_table_like([line for _, line in islice(first.lines(), 20)], source.name)
        return _open_adjacency(first, blocks, lines, options, source.name)
    return _open_table(first, blocks, lines, found, options, source.name)


def _found_format(line: str, options: ReadOptions, name: str) -> InputFormat:
    if options.columns is None and not options.wanted().named():
        return find_format(line, name)
    # The caller knows the columns: whatever stands between separators may be one.
    return find_format(line, name, lambda field: True)


def _refuse_other_format(found: InputFormat, line: str, options: ReadOptions, name: str) -> None:
    if options.input_format not in (None, found):
        raise ConfigError(
            f"{name}: --input-format is {options.input_format} and the first line {line!r} says "
            f"{found}: leave out --input-format, or take the line out of the file"
        )


def _without_excel_line(first: Block, blocks: Iterator[Block], name: str) -> Block:
    rest = chain([first.without_first_row()], blocks)
    block = next((block for block in rest if any(block.lines())), None)
    if block is None:
        raise DataError(f"{name}: nothing after its line sep=..., expected a header and rows")
    return block


def _open_parquet(source: ByteSource, options: ReadOptions) -> _Opened:
    if options.columns is not None:
        raise ConfigError(f"{source.name}: a Parquet file names its columns; leave out --columns")
    file = open_parquet(source)
    columns = find_columns(file.schema_arrow.names, options.wanted(), source.name)
    bad = BadRows(source.name, options.skip_bad_rows, noun="row")
    rows = ParquetRows(file, columns, source.name, bad)
    return _Opened("parquet", columns, rows.chunks(), bad, lambda: _left_out(columns))


def _open_adjacency(
    first: Block, blocks: Iterator[Block], lines: LineBlocks, options: ReadOptions, name: str
) -> _Opened:
    if options.columns is not None or options.wanted().named():
        raise ConfigError(
            f"{name}: an adjacency list (user item item ...) has no columns: leave out --columns "
            "and the --...-column options, or name another --input-format"
        )
    rows = AdjacencyRows()

    def warnings() -> list[str]:
        n_users = rows.n_users_without_items
        found = [f"{n_users:,} users have no items; they were left out"] if n_users else []
        return lines.warnings() + found

    chunks = (rows.read(block) for block in _chained(first, blocks))
    return _Opened("adjacency", None, chunks, BadRows(name, options.skip_bad_rows), warnings)


def _open_table(
    first: Block,
    blocks: Iterator[Block],
    lines: LineBlocks,
    input_format: InputFormat,
    options: ReadOptions,
    name: str,
) -> _Opened:
    bad = BadRows(name, options.skip_bad_rows)
    fields = _first_fields(first, input_format, name)
    columns = find_columns(options.columns or fields, options.wanted(), name)
    if input_format == "jsonl":
        if options.columns is not None:
            raise ConfigError(f"{name}: JSON lines name their fields; leave out --columns")
        read = JsonRows(columns, undecided_names(columns, options.wanted()), bad).read
    else:
        read = DelimitedRows(input_format, columns, bad).read
        if options.columns is None:
            first = first.without_first_row()
        else:
            _check_headerless(fields, options.columns, columns, name)
    chunks = (read(block) for block in _chained(first, blocks))
    return _Opened(
        input_format, columns, chunks, bad, lambda: lines.warnings() + _left_out(columns)
    )


def _first_fields(block: Block, input_format: InputFormat, name: str) -> list[str]:
    number, line = next(block.lines())
    try:
        if input_format == "jsonl":
            # Where no record has a field, the first line is to blame.
            return json_fields(block) or list(json_object(line))
        return split_fields(line, input_format)
    except DataError as problem:
        raise DataError(f"{name}, line {number}: {problem}") from problem


def _check_headerless(
    fields: list[str], names: tuple[str, ...], columns: Columns, name: str
) -> None:
    """Refuse names that do not fit the first line, or a first line that is a header itself."""
    shown = repr(",".join(fields)[:120])
    if len(fields) != len(names):
        raise ConfigError(
            f"{name}: --columns names {len(names)} columns ({','.join(names)}) and the first line "
            f"has {len(fields)} fields: {shown}"
        )
    if all(has_known_name(column_name(fields[place])) for place in (columns.user, columns.item)):
        raise ConfigError(
            f"{name}: the first line {shown} looks like a header: leave out --columns and say "
            "--user-column, --item-column, ... where needed"
        )


def _chained(first: Block, rest: Iterator[Block]) -> Iterator[Block]:
    yield first
    yield from rest


def _left_out(columns: Columns) -> list[str]:
    if columns.left_out is None or columns.value is None:
        return []
    return [
        f"column {columns.left_out!r} (weight) was left out in favour of "
        f"{columns.header[columns.value]!r} (rating); --weight-column {columns.left_out} chooses it"
    ]
