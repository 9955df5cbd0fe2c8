import gzip
import zipfile

import numpy as np
import pytest
from interaction_files import refusal, rows_of, write

from recsys.data.readers import ReadOptions, read_events
from recsys.errors import ConfigError

HEADER = "user_id,item_id,rating,timestamp\n"
NO_TIMES = '; without times: ingest.timestamp_column=""'


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
        ("a,x,1,soon", f"timestamp 'soon' is neither a number nor an ISO date{NO_TIMES}"),
        ("a,x,1,nan", f"timestamp 'nan' is neither a number nor an ISO date{NO_TIMES}"),
        (
            "a,x,1,2001-01-01",
            f"timestamp '2001-01-01' is not a number, as the first one is{NO_TIMES}",
        ),
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
        f"{path}, line 3, byte 1: byte 0xe9 where UTF-8 text was expected: find out the "
        "encoding (GB18030, LATIN1, ...), then iconv -f ENCODING -t UTF-8"
    )


def test_utf_16_is_refused(tmp_path):
    path = write(tmp_path, HEADER.encode("utf-16"))
    assert refusal(path) == (
        f"{path}, line 1, byte 1: the byte order mark of UTF-16 where UTF-8 text was expected: "
        "convert the file with iconv -f UTF-16 -t UTF-8"
    )
    path = write(tmp_path, HEADER.encode("utf-16-le"))
    assert refusal(path) == (
        f"{path}, line 1, byte 2: a NUL byte (UTF-16 or a binary file?) where UTF-8 text was "
        "expected: if it is UTF-16, convert the file with iconv -f UTF-16 -t UTF-8"
    )


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


def test_a_zip_file_is_told_as_what_it_is(tmp_path):
    path = tmp_path / "ratings.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ratings.csv", HEADER)
    assert refusal(path) == f"{path}: a zip or Excel file: unpack it, or save the sheet as CSV"


def test_a_json_array_is_told_as_what_it_is(tmp_path):
    path = write(tmp_path, '[\n{"user": "b", "item": "x"}\n]\n', "a.json")
    message = refusal(path, error=ConfigError)
    assert message == (
        f"{path}: a JSON array, expected one object a line: write it with jq -c '.[]'"
    )


def test_a_long_field_is_read_like_any_other(tmp_path):
    long = "x" * 200_000
    path = write(tmp_path, f"{HEADER}{long},i,1,1\nu,j,nan,2\n")
    events, report = read_events(path, ReadOptions(skip_bad_rows=1))
    assert rows_of(events) == [(long, "i", 1.0)]
    assert "rating 'nan'" in report.bad_rows[0]


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
        (HEADER + '" a",x,1,1\nb,y,3,1\n', "1 user id begins or ends with a blank or a quote"),
        (HEADER + "Ann,x,1,1\nann,y,3,1\n", "2 user ids differ from another one only by case"),
        (HEADER + "a,X,1,1\nb,x,3,1\n", "such as 'X' and 'x'; they were kept apart"),
        (HEADER + "a,x,1,1\na,y,3,1\nb,y,1,1\n", "1 user has every item (such as 'a')"),
        ("user,item,rating,plays\na,x,1,2\nb,y,3,4\n", "--weight-column plays chooses it"),
    ],
)
def test_oddities_are_read_and_told(tmp_path, text, warning):
    assert warning in warnings_of(tmp_path, text)


def test_what_is_not_to_be_trained_on_may_be_full_and_equal(tmp_path):
    path = write(tmp_path, HEADER + "a,x,3,1\na,y,3,2\n")
    assert len(read_events(path)[1].warnings) == 2
    assert read_events(path, to_train=False)[1].warnings == ()


def test_what_is_not_to_be_trained_on_is_still_looked_at_for_odd_ids_and_times(tmp_path):
    path = write(tmp_path, HEADER + "Ann,x,3,-1\nann,x,3,99999999999\n")
    warnings = read_events(path, to_train=False)[1].warnings
    assert [each.split(" ", 1)[1].split(" (")[0] for each in warnings] == [
        "user ids differ from another one only by case, such as 'Ann' and 'ann'; "
        "they were kept apart",
        "timestamps are negative",
        "timestamps lie in the future if they are seconds since 1970",
    ]
