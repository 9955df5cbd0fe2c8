"""Splits that come with the data: a file of parts, a test file, and what is wrong with them."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions
from recsys.data.splits import SplitConfig, read_split_file, split_events
from recsys.errors import ConfigError, DataError, RecsysError

_DATA = "a:x=1 a:y=2 b:x=3 b:y=0 b:z=5 c:x=4 c:y=3 c:z=2 d:x=1 d:q=2"


def events_of(table: str) -> Events:
    rows = [(user, *rest.split("=")) for user, rest in (each.split(":") for each in table.split())]
    users, items, values = zip(*rows, strict=True)
    user_map, item_map = IdMap.of(users, "user"), IdMap.of(items, "item")
    return Events(
        users=user_map,
        items=item_map,
        user_positions=user_map.find(users).astype(np.int32),
        item_positions=item_map.find(items).astype(np.int32),
        values=np.array(values, dtype=np.float32),
        timestamps=None,
        value_kind="rating",
    )


def written(folder: Path, lines: str, header: str = "user_id,item_id,part") -> Path:
    path = folder / "parts.csv"
    path.write_text("\n".join([header, *lines.split()]) + "\n", encoding="utf-8")
    return path


def cells(part: Interactions) -> str:
    triples = part.matrix.tocoo()
    return " ".join(
        f"{part.users.ids[row]}:{part.items.ids[column]}={value:g}"
        for row, column, value in zip(*triples.coords, triples.data, strict=True)
    )


def refusal(path: Path, error: type[RecsysError] = DataError) -> str:
    with pytest.raises(error) as caught:
        read_split_file(path, events_of(_DATA))
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(path), "FILE")


_PARTS = """
    a,x,train a,y,train d,x,train d,q,train
    b,x,validation_fold_in b,z,validation_fold_in b,y,validation_held_out
    c,y,test_held_out c,x,test_held_out
"""


def test_a_split_file_says_who_is_where_and_the_data_give_the_values(tmp_path: Path) -> None:
    split = read_split_file(written(tmp_path, _PARTS), events_of(_DATA))
    assert split.validation is not None
    assert split.test is not None
    assert cells(split.train) == "a:x=1 a:y=2 d:q=2 d:x=1"
    assert cells(split.validation.fold_in) == "b:x=3"
    assert cells(split.validation.held_out) == "b:y=0"
    assert cells(split.test.fold_in) == ""
    assert list(split.test.fold_in.users.ids) == ["c"]
    assert cells(split.test.held_out) == "c:x=4 c:y=3"
    assert split.left_out == (
        "1 row that parts.csv does not name",
        "1 validation row on items that train has not",
    )


def test_a_split_file_is_reached_by_its_path_as_the_kind_compressed_or_not(tmp_path: Path) -> None:
    plain = written(tmp_path, _PARTS)
    packed = tmp_path / "parts.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    events = events_of(_DATA)
    expected = read_split_file(plain, events).fingerprint
    for path in (plain, packed):
        assert split_events(events, SplitConfig(str(path))).fingerprint == expected


def test_the_order_and_further_columns_of_a_split_file_play_no_role(tmp_path: Path) -> None:
    events = events_of(_DATA)
    expected = read_split_file(written(tmp_path, _PARTS), events).fingerprint
    lines = [",".join(["7", *reversed(line.split(","))]) for line in reversed(_PARTS.split())]
    moved = written(tmp_path, " ".join(lines), header="fold,part,item_id,user_id")
    assert read_split_file(moved, events).fingerprint == expected


def test_a_row_may_be_trained_on_and_shown_and_held_out_once(tmp_path: Path) -> None:
    lines = "a,x,train a,y,train b,x,train a,x,validation_fold_in a,x,test_fold_in"
    lines += " b,x,test_fold_in b,y,validation_held_out b,y,test_fold_in c,y,test_held_out"
    split = read_split_file(written(tmp_path, lines), events_of(_DATA))
    assert split.validation is not None
    assert split.test is not None
    assert cells(split.validation.held_out) == "b:y=0"
    assert cells(split.test.held_out) == "c:y=3"
    assert split.left_out == (
        "5 rows that parts.csv does not name",
        "1 validation user with nothing held out",
        "2 test users with nothing held out",
    )


def test_a_split_file_without_held_out_rows_only_trains(tmp_path: Path) -> None:
    split = read_split_file(written(tmp_path, "a,x,train b,x,train b,z,train"), events_of(_DATA))
    assert (split.validation, split.test) == (None, None)
    assert split.train.matrix.nnz == 3


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "a,x,train a,y,Train",
            "FILE, line 3: part 'Train'; expected one of train, validation_fold_in,"
            " validation_held_out, test_fold_in, test_held_out",
        ),
        (
            "a,x,train a,z,train e,x,train",
            "FILE, line 3: user 'a' with item 'z' is not a row of the data, nor is 1 other pair of"
            " the file; expected pairs of the data only: use the data and the filters that the"
            " file was made with",
        ),
        (
            "a,x,train e,x,train",
            "FILE, line 3: user 'e' with item 'x' is not a row of the data; expected pairs of the"
            " data only: use the data and the filters that the file was made with",
        ),
        (
            "a,x,train b,x,train a,x,train",
            "FILE, line 4: user 'a' with item 'x' is in train, and in line 2 in train; expected it"
            " once in train and validation_held_out and test_held_out together: take one of the"
            " lines out",
        ),
        (
            "a,x,train b,x,test_fold_in b,x,test_held_out",
            "FILE, line 4: user 'b' with item 'x' is in test_held_out, and in line 3 in"
            " test_fold_in; expected it once in test_fold_in and test_held_out together: take one"
            " of the lines out",
        ),
        (
            "b,x,test_held_out b,x,train",
            "FILE, line 3: user 'b' with item 'x' is in train, and in line 2 in test_held_out;"
            " expected it once in train and validation_held_out and test_held_out together: take"
            " one of the lines out",
        ),
        (
            "a,x,test_held_out",
            "FILE: 1 row, none with part train; expected rows to train on",
        ),
        ("", "FILE: 0 rows, none with part train; expected rows to train on"),
        (
            "a,x,train b,x,test_fold_in b,z,test_held_out",
            "nothing is held out for test (7 rows that parts.csv does not name; 1 test row on"
            " items that train has not; 1 test user with nothing held out, with 1 row); expected"
            " at least one row: give more data, hold out more for test, or nothing",
        ),
    ],
)
def test_wrong_rows_of_a_split_file_are_refused(tmp_path: Path, lines: str, message: str) -> None:
    assert refusal(written(tmp_path, lines)) == message


_EXPECTED = (
    "; expected a CSV file in UTF-8 (also .gz) with the columns user_id, item_id, part in its"
    " first line"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"FILE: Empty CSV file{_EXPECTED}"),
        (
            b"user,item_id,part\na,x,train\n",
            "FILE, line 1: columns user, item_id, part; expected user_id among them, once: name the"
            " columns so",
        ),
        (
            b"user_id,item_id,part\na,x,train\na,y\n",
            f"FILE: CSV parse error: line 3: Expected 3 columns, got 2: a,y{_EXPECTED}",
        ),
        (
            b"user_id,item_id,part\na,\xff,train\n",
            "FILE: In CSV column #1: line 2: CSV conversion error to string: invalid UTF8 data"
            + _EXPECTED,
        ),
        (
            gzip.compress(b"user_id,item_id,part\na,x,train\n", mtime=0)[:-9],
            "FILE: Compressed file ended before the end-of-stream marker was reached" + _EXPECTED,
        ),
    ],
)
def test_what_is_no_split_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "parts.csv"
    path.write_bytes(content)
    assert refusal(path) == message


def test_a_misspelt_kind_is_refused_as_no_file_either(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        split_events(events_of(_DATA), SplitConfig(str(tmp_path / "strnog")))
    assert str(caught.value) == (
        f"split '{tmp_path}/strnog' is neither strong, weak, last, time or none nor a file;"
        " expected one of these words or the path of a split file"
    )


def test_a_test_file_is_found_out_from_the_whole_history() -> None:
    tested = events_of("c:y=1 a:z=2 a:x=3 c:new=1 new:x=1 b:q=4 d:x=1")
    split = split_events(events_of(_DATA), SplitConfig("none"), tested)
    assert split.test is not None
    assert cells(split.test.fold_in) == "a:x=1 a:y=2 b:x=3 b:y=0 b:z=5"
    assert cells(split.test.held_out) == "a:z=2 b:q=4"
    assert split.left_out == (
        "1 row of the test file of users that the data has not",
        "1 row of the test file on items that train has not",
        "3 rows of the test file already in the user's fold_in",
        "2 test users with nothing held out",
    )


def test_a_test_file_meets_users_held_out_for_validation_with_all_their_rows() -> None:
    rows = [f"{user}:{item}=1" for user in range(1, 9) for item in range(1, 7)]
    events = events_of(" ".join([*rows, "9:7=1"]))
    config = SplitConfig("strong", validation=3)
    validated = split_events(events, config)
    assert validated.validation is not None
    user = validated.validation.held_out.users.ids[0]
    assert "7" in validated.train.items
    split = split_events(events, config, events_of(f"{user}:7=1"))
    assert split.test is not None
    # Test users are users of train: what validation users are shown is trained on as well.
    assert split.validation is not None
    assert cells(split.validation.held_out) == cells(validated.validation.held_out)
    shown = cells(validated.validation.fold_in).split()
    assert set(cells(split.train).split()) == {*cells(validated.train).split(), *shown}
    assert cells(split.test.fold_in) == " ".join(f"{user}:{item}=1" for item in range(1, 7))
    assert cells(split.test.held_out) == f"{user}:7=1"


def test_a_test_file_takes_the_place_of_the_kinds_own_test_part() -> None:
    rows = [f"{user}:{item}=1" for user in range(9) for item in range(6)]
    events = events_of(" ".join([*rows, "9:7=1"]))
    split = split_events(events, SplitConfig("weak"), events_of("1:7=1"))
    assert split.test is not None
    assert cells(split.test.held_out) == "1:7=1"
    # Without the default fifth for test, each user's other five items are in train.
    assert list(split.train.history_lengths()) == [5] * 9 + [1]
    assert cells(split.test.fold_in) == " ".join(f"1:{item}=1" for item in range(6))


def test_a_test_file_of_strangers_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        split_events(events_of(_DATA), SplitConfig("none"), events_of("e:x=1 a:x=1 a:new=1"))
    assert str(caught.value) == (
        "no row of the test file can be evaluated (1 row of the test file of users that the data"
        " has not; 1 row of the test file on items that train has not; 1 row of the test file"
        " already in the user's fold_in); expected users of the data with items that train has:"
        " check that both files use the same ids"
    )


def test_a_test_file_and_a_test_part_together_are_refused(tmp_path: Path) -> None:
    events, tested = events_of(_DATA), events_of("a:z=2")
    with pytest.raises(ConfigError) as caught:
        split_events(events, SplitConfig("last", test=2), tested)
    assert str(caught.value) == (
        "test = 2 together with a test file: expected one of the two; leave out the size or the"
        " file"
    )
    with pytest.raises(ConfigError) as caught:
        split_events(events, SplitConfig(str(written(tmp_path, _PARTS))), tested)
    assert str(caught.value) == (
        "a test file was given and the split file has test rows too: expected one of the two;"
        " leave out the test file or the test rows"
    )
