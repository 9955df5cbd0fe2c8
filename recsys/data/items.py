"""The items file: what each item is called, and whatever else is known about it."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from recsys.data.columns import (
    USUAL_NAMES,
    column_name,
    folded_name,
    has_known_name,
    place_of,
    usual_names,
)
from recsys.data.formats import (
    QUOTED_FORMATS,
    InputFormat,
    excel_format,
    find_format,
    separator,
)
from recsys.data.lines import (
    ENCODING_ADVICE,
    UTF_16_ADVICE,
    UTF_16_MARKS,
    ByteSource,
    open_source,
)
from recsys.data.records import json_object, open_parquet
from recsys.errors import ConfigError, DataError

_TITLE_NAMES = frozenset(
    {"name", "movie_title", "book_title", "item_name", "track_name", "product_name"}
)
_GENRES = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy "
    "Film-Noir Horror Musical Mystery Romance Sci-Fi Thriller War Western"
)
_U_ITEM_COLUMNS = ["item_id", "title", "release_date", "video_release_date", "imdb_url"]
_MOVIES_DAT_COLUMNS = ["item_id", "title", "genres"]

_Rows = Iterator[tuple[int, list[str]]]
"""Line (or row) number and fields, the header first."""


@dataclass(frozen=True)
class _Wanted:
    """What the caller says of the columns; see `read_items`."""

    item: str | None
    title: str | None
    same_as: str | None

    def is_known(self, name: str) -> bool:
        """Tell whether a field of the first line names a column that is looked for."""
        if self.item is not None or self.title is not None:
            return True  # the caller vouches for a header
        folded = folded_name(name)
        usual = {"id", "title", *_TITLE_NAMES, folded_name(column_name(self.same_as or "id"))}
        return folded in usual or has_known_name(name)


def read_items(
    path: Path,
    *,
    item: str | None = None,
    title: str | None = None,
    same_as: str | None = None,
) -> pd.DataFrame:
    """Read what is known about the items, everything as text.

    Parameters
    ----------
    path : Path
        CSV (a quoted field may hold line ends), the same with semicolons or pipes, TSV,
        RecBole ``.item``, Parquet, JSON lines, each also gzipped, or GroupLens's ``movies.dat``
        and ``u.item``.
    item, title : str, optional
        Which column holds the id and the title; None = find it by its usual names.
    same_as : str, optional
        The item column of the interactions. A column that is called the same holds the id,
        whatever else could.

    Returns
    -------
    DataFrame
        Columns "item_id" (unique) and "title" ("" where there is none), then all others, in the
        order of the file; every cell a str.

    Raises
    ------
    DataError
        The file is missing, damaged, empty, lacks a column, or tells two things of one item.
    ConfigError
        Two columns could be the id or the title, or the format cannot be told.
    """
    wanted = _Wanted(item, title, same_as)
    with open_source(path) as source:
        rows = _open_rows(source, Path(path).name.removesuffix(".gz"), wanted)
        _, fields = next(rows, (0, []))
        if not any(fields):
            raise DataError(f"{source.name}: empty, expected a header and one row an item")
        header = _renamed([column_name(each) for each in fields], wanted, source.name)
        table = _unique_rows(rows, header, source.name)
    if not table:
        raise DataError(f"{source.name}: no data rows, expected one an item")
    frame = pd.DataFrame(table, columns=header, dtype=object)
    if "title" not in frame:
        frame["title"] = ""
    others = [each for each in frame.columns if each not in ("item_id", "title")]
    return frame[["item_id", "title", *others]]


def _renamed(header: list[str], wanted: _Wanted, name: str) -> list[str]:
    item_place = _item_place(header, wanted, name)
    title_place = _title_place(header, wanted.title, item_place, name)
    renamed = list(header)
    renamed[item_place] = "item_id"
    if title_place is not None:
        renamed[title_place] = "title"
    twice = [each for each in renamed if renamed.count(each) > 1]
    if twice:
        raise ConfigError(
            f"{name}: two columns would be called {twice[0]!r}: rename one; the header is "
            f"{','.join(header)[:200]!r}"
        )
    return renamed


def _item_place(header: Sequence[str], wanted: _Wanted, name: str) -> int:
    if wanted.item is not None:
        return place_of(header, wanted.item, "--items-id-column", name)
    if wanted.same_as is not None:
        name_there = folded_name(column_name(wanted.same_as))
        same = [place for place, each in enumerate(header) if folded_name(each) == name_there]
        if len(same) == 1:
            return same[0]
    # In a table of items a bare "id" is the item's, unless a column says so more clearly.
    for usual in (USUAL_NAMES["item"], {"id"}):
        found = [place for place, each in enumerate(header) if folded_name(each) in usual]
        if len(found) > 1:
            raise ConfigError(_several("id", [header[place] for place in found], header, name))
        if found:
            return found[0]
    raise DataError(
        f"{name}: no item column: the header is {','.join(header)[:200]!r}; expected one of the "
        f"usual names (id, {usual_names('item')}), or --items-id-column NAME"
    )


def _title_place(
    header: Sequence[str], title: str | None, item_place: int, name: str
) -> int | None:
    if title is not None:
        return place_of(header, title, "--items-title-column", name)
    for usual in (frozenset({"title"}), _TITLE_NAMES):
        found = [
            place
            for place, each in enumerate(header)
            if folded_name(each) in usual and place != item_place
        ]
        if len(found) > 1:
            raise ConfigError(_several("title", [header[place] for place in found], header, name))
        if found:
            return found[0]
    return None


def _several(
    role: Literal["id", "title"], found: list[str], header: Sequence[str], name: str
) -> str:
    return (
        f"{name}: the {role} column could be {' or '.join(map(repr, found))}: say which with "
        f"--items-{role}-column; the header is {','.join(header)[:200]!r}"
    )


def _unique_rows(rows: _Rows, header: list[str], name: str) -> list[list[str]]:
    place = header.index("item_id")
    known: dict[str, tuple[int, list[str]]] = {}
    for number, fields in rows:
        if len(fields) != len(header):
            raise DataError(
                f"{name}, line {number}: {len(fields)} fields where {len(header)} were expected: "
                f"{','.join(fields)[:80]!r}"
            )
        if not fields[place]:
            raise DataError(f"{name}, line {number}: the item id is empty")
        first, other = known.setdefault(fields[place], (number, fields))
        if other != fields:
            raise DataError(
                f"{name}, line {number}: item {fields[place]!r} was told of in line {first} "
                "already, and otherwise: keep one of the two"
            )
    return [fields for _, fields in known.values()]


def _open_rows(source: ByteSource, file_name: str, wanted: _Wanted) -> _Rows:
    if source.starts_with(b"PAR1"):
        return _parquet_rows(source, wanted)
    text = _decoded(source, is_grouplens=file_name in ("movies.dat", "u.item"))
    if file_name == "u.item":
        genres = [f"genre_{each.lower()}" for each in _GENRES.split()]
        return _with_header([*_U_ITEM_COLUMNS, *genres], _split_rows(text, "|"))
    if file_name == "movies.dat":
        return _with_header(_MOVIES_DAT_COLUMNS, _split_rows(text, "::"))
    first_line = next((line for line in text.split("\n") if line.strip()), "")
    if not first_line:
        return iter(())
    found = excel_format(first_line, source.name)
    if found is not None:
        # An empty line in its place keeps the line numbers right.
        return _text_rows(text.replace(first_line, "", 1), found, source.name)
    found = find_format(first_line, source.name, wanted.is_known)
    return _text_rows(text, found, source.name)


def _text_rows(text: str, input_format: InputFormat, name: str) -> _Rows:
    if input_format in QUOTED_FORMATS:
        return _quoted_rows(text, separator(input_format), name)
    if input_format == "jsonl":
        return _json_rows(text, name)
    if input_format in ("tsv", "inter"):
        return _split_rows(text, "\t")
    raise ConfigError(
        f"{name}: cannot tell the format of the items from the first line "
        f"{text[:120].splitlines()[0]!r}: expected csv (also with semicolons or pipes), "
        "tsv, item, parquet or jsonl"
    )


def _decoded(source: ByteSource, is_grouplens: bool) -> str:
    raw = source.read(-1)
    if raw.startswith(UTF_16_MARKS) or b"\0" in raw:
        raise DataError(
            f"{source.name}: holds NUL bytes or the byte order mark of UTF-16 where UTF-8 text "
            f"was expected: if it is UTF-16, {UTF_16_ADVICE}"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        if not is_grouplens:
            line = raw.count(b"\n", 0, problem.start) + 1
            raise DataError(
                f"{source.name}, line {line}: byte 0x{raw[problem.start]:02x} where UTF-8 text was "
                f"expected: {ENCODING_ADVICE}"
            ) from problem
        # GroupLens wrote these two files in Latin-1, which every byte is valid in.
        text = raw.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _with_header(header: list[str], rows: _Rows) -> _Rows:
    yield 0, header
    yield from rows


def _split_rows(text: str, separator: str) -> _Rows:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip(" "):
            yield number, line.split(separator)


def _quoted_rows(text: str, mark: str, name: str) -> _Rows:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    number = 1
    try:
        for fields in reader:
            if fields:
                yield number, fields
            number = reader.line_num + 1
    except csv.Error as problem:
        raise DataError(
            f"{name}, line {number}: quotes do not match in the row that begins here ({problem})"
        ) from problem


def _json_rows(text: str, name: str) -> _Rows:
    records: list[tuple[int, dict[str, str]]] = []
    header: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = {key: _cell(value) for key, value in json_object(line).items()}
        except DataError as problem:
            raise DataError(f"{name}, line {number}: {problem}") from problem
        header.update(dict.fromkeys(record))
        records.append((number, record))
    yield 0, list(header)
    for number, record in records:
        yield number, [record.get(key, "") for key in header]


def _cell(value: object) -> str:
    """Write what JSON or Parquet hold as text; what is nothing (null, NaN, an empty list) as ""."""
    if value is None or value in ([], {}) or value != value:
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _parquet_rows(source: ByteSource, wanted: _Wanted) -> _Rows:
    table = open_parquet(source).read()
    header = list(table.column_names)
    ids = table.column(_item_place(header, wanted, source.name))
    if pa.types.is_floating(ids.type):
        # 7 would have become "7.0", which joins to nothing.
        raise DataError(
            f"{source.name}: the item column holds floats; ids must be text or integers"
        )
    yield 0, header
    columns = [table.column(place).to_pylist() for place in range(table.num_columns)]
    for number, values in enumerate(zip(*columns, strict=True), start=1):
        yield number, [_cell(each) for each in values]
