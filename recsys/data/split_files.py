"""Splits that come with the data: a file that names every row's part, or a test file."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from recsys.data.holdout import Holdout, HoldoutRows, Split, assemble, counted, gather
from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions
from recsys.errors import ConfigError, DataError

_COLUMNS = ("user_id", "item_id", "part")
_PARTS = ("train", "validation_fold_in", "validation_held_out", "test_fold_in", "test_held_out")
# A pair may stand in one part of each of these: more would show the model what it must find, or
# choose it by what it is tested on.
_APART = (
    ("validation_fold_in", "validation_held_out"),
    ("test_fold_in", "test_held_out"),
    ("train", "validation_held_out", "test_held_out"),
)


@dataclass(frozen=True, eq=False)
class _Column:
    # Each text once: int32, shape (n_rows,), into object, shape (n_texts,).
    codes: NDArray[np.int32]
    texts: NDArray[np.object_]

    def __getitem__(self, row: int) -> str:
        return str(self.texts[self.codes[row]])


def read_split_file(path: Path, events: Events) -> Split:
    r"""Divide the events as a CSV file (also .gz) says.

    Parameters
    ----------
    path : Path
        Columns user_id, item_id and part, which is train, validation_fold_in,
        validation_held_out, test_fold_in or test_held_out; others are not read. A pair may be in
        train and in a fold_in, but held out only once and from everything else but the fold_in of
        the other group.
    events : Events
        Has every pair that the file names, and gives its value; its other rows are left out.

    Returns
    -------
    Split
        Validation and test are None where the file has no row of them. Train's items are those
        of the train rows; rows on other items are dropped and counted.

    Raises
    ------
    ConfigError
        No such file.
    DataError
        Not such a CSV file; a pair that the events have not, or that is held out and shown.

    Examples
    --------
    ::

        user_id,item_id,part             user   x  y
        a,x,train                        a      T  T    T train   f fold_in   h held_out
        a,y,train                        b      f  h
        b,x,validation_fold_in
        b,y,validation_held_out

    >>> import tempfile
    >>> users, items = IdMap.of("ab", "user"), IdMap.of("xy", "item")
    >>> rows, columns = np.indices((2, 2), dtype=np.int32).reshape(2, -1)
    >>> events = Events(users, items, rows, columns, np.ones(4, np.float32), None, "none")
    >>> lines = ["user_id,item_id,part", "a,x,train", "a,y,train"]
    >>> lines += ["b,x,validation_fold_in", "b,y,validation_held_out"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "parts.csv"
    ...     written = path.write_text("\n".join(lines))
    ...     split = read_split_file(path, events)
    >>> split.validation.fold_in.matrix.toarray().astype(int)
    array([[1, 0]])
    >>> split.validation.held_out.matrix.toarray().astype(int)
    array([[0, 1]])
    """
    named = _read_columns(path)
    parts = _part_numbers(path, named["part"])
    if not (parts == 0).any():
        raise DataError(
            f"{path}: {counted(len(parts), 'row')}, none with part train; expected rows to train on"
        )
    rows = _event_rows(path, named, events)
    for group in _APART:
        _refuse_repeated(path, rows, parts, group, events)
    # One bool array a part over the events' rows: from here on the file's order plays no role.
    marked = {part: np.zeros(len(events), dtype=bool) for part in _PARTS}
    for number, part in enumerate(_PARTS):
        marked[part][rows[parts == number]] = True
    n_unnamed = int((~np.logical_or.reduce(list(marked.values()))).sum())
    unnamed = [f"{counted(n_unnamed, 'row')} that {path.name} does not name"] if n_unnamed else []
    validation = _group_rows(marked["validation_fold_in"], marked["validation_held_out"])
    test = _group_rows(marked["test_fold_in"], marked["test_held_out"])
    return assemble(events, marked["train"], validation, test, unnamed)


def _group_rows(fold_in: NDArray[np.bool_], held_out: NDArray[np.bool_]) -> HoldoutRows | None:
    return HoldoutRows(fold_in, held_out) if (fold_in | held_out).any() else None


def with_test_events(split: Split, events: Events, test_events: Events) -> Split:
    """Add the test users of a file that came with the data.

    Parameters
    ----------
    split : Split
        `events` divided, without a test part.
    events : Events
        What the model may be shown: a test user's fold_in is all its rows on train's items.
    test_events : Events
        What must be found: rows of users in `events`, on train's items, not in the fold_in; the
        others are dropped and counted by reason.

    Raises
    ------
    ConfigError
        The split has a test part already.
    DataError
        No row of the test file is left.
    """
    if split.test is not None:
        raise ConfigError(
            "a test file was given and the split file has test rows too: expected one of the"
            " two; leave out the test file or the test rows"
        )
    items = split.train.items
    users = events.users.find(test_events.users.ids)  # of each test user, -1 where unknown
    held_out, lines = _found_out(events, test_events, users, items)
    if not held_out.any():
        raise DataError(
            f"no row of the test file can be evaluated ({'; '.join(lines)}); expected users of"
            " the data with items that train has: check that both files use the same ids"
        )
    evaluated = np.unique(test_events.user_positions[held_out])
    evaluated = evaluated[np.argsort(users[evaluated])]
    n_left = int((users >= 0).sum()) - len(evaluated)
    if n_left:
        lines.append(f"{counted(n_left, 'test user')} with nothing held out")
    test = Holdout(
        fold_in=_whole_history(events, users[evaluated], items),
        held_out=gather(test_events, held_out, evaluated, items),
    )
    return Split(split.train, split.validation, test, (*split.left_out, *lines))


def _found_out(
    events: Events, test_events: Events, users: NDArray[np.int64], items: IdMap
) -> tuple[NDArray[np.bool_], list[str]]:
    rows = users[test_events.user_positions]
    columns = items.find(test_events.items.ids)[test_events.item_positions]
    shown = items.find(events.items.ids)[events.item_positions]
    seen = np.isin(
        rows * len(items) + columns,
        events.user_positions.astype(np.int64)[shown >= 0] * len(items) + shown[shown >= 0],
    )
    dropped = {
        "of users that the data has not": rows < 0,
        "on items that train has not": (rows >= 0) & (columns < 0),
        "already in the user's fold_in": (rows >= 0) & (columns >= 0) & seen,
    }
    lines = [
        f"{counted(int(each.sum()), 'row')} of the test file {reason}"
        for reason, each in dropped.items()
        if each.any()
    ]
    return ~np.logical_or.reduce(list(dropped.values())), lines


def _whole_history(events: Events, users: NDArray[np.int64], items: IdMap) -> Interactions:
    wanted = np.zeros(len(events.users), dtype=bool)
    wanted[users] = True
    known = items.find(events.items.ids) >= 0
    rows = wanted[events.user_positions] & known[events.item_positions]
    return gather(events, rows, users, items)


def _read_columns(path: Path) -> dict[str, _Column]:
    if not path.is_file():
        raise ConfigError(
            f"split {str(path)!r} is neither strong, weak, last, time or none nor a file; expected"
            " one of these words or the path of a split file"
        )
    text = pa.dictionary(pa.int32(), pa.string())
    try:
        with _opened(path) as stream:
            table = pyarrow.csv.read_csv(
                stream,
                # One thread, so that the errors name the line.
                pyarrow.csv.ReadOptions(use_threads=False),
                pyarrow.csv.ParseOptions(ignore_empty_lines=False),
                pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(_COLUMNS, text)),
            )
    except (pa.ArrowInvalid, EOFError, OSError, zlib.error) as error:
        reason = " ".join(str(error).split()).replace("Row #", "line ")
        raise DataError(
            f"{path}: {reason}; expected a CSV file in UTF-8 (also .gz) with the columns"
            f" {', '.join(_COLUMNS)} in its first line"
        ) from error
    header = table.column_names
    absent = [name for name in _COLUMNS if header.count(name) != 1]
    if absent:
        raise DataError(
            f"{path}, line 1: columns {', '.join(header)}; expected {', '.join(absent)} among"
            " them, once: name the columns so"
        )
    return {name: _column(table, name) for name in _COLUMNS}


def _column(table: pa.Table, name: str) -> _Column:
    array = table.column(name).unify_dictionaries()
    chunks = [cast("pa.DictionaryArray[Any, Any]", chunk) for chunk in array.chunks]
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in chunks])
    return _Column(codes, chunks[0].dictionary.to_numpy(zero_copy_only=False))


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        is_gzip = stream.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if is_gzip else path.open("rb")


def _part_numbers(path: Path, column: _Column) -> NDArray[np.int64]:
    known = [_PARTS.index(each) if each in _PARTS else -1 for each in column.texts]
    numbers = np.array(known, dtype=np.int64)[column.codes]
    unknown = np.flatnonzero(numbers < 0)
    if len(unknown):
        row = int(unknown[0])
        raise DataError(
            f"{path}, line {row + 2}: part {column[row]!r}; expected one of {', '.join(_PARTS)}"
        )
    return numbers


def _event_rows(path: Path, named: dict[str, _Column], events: Events) -> NDArray[np.int64]:
    users = _positions(named["user_id"], events.users)
    items = _positions(named["item_id"], events.items)
    n_items = len(events.items)
    keys = events.user_positions.astype(np.int64) * n_items + events.item_positions
    order = np.argsort(keys)
    wanted = users * n_items + items
    at = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    rows = order[at]
    missing = np.flatnonzero((users < 0) | (items < 0) | (keys[rows] != wanted))
    if len(missing):
        row = int(missing[0])
        pair = _pair(events, named["user_id"][row], named["item_id"][row])
        n_others = len(missing) - 1
        verb = "is" if n_others == 1 else "are"
        others = f", nor {verb} {counted(n_others, 'other pair')} of the file" if n_others else ""
        raise DataError(
            f"{path}, line {row + 2}: {pair} is not a row of the data{others}; expected pairs of"
            " the data only: use the data and the filters that the file was made with"
        )
    return rows


def _positions(column: _Column, ids: IdMap) -> NDArray[np.int64]:
    return ids.find(column.texts)[column.codes]


def _refuse_repeated(
    path: Path,
    rows: NDArray[np.int64],
    parts: NDArray[np.int64],
    group: tuple[str, ...],
    events: Events,
) -> None:
    lines = np.flatnonzero(np.isin(parts, [_PARTS.index(part) for part in group]))
    order = lines[np.argsort(rows[lines], kind="stable")]
    repeated = np.flatnonzero(rows[order[1:]] == rows[order[:-1]])
    if len(repeated) == 0:
        return
    first, second = order[repeated[0]], order[repeated[0] + 1]
    row = rows[first]
    pair = _pair(
        events,
        events.users.ids[events.user_positions[row]],
        events.items.ids[events.item_positions[row]],
    )
    raise DataError(
        f"{path}, line {second + 2}: {pair} is in {_PARTS[parts[second]]}, and in line"
        f" {first + 2} in {_PARTS[parts[first]]}; expected it once in {' and '.join(group)}"
        " together: take one of the lines out"
    )


def _pair(events: Events, user: str, item: str) -> str:
    return f"{events.users.noun} {user!r} with {events.items.noun} {item!r}"
