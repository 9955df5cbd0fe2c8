"""Which format an interactions file is written in: by its content, its suffix, its first line."""

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Literal, get_args

from recsys.data.columns import column_name, has_known_name
from recsys.errors import ConfigError

InputFormat = Literal["csv", "tsv", "ssv", "psv", "dat", "parquet", "jsonl", "inter", "adjacency"]
INPUT_FORMATS: tuple[InputFormat, ...] = get_args(InputFormat)

_BY_SUFFIX: dict[str, InputFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".ssv": "ssv",
    ".psv": "psv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".inter": "inter",
    ".item": "inter",
}
QUOTED_FORMATS: frozenset[InputFormat] = frozenset({"csv", "ssv", "psv"})
"""Those in which quotes are read as RFC 4180 says."""

_SEPARATORS: dict[InputFormat, str] = {
    "csv": ",",
    "ssv": ";",
    "psv": "|",
    "tsv": "\t",
    "inter": "\t",
    "dat": "::",
}
_EXCEL_FORMATS: dict[str, InputFormat] = {",": "csv", ";": "ssv", "|": "psv", "\t": "tsv"}
_EXCEL_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
_OPENED_ARRAY = re.compile(r"\s*\[\s*\{")
_TYPED_FIELD = re.compile(r".+:(token|token_seq|float|float_seq)")


def separator(input_format: InputFormat) -> str:
    """Give what stands between two fields of a delimited format."""
    return _SEPARATORS[input_format]


def suffix_format(name: str) -> InputFormat | None:
    """Tell the format from a file's name, a final ``.gz`` aside; None when the name is silent.

    Examples
    --------
    >>> suffix_format("ratings.csv.gz")
    'csv'
    >>> suffix_format("u.data") is None
    True
    """
    path = PurePath(name.lower())
    if path.suffix == ".gz":
        path = path.with_suffix("")
    return _BY_SUFFIX.get(path.suffix)


def excel_format(line: str, name: str) -> InputFormat | None:
    """Tell the format from a first line like ``sep=;``, which Excel reads; None = no such line.

    Raises
    ------
    ConfigError
        The line names a separator that no format has.

    Examples
    --------
    >>> excel_format("sep=;", "ratings.csv")
    'ssv'
    """
    match = _EXCEL_LINE.fullmatch(line)
    if match is None:
        return None
    if match[1] not in _EXCEL_FORMATS:
        raise ConfigError(
            f"{name}: the first line {line!r} names a separator that is not read: expected a "
            "comma, a semicolon, a pipe or a tab; write the file anew with one of them"
        )
    return _EXCEL_FORMATS[match[1]]


def find_format(
    line: str, name: str, is_known: Callable[[str], bool] = has_known_name
) -> InputFormat:
    """Tell the format from a file's name and, where that leaves a choice, from its first line.

    Parameters
    ----------
    line : str
        The first line that is not blank.
    name : str
        The file.
    is_known : callable
        Tells of a field of that line whether it is the name of a column.

    Examples
    --------
    >>> find_format("user_id;item_id", "ratings.csv")
    'ssv'
    """
    by_name = suffix_format(name)
    if by_name == "csv":
        return _marked_format(line, is_known) or "csv"
    return by_name or content_format(line, name, is_known)


def _marked_format(line: str, is_known: Callable[[str], bool]) -> InputFormat | None:
    """Tell tabs, semicolons or pipes from a line without commas that names a column."""
    if "," in line:
        return None
    marked: tuple[InputFormat, ...] = ("tsv", "ssv", "psv")
    for input_format in marked:
        fields = line.split(separator(input_format))
        if len(fields) > 1 and any(is_known(column_name(each.strip(' "'))) for each in fields):
            return input_format
    return None


def content_format(
    line: str, name: str, is_known: Callable[[str], bool] = has_known_name
) -> InputFormat:
    """Tell the format from the first line of a file; for `is_known` see `find_format`.

    Raises
    ------
    ConfigError
        When the line could be anything; it is shown, and the options that decide are named.
    """
    if line.lstrip().startswith("{"):
        return "jsonl"
    if line.strip() == "[" or _OPENED_ARRAY.match(line):
        raise ConfigError(
            f"{name}: a JSON array, expected one object a line: write it with jq -c '.[]'"
        )
    if "\t" in line:
        typed = all(_TYPED_FIELD.fullmatch(each) for each in line.split("\t"))
        return "inter" if typed else "tsv"
    if "::" in line:
        return "dat"
    if "," in line:
        return "csv"
    marked = _marked_format(line, is_known)
    if marked is not None:
        return marked
    tokens = listed_ids(line)
    # Column names between blanks announce a table, which an adjacency list is not.
    if len(tokens) > 1 and not any(has_known_name(column_name(each)) for each in tokens):
        return "adjacency"
    raise ConfigError(
        f"{name}: cannot tell the format from its first line {line[:120]!r}: "
        f"name it with --input-format ({', '.join(INPUT_FORMATS)}) and, for a file without "
        "a header, --columns user_id,item_id,..."
    )


def listed_ids(line: str) -> list[str]:
    r"""Split a line of an adjacency list at its blanks and tabs: other white space is of an id.

    Examples
    --------
    >>> listed_ids(" 12 7\t8")
    ['12', '7', '8']
    """
    return [each for each in line.replace("\t", " ").split(" ") if each]


def refuse_table_like(lines: list[str], name: str) -> None:
    """Refuse to guess that lines of equally many numbers are lists of items.

    ``196 242 3 881250949`` may be a user with three items, or a user, an item, a rating and a
    time. Lists of real users differ in length.

    Raises
    ------
    ConfigError
        Two lines or more, and every one has the same three or four fields.
    """
    widths = {len(listed_ids(line)) for line in lines}
    if len(lines) > 1 and widths in ({3}, {4}):
        raise ConfigError(
            f"{name}: every line has {widths.pop()} fields ({lines[0][:120]!r}): a table, or a "
            "list of items a user? Say --input-format adjacency for lists; for a table, put "
            "commas or tabs between the fields"
        )
