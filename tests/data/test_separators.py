"""CSV as Excel writes it where the comma is for decimals: semicolons, pipes, a line ``sep=;``."""

import gzip

import pytest
from interaction_files import refusal, rows_of, write

from recsys.data.readers import ReadOptions, read_events
from recsys.errors import ConfigError

SEMICOLONS = 'User ID;Item ID;Rating\n007;"a;b, c";5\n8;y;4.5\n'


@pytest.mark.parametrize("before", ["", "sep=;\n", "\ufeffsep=;\r\n\n"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.csv.gz"])
def test_a_csv_file_with_semicolons_is_read_as_one(tmp_path, before, name):
    raw = (before + SEMICOLONS).encode()
    path = write(tmp_path, gzip.compress(raw) if name.endswith("gz") else raw, name)
    events, report = read_events(path)
    assert rows_of(events) == [("007", "a;b, c", 5.0), ("8", "y", 4.5)]
    assert report.input_format == "ssv"
    assert report.columns == {"user": "User ID", "item": "Item ID", "rating": "Rating"}


def test_a_csv_file_with_semicolons_and_no_header_is_read_by_its_given_columns(tmp_path):
    path = write(tmp_path, "a;x;5\n", "a.csv")
    events, report = read_events(path, ReadOptions(columns=("user", "item", "rating")))
    assert (rows_of(events), report.input_format) == ([("a", "x", 5.0)], "ssv")
    path = write(tmp_path, "Kunde|Film\na|x\n", "a.csv")
    events, report = read_events(path, ReadOptions(user="kunde", item="film"))
    assert (rows_of(events), report.input_format) == ([("a", "x", 1.0)], "psv")
    path = write(tmp_path, "sep=|\na|x\n", "a.csv")
    assert rows_of(read_events(path, ReadOptions(columns=("user", "item")))[0])[0][0] == "a"


def test_semicolons_without_names_are_refused_and_read_once_named(tmp_path):
    path = write(tmp_path, "196;242;3\n", "a.csv")
    assert "the first line '196;242;3' holds no known column name" in refusal(
        path, error=ConfigError
    )
    assert len(read_events(path, ReadOptions("ssv", ("user", "item", "rating")))[0]) == 1


def test_a_line_for_excel_keeps_the_line_numbers(tmp_path):
    path = write(tmp_path, "sep=;\nuser;item;rating\na;x;4,5\n", "a.csv")
    assert refusal(path).startswith(
        f"{path}, line 3: rating '4,5' is not a number; write decimals with a point ("
    )


def test_a_line_for_excel_against_a_named_format_or_alone_is_refused(tmp_path):
    path = write(tmp_path, "sep=;\nuser;item\na;x\n", "a.csv")
    assert len(read_events(path, ReadOptions("ssv"))[0]) == 1
    assert refusal(path, ReadOptions("csv"), ConfigError) == (
        f"{path}: --input-format is csv and the first line 'sep=;' says ssv: leave out "
        "--input-format, or take the line out of the file"
    )
    path = write(tmp_path, "sep=;\n\n", "a.csv")
    assert refusal(path) == f"{path}: nothing after its line sep=..., expected a header and rows"
