"""JSON lines whose records do not all have the same fields: nothing is left out in silence."""

import json

import pytest

from recsys.data.lines import measure
from recsys.data.readers import ReadOptions, read_events
from recsys.data.records import json_fields
from recsys.errors import ConfigError, DataError

CLICK = {"user": "a", "item": "x"}


def write(tmp_path, *records):
    path = tmp_path / "a.jsonl"
    lines = (each if isinstance(each, str) else json.dumps(each) for each in records)
    path.write_text("\n".join(lines) + "\n")
    return path


def refusal(path, options=None, error=DataError):
    with pytest.raises(error) as caught:
        read_events(path, options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def small_blocks(monkeypatch):
    """Make the first block one record long, as 8 MB would be of a large file."""
    monkeypatch.setattr("recsys.data.lines.LineBlocks.__init__.__defaults__", (40,))


def test_fields_are_listed_as_they_first_appear():
    text = b'{"b": 1}\n\nnot json\n{"a": 1, "b": 2}\n[1]\n{"c": null}\n'
    assert json_fields(measure(text, 1)) == ["b", "a", "c"]


def test_a_first_record_without_a_rating_is_no_unrated_click(tmp_path):
    path = write(tmp_path, CLICK, {**CLICK, "item": "y", "rating": 4})
    assert refusal(path) == (
        f"{path}, line 1: no field 'rating': the fields are 'user, item' "
        "(use --skip-bad-rows N to tolerate up to N such rows)"
    )
    events, report = read_events(path, ReadOptions(skip_bad_rows=1))
    assert (events.value_kind, events.values.tolist()) == ("rating", [4.0])
    assert (report.n_rows, report.n_bad_rows) == (2, 1)


@pytest.mark.parametrize("field", ["rating", "plays", "timestamp"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_record_without_an_optional_field_is_named(tmp_path, field, place):
    records = [{"user": "a", "item": str(n), field: 1} for n in range(3)]
    del records[place][field]
    assert f"line {place + 1}: no field '{field}'" in refusal(write(tmp_path, *records))


def test_two_names_of_one_thing_are_refused_wherever_they_stand(tmp_path):
    path = write(tmp_path, {**CLICK, "rating": 1}, {**CLICK, "stars": 1})
    assert "the rating column could be 'rating' or 'stars': say which" in refusal(
        path, error=ConfigError
    )


def test_fields_that_are_not_read_may_come_and_go(tmp_path):
    path = write(tmp_path, {**CLICK, "mood": "?"}, {"item": "y", "user": "a"}, {**CLICK, "z": []})
    assert read_events(path)[1].n_rows == 3


def test_a_first_line_that_is_no_record_is_a_bad_row_as_any_other(tmp_path):
    path = write(tmp_path, "oops", CLICK)
    assert "line 1: not a JSON object: 'oops'" in refusal(path)
    assert read_events(path, ReadOptions(skip_bad_rows=1))[1].n_bad_rows == 1


def test_a_file_without_any_record_is_refused_by_its_first_line(tmp_path):
    path = write(tmp_path, "oops", "[1]")
    assert refusal(path, ReadOptions(skip_bad_rows=9)) == (
        f"{path}, line 1: not a JSON object: 'oops'"
    )


@pytest.mark.parametrize("field", ["rating", "Stars", "plays", "timestamp", "movie_id"])
@pytest.mark.usefixtures("small_blocks")
def test_a_late_field_that_could_be_a_column_is_a_bad_row(tmp_path, field):
    path = write(tmp_path, CLICK, {**CLICK, "item": "y"}, {**CLICK, field: 4})
    problem = (
        f"{path}, line 3: field '{field}' could be a column to read, and no record in the first "
        "8 MB has it: give every record the same fields"
    )
    assert refusal(path).startswith(problem)
    events, report = read_events(path, ReadOptions(skip_bad_rows=1))
    assert len(events) == 2
    assert report.bad_rows == (problem,)


@pytest.mark.usefixtures("small_blocks")
def test_a_late_field_that_the_caller_has_decided_against_is_not_read(tmp_path):
    path = write(tmp_path, {**CLICK, "good": 4}, {**CLICK, "good": 5, "rating": 1})
    assert "line 2: field 'rating' could be a column" in refusal(path)
    for options in (ReadOptions(rating="good"), ReadOptions(weight="good")):
        assert read_events(path, options)[1].n_bad_rows == 0


@pytest.mark.usefixtures("small_blocks")
def test_a_late_weight_gives_way_to_a_rating_as_an_early_one_does(tmp_path):
    path = write(tmp_path, {**CLICK, "rating": 4}, {**CLICK, "rating": 5, "plays": 1, "mood": 1})
    assert read_events(path)[0].values.tolist() == [5.0]


@pytest.mark.usefixtures("small_blocks")
def test_a_late_rating_beside_weights_is_a_bad_row(tmp_path):
    path = write(tmp_path, {**CLICK, "plays": 4}, {**CLICK, "plays": 5, "rating": 1})
    assert "line 2: field 'rating' could be a column" in refusal(path)
