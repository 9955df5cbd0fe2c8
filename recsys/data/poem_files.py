"""Poems from chinese-poetry JSON, plain text or CSV -> `Poem`s and a report of the reading."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.data.columns import column_name, folded_name
from recsys.data.lines import ENCODING_ADVICE, open_source
from recsys.data.poem_listings import PrintedPoem, plain_text_poems
from recsys.data.poem_text import clean
from recsys.data.poems import Poem
from recsys.errors import DataError

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".txt")
_NO_POEMS = (".tsv", ".parquet", ".xlsx", ".docx", ".pdf", ".html", ".xml")
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a pair, as JSON can spell it and nothing else can hold it."""

_ID_NAMES = frozenset({"id", "poem_id"})
_TITLE_NAMES = frozenset({"title", "rhythmic", "題", "题", "標題", "标题", "詩題", "诗题", "題目"})
_AUTHOR_NAMES = frozenset({"author", "poet", "作者", "詩人", "诗人"})
_TEXT_NAMES = frozenset(
    {"paragraphs", "text", "poem", "content", "verse", "正文", "內容", "内容", "詩", "诗"}
)
_JSON_TEXT = ("paragraphs", "content")


@dataclass(frozen=True)
class PoemReport:
    """What was read and what became of it: n_read - n_empty - n_duplicates poems.

    Parameters
    ----------
    source : str
    layout : str
        What the file, or each of several, was taken for.
    n_files, n_read : int
    n_notes : int
        Editors' brackets that were left out with what they held.
    n_missing : int
        Characters that are lost: a □ in the text, and no item.
    n_empty, n_duplicates : int
        Poems without a letter, and poems whose letters an earlier one has.
    n_same_id : int
        Poems whose id an earlier one has; theirs ends in #2, #3, ...
    passed_over : tuple of str
        What of the source holds no poem, a line each.
    """

    source: str
    layout: str
    n_files: int
    n_read: int
    n_notes: int
    n_missing: int
    n_empty: int
    n_duplicates: int
    n_same_id: int
    passed_over: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    """What one file holds."""

    layout: str
    poems: list[PrintedPoem]
    passed_over: tuple[str, ...] = ()


def read_poems(
    source: Path, *, progress: Callable[[int, int], None] | None = None
) -> tuple[list[Poem], PoemReport]:
    """Read poems in the order of their files.

    Parameters
    ----------
    source : Path
        A file, or a folder whose .json, .jsonl, .csv and .txt files are read, in the order of their
        names; each also gzipped. .json is a list of objects with `paragraphs` and, where known,
        id, title and author (the layout of the chinese-poetry collection), .jsonl or .ndjson has
        such an object a line, .csv has a header with a text column, and other files are plain
        text (see `plain_text_poems`).
    progress : callable, optional
        Told the files done and all files.

    Raises
    ------
    DataError
        The file is missing, damaged or of another layout, or holds no poem.

    Notes
    -----
    A poem's id is the file's; else author/title; else its number among all poems read, from 1.
    Where an id comes again, the second gets #2 behind it. What editors added is left out
    (`recsys.data.poem_text.clean`). Of poems with the same letters the first stays.
    """
    paths = _paths(source)
    files = []
    for path in paths:
        files.append(_read_file(path, alone=source.is_file()))
        if progress is not None:
            progress(len(files), len(paths))
    printed = [poem for each in files for poem in each.poems]
    if not printed:
        raise DataError(f"{source}: no poem found, expected at least one")
    kept = _Kept()
    for number, each in enumerate(printed, start=1):
        kept.add(each, number)
    if not kept.poems:
        raise DataError(f"{source}: all {len(printed):,} poems are empty, expected some letters")
    layouts = dict.fromkeys(each.layout for each in files if each.poems)
    return kept.poems, PoemReport(
        source=str(source),
        layout=", ".join(layouts),
        n_files=sum(bool(each.poems) for each in files),
        n_read=len(printed),
        n_notes=kept.n_notes,
        n_missing=kept.n_missing,
        n_empty=kept.n_empty,
        n_duplicates=kept.n_duplicates,
        n_same_id=kept.n_same_id,
        passed_over=tuple(line for each in files for line in each.passed_over),
    )


class _Kept:
    """The poems so far, and what was lost on the way."""

    def __init__(self) -> None:
        self.poems: list[Poem] = []
        self.n_notes = self.n_missing = self.n_empty = self.n_duplicates = self.n_same_id = 0
        self._letters: set[str] = set()
        self._ids: set[str] = set()
        self._used: Counter[str] = Counter()

    def add(self, printed: PrintedPoem, number: int) -> None:
        """Clean a poem, and keep it unless it is empty or known."""
        text = clean("\n".join(printed.paragraphs))
        letters = "".join(each for each in text.text.lower() if each.isalpha())
        if not letters:
            self.n_empty += 1
        elif letters in self._letters:
            self.n_duplicates += 1
        else:
            self._letters.add(letters)
            self.n_notes += text.n_notes
            self.n_missing += text.n_missing
            paragraphs = tuple(text.text.split("\n"))
            key = self._free_id(printed, number)
            self.poems.append(Poem(key, printed.title, printed.author, paragraphs))

    def _free_id(self, printed: PrintedPoem, number: int) -> str:
        named = "/".join(filter(None, (printed.author, printed.title)))
        wanted = found = printed.id or (named if printed.title else "") or str(number)
        while found in self._ids:
            self._used[wanted] += 1
            found = f"{wanted}#{self._used[wanted] + 1}"
        self.n_same_id += bool(printed.id) and found != wanted
        self._ids.add(found)
        return found


def _paths(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    paths = sorted(each for each in source.rglob("*") if each.is_file() and _suffix(each))
    if not paths:
        raise DataError(f"{source}: no poem file, expected some that end in {_listed(_SUFFIXES)}")
    return paths


def _suffix(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return next((each for each in _SUFFIXES if name.endswith(each)), "")


def _read_file(path: Path, *, alone: bool) -> _File:
    """Read one file; in a folder, a JSON or CSV file of another kind is passed over."""
    kind = path.name.removesuffix(".gz").lower()
    if kind.endswith(_NO_POEMS):
        raise DataError(f"{path}: poems are read from {_listed(_SUFFIXES)} files, and this is none")
    with open_source(path) as source:
        raw = source.read(-1)
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{raw[problem.start]:02x} where UTF-8 text was "
            f"expected: {ENCODING_ADVICE}"
        ) from problem
    suffix = _suffix(path)
    if suffix in ("", ".txt"):
        listing = plain_text_poems(text)
        return _File(
            listing.layout, listing.poems, tuple(f"{path}: {each}" for each in listing.passed_over)
        )
    try:
        poems = _READERS[suffix](text)
    except DataError as problem:
        if alone:
            raise DataError(f"{path}: {problem}") from problem
        return _File(suffix[1:], [], (f"{path}: {problem}",))
    return _File(suffix[1:], poems)


def _json_poems(text: str) -> list[PrintedPoem]:
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"not JSON ({problem})") from problem
    if not isinstance(records, list):
        raise DataError("expected a JSON list of poems, found something else")
    return [_json_poem(each, place) for place, each in enumerate(records, start=1)]


def _json_line_poems(text: str) -> list[PrintedPoem]:
    poems = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                poems.append(_json_poem(json.loads(line), number))
            except (ValueError, RecursionError) as problem:
                raise DataError(f"line {number}: not JSON ({problem})") from problem
    return poems


def _json_poem(record: Any, place: int) -> PrintedPoem:
    if isinstance(record, str):
        return PrintedPoem((_whole(record),))
    fields = record if isinstance(record, dict) else {}
    paragraphs = next((fields[name] for name in _JSON_TEXT if name in fields), None)
    if isinstance(paragraphs, str):
        paragraphs = paragraphs.split("\n")
    if not isinstance(paragraphs, list) or not all(isinstance(each, str) for each in paragraphs):
        raise DataError(f"entry {place}: no paragraphs, expected a list of texts under that name")
    key = "" if fields.get("id") is None else _id(str(fields["id"]))
    if _SURROGATE.search(key):
        raise DataError(f"entry {place}: the id {key!a} is no valid Unicode text")
    return PrintedPoem(
        tuple(map(_whole, paragraphs)),
        title=_json_text(fields.get("title") or fields.get("rhythmic")),
        author=_json_text(fields.get("author")),
        id=key,
    )


def _json_text(value: Any) -> str:
    return "" if value is None else " ".join(_whole(str(value)).split())


def _id(text: str) -> str:
    return text if text.strip() else ""


def _whole(text: str) -> str:
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _csv_poems(text: str) -> list[PrintedPoem]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [row for row in reader if any(row)]
    except csv.Error as problem:
        raise DataError(f"line {reader.line_num}: quotes do not match ({problem})") from problem
    if not rows:
        raise DataError("empty, expected a header and one row a poem")
    header, *rows = rows
    body = _place(header, _TEXT_NAMES)
    if body is None:
        raise DataError(
            f"no column of the poems' text: the header is {','.join(header)[:200]!r}; expected "
            f"one of {_listed(sorted(_TEXT_NAMES))}"
        )
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise DataError(f"poem {number}: {len(row)} fields where {len(header)} were expected")
    names = {
        "title": _place(header, _TITLE_NAMES),
        "author": _place(header, _AUTHOR_NAMES),
        "id": _place(header, _ID_NAMES),
    }
    places = {role: place for role, place in names.items() if place is not None}
    return [
        PrintedPoem(
            tuple(row[body].split("\n")),
            **{  # an id stays as it is written
                role: _id(row[place]) if role == "id" else " ".join(row[place].split())
                for role, place in places.items()
            },
        )
        for row in rows
    ]


_READERS = {
    ".json": _json_poems,
    ".jsonl": _json_line_poems,
    ".ndjson": _json_line_poems,
    ".csv": _csv_poems,
}


def _place(header: Sequence[str], names: Iterable[str]) -> int | None:
    folded = [folded_name(column_name(each)) for each in header]
    return next((place for place, each in enumerate(folded) if each in names), None)


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
