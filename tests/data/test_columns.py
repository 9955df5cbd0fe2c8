import pytest

from recsys.data.columns import USUAL_NAMES, WantedColumns, find_columns
from recsys.data.formats import (
    INPUT_FORMATS,
    content_format,
    excel_format,
    find_format,
    refuse_table_like,
    suffix_format,
)
from recsys.data.layouts import ReadOptions
from recsys.data.readers import read_events
from recsys.errors import ConfigError, DataError

PLAYED = ["user", "item", "rating", "plays"]


def found(header, **wanted):
    return find_columns(header.split(","), WantedColumns(**wanted), "a.csv").names()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("userId,movieId", {"user": "userId", "item": "movieId"}),
        ("UID, SKU ,n", {"user": "UID", "item": "SKU", "weight": "n"}),
        (
            "user_id:token,item_id:token,rating:float,timestamp:float",
            {"user": "user_id", "item": "item_id", "rating": "rating", "timestamp": "timestamp"},
        ),
        (
            "User ID,Item Id,Book-Rating,Date",
            {"user": "User ID", "item": "Item Id", "rating": "Book-Rating", "timestamp": "Date"},
        ),
        ("user-id,ITEM  ID", {"user": "user-id", "item": "ITEM  ID"}),
        ("poem,character", {"user": "poem", "item": "character"}),
        (
            "user_id,item_id,rating,order",
            {"user": "user_id", "item": "item_id", "rating": "rating"},
        ),
    ],
)
def test_usual_names_are_found(header, expected):
    assert found(header) == expected


def test_told_columns_win_over_usual_names():
    assert found("user,item,who,what", user="who", item="what") == {"user": "who", "item": "what"}
    assert found("user_id,item_id,order", timestamp="order")["timestamp"] == "order"
    assert found("user_id,artist_id,track_id", item="TRACK_ID")["item"] == "track_id"


def test_a_rating_wins_over_a_weight_unless_the_weight_is_told():
    columns = find_columns(PLAYED, WantedColumns(), "a.csv")
    assert (columns.value_kind, columns.left_out) == ("rating", "plays")
    assert "weight" in found("user,item,rating,plays", weight="plays")
    told = find_columns(PLAYED, WantedColumns(rating="rating"), "a")
    assert told.left_out is None


@pytest.mark.parametrize(
    ("header", "wanted", "error", "message"),
    [
        (
            "user_id,artist_id,track_id",
            {},
            ConfigError,
            "a.csv: the item column could be 'artist_id' or 'track_id': say which with "
            "--item-column; the header is 'user_id,artist_id,track_id'",
        ),
        (
            "196,242,3",
            {},
            ConfigError,
            "a.csv: the first line '196,242,3' holds no known column name: name the columns with "
            "--columns user_id,item_id,... when the file has no header, else with --user-column "
            "and --item-column",
        ),
        (
            "user_id,rating",
            {},
            DataError,
            "a.csv: no item column: the header is 'user_id,rating'; expected one of the usual "
            f"names ({', '.join(sorted(USUAL_NAMES['item']))}), or --item-column NAME",
        ),
        (
            "user id,user_id,item",
            {},
            ConfigError,
            "a.csv: the user column could be 'user id' or 'user_id': say which with --user-column; "
            "the header is 'user id,user_id,item'",
        ),
        (
            "user_id,item_id",
            {"rating": "stars"},
            DataError,
            "a.csv: no column 'stars' (--rating-column): the header is 'user_id,item_id'",
        ),
        (
            "user,item,x",
            {"rating": "x", "timestamp": "x"},
            ConfigError,
            "a.csv: --rating-column and --timestamp-column both name 'x': they must differ; "
            "the header is 'user,item,x'",
        ),
        (
            "user,item,x,x",
            {"rating": "x"},
            ConfigError,
            "a.csv: --rating-column x could be any of 2 columns of the header 'user,item,x,x': "
            "rename all but one of them",
        ),
    ],
)
def test_unsure_headers_are_refused_and_shown(header, wanted, error, message):
    with pytest.raises(error) as caught:
        found(header, **wanted)
    assert str(caught.value) == message


def test_rating_and_weight_cannot_both_be_told():
    with pytest.raises(ConfigError, match=r"--rating-column r and --weight-column w .* leave one"):
        WantedColumns(rating="r", weight="w")


def test_names_for_a_headerless_file_must_fit_its_first_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2,3\n")
    events, _ = read_events(path, ReadOptions(columns=("user", "item", "rating")))
    assert events.values.tolist() == [3.0]
    with pytest.raises(
        ConfigError, match=r"names 2 columns \(user,item\) and the first line has 3"
    ):
        read_events(path, ReadOptions(columns=("user", "item")))
    with pytest.raises(ConfigError, match="--columns user,user names a column twice"):
        ReadOptions(columns=("user", "user"))
    path.write_text("user,item\n1,2\n")
    with pytest.raises(ConfigError, match="looks like a header: leave out --columns"):
        read_events(path, ReadOptions(columns=("user", "item")))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"user": 1, "item": 2}\n', "JSON lines name their fields"),
        ("a.txt", "1 2 3\n", "an adjacency list .* has no columns"),
    ],
)
def test_formats_with_names_or_without_columns_take_none(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_events(path, ReadOptions(columns=("user", "item")))


def test_parquet_takes_no_names_for_its_columns(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="a Parquet file names its columns; leave out --columns"):
        read_events(path, ReadOptions(columns=("user", "item")))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"user": 1}', "jsonl"),
        ("user_id\titem_id", "tsv"),
        ("user_id:token\titem_id:token", "inter"),
        ("1::2::3", "dat"),
        ("user,item", "csv"),
        ("0 1 2 3", "adjacency"),
        ("user_id;item_id", "ssv"),
        ('"User ID"|"Item ID"', "psv"),
        ("user_id,genres;or|so", "csv"),
    ],
)
def test_the_first_line_tells_the_format(line, expected):
    assert content_format(line, "stdin") == expected


@pytest.mark.parametrize("line", ["alone", "user item rating", "1;2;3"])
def test_a_line_that_could_be_anything_is_refused_and_shown(line):
    with pytest.raises(ConfigError, match=f"first line '{line}': name it with --input-format"):
        content_format(line, "stdin")


def test_a_suffix_tells_the_format_whatever_its_case_and_gzip():
    assert suffix_format("A.CSV.GZ") == "csv"
    assert suffix_format("a.inter") == "inter"
    assert suffix_format("a.txt.gz") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("user_id;item_id;rating", "ssv"),
        ("user_id|item_id", "psv"),
        ("user_id,item;id", "csv"),
        ("196;242;3", "csv"),
        ("user_id", "csv"),
    ],
)
def test_a_csv_suffix_leaves_semicolons_and_pipes_to_the_first_line(line, expected):
    assert find_format(line, "a.csv.gz") == expected
    assert find_format(line, "a.tsv") == "tsv"


@pytest.mark.parametrize(
    ("line", "expected"),
    [("sep=;", "ssv"), ("SEP=|", "psv"), ("sep=,", "csv"), ("sep=\t", "tsv"), ("sep=;x", None)],
)
def test_a_line_for_excel_names_the_format(line, expected):
    assert excel_format(line, "a.csv") == expected


def test_a_line_for_excel_with_another_separator_is_refused():
    with pytest.raises(ConfigError) as caught:
        excel_format("sep=#", "a.csv")
    assert str(caught.value) == (
        "a.csv: the first line 'sep=#' names a separator that is not read: expected a comma, "
        "a semicolon, a pipe or a tab; write the file anew with one of them"
    )


def test_semicolons_and_pipes_are_formats_to_name():
    assert {"ssv", "psv"} <= set(INPUT_FORMATS)


def test_lines_of_equally_many_numbers_are_not_guessed_to_be_lists_of_items():
    with pytest.raises(ConfigError, match=r"stdin: every line has 4 fields \('196 242 3 88'\)"):
        refuse_table_like(["196 242 3 88", "186 302 3 89"], "stdin")
    refuse_table_like(["196 242 3 88"], "stdin")
    refuse_table_like(["196 242 3 88", "186 302"], "stdin")


def test_a_column_may_be_left_aside(tmp_path):
    path = tmp_path / "dates.csv"
    path.write_text("user_id,item_id,date\n1,2,06/01/2024\n")
    assert read_events(path, ReadOptions(timestamp=""))[0].timestamps is None
    with pytest.raises(DataError, match="no item column"):
        found("user_id,item_id", item="")
