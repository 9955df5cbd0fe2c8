"""Blocks of separated fields (CSV, TSV, ``::``, RecBole) to rows: at once, or line by line."""

import csv
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from recsys.data.columns import Columns
from recsys.data.formats import QUOTED_FORMATS, InputFormat, separator
from recsys.data.lines import Block
from recsys.data.rows import BadRows, Chunk, Column, RowGatherer
from recsys.data.times import TimeColumn
from recsys.errors import DataError

_UNIT_SEPARATOR = b"\x1f"
"""Stands for ``::`` before Arrow, which separates by one character."""

_IDS = pa.dictionary(pa.int32(), pa.string())


def split_fields(line: str, input_format: InputFormat) -> list[str]:
    """Split one line; quotes are read as RFC 4180 says in `QUOTED_FORMATS`, else letters.

    Raises
    ------
    DataError
        The quotes do not match; a value ends with its line.

    Examples
    --------
    >>> split_fields('7,"a ""b"", c"', "csv")
    ['7', 'a "b", c']
    """
    mark = separator(input_format)
    if input_format not in QUOTED_FORMATS:
        return line.split(mark)
    try:
        return next(csv.reader([line], delimiter=mark, strict=True))
    except csv.Error as problem:
        raise DataError(f"quotes do not match within the line {line[:80]!r}") from problem


class DelimitedRows:
    """Reads the blocks of one delimited file."""

    def __init__(self, input_format: InputFormat, columns: Columns, bad: BadRows) -> None:
        self._format = input_format
        self._columns = columns
        self._bad = bad
        self._times = None if columns.timestamp is None else TimeColumn()

    def read(self, block: Block) -> Chunk:
        """Read a block at once when all of it is plain and good, else line by line."""
        self._look_at_times(block)
        chunk = self._read_at_once(block)
        return self._read_by_line(block) if chunk is None else chunk

    def _look_at_times(self, block: Block) -> None:
        if self._times is None or self._times.kind is not None:
            return
        # Bad rows found on this way are not reported: the reading proper meets them again.
        ignored = BadRows("", block.n_lines)
        for number, line in block.lines():
            self._take(number, line, RowGatherer("none", self._times, ignored), ignored)
            if self._times.kind is not None:
                return

    def _read_at_once(self, block: Block) -> Chunk | None:
        text = self._plain(block.text)
        if text is None:
            return None
        try:
            table = self._arrow_table(text)
        except pa.ArrowInvalid:
            return None
        # A quote left open swallows line ends; then there are fewer rows than lines.
        if table.num_rows != block.n_rows:
            return None
        return self._chunk_of(table)

    def _plain(self, text: bytes) -> bytes | None:
        if self._format == "dat":
            return None if _UNIT_SEPARATOR in text else text.replace(b"::", _UNIT_SEPARATOR)
        if self._format in QUOTED_FORMATS and b'"' in text:
            return None if _has_odd_quotes(text, separator(self._format)) else text
        return text

    def _arrow_table(self, text: bytes) -> pa.Table:
        columns = self._columns
        types: dict[str, pa.DataType] = {str(columns.user): _IDS, str(columns.item): _IDS}
        if columns.value is not None:
            types[str(columns.value)] = pa.float64()
        if columns.timestamp is not None:
            is_iso = self._times is not None and self._times.kind == "iso"
            types[str(columns.timestamp)] = pa.string() if is_iso else pa.float64()
        delimiter = "\x1f" if self._format == "dat" else separator(self._format)
        return pacsv.read_csv(
            io.BytesIO(text),
            read_options=pacsv.ReadOptions(
                column_names=[str(place) for place in range(len(columns.header))],
                block_size=len(text) + 1,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, quote_char='"' if self._format in QUOTED_FORMATS else False
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                strings_can_be_null=False,  # an id may be called NA
                check_utf8=False,  # LineBlocks has
            ),
        )

    def _chunk_of(self, table: pa.Table) -> Chunk | None:
        columns = self._columns
        times = None
        if columns.timestamp is not None and self._times is not None:
            column = _one_array(table, columns.timestamp)
            is_iso = self._times.kind == "iso"
            times = self._times.parse_iso(column) if is_iso else _floats(column)
            if times is None:
                return None
        chunk = Chunk(
            users=_one_array(table, columns.user),
            items=_one_array(table, columns.item),
            values=None if columns.value is None else _floats(_one_array(table, columns.value)),
            timestamps=times,
        )
        return chunk if chunk.is_good() else None

    def _read_by_line(self, block: Block) -> Chunk:
        rows = RowGatherer(self._columns.value_kind, self._times, self._bad)
        for number, line in block.lines():
            self._take(number, line, rows, self._bad)
        return rows.chunk()

    def _take(self, number: int, line: str, rows: RowGatherer, bad: BadRows) -> None:
        columns = self._columns
        try:
            fields = split_fields(line, self._format)
        except DataError as problem:
            bad.add(number, str(problem))
            return
        if len(fields) != len(columns.header):
            bad.add(
                number,
                f"{len(fields)} fields where {len(columns.header)} were expected: {line[:80]!r}",
            )
            return
        value = "" if columns.value is None else fields[columns.value]
        time = "" if columns.timestamp is None else fields[columns.timestamp]
        rows.add(number, fields[columns.user], fields[columns.item], value, time)


def _one_array(table: pa.Table, place: int) -> Any:
    return table.column(str(place)).combine_chunks()


def _floats(column: Column) -> NDArray[np.float64]:
    # A null (an empty field) becomes NaN, which is then found.
    return column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)


def _has_odd_quotes(text: bytes, mark: str) -> bool:
    """Tell whether a quote stands elsewhere than around a whole field, or alone within one."""
    # Arrow reads '"ab"c' as 'abc', which is a repair in silence. Every second quote opens, the
    # others close; the two halves of a doubled quote close and open.
    codes = np.frombuffer(b"\n" + text, dtype=np.uint8)
    quotes = np.flatnonzero(codes == ord('"'))
    if len(quotes) % 2:
        return True
    beside = np.append(codes[quotes[::2] - 1], codes[quotes[1::2] + 1])
    return not np.isin(beside, [ord(mark), ord("\n"), ord('"')]).all()
