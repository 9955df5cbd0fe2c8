"""Which format an interactions file is written in: by its content, its suffix, its first line."""

import re
from pathlib import PurePath
from typing import Literal, get_args

from recsys.data.columns import column_name, has_known_name
from recsys.errors import ConfigError

InputFormat = Literal["csv", "tsv", "dat", "parquet", "jsonl", "inter", "adjacency"]
INPUT_FORMATS: tuple[InputFormat, ...] = get_args(InputFormat)

_BY_SUFFIX: dict[str, InputFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".inter": "inter",
    ".item": "inter",
}
_SEPARATORS: dict[InputFormat, str] = {"csv": ",", "tsv": "\t", "inter": "\t", "dat": "::"}
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


def content_format(line: str, name: str) -> InputFormat:
    """Tell the format from the first line of a file.

    Raises
    ------
    ConfigError
        When the line could be anything; it is shown, and the options that decide are named.
    """
    if line.lstrip().startswith("{"):
        return "jsonl"
    if "\t" in line:
        typed = all(_TYPED_FIELD.fullmatch(each) for each in line.split("\t"))
        return "inter" if typed else "tsv"
    if "::" in line:
        return "dat"
    if "," in line:
        return "csv"
    tokens = line.split()
    # Column names between blanks announce a table, which an adjacency list is not.
    if len(tokens) > 1 and not any(has_known_name(column_name(each)) for each in tokens):
        return "adjacency"
    raise ConfigError(
        f"{name}: cannot tell the format from its first line {line[:120]!r}: "
        f"name it with --input-format ({', '.join(INPUT_FORMATS)}) and, for a file without "
        "a header, --columns user_id,item_id,..."
    )


def refuse_table_like(lines: list[str], name: str) -> None:
    """Refuse to guess that lines of equally many numbers are lists of items.

    ``196 242 3 881250949`` may be a user with three items, or a user, an item, a rating and a
    time. Lists of real users differ in length.

    Raises
    ------
    ConfigError
        Two lines or more, and every one has the same three or four fields.
    """
    widths = {len(line.split()) for line in lines}
    if len(lines) > 1 and widths in ({3}, {4}):
        raise ConfigError(
            f"{name}: every line has {widths.pop()} fields ({lines[0][:120]!r}): a table, or a "
            "list of items a user? Say --input-format adjacency for lists; for a table, put "
            "commas or tabs between the fields"
        )
