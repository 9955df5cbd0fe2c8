import csv
import gzip
import io
import json
import os
import sys
import threading
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interaction_files import refusal, rows_of, write

from recsys.data.readers import ReadOptions, read_events

HEADER = "user_id,item_id,rating,timestamp\n"


# ---- the formats


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "user_id,item_id,rating\n007,x,5\n8,y,4.5\n"),
        ("a.ssv", "user_id;item_id;rating\n007;x;5\n8;y;4.5\n"),
        ("a.psv", '"user_id"|"item_id"|"rating"\n007|"x"|5\n8|y|4.5\n'),
        ("a.tsv", "user_id\titem_id\trating\n007\tx\t5\n8\ty\t4.5\n"),
        ("a.dat", "user_id::item_id::rating\n007::x::5\n8::y::4.5\n"),
        ("a.inter", "user_id:token\titem_id:token\trating:float\n007\tx\t5\n8\ty\t4.5\n"),
        (
            "a.jsonl",
            '{"user_id": "007", "item_id": "x", "rating": 5}\n'
            '{"item_id": "y", "user_id": 8, "rating": "4.5"}\n',
        ),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_every_text_format_gives_the_same_rows(tmp_path, name, text, zipped, named):
    raw = gzip.compress(text.encode()) if zipped else text.encode()
    events, report = read_events(write(tmp_path, raw, name if named else "file"))
    assert rows_of(events) == [("007", "x", 5.0), ("8", "y", 4.5)]
    assert events.value_kind == "rating"
    assert report.input_format == name.split(".")[1]
    assert report.columns == {"user": "user_id", "item": "item_id", "rating": "rating"}
    assert (report.n_rows, report.n_bad_rows, report.n_duplicates) == (2, 0, 0)


def test_an_adjacency_list_gives_a_row_for_each_item(tmp_path):
    events, report = read_events(write(tmp_path, "0 10 11\n1\n2 10 \n", "train.txt"))
    assert rows_of(events) == [("0", "10", 1.0), ("0", "11", 1.0), ("2", "10", 1.0)]
    assert report.n_rows == 3
    assert events.value_kind == "none"
    assert "1 users have no items; they were left out" in report.warnings


@pytest.mark.parametrize("zipped", [False, True])
def test_parquet_keeps_strings_and_integers_as_ids(tmp_path, zipped):
    path = tmp_path / "a.parquet"
    table = {"user_id": [2**63 - 1, 8], "item_id": ["007", "NA"], "plays": [1, 2]}
    pq.write_table(pa.table(table), path)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    events, report = read_events(path)
    assert rows_of(events) == [("9223372036854775807", "007", 1.0), ("8", "NA", 2.0)]
    assert (report.input_format, events.value_kind) == ("parquet", "weight")


def test_lists_are_divided_at_blanks_and_tabs_alone(tmp_path):
    path = write(tmp_path, "u1 a\u00a0b\tc\n\t\nu2 d\u3000e f g\n", "lists.txt")
    events, _ = read_events(path, ReadOptions(input_format="adjacency"))
    assert [row[1] for row in rows_of(events)] == ["a\u00a0b", "c", "d\u3000e", "f", "g"]


def test_parquet_views_of_strings_are_ids(tmp_path):
    path = tmp_path / "views.parquet"
    ids = pa.array(["a", "b"], pa.string_view())
    pq.write_table(pa.table({"user_id": ids, "item_id": ids}), path)
    assert rows_of(read_events(path)[0]) == [("a", "a", 1.0), ("b", "b", 1.0)]


def test_parquet_dates_become_seconds(tmp_path):
    path = tmp_path / "a.parquet"
    for days in (
        pa.array([11323, 1], pa.date32()),
        pa.array([11323 * 86400, 86400], pa.timestamp("s")),
        pa.array(["2001-01-01", "1970-01-02"]),
    ):
        pq.write_table(pa.table({"user": ["a", "b"], "item": ["x", "x"], "date": days}), path)
        assert read_events(path)[0].timestamps.tolist() == [978307200.0, 86400.0]


def test_parquet_refuses_floats_as_ids(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"user_id": [1.0], "item_id": ["x"]}), path)
    assert refusal(path) == (
        f"{path}: column user_id holds floats; ids must be strings or integers"
    )


def test_parquet_names_the_bad_row(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table(
        {"user": ["a", None, "c"], "item": ["x", "y", "z"], "rating": [1.0, 2.0, np.nan]}
    )
    pq.write_table(table, path)
    assert "row 2: the user id is empty" in refusal(path)
    events, report = read_events(path, ReadOptions(skip_bad_rows=2))
    assert rows_of(events) == [("a", "x", 1.0)]
    assert report.bad_rows[1] == f"{path}, row 3: rating 'nan' is not a finite number"


def test_damaged_parquet_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"user": ["a"], "item": ["x"]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "not a whole Parquet file" in refusal(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_pipe_is_read(tmp_path, pack):
    """What `recsys ingest <(zcat clicks.csv.gz)` gives."""
    pipe, content = tmp_path / "pipe", pack(b"user_id,item_id\n007,a\n008,b\n")
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[content])
    writer.start()
    events, _ = read_events(pipe)
    writer.join()
    assert events.users.ids.tolist() == ["007", "008"]


def test_standard_input_is_read(monkeypatch):
    for raw in (b"user,item\na,x\n", gzip.compress(b"user,item\na,x\n")):
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(raw)))
        events, report = read_events("-")
        assert rows_of(events) == [("a", "x", 1.0)]
        assert report.source == "standard input"


def test_parquet_comes_through_standard_input(monkeypatch):
    raw = io.BytesIO()
    pq.write_table(pa.table({"user": ["a"], "item": ["x"]}), raw)
    raw.seek(0)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=raw))
    assert rows_of(read_events("-")[0]) == [("a", "x", 1.0)]


def test_progress_ends_with_the_size_of_the_file(tmp_path):
    path = write(tmp_path, HEADER + "a,x,1,2\n")
    calls = []
    read_events(path, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (path.stat().st_size, path.stat().st_size)


# ---- ids

AWKWARD = [
    "007",
    "7",
    "NA",
    "null",
    "nan",
    "9223372036854775807",
    "18446744073709551616",
    "1e5",
    "1.0",
    "123e4567-e89b-12d3-a456-426614174000",
    " leading",
    "trailing ",
    "comma, quote\" and 'that'",
    "🎬",
    "三體",
    "true",
    '""',
]


def test_awkward_ids_stay_what_they_were(tmp_path):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["user", "item"])
    writer.writerows(zip(AWKWARD, reversed(AWKWARD), strict=True))
    events, _ = read_events(write(tmp_path, out.getvalue()))
    assert rows_of(events) == [(u, i, 1.0) for u, i in zip(AWKWARD, AWKWARD[::-1], strict=True)]


id_text = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n\0"), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(id_text, id_text), min_size=1, max_size=8, unique=True),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_any_id_survives_csv_and_json(tmp_path_factory, pairs, ending, quoting):
    tmp_path = tmp_path_factory.mktemp("ids")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=ending, quoting=quoting)
    writer.writerows([("user", "item"), *pairs])
    expected = [(user, item, 1.0) for user, item in pairs]
    assert rows_of(read_events(write(tmp_path, out.getvalue()))[0]) == expected
    records = ending.join(json.dumps({"user": u, "item": i}) for u, i in pairs)
    assert rows_of(read_events(write(tmp_path, records, "a.jsonl"))[0]) == expected


def test_positions_follow_the_sorted_ids(tmp_path):
    events, _ = read_events(write(tmp_path, "user,item\n10,b\n9,a\n"))
    assert events.users.ids.tolist() == ["9", "10"]
    assert events.user_positions.tolist() == [1, 0]
    assert events.user_positions.dtype == np.int32


def test_half_a_surrogate_pair_is_no_id(tmp_path):
    path = write(tmp_path, '{"user": "\\ud800", "item": "x"}\n', "a.jsonl")
    assert "line 1: the user id '\\ud800' is no valid Unicode text" in refusal(path)


@pytest.mark.parametrize("odd", ['"ab"c', '""c', '"a""b"c'])
def test_letters_after_a_closing_quote_are_a_bad_row(tmp_path, odd):
    path = write(tmp_path, f"user,item\na,x\n{odd},y\n")
    assert "line 3: quotes do not match" in refusal(path)


def test_a_quote_within_a_bare_field_is_a_letter(tmp_path):
    events, _ = read_events(write(tmp_path, 'user,item\n5" disk,x\n'))
    assert events.users.ids.tolist() == ['5" disk']


def test_quotes_are_letters_in_tab_separated_files(tmp_path):
    events, _ = read_events(write(tmp_path, 'user\titem\n"a\t"x"\n', "a.tsv"))
    assert rows_of(events) == [('"a', '"x"', 1.0)]


# ---- blocks


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(
            ["a,x,1", "b,y,2", "", '"c,d",z,3', "三體,x,4", "bad", "a,x,five", ",x,1", '"open,x,1']
        ),
        max_size=12,
    ),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    block_bytes=st.integers(1, 40),
)
def test_block_borders_change_nothing(tmp_path_factory, lines, ending, block_bytes):
    """Small blocks and one whole block agree in rows and in the numbers of bad lines."""
    path = tmp_path_factory.mktemp("blocks") / "ratings.csv"
    path.write_bytes(ending.join(["user,item,rating", "first,x,1", *lines]).encode())
    whole = read_events(path, ReadOptions(skip_bad_rows=99))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.data.lines.LineBlocks.__init__.__defaults__", (block_bytes,))
        pieces = read_events(path, ReadOptions(skip_bad_rows=99))
    assert rows_of(pieces[0]) == rows_of(whole[0])
    assert pieces[1] == whole[1]


def test_a_good_block_reads_the_same_at_once_and_line_by_line(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{rng.integers(9)},{rng.integers(9)},{rng.random():.6f},{n}" for n in range(300)]
    text = HEADER + "\n".join(lines) + "\n"
    at_once, _ = read_events(write(tmp_path, text))
    by_line, report = read_events(write(tmp_path, text + "bad\n"), ReadOptions(skip_bad_rows=1))
    assert rows_of(at_once) == rows_of(by_line)
    assert at_once.fingerprint == by_line.fingerprint
    assert report.bad_rows[0].endswith("line 302: 1 fields where 4 were expected: 'bad'")


# ---- times


def test_iso_times_become_seconds_in_utc(tmp_path):
    text = (
        "user,item,date\na,x,2001-01-01\na,y,2001-01-01T00:00:01Z\n"
        "a,z,2001-01-01 02:00:00.5+02:00\n"
    )
    expected = [978307200.0, 978307201.0, 978307200.5]
    events, _ = read_events(write(tmp_path, text))
    assert events.timestamps.tolist() == expected
    by_line, _ = read_events(write(tmp_path, text + "bad\n"), ReadOptions(skip_bad_rows=1))
    assert by_line.timestamps.tolist() == expected


@pytest.mark.parametrize(
    ("time", "problem"),
    [
        ("978307200", "is not an ISO date, as the first one is"),
        ("2001-13-01", "is not an ISO date that exists"),
    ],
)
def test_a_time_unlike_the_first_is_a_bad_row(tmp_path, time, problem):
    path = write(tmp_path, f"user,item,date\na,x,2001-01-01\na,y,{time}\n")
    assert f"line 3: timestamp '{time}' {problem}" in refusal(path)


# ---- duplicates


def test_the_latest_rating_of_a_pair_stays_in_its_own_place(tmp_path):
    text = HEADER + "a,x,1,5\na,x,2,9\nb,x,3,1\na,x,4,9\na,x,5,7\n"
    events, report = read_events(write(tmp_path, text))
    assert rows_of(events) == [("b", "x", 3.0), ("a", "x", 4.0)]
    assert report.n_duplicates == 3
    assert events.timestamps.tolist() == [1.0, 9.0]


def test_the_last_rating_of_a_pair_stays_where_there_is_no_time(tmp_path):
    events, _ = read_events(write(tmp_path, "user,item,stars\na,x,1\nb,x,2\na,x,3\n"))
    assert rows_of(events) == [("b", "x", 2.0), ("a", "x", 3.0)]


def test_weights_of_a_pair_are_summed(tmp_path):
    events, report = read_events(
        write(tmp_path, "user,item,plays\na,x,1\nb,x,2\na,x,3\nb,y,1\na,x,0.5\n")
    )
    assert rows_of(events) == [("b", "x", 2.0), ("b", "y", 1.0), ("a", "x", 4.5)]
    assert report.n_duplicates == 2


def test_a_sum_of_weights_that_overflows_is_refused(tmp_path):
    path = write(tmp_path, "user,item,plays\na,x,3e38\na,x,3e38\n")
    assert "summed weights of a repeated (user, item) pair are too large" in refusal(path)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(1, 9), st.integers(0, 3)
        ),
        min_size=1,
        max_size=20,
    ),
    column=st.sampled_from(["rating", "weight"]),
)
def test_merging_agrees_with_a_slow_oracle(tmp_path_factory, rows, column):
    body = "".join(f"{u},{i},{v},{t}\n" for u, i, v, t in rows)
    path = write(tmp_path_factory.mktemp("merge"), f"user,item,{column},time\n{body}")
    expected = []
    for place, (user, item, value, time) in enumerate(rows):
        alike = [(t, p, v) for p, (u, i, v, t) in enumerate(rows) if (u, i) == (user, item)]
        if max(alike)[:2] == (time, place):
            kept = sum(v for *_, v in alike) if column == "weight" else value
            expected.append((user, item, float(kept)))
    events, report = read_events(path)
    assert rows_of(events) == expected
    assert len(events) == report.n_rows - report.n_bad_rows - report.n_duplicates
