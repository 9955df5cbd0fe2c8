"""Poems are read from JSON, CSV, plain text and folders, with every loss counted."""

import gzip
import json

import pytest

from recsys.data.poem_files import read_poems
from recsys.data.poems import Poem
from recsys.errors import DataError

TOWER = {
    "id": "t1",
    "title": "登鸛雀樓",
    "author": "王之渙",
    "paragraphs": ["白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"],
}
NIGHT = {"title": "靜夜思", "author": "李白", "paragraphs": ["牀前明月光，疑是地上霜。"]}


@pytest.fixture
def read(tmp_path):
    """Give a function that writes a file and reads its poems."""

    def call(content, name="poems.json"):
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_poems(tmp_path / name)

    return call


def test_the_layout_of_chinese_poetry_is_read(read):
    (tower, night), report = read([TOWER, NIGHT])
    assert (tower.id, tower.title, tower.author) == ("t1", "登鸛雀樓", "王之渙")
    assert tower.paragraphs == tuple(TOWER["paragraphs"])
    assert tower.form == "5-jueju"
    assert night.id == "李白/靜夜思"
    assert (report.layout, report.n_files, report.n_read) == ("json", 1, 2)


def test_zipped_files_are_read(tmp_path):
    (tmp_path / "poems.json.gz").write_bytes(gzip.compress(json.dumps([TOWER]).encode()))
    assert read_poems(tmp_path / "poems.json.gz")[0][0].id == "t1"


def test_losses_are_counted(read):
    again = {
        **TOWER,
        "id": "t2",
        "paragraphs": ["白日依山盡黃河入海流（異文）", "欲窮千里目，更上一層樓"],
    }
    noted = {"paragraphs": ["空山[新]雨後（一作「霽」），天氣□來秋。"]}
    empty = [{"paragraphs": []}, {"paragraphs": ["（闕）", "。"]}, {"paragraphs": ["□□□"]}]
    poems, report = read([TOWER, again, noted, *empty])
    assert [each.id for each in poems] == ["t1", "3"]
    assert poems[1].text == "空山新雨後，天氣□來秋。"
    assert (report.n_read, report.n_duplicates, report.n_empty) == (6, 1, 3)
    assert (report.n_notes, report.n_missing) == (1, 1)


def test_ids_are_unique_and_a_repeated_one_is_counted(read):
    texts = ["山一", "山二", "山三", "山四", "山五", "山六"]
    keys = [{"id": "x"}, {"id": "x"}, {"id": 7}, {"title": "無題", "author": "李商隱"}]
    keys += [{"title": "無題", "author": "李商隱"}, {"author": "李商隱"}]
    poems, report = read(
        [{**key, "paragraphs": [text]} for key, text in zip(keys, texts, strict=True)]
    )
    assert [each.id for each in poems] == ["x", "x#2", "7", "李商隱/無題", "李商隱/無題#2", "6"]
    assert report.n_same_id == 1


def test_an_id_that_looks_like_a_made_one_keeps_all_unique(read):
    keys = ["x", "x#2", "x"]
    records = [{"id": key, "paragraphs": [text]} for key, text in zip(keys, "日月星", strict=True)]
    assert [each.id for each in read(records)[0]] == ["x", "x#2", "x#3"]


def test_song_lyrics_and_lists_of_lines_are_json_too(read):
    records = [
        {"rhythmic": "水調歌頭", "author": "蘇軾", "content": "明月幾時有\n把酒問青天"},
        "白日依山盡",
    ]
    poems, _ = read(records)
    assert (poems[0].title, poems[0].paragraphs) == ("水調歌頭", ("明月幾時有", "把酒問青天"))
    assert (poems[1].id, poems[1].text) == ("2", "白日依山盡")


def test_csv_is_read_by_the_names_of_its_columns(read):
    text = 'Title,Poet,Poem,Tags\nFog,Sandburg,"The fog comes\non little, cat feet.",x\n,,Rose,y\n'
    poems, report = read(text, "poems.csv")
    assert [(each.id, each.title, each.author) for each in poems] == [
        ("Sandburg/Fog", "Fog", "Sandburg"),
        ("2", "", ""),
    ]
    assert poems[0].paragraphs == ("The fog comes", "on little, cat feet.")
    assert report.layout == "csv"


def test_a_folder_is_read_file_by_file_and_the_rest_passed_over(tmp_path):
    (tmp_path / "b.json").write_text(json.dumps([NIGHT]))
    (tmp_path / "a.txt").write_text("空山新雨後，天氣晚來秋。\n", encoding="utf-8")
    (tmp_path / "authors.json").write_text(json.dumps([{"name": "李白", "desc": "..."}]))
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "c.json").write_text(json.dumps([TOWER]))
    (tmp_path / "README.md").write_text("No poem.")
    seen = []
    poems, report = read_poems(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert [each.id for each in poems] == ["1", "李白/靜夜思", "t1"]
    assert report.n_files == 3
    assert report.layout == "plain text, a poem a line, json"
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    (line,) = report.passed_over
    assert line.startswith(f"{tmp_path / 'authors.json'}: entry 1: no paragraphs, expected a list")


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("{", "a.json", "not JSON"),
        ("{}", "a.json", "expected a JSON list of poems"),
        ([{"title": "x"}], "a.json", "entry 1: no paragraphs, expected a list of texts"),
        ([TOWER, {"paragraphs": [3]}], "a.json", "entry 2: no paragraphs"),
        ([], "a.json", "no poem found, expected at least one"),
        ([{"paragraphs": ["。"]}], "a.json", "all 1 poems are empty, expected some letters"),
        ("", "a.txt", "no poem found"),
        ("", "a.csv", "empty, expected a header"),
        (
            "title,author\nx,y\n",
            "a.csv",
            "no column of the poems' text: the header is 'title,author'",
        ),
        ("title,text\nx\n", "a.csv", "poem 1: 1 fields where 2 were expected"),
        ('title,text\n"x,y\n', "a.csv", "quotes do not match"),
    ],
)
def test_what_is_no_poem_is_refused(read, content, name, message):
    with pytest.raises(DataError, match=message) as caught:
        read(content, name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_encodings_and_missing_files_are_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes("白日\n依山".encode("gb18030"))
    with pytest.raises(DataError, match=r"a\.txt, line 1: byte 0x.. where UTF-8 text was expected"):
        read_poems(tmp_path / "a.txt")
    with pytest.raises(DataError, match="cannot be read"):
        read_poems(tmp_path / "none.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"no poem file, expected some that end in \.json, \.jsonl,"
    ):
        read_poems(tmp_path / "empty")


@pytest.mark.datasets
def test_the_tang_poems_are_read_whole(datasets):
    poems, report = read_poems(datasets / "tang-poems" / "poems.json.gz")
    assert report.n_read == 57_607
    assert len(poems) == report.n_read - report.n_empty - report.n_duplicates == 56_524
    assert len({each.id for each in poems}) == len(poems)
    forms = [each.form for each in poems]
    assert forms.count("5-lvshi") > 15_000
    assert forms.count("7-jueju") > 11_000


def test_a_poem_an_object_a_line_is_read(read):
    lines = "\n".join(json.dumps(each, ensure_ascii=False) for each in (TOWER, NIGHT))
    poems, report = read(lines + "\n\n", "poems.jsonl")
    assert [each.title for each in poems] == ["登鸛雀樓", "靜夜思"]
    assert report.layout == "jsonl"
    with pytest.raises(DataError, match="line 2: not JSON"):
        read('{"paragraphs": ["山"]}\n{"para', "broken.jsonl")


def test_a_table_that_is_not_read_is_no_plain_text(read):
    with pytest.raises(DataError, match=r"a\.tsv: poems are read from \.json"):
        read("author\ttext\n王維\t空山新雨後\n", "a.tsv")


def test_ids_stay_as_they_are_written(read):
    assert read([{**TOWER, "id": " a  b\n"}])[0][0].id == " a  b\n"
    assert read([{**TOWER, "id": "  "}])[0][0].id == "王之渙/登鸛雀樓"
    assert read('id,title,text\n" a  b ", 靜  夜思 ,空山新雨後\n', "a.csv")[0][0] == Poem(
        " a  b ", "靜 夜思", "", ("空山新雨後",)
    )


def test_half_a_surrogate_pair_is_a_gap_in_a_poem_and_no_id(read):
    poems, _ = read('[{"paragraphs": ["空山\\ud800新雨後。"], "title": "\\udfff"}]')
    assert (poems[0].text, poems[0].title) == ("空山□新雨後。", "\N{REPLACEMENT CHARACTER}")
    with pytest.raises(DataError, match=r"entry 1: the id '\\ud800' is no valid Unicode text"):
        read('[{"paragraphs": ["空山"], "id": "\\ud800"}]')


def test_a_long_poem_is_read_from_csv_too(read):
    text = "空山新雨後，天氣晚來秋。" * 12_000
    assert read(f'id,text\n1,"{text}"\n', "a.csv")[0][0].text == text
