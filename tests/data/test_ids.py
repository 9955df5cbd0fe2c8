import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.id_store import load_ids, save_ids
from recsys.data.ids import IdMap, sorted_ids
from recsys.errors import ArtefactError, UnknownIdError

IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
UNIQUE_IDS = st.lists(IDS, unique=True, max_size=30)
ODD = ["007", "7", " 7", "a,b", 'say "x"', "", "ab\ncd", "🦊", "中文", "nan", "None", str(2**63)]


# --- order


def test_canonical_integers_are_sorted_as_numbers():
    assert sorted_ids(["10", "9", "-3", "0"]) == ["-3", "0", "9", "10"]
    big = str(2**70)
    assert sorted_ids([big, "5"]) == ["5", big]


@pytest.mark.parametrize("odd", ["007", "+1", "1.0", " 1", "-0", "--1", "", "x", "٣", "1e3"])
def test_one_id_that_is_no_canonical_integer_sorts_all_by_code_point(odd):
    ids = ["10", "9", odd]
    assert sorted_ids(ids) == sorted(ids)


def test_case_and_script_are_sorted_by_code_point():
    assert sorted_ids(["b", "B", "é", "中", "a"]) == ["B", "a", "b", "é", "中"]


def test_a_number_longer_than_python_reads_is_a_name():
    long = "9" * 5000
    assert sorted_ids([long, "10", "9"]) == ["10", "9", long]


@given(st.lists(st.integers().map(str)))
def test_sorting_integers_is_sorting_their_values(ids):
    assert sorted_ids(ids) == sorted(ids, key=int)


@given(UNIQUE_IDS, st.randoms())
def test_the_order_does_not_depend_on_the_order_given(ids, random):
    shuffled = list(ids)
    random.shuffle(shuffled)
    assert sorted_ids(shuffled) == sorted_ids(ids)


# --- positions


@given(UNIQUE_IDS)
def test_ids_and_positions_are_each_others_inverse(ids):
    for made in (IdMap.in_order(ids, "item"), IdMap.of([*ids, *ids], "item")):
        assert len(made) == len(ids)
        positions = made.positions(ids)
        assert positions.dtype == np.int64
        assert list(made.ids[positions]) == ids
        assert sorted(positions) == list(range(len(ids)))


def test_ids_stay_what_the_caller_wrote():
    made = IdMap.in_order(ODD, "item")
    assert list(made.ids) == ODD
    assert made.positions(ODD).tolist() == list(range(len(ODD)))
    assert all(each in made for each in ODD)
    assert "07" not in made


def test_find_gives_minus_one_for_the_unknown():
    made = IdMap.of(["b", "a"], "item")
    assert made.find(["b", "x", "a", "b"]).tolist() == [1, -1, 0, 1]
    assert made.find([]).tolist() == []


def test_an_id_that_occurs_twice_is_our_own_mistake():
    with pytest.raises(AssertionError, match="duplicate item ids"):
        IdMap.in_order(["a", "a"], "item")


# --- refusals


def test_one_unknown_id_is_refused_naming_the_nearest():
    users = IdMap.of([f"user-{n}" for n in range(1500)], "user")
    with pytest.raises(UnknownIdError) as caught:
        users.positions(["user-3", "user-15000"])
    message = str(caught.value)
    assert message.startswith("unknown user 'user-15000' (of 1,500 known); the nearest known: '")
    assert "'user-1500'" not in message
    assert "'user-150'" in message or "'user-1000'" in message


def test_many_unknown_ids_are_refused_naming_five():
    items = IdMap.of(["a"], "item")
    with pytest.raises(UnknownIdError) as caught:
        items.positions([f"wholly unknown {n}" for n in range(8)])
    named = ", ".join(f"'wholly unknown {n}'" for n in range(5))
    assert str(caught.value) == f"unknown items {named} and 3 more (of 1 known)"


def test_an_id_that_differs_by_case_only_is_the_nearest():
    assert IdMap.of(["Alice", "Bob", "alicf"], "user").nearest("alice") == ["Alice"]


def test_an_unknown_id_with_a_line_break_is_named_in_one_line():
    with pytest.raises(UnknownIdError) as caught:
        IdMap.of(["a"], "item").positions(["x\ny"])
    assert "\n" not in str(caught.value)


def test_an_empty_map_and_an_empty_id_have_no_nearest():
    assert IdMap.of([], "item").nearest("abc") == []
    assert IdMap.of(["abc"], "item").nearest("") == []


# --- fingerprint


@given(UNIQUE_IDS, UNIQUE_IDS)
def test_fingerprints_agree_exactly_when_the_ids_do(one, other):
    same = IdMap.in_order(one, "a").fingerprint == IdMap.in_order(other, "b").fingerprint
    assert same == (one == other)


def test_the_fingerprint_knows_where_an_id_ends():
    one, other = IdMap.in_order(["ab", "c"], "item"), IdMap.in_order(["a", "bc"], "item")
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint != IdMap.in_order(["c", "ab"], "item").fingerprint


# --- on disk


@pytest.mark.parametrize("ids", [ODD, [], ["1", "01"]])
def test_ids_are_read_as_they_were_written(tmp_path, ids):
    save_ids(IdMap.in_order(ids, "item"), tmp_path / "ids.parquet")
    found = load_ids(tmp_path / "ids.parquet", "item", "recsys ingest")
    assert list(found.ids) == ids
    assert found.noun == "item"


def test_a_file_that_is_no_list_of_ids_is_refused(tmp_path, bomb):
    import pandas as pd

    path = tmp_path / "ids.parquet"
    pd.DataFrame({"a": ["x"], "b": ["y"]}).to_parquet(path)
    two_columns = path.read_bytes()
    for content in (b"", b"text", bomb.content, two_columns):
        path.write_bytes(content)
        with pytest.raises(ArtefactError) as caught:
            load_ids(path, "item", "recsys ingest")
        message = str(caught.value)
        assert message.startswith(f"{path} is not a list of ids (")
        assert message.endswith("); run `recsys ingest`")
        assert "\n" not in message
    assert not bomb.has_run()
