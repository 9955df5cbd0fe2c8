"""recsys generate and interpolate on made-up poems, with a couplet model that knows nothing."""

import csv
import io
import json

import pytest
from made_verse import Noise

from recsys.verse.prosody import check
from recsys.verse.tones import ToneTable


@pytest.fixture(scope="module")
def table():
    """The rhyme tables, read once."""
    return ToneTable.load()


@pytest.fixture
def verse(cli, poem_workspace, table, monkeypatch):
    """Give a function that runs a command of verse on the poems."""
    monkeypatch.setattr("recsys.verse.desk.ToneTable.load", lambda **_: table)
    monkeypatch.setattr("recsys.verse.desk.open_writer", lambda path, model, device: Noise())
    return lambda *arguments: cli("--workspace", str(poem_workspace), *arguments)


@pytest.fixture
def generate(verse):
    return lambda *arguments: verse("generate", *arguments)


def lines_of(record):
    return [each["line"] for each in record["lines"]]


def test_a_poem_is_told_with_its_tones_its_rhyme_and_the_nearest_line(generate, table):
    result = generate("--form", "5-jueju", "--candidates", "2")
    (record,) = result.records
    assert (record["poem"], record["form"], record["rhyme"]) == (1, "5-jueju", "尤")
    verdict = check(lines_of(record), "5-jueju", table)
    assert verdict.ok
    assert [each["tones"] for each in record["lines"]] == list(verdict.marks)
    rhyming = tuple(at for at, each in enumerate(record["lines"]) if each["rhymes"])
    assert rhyming == verdict.pattern.rhyme_lines
    assert [each["pattern"] for each in record["lines"]] == list(verdict.pattern.lines)
    nearest = record["lines"][0]["nearest"]
    assert (nearest["author"], nearest["closeness"] > 0) == ("詩人", True)


def test_ambiguous_tones_are_said_to_be_ambiguous(generate):
    result = generate("--form", "7-lvshi", "--candidates", "1", "-n", "3")
    n = sum(len(each["ambiguous"]) for record in result.records for each in record["lines"])
    assert n > 0
    assert f"{n} of 168 characters, marked 兩, have a level and an oblique reading" in result.err


def test_the_same_seed_writes_the_same_poems(generate):
    first, again, other = (generate("-n", "2", "--seed", seed).out for seed in ("3", "3", "4"))
    assert first == again != other


def test_acrostic_and_first_line_stand_where_they_belong(generate):
    (record,) = generate("--acrostic", "江山風月", "--form", "5-jueju").records
    assert "".join(line[0] for line in lines_of(record)) == "江山風月"
    (record,) = generate("--first-line", "白日依山盡", "--form", "5-jueju").records
    assert lines_of(record)[0] == "白日依山盡"


def test_simplified_input_is_understood_and_simplified_output_given(generate):
    (record,) = generate("--acrostic", "江山风月", "--script", "simplified").records
    assert "".join(line[0] for line in lines_of(record)) == "江山风月"
    nearest = [each["nearest"] for each in record["lines"]]
    assert {each["author"] for each in nearest if each is not None} == {"诗人"}


def test_free_verse_has_no_tones(generate):
    (record,) = generate("--free", "--form", "couplet-7").records
    assert (record["rhyme"], record["start"]) == (None, None)
    assert {(each["tones"], each["pattern"]) for each in record["lines"]} == {("", "")}


def test_a_theme_draws_poems_nearer(generate):
    (record,) = generate("--theme", "明月 故鄉").records
    assert -1 <= record["theme"] <= 1


def test_theme_words_that_the_model_has_not_met_are_counted(generate):
    result = generate("--theme", "月龘", "--free")
    assert result.err == "1 character is not in the model and counted for nothing: 龘\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--theme", "龘"), 3, "the theme '龘' holds no character that the model has met"),
        (("--theme", "moon"), 3, "the theme 'moon' holds no character"),
        (("--acrostic", "江山"), 2, "'江山' has 2 characters; a 5-jueju takes 4"),
        (("--acrostic", "江山風龘"), 3, "the model has not met 龘"),
        (("--first-line", "hello"), 3, "expected Chinese characters alone"),
        (("--first-line", "山山山山山"), 2, "no tone pattern of a 5-jueju has what is given"),
        (("--like", "詩1000"), 4, "no poem has the id or the title '詩1000'"),
        (("--like", "無題"), 2, "2 poems are called '無題'"),
        (("--like", "p3", "--theme", "月"), 2, "give --theme or --like, not both"),
        (("-n", "0"), 2, "n is 0, expected at least 1"),
        (("--temperature", "-1"), 2, "temperature is -1"),
    ],
)
def test_bad_input_is_one_clear_line(generate, arguments, code, message):
    result = generate(*arguments)
    assert (result.code, message in result.complaint) == (code, True), result.complaint


def test_a_workspace_without_poems_names_the_command(cli, made):
    result = cli("--workspace", str(made), "generate")
    assert result.code == 2
    assert "recsys ingest --poems FILE" in result.complaint


def test_csv_has_a_row_a_line(generate):
    rows = list(csv.DictReader(io.StringIO(generate("-n", "2", "--format", "csv").out)))
    assert [(row["poem"], row["number"]) for row in rows] == [
        (str(poem), str(line)) for poem in (1, 2) for line in (1, 2, 3, 4)
    ]
    assert {"line", "tones", "rhyme", "nearest_line", "nearest_author"} <= set(rows[0])


def test_a_person_sees_lines_tones_and_the_nearest_line(generate):
    (record,) = json.loads(generate("--format", "json").out)
    table = generate("--format", "table").out
    for each in record["lines"]:
        assert each["line"] in table
        assert each["tones"] in table
        if each["nearest"] is not None:
            assert each["nearest"]["line"] in table


def test_the_way_between_two_couplets_begins_and_ends_with_them(verse):
    start, end = "白日依山盡，河海入流樓", "月明松石竹，泉雲風水秋"
    (record,) = verse("interpolate", "--from", start, "--to", end, "--steps", "4").records
    assert [each["share"] for each in record["steps"]] == [0, 0.3333, 0.6667, 1]
    assert "，".join(record["steps"][0]["lines"]) == start
    assert "，".join(record["steps"][-1]["lines"]) == end
    between = set("".join(record["steps"][1]["lines"]))
    assert between & set(start)


def test_a_poem_stands_for_its_first_couplet(verse):
    (record,) = verse("interpolate", "--from", "p3", "--to", "詩4").records
    assert len(record["steps"]) == 8
    assert [len(each) for each in record["from"]] == [5, 5]


@pytest.mark.parametrize(
    ("start", "end", "more", "message"),
    [
        ("白日依山盡，河海入流樓", "p3", ("--steps", "1"), "steps is 1, expected at least 2"),
        ("白日依山盡，河海入流龘", "p3", (), "the model has not met 龘"),
        ("白日依山盡千里，河海入流樓一月", "p3", (), "choose two couplets of the same length"),
        ("白日", "p3", (), "no poem has the id or the title '白日'"),
    ],
)
def test_ends_that_cannot_be_joined_are_refused(verse, start, end, more, message):
    assert message in verse("interpolate", "--from", start, "--to", end, *more).complaint
