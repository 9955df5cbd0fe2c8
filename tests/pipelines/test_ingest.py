"""recsys ingest: what it reads, what it leaves out, what it tells."""

import json

import pytest

CLICKS = """user_id,item_id,rating,timestamp
a,x,5,100
a,y,3,200
b,x,4,300
b,x,2,400
b,z,1,500
c,x,4,600
"""


@pytest.fixture
def ingest(cli, tmp_path):
    """Give a function that ingests a text and returns the command's result."""

    def call(text, *words, name="clicks.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return cli("ingest", tmp_path / name, *words, workspace=tmp_path / "workspace")

    return call


def content(cli, tmp_path):
    records = cli("info", workspace=tmp_path / "workspace").records
    return records[0]["content"]


def test_the_report_tells_what_was_read_and_that_every_row_is_kept(ingest, tmp_path):
    result = ingest(CLICKS)
    assert result.code == 0
    lines = result.err.splitlines()
    assert lines[0] == f"new workspace: {tmp_path / 'workspace'}"
    assert lines[1] == (
        f"read 6 rows of {tmp_path / 'clicks.csv'} "
        "(csv; user = user_id, item = item_id, rating = rating, timestamp = timestamp)"
    )
    assert "  dropped 1: earlier rows of a user and item that came again" in lines
    assert "  3 users and 3 items before the filters" in lines
    assert any(line.startswith("kept 5 interactions of 3 users x 3 items in ") for line in lines)
    assert "every row that was read is kept: no filter was set" in lines[-1]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("--min-rating", "4"), "2 interactions, 2 users, 1 item"),
        (("--min-rating", "3"), "3 interactions, 2 users, 2 items"),
        (("--since", "200", "--until", "600"), "3 interactions, 2 users, 3 items"),
        (("--min-item-interactions", "3"), "3 interactions, 3 users, 1 item"),
        (("--min-user-interactions", "2"), "4 interactions, 2 users, 3 items"),
    ],
)
def test_filters_keep_what_they_say_and_count_what_they_drop(cli, ingest, tmp_path, words, kept):
    result = ingest(CLICKS, *words)
    assert result.code == 0
    assert content(cli, tmp_path) == kept
    dropped = [line for line in result.err.splitlines() if line.startswith("  dropped ")]
    assert len(dropped) == 1 + len(words) // 2
    assert "every row that was read is kept" not in result.err


def test_a_k_core_repeats_until_nothing_changes(cli, ingest, tmp_path):
    text = "user,item\n" + "a,x\na,y\nb,x\nb,y\nc,y\nc,z\nd,z\nd,w\n"
    limits = ("--min-user-interactions", "2", "--min-item-interactions", "2")
    ingest(text, *limits)
    assert content(cli, tmp_path) == "6 interactions, 3 users, 3 items"
    ingest(text, *limits, "--k-core")
    assert content(cli, tmp_path) == "4 interactions, 2 users, 2 items"


def test_titles_are_joined_by_id_and_the_missing_counted(cli, ingest, tmp_path):
    (tmp_path / "titles.csv").write_text("item_id,title\nx,The X\nq,Unused\n")
    result = ingest(CLICKS, "--items", tmp_path / "titles.csv")
    assert f"of these, 2 items have no title in {tmp_path / 'titles.csv'}" in result.err


def test_missing_items_files_are_refused(ingest, tmp_path):
    result = ingest(CLICKS, "--items", tmp_path / "none.csv")
    assert result.code == 3
    assert "none.csv" in result.complaint


def test_stdin_is_read(cli, tmp_path):
    result = cli("ingest", "-", workspace=tmp_path / "workspace", stdin=CLICKS)
    assert result.code == 0
    assert "read 6 rows of standard input" in result.err
    assert content(cli, tmp_path) == "5 interactions, 3 users, 3 items"


def test_other_formats_and_columns_are_read(cli, ingest, tmp_path):
    text = "\n".join(json.dumps({"who": "a", "what": str(n)}) for n in range(3))
    words = ("--user-column", "who", "--item-column", "what")
    assert ingest(text, *words, name="a.jsonl").code == 0
    assert content(cli, tmp_path) == "3 interactions, 1 user, 3 items"
    assert ingest("1 10 11\n2 10\n", "--input-format", "adjacency", name="a.txt").code == 0
    assert content(cli, tmp_path) == "3 interactions, 2 users, 2 items"
    assert ingest("a::1::5::9\nb::2::4::9\n", name="ratings.dat").code == 0
    assert content(cli, tmp_path) == "2 interactions, 2 users, 2 items"
    words = ("--columns", "user,item,rating")
    assert ingest("a,x,5\nb,y,4\n", *words).code == 0
    assert content(cli, tmp_path) == "2 interactions, 2 users, 2 items"


def test_bad_rows_stop_the_run_or_are_tolerated_and_counted(ingest, tmp_path):
    text = CLICKS + "d,x,many,1\n"
    result = ingest(text)
    assert result.code == 3
    assert f"{tmp_path / 'clicks.csv'}, line 8: rating 'many' is not a number" in result.complaint
    result = ingest(text, "--skip-bad-rows", "1")
    assert result.code == 0
    assert "  dropped 1: bad rows, tolerated by --skip-bad-rows" in result.err
    assert "line 8: rating 'many' is not a number" in result.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--min-user-interactions", "0"), 2, "min_user_interactions is 0; expected 1 or more"),
        (("--skip-bad-rows", "-1"), 2, "--skip-bad-rows is -1; expected 0 or more"),
        (("--since", "600", "--until", "200"), 2, "since (600) is not before until (200)"),
        (("--since", "soon"), 2, "soon"),
        (("--min-rating", "nan"), 2, "min_rating is nan; expected a finite number"),
        (("--min-rating", "9"), 3, "9"),
        (("--user-column", "person"), 3, "person"),
        (("--input-format", "xml"), 2, "'xml' is not one of"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(ingest, tmp_path, words, code, message):
    result = ingest(CLICKS, *words)
    assert result.code == code
    assert message in result.complaint
    assert not (tmp_path / "workspace" / "interactions").exists()


def test_a_refused_file_leaves_the_old_data(cli, ingest, tmp_path):
    ingest(CLICKS)
    assert ingest("", name="empty.csv").code == 3
    assert content(cli, tmp_path) == "5 interactions, 3 users, 3 items"
    assert cli("verify", workspace=tmp_path / "workspace").code == 0


def test_what_is_replaced_is_told(ingest):
    assert "replaces" not in ingest(CLICKS).err
    result = ingest("user,item\na,x\n")
    assert "  replaces 5 interactions of 3 users" in result.err.splitlines()
    assert "titles" not in result.err
    result = ingest(CLICKS)
    assert "  replaces 1 interaction of 1 user" in result.err.splitlines()


def test_titles_that_are_dropped_are_told(ingest, tmp_path):
    (tmp_path / "titles.csv").write_text("item_id,title\nx,The X\ny,The Y\n")
    titles = ("--items", tmp_path / "titles.csv")
    dropped = "the titles of the old interactions are dropped: give --items again to keep titles"
    result = ingest(CLICKS, *titles)
    assert f"  of these, 1 item has no title in {tmp_path / 'titles.csv'}" in result.err
    assert dropped not in ingest(CLICKS, *titles).err
    assert dropped in ingest(CLICKS).err
    assert dropped not in ingest(CLICKS).err


def test_a_damaged_artefact_is_replaced_and_told(ingest, tmp_path, damage):
    ingest(CLICKS)
    damage(tmp_path / "workspace" / "interactions" / "manifest.json")
    result = ingest(CLICKS)
    assert result.code == 0
    assert "replaces what could not be read: " in result.err


def test_a_column_may_be_left_aside(cli, tmp_path):
    path = tmp_path / "dates.csv"
    path.write_text("user_id,item_id,date\na,1,Monday\nb,2,Tuesday\n")
    refused = cli("ingest", path, workspace=tmp_path / "w")
    assert 'without times: ingest.timestamp_column=""' in refused.complaint
    for words in (("--timestamp-column", ""), ("-S", "ingest.timestamp_column=")):
        result = cli("ingest", path, *words, workspace=tmp_path / "w")
        assert result.code == 0, result.err
    path.write_text("none,item_id\na,1\nb,2\n")
    assert cli("ingest", path, "--user-column", "none", workspace=tmp_path / "w").code == 0
