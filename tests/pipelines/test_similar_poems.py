"""recsys similar --poem and --text on made-up poems of four themes."""

import csv
import io
import json
import sys

import numpy as np
import pytest

THEMES = (
    "山水雲石松泉鶴嶺溪嵐",
    "花月酒歌柳燕鶯簾妝夢",
    "馬劍沙關塞鼓旗雪弓烽",
    "舟帆江潮客雁渡楫浦汀",
)


@pytest.fixture(scope="module")
def poems(tmp_path_factory, tiny_flags):
    """A workspace of 160 poems, four themes in turn, author i of theme i; looked up once."""
    from recsys.pipelines.cli import run

    rng = np.random.default_rng(0)
    records = []
    for number in range(160):
        lines = ["".join(rng.choice(list(THEMES[number % 4]), 5)) for _ in range(8)]
        couplets = [f"{odd}，{even}。" for odd, even in zip(lines[::2], lines[1::2], strict=True)]
        title = "無題" if number < 2 else f"詩{number}"
        record = {"id": f"p{number}", "title": title, "author": f"詩人{number % 4}"}
        records.append(record | {"paragraphs": couplets})
    folder = tmp_path_factory.mktemp("poems")
    (folder / "poems.json").write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    root = folder / "workspace"
    before = ["--workspace", str(root)]
    assert run([*before, "ingest", "--poems", str(folder / "poems.json")]) == 0
    flags = (*tiny_flags, "-S", "model.kind=vae", "--test-size", "20")
    assert run([*before, "train", *flags]) == 0
    assert run([*before, "similar", "--poem", "p5"]) == 0
    return root


@pytest.fixture
def similar(cli, poems):
    """Give a function that runs `recsys similar` on the poems."""
    return lambda *arguments: cli("--workspace", str(poems), "similar", *arguments)


def test_a_poem_finds_its_theme(similar):
    result = similar("--poem", "p6", "-k", "5")
    (record,) = result.records
    assert record["query"] == "p6"
    assert [each["rank"] for each in record["items"]] == [1, 2, 3, 4, 5]
    assert {each["author"] for each in record["items"]} == {"詩人2"}
    assert set(record["items"][0]) == {"poem", "rank", "score", "title", "author", "line"}
    assert set(record["items"][0]["line"]) <= set(THEMES[2])
    assert result.err == ""  # built before: nothing to say


def test_a_title_names_a_poem(similar):
    assert similar("--poem", "詩7", "-k", "1").records[0]["query"] == "p7"


def test_a_title_of_two_poems_lists_both(similar):
    result = similar("--poem", "無題")
    assert result.code == 2
    assert "2 poems are called '無題'; give the id of one: p0 (詩人0: " in result.complaint


def test_a_line_is_enough(similar):
    (record,) = similar("--text", "馬劍沙關塞", "-k", "5").records
    assert {each["author"] for each in record["items"]} == {"詩人2"}


def test_filters_keep_the_number(similar):
    (record,) = similar("--text", "馬劍沙關塞", "-k", "20", "--author", "詩人1").records
    assert {each["author"] for each in record["items"]} == {"詩人1"}
    assert len(record["items"]) == 20


def test_what_fewer_exist_than_asked_is_said(similar):
    result = similar("--poem", "p6", "-k", "100", "--author", "詩人1")
    assert result.records[0]["requested"] == 100
    assert result.err == "40 poems are all there is, 100 were asked for\n"


def test_unknown_characters_are_counted_for_nothing_and_named(similar):
    result = similar("--text", "龘馬劍", "-k", "1")
    assert result.err == "1 character is not in the model and counted for nothing: 龘\n"


@pytest.mark.parametrize("text", ["hello", "", "龘"])
def test_text_without_a_known_character_is_refused(similar, text):
    result = similar("--text", text)
    assert result.code == 3
    assert "holds no Chinese character that the model knows" in result.complaint


def test_an_unknown_poem_is_refused(similar):
    result = similar("--poem", "詩1000")
    assert result.code == 4
    assert "no poem has the id or the title '詩1000'" in result.complaint


def test_a_poem_and_a_text_are_not_asked_together(similar):
    result = similar("--poem", "p6", "--text", "馬劍")
    assert result.code == 2
    assert "give one of --item, --user, --poem and --text" in result.complaint


def test_author_and_form_are_for_poems(similar):
    result = similar("--user", "p6", "--author", "詩人1")
    assert result.code == 2
    assert "give --poem or --text with them" in result.complaint


def test_a_workspace_without_poems_names_the_command(cli, made):
    result = cli("--workspace", str(made), "similar", "--text", "明月")
    assert result.code == 2
    assert "holds no poems" in result.complaint
    assert "recsys ingest --poems FILE" in result.complaint


def test_csv_has_a_row_a_poem(similar):
    rows = list(csv.DictReader(io.StringIO(similar("--poem", "p6", "--format", "csv").out)))
    assert list(rows[0]) == ["query", "poem", "rank", "score", "title", "author", "line"]
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 11)]


def test_a_person_sees_title_author_and_line(similar):
    (item,) = json.loads(similar("--poem", "p6", "-k", "1", "--format", "json").out)["items"]
    table = similar("--poem", "p6", "-k", "1", "--format", "table").out
    for each in (item["title"], item["author"], item["line"]):
        assert each in table


def test_a_new_model_builds_the_look_up_anew(cli, poems, tiny_flags):
    before = ("--workspace", str(poems))
    flags = (*tiny_flags, "-S", "model.kind=vae", "-S", "training.seed=7", "--test-size", "20")
    assert cli(*before, "train", *flags).code == 0
    result = cli(*before, "similar", "--poem", "p6", "-k", "1")
    assert "building the look-up of these poems, once, in " in result.err
    assert cli(*before, "similar", "--poem", "p6", "-k", "1").err == ""


def test_simplified_verse_is_read_as_the_poems_are_written(similar):
    traditional = similar("--text", "馬劍沙關塞", "-k", "5")
    simplified = similar("--text", "马剑沙关塞", "-k", "5")
    assert simplified.err == ""
    assert simplified.records[0]["items"] == traditional.records[0]["items"]


def test_names_may_be_simplified_too(similar):
    assert similar("--poem", "诗7", "-k", "1").records[0]["query"] == "p7"
    (record,) = similar("--poem", "p6", "--author", "诗人1", "-k", "3").records
    assert {each["author"] for each in record["items"]} == {"詩人1"}


def test_verse_is_shown_in_the_script_that_is_asked_for(similar):
    (record,) = similar("--text", "馬劍沙關塞", "--script", "simplified", "-k", "3").records
    shown = "".join(each["title"] + each["author"] + each["line"] for each in record["items"])
    assert "诗人" in shown
    assert not set(shown) & set("詩馬劍關")


def test_without_opencc_verse_is_read_as_it_is(similar, monkeypatch):
    monkeypatch.setitem(sys.modules, "opencc", None)
    plain = similar("--text", "馬劍沙關塞", "-k", "2")
    assert (plain.code, plain.err) == (0, "")
    simplified = similar("--text", "马沙", "-k", "2")
    assert "1 character is not in the model and counted for nothing: 马" in simplified.err
    assert "pip install 'recsys-vae[verse]'" in simplified.err
    refused = similar("--text", "馬", "--script", "simplified")
    assert (refused.code, "recsys-vae[verse]" in refused.complaint) == (2, True)
