import csv
import gzip
import io
import json
import sys
import types
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.readers import ReadOptions, locate, read_events
from recsys.errors import ConfigError, DataError

DATASETS = Path(__file__).parents[2].parent / "shared" / "datasets"
needs_datasets = pytest.mark.skipif(not DATASETS.is_dir(), reason=f"{DATASETS} is absent")

HEADER = "user_id,item_id,rating,timestamp\n"


def write(tmp_path, text, name="ratings.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(events):
    """Give (user, item, value) in the file's order."""
    users = events.users.ids[events.user_positions]
    items = events.items.ids[events.item_positions]
    return list(zip(users, items, events.values.tolist(), strict=True))


def refusal(source, options=None, error=DataError):
    with pytest.raises(error) as caught:
        read_events(source, options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- the formats


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "user_id,item_id,rating\n007,x,5\n8,y,4.5\n"),
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


# ---- bad rows


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a,x,five,1", "rating 'five' is not a number"),
        ("a,x,,1", "rating is empty"),
        ("a,x,NaN,1", "rating 'NaN' is not a finite number"),
        ("a,x,-inf,1", "rating '-inf' is not a finite number"),
        ("a,x,1e999,1", "rating '1e999' is not a finite number"),
        ("a,x,1e39,1", "rating '1e39' is too large"),
        ("a,x,1_0,1", "rating '1_0' is not a number"),
        (",x,1,1", "the user id is empty"),
        ("a,,1,1", "the item id is empty"),
        ("a,x,1", "3 fields where 4 were expected: 'a,x,1'"),
        ("a,x,1,1,1", "5 fields where 4 were expected: 'a,x,1,1,1'"),
        ('"a,x,1,1', "quotes do not match within the line '\"a,x,1,1'"),
        ("a,x,1,soon", "timestamp 'soon' is neither a number nor an ISO date"),
        ("a,x,1,nan", "timestamp 'nan' is neither a number nor an ISO date"),
        ("a,x,1,2001-01-01", "timestamp '2001-01-01' is not a number, as the first one is"),
    ],
)
def test_a_bad_row_names_file_line_and_value(tmp_path, row, problem):
    path = write(tmp_path, f"{HEADER}\nu,i,1,1\n{row}\nu,j,2,2\n")
    assert refusal(path) == (
        f"{path}, line 4: {problem} (use --skip-bad-rows N to tolerate up to N such rows)"
    )
    events, report = read_events(path, ReadOptions(skip_bad_rows=1))
    assert rows_of(events) == [("u", "i", 1.0), ("u", "j", 2.0)]
    assert (report.n_rows, report.n_bad_rows) == (3, 1)
    assert report.bad_rows == (f"{path}, line 4: {problem}",)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[1]", "not a JSON object: '[1]'"),
        ("{", "not a JSON object: '{'"),
        ("[" * 100_000, "not a JSON object"),
        ('{"user": "a"}', "no field 'item': the fields are 'user'"),
        ('{"user": "a", "item": null}', "field 'item' is null, not a string or a number"),
        ('{"user": "a", "item": true}', "field 'item' is true, not a string or a number"),
    ],
)
def test_a_bad_json_line_is_named(tmp_path, line, problem):
    path = write(tmp_path, '{"user": "b", "item": "x"}\n' + line, "a.jsonl")
    assert f"{path}, line 2: {problem}" in refusal(path)


def test_json_nan_is_no_rating(tmp_path):
    path = write(tmp_path, '{"user": "b", "item": "x", "rating": NaN}\n', "a.jsonl")
    assert "rating 'NaN' is not a finite number" in refusal(path)


def test_more_bad_rows_than_tolerated_stop_the_run(tmp_path):
    path = write(tmp_path, HEADER + "u,i,1,1\n" + "a,x\n" * 3)
    message = refusal(path, ReadOptions(skip_bad_rows=2))
    assert message.startswith(
        "more than the 2 bad rows that --skip-bad-rows tolerates; the first: "
    )
    assert f"{path}, line 3: 2 fields" in message


def test_five_bad_rows_are_listed_and_all_counted(tmp_path):
    path = write(tmp_path, HEADER + "u,i,1,1\n" + "a,x\n" * 7)
    report = read_events(path, ReadOptions(skip_bad_rows=10))[1]
    assert (report.n_bad_rows, len(report.bad_rows)) == (7, 5)


def test_only_bad_rows_are_no_data(tmp_path):
    path = write(tmp_path, HEADER + "a,x\n")
    assert refusal(path, ReadOptions(skip_bad_rows=9)).startswith("all 1 rows are bad; ")


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ConfigError, match="--skip-bad-rows is -1; expected 0 or more"):
        ReadOptions(skip_bad_rows=-1)


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


# ---- whole files that cannot be used


def test_an_empty_file_is_refused(tmp_path):
    for text in ("", "\n \n"):
        path = write(tmp_path, text)
        assert refusal(path) == f"{path}: empty, expected a header and rows"


def test_a_header_alone_is_refused(tmp_path):
    path = write(tmp_path, HEADER)
    assert refusal(path) == f"{path}: no data rows, expected one a user and item"


def test_a_missing_file_is_refused(tmp_path):
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "none.csv")
    assert "Is a directory" in refusal(tmp_path)


def test_wrong_encoding_names_line_and_byte(tmp_path):
    path = write(tmp_path, (HEADER + "a,x,1,1\n").encode() + "é,x,1,1\n".encode("latin-1"))
    assert refusal(path) == (
        f"{path}, line 3, byte 1: byte 0xe9 where UTF-8 text was expected: convert the file, "
        "for example with iconv -f LATIN1 -t UTF-8"
    )


def test_utf_16_is_refused(tmp_path):
    assert "NUL byte (UTF-16" in refusal(write(tmp_path, HEADER.encode("utf-16")))


@pytest.mark.parametrize("n_bytes", [5, 100, -8])
def test_a_truncated_gzip_file_is_refused(tmp_path, n_bytes):
    rng = np.random.default_rng(0)
    text = HEADER + "".join(f"{n},{rng.integers(9)},1,1\n" for n in range(2000))
    path = write(tmp_path, gzip.compress(text.encode())[:n_bytes])
    assert "the gzip stream is cut short or damaged" in refusal(path)


def test_a_gzip_file_truncated_late_tells_how_much_was_read(tmp_path, monkeypatch):
    monkeypatch.setattr("recsys.data.lines.LineBlocks.__init__.__defaults__", (1000,))
    rng = np.random.default_rng(0)
    text = HEADER + "".join(f"{n},{rng.integers(1 << 40)},1,1\n" for n in range(50_000))
    path = write(tmp_path, gzip.compress(text.encode())[:-1000])
    message = refusal(path)
    assert "the gzip stream is cut short or damaged" in message
    n_lines = int(message.split("(")[-1].split()[0].replace(",", ""))
    assert 40_000 < n_lines < 50_001


def test_a_damaged_gzip_file_is_refused(tmp_path):
    raw = bytearray(gzip.compress((HEADER + "a,x,1,1\n" * 100).encode()))
    raw[-6] ^= 1
    assert "cut short or damaged (CRC check failed" in refusal(write(tmp_path, bytes(raw)))


def test_a_very_long_line_is_refused_in_bounded_memory(tmp_path):
    path = tmp_path / "ratings.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(HEADER.encode())
        for _ in range(30):
            file.write(b"a" * (1 << 20))
    assert f"{path}, line 2: longer than 1,048,576 bytes" in refusal(path)
    within = write(tmp_path, HEADER + "a,x,1,1\n" + "a" * 1_100_000 + ",x,1,1\nb,x,1,1\n")
    assert f"{within}, line 3: longer than" in refusal(within)


# ---- oddities that only earn a warning


def warnings_of(tmp_path, text):
    return "\n".join(read_events(write(tmp_path, text))[1].warnings)


def test_an_ordinary_file_earns_no_warning(tmp_path):
    assert warnings_of(tmp_path, HEADER + "a,x,1,1\nb,y,2,2\n") == ""


def test_a_byte_order_mark_is_left_out_with_a_warning(tmp_path):
    path = write(tmp_path, b"\xef\xbb\xbf" + (HEADER + "a,x,1,1\n").encode())
    events, report = read_events(path)
    assert events.users.ids.tolist() == ["a"]
    assert "byte order mark" in report.warnings[0]


def test_mixed_line_ends_are_read_with_a_warning(tmp_path):
    path = write(tmp_path, "user,item\na,x\r\nb,y\n\r\nc,z\r\n")
    events, report = read_events(path)
    assert [row[0] for row in rows_of(events)] == ["a", "b", "c"]
    assert r"mixed line ends (\n and \r\n)" in report.warnings[0]
    for ending in ("\r", "\r\n"):
        path = write(tmp_path, ending.join(["user,item", "a,x", "b,y"]))
        assert read_events(path)[1].warnings == ()


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (HEADER + "a,x,1,-5\nb,y,2,1\n", "1 timestamps are negative (the least is -5)"),
        (HEADER + "a,x,1,99999999999\nb,y,2,1\n", "1 timestamps lie in the future"),
        (HEADER + "a,x,1,1700000000000\nb,y,2,1\n", "they may be milliseconds"),
        (HEADER + "a,x,3,1\nb,y,3,1\n", "all 2 ratings are 3: they tell nothing apart"),
        (HEADER + "Ann,x,1,1\nann,y,3,1\n", "2 user ids differ from another one only by case"),
        (HEADER + "a,X,1,1\nb,x,3,1\n", "such as 'X' and 'x'; they were kept apart"),
        (HEADER + "a,x,1,1\na,y,3,1\nb,y,1,1\n", "1 user has every item (such as 'a')"),
        ("user,item,rating,plays\na,x,1,2\nb,y,3,4\n", "--weight-column plays chooses it"),
    ],
)
def test_oddities_are_read_and_told(tmp_path, text, warning):
    assert warning in warnings_of(tmp_path, text)


# ---- where the files of a data set lie


def test_u_data_is_found_and_read_without_a_header(tmp_path):
    write(tmp_path, "196\t242\t3\t881250949\n186\t302\t3\t891717742\n", "u.data")
    write(tmp_path, "", "u.item")
    source = locate(tmp_path)
    assert (source.interactions, source.items) == (tmp_path / "u.data", tmp_path / "u.item")
    events, _ = read_events(source.interactions, source.options)
    assert rows_of(events) == [("196", "242", 3.0), ("186", "302", 3.0)]
    assert locate(tmp_path / "u.data").options == source.options


def test_ratings_dat_is_found_and_read_without_a_header(tmp_path):
    write(tmp_path, "1::1193::5::978300760\n", "ratings.dat")
    write(tmp_path, "", "movies.dat")
    source = locate(tmp_path)
    assert source.items == tmp_path / "movies.dat"
    assert rows_of(read_events(source.interactions, source.options)[0]) == [("1", "1193", 5.0)]


@pytest.mark.parametrize(
    ("interactions", "items"),
    [("ratings.csv", "movies.csv"), ("a.inter", "a.item"), ("ratings.csv.gz", "items.csv.gz")],
)
def test_other_layouts_are_found(tmp_path, interactions, items):
    assert locate(write(tmp_path, "", interactions)).items is None
    assert locate(tmp_path).items is None
    write(tmp_path, "", items)
    assert locate(tmp_path).interactions == tmp_path / interactions
    assert locate(tmp_path).items == tmp_path / items


def test_a_directory_without_or_with_several_interactions_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file or directory"):
        locate(tmp_path / "none")
    write(tmp_path, "", "notes.txt")
    with pytest.raises(DataError, match=r"no interactions file: looked for .* found notes.txt"):
        locate(tmp_path)
    write(tmp_path, "", "ratings.csv")
    write(tmp_path, "", "u.data")
    with pytest.raises(ConfigError, match=r"holds ratings.csv and u.data: name the one to read"):
        locate(tmp_path)


@needs_datasets
@pytest.mark.datasets
@pytest.mark.parametrize(
    ("name", "sizes", "n_items_told"),
    [
        ("ml-100k", (100_000, 943, 1_682), 1_682),
        ("goodbooks-10k-v1", (979_478, 53_424, 10_000), 10_000),
    ],
)
def test_public_data_sets_are_read_whole(name, sizes, n_items_told):
    from recsys.data.items import read_items

    source = locate(DATASETS / name)
    events, report = read_events(source.interactions, source.options)
    assert (len(events), len(events.users), len(events.items)) == sizes
    assert report.n_bad_rows == 0
    items = read_items(source.items)
    assert len(items) == n_items_told
    assert set(events.items.ids) <= set(items["item_id"])


@needs_datasets
@pytest.mark.datasets
def test_gowalla_is_read_as_an_adjacency_list():
    train, _ = read_events(DATASETS / "gowalla" / "train.txt.gz")
    assert (len(train), len(train.users), len(train.items)) == (810_128, 29_858, 40_981)
    assert len(read_events(DATASETS / "gowalla" / "test.txt.gz")[0]) == 217_242
