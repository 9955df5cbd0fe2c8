"""JSON lines, adjacency lists and Parquet to rows."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.data.columns import Columns, folded_name
from recsys.data.formats import listed_ids
from recsys.data.lines import BLOCK_BYTES, Block, ByteSource
from recsys.data.rows import BadRows, Chunk, Column, RowGatherer
from recsys.data.times import TimeColumn
from recsys.errors import DataError


def json_object(line: str) -> dict[str, Any]:
    """Read one JSON object whose numbers stay as they are written.

    Examples
    --------
    >>> json_object('{"user": 9007199254740993, "rating": 4.50}')
    {'user': '9007199254740993', 'rating': '4.50'}
    """
    try:
        found = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"not a JSON object: {line[:80]!r}") from problem
    if not isinstance(found, dict):
        raise DataError(f"not a JSON object: {line[:80]!r}")
    return found


def json_fields(block: Block) -> list[str]:
    """List the fields of all records, as they first appear; what is no record is not looked at."""
    fields: dict[str, None] = {}
    for _, line in block.lines():
        with suppress(DataError):
            fields.update(dict.fromkeys(json_object(line)))
    return list(fields)


class JsonRows:
    """Reads the blocks of one JSON lines file.

    Parameters
    ----------
    columns : Columns
        What was found in the fields of the first block.
    undecided : frozenset of str
        Names that make a record bad where they come up after that block; see `undecided_names`.
    bad : BadRows
    """

    def __init__(self, columns: Columns, undecided: frozenset[str], bad: BadRows) -> None:
        self._columns = columns
        self._known = frozenset(columns.header)
        self._undecided = undecided
        self._bad = bad
        self._times = None if columns.timestamp is None else TimeColumn()

    def read(self, block: Block) -> Chunk:
        """Read every line of a block."""
        rows = RowGatherer(self._columns.value_kind, self._times, self._bad)
        for number, line in block.lines():
            try:
                row = self._row(json_object(line))
            except DataError as problem:
                self._bad.add(number, str(problem))
                continue
            rows.add(number, *row)
        return rows.chunk()

    def _row(self, record: Mapping[str, Any]) -> list[str]:
        columns = self._columns
        row = [
            "" if place is None else _json_text(record, columns.header[place])
            for place in (columns.user, columns.item, columns.value, columns.timestamp)
        ]
        for name in record:
            if name not in self._known and folded_name(name) in self._undecided:
                raise DataError(
                    f"field {name!r} could be a column to read, and no record in the first "
                    f"{BLOCK_BYTES >> 20} MB has it: give every record the same fields"
                )
        return row


def _json_text(record: Mapping[str, Any], name: str) -> str:
    if name not in record:
        raise DataError(f"no field {name!r}: the fields are {', '.join(record)[:80]!r}")
    value = record[name]
    if not isinstance(value, str):
        raise DataError(f"field {name!r} is {json.dumps(value)[:80]}, not a string or a number")
    return value


class AdjacencyRows:
    """Reads the blocks of one adjacency list: ``user item item ...`` on a line."""

    def __init__(self) -> None:
        self.n_users_without_items = 0

    def read(self, block: Block) -> Chunk:
        """Read every line of a block; a user without items is legal and gives no row."""
        users: list[str] = []
        items: list[str] = []
        for _, line in block.lines():
            if not (fields := listed_ids(line)):
                continue
            user, *listed = fields
            users.extend([user] * len(listed))
            items.extend(listed)
            self.n_users_without_items += not listed
        return Chunk(
            users=pa.array(users, pa.string()).dictionary_encode(),
            items=pa.array(items, pa.string()).dictionary_encode(),
            values=None,
            timestamps=None,
        )


def open_parquet(source: ByteSource) -> pq.ParquetFile:
    """Open a Parquet file; from standard input or gzip it has to be held in memory whole."""
    try:
        return pq.ParquetFile(source.stream if source.is_seekable else io.BytesIO(source.read(-1)))
    except pa.ArrowInvalid as problem:
        raise DataError(
            f"{source.name}: not a whole Parquet file ({_one_line(problem)}): write it again"
        ) from problem


def _one_line(problem: Exception) -> str:
    return str(problem).splitlines()[0]


class ParquetRows:
    """Reads one Parquet file in batches."""

    def __init__(self, file: pq.ParquetFile, columns: Columns, name: str, bad: BadRows) -> None:
        self._file = file
        self._columns = columns
        self._name = name
        self._bad = bad
        self._times = None if columns.timestamp is None else TimeColumn()
        self._check_types()

    def chunks(self, batch_rows: int = 1 << 19) -> Iterator[Chunk]:
        """Read batch after batch."""
        columns = self._columns
        places = [columns.user, columns.item, columns.value, columns.timestamp]
        fields = [
            self._file.schema_arrow.field(place).name for place in places if place is not None
        ]
        first_row = 1
        try:
            for batch in self._file.iter_batches(batch_size=batch_rows, columns=fields):
                yield self._read(batch, first_row)
                first_row += batch.num_rows
        except (pa.ArrowInvalid, OSError) as problem:
            raise DataError(
                f"{self._name}: damaged after row {first_row - 1:,} ({_one_line(problem)}): "
                "fetch or write it again"
            ) from problem

    def _read(self, batch: pa.RecordBatch, first_row: int) -> Chunk:
        users = _ids(self._column(batch, self._columns.user))
        items = _ids(self._column(batch, self._columns.item))
        values = _numbers(self._column(batch, self._columns.value))
        times = _numbers(self._column(batch, self._columns.timestamp))
        is_text = times is not None and pa.types.is_string(times.type)
        if not is_text:
            chunk = Chunk(
                users.dictionary_encode(),
                items.dictionary_encode(),
                _floats(values),
                _floats(times),
            )
            if chunk.is_good():
                return chunk
        rows = RowGatherer(self._columns.value_kind, self._times, self._bad)
        texts = [_texts(each, len(users)) for each in (users, items, values, times)]
        for number, row in enumerate(zip(*texts, strict=True), start=first_row):
            rows.add(number, *row)
        return rows.chunk()

    def _column(self, batch: pa.RecordBatch, place: int | None) -> "Column | None":
        if place is None:
            return None
        return batch.column(self._file.schema_arrow.field(place).name)

    def _check_types(self) -> None:
        columns = self._columns
        for place in (columns.user, columns.item):
            self._refuse(place, _is_id, "ids must be strings or integers")
        if columns.value is not None:
            self._refuse(columns.value, _is_number, f"a {columns.value_kind} must be a number")
        if columns.timestamp is not None:
            self._refuse(columns.timestamp, _is_time, "a time must be a number, a date or ISO text")

    def _refuse(self, place: int, is_right: Callable[[pa.DataType], bool], expected: str) -> None:
        field = self._file.schema_arrow.field(place)
        if not is_right(field.type):
            found = "floats" if pa.types.is_floating(field.type) else f"values of {field.type}"
            raise DataError(f"{self._name}: column {field.name} holds {found}; {expected}")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(kind) for is_kind in kinds)


def _is_id(kind: pa.DataType) -> bool:
    return _is_text(kind) or pa.types.is_integer(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _is_time(kind: pa.DataType) -> bool:
    is_date = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    return is_date or _is_number(kind) or _is_text(kind)


def _ids(column: "Column | None") -> Column:
    assert column is not None
    return column.cast(pa.string())


def _numbers(column: "Column | None") -> "Column | None":
    """Turn dates into seconds since 1970 and numbers into float64; text stays text."""
    if column is None:
        return None
    if _is_text(column.type):
        return column.cast(pa.string())
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        zone = getattr(column.type, "tz", None)
        micros = column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
        seconds = micros.to_numpy(zero_copy_only=False).astype(np.float64) / 1e6
        return pa.array(seconds, from_pandas=True)
    return column.cast(pa.float64(), safe=False)


def _floats(column: "Column | None") -> NDArray[np.float64] | None:
    return None if column is None else column.to_numpy(zero_copy_only=False).astype(np.float64)


def _texts(column: "Column | None", length: int) -> list[str]:
    if column is None:
        return [""] * length
    return ["" if each is None else str(each) for each in column.to_pylist()]
