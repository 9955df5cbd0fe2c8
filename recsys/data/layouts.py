"""Where the interactions and the items of a data set lie: a file, or a directory as GroupLens's."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from recsys.data.columns import WantedColumns
from recsys.data.formats import InputFormat
from recsys.errors import ConfigError, DataError

_INTERACTION_FILES = ("ratings.csv", "ratings.dat", "u.data", "*.inter")
_ITEM_FILES = ("movies.csv", "movies.dat", "u.item", "items.csv", "books.csv", "*.item")
_GROUPLENS_COLUMNS = ("user_id", "item_id", "rating", "timestamp")


@dataclass(frozen=True)
class ReadOptions:
    """What the caller knows about an interactions file; None = find out.

    Parameters
    ----------
    columns : tuple of str, optional
        Names for the columns of a file without a header line.
    user, item, rating, weight, timestamp : str, optional
        Which column holds it.
    skip_bad_rows : int
        How many bad rows are tolerated.
    """

    input_format: InputFormat | None = None
    columns: tuple[str, ...] | None = None
    user: str | None = None
    item: str | None = None
    rating: str | None = None
    weight: str | None = None
    timestamp: str | None = None
    skip_bad_rows: int = 0

    def __post_init__(self) -> None:
        if self.skip_bad_rows < 0:
            raise ConfigError(f"--skip-bad-rows is {self.skip_bad_rows}; expected 0 or more")
        if self.columns is not None and len(set(self.columns)) != len(self.columns):
            raise ConfigError(f"--columns {','.join(self.columns)} names a column twice")

    def wanted(self) -> WantedColumns:
        """Give the columns that the caller has decided."""
        return WantedColumns(self.user, self.item, self.rating, self.weight, self.timestamp)


@dataclass(frozen=True)
class DataSource:
    """The files of a data set, and what their names tell about how to read them."""

    interactions: Path
    items: Path | None = None
    options: ReadOptions = field(default_factory=ReadOptions)


def locate(path: Path) -> DataSource:
    """Find the interactions and the items of a data set.

    Parameters
    ----------
    path : Path
        A file, or a directory that holds one of ratings.csv, ratings.dat, u.data and *.inter,
        and perhaps one of movies.csv, movies.dat, u.item, items.csv, books.csv and *.item, each
        also with .gz.

    Raises
    ------
    DataError
        Nothing is there.
    ConfigError
        There are several interactions files, or several items files.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or directory")
    if not path.is_dir():
        return DataSource(path, None, _options_by_name(path))
    found = _candidates(path, _INTERACTION_FILES)
    if not found:
        inside = ", ".join(sorted(each.name for each in path.iterdir())[:5]) or "nothing"
        raise DataError(
            f"{path}: no interactions file: looked for {', '.join(_INTERACTION_FILES)} (also .gz) "
            f"and found {inside}: name the file itself"
        )
    items = _candidates(path, _ITEM_FILES)
    for several in (found, items):
        if len(several) > 1:
            names = " and ".join(each.name for each in several[:5])
            raise ConfigError(f"{path}: holds {names}: name the one to read")
    return DataSource(found[0], items[0] if items else None, _options_by_name(found[0]))


def _candidates(directory: Path, patterns: tuple[str, ...]) -> list[Path]:
    found = [
        each
        for pattern in patterns
        for ending in ("", ".gz")
        for each in sorted(directory.glob(pattern + ending))
        if each.is_file()
    ]
    return list(dict.fromkeys(found))  # u.item is an *.item too


def _options_by_name(path: Path) -> ReadOptions:
    """Tell the layout of GroupLens's two files without header."""
    options = ReadOptions(columns=_GROUPLENS_COLUMNS)
    name = path.name.removesuffix(".gz")
    if name == "u.data":
        return replace(options, input_format="tsv")
    if name == "ratings.dat":
        return replace(options, input_format="dat")
    return ReadOptions()
