"""recsys map: a picture or a page, and what is decoded along a path."""

import json

import numpy as np
import pytest


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])


def test_a_page_has_everybody_in_the_colour_of_a_cluster(cli, made, tmp_path):
    path = tmp_path / "new" / "map.html"
    result = cli("map", "--on", "users", "-k", "4", "--output", path, workspace=made)
    assert (result.code, result.out) == (0, ""), result.err
    assert f"wrote {path}" in result.err
    data = data_of(path)
    assert len(data["ids"]) == len(data["x"]) == len(data["group"])
    assert len(data["names"]) == 4
    assert data["path"] is None


def test_colours_are_a_column_s_values(cli, made, tmp_path, sample):
    path = tmp_path / "map.html"
    words = ("map", "--on", "items", "--colour", "genre", "--output", path)
    assert cli(*words, workspace=made).code == 0
    data = data_of(path)
    for item, group in zip(data["ids"], data["group"], strict=True):
        assert data["names"][group] == sample.genre_of[item]


def test_a_path_is_printed_and_is_on_the_page(cli, made, tmp_path):
    path = tmp_path / "map.html"
    words = ("map", "--on", "users", "--output", path, "--path", "u001", "u002")
    records = cli(*words, workspace=made).records
    assert [each["point"] for each in records] == [1, 2, 3, 4, 5, 6, 7]
    assert all(len(each["decoded"]) == 8 for each in records)
    data = data_of(path)
    assert data["path"]["ends"] == ["u001", "u002"]
    assert data["path"]["decoded"] == [each["decoded"] for each in records]


def test_a_path_between_items_names_titles(cli, made, tmp_path):
    path = tmp_path / "map.html"
    words = ("map", "--on", "items", "--output", path, "--path", "001", "002", "--format", "table")
    result = cli(*words, workspace=made)
    assert result.code == 0
    assert " → " in result.out.splitlines()[0]


def test_a_picture_is_a_png(cli, made, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `map` is not installed")
    path = tmp_path / "map.png"
    assert cli("map", "--on", "items", "--output", path, workspace=made).code == 0
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--on", "users", "--output", "map.svg"), 2, "ends in .png or .html"),
        (("--on", "users", "--output", "m.html", "--colour", "age"), 2, "expected one of cluster"),
        (("--on", "users", "--output", "m.html", "--path", "u001", "nobody"), 4, "nobody"),
        (("--on", "poems", "--output", "m.html"), 2, "recsys ingest --poems"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(
    cli, made, tmp_path, monkeypatch, words, code, said
):
    monkeypatch.chdir(tmp_path)
    result = cli("map", *words, workspace=made)
    assert result.code == code
    assert said in result.complaint
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def poems(tmp_path_factory):
    """A workspace of 60 made-up poems on two themes, by two poets."""
    from recsys.pipelines.cli import run

    rng = np.random.default_rng(0)
    records = []
    for number in range(60):
        letters = list(("山水雲石松泉鶴嶺" if number % 2 else "馬劍沙關塞鼓旗雪") + "人風日天")
        lines = ["".join(rng.choice(letters, 5)) for _ in range(4)]
        couplets = [f"{odd}，{even}。" for odd, even in zip(lines[::2], lines[1::2], strict=True)]
        author = "王維" if number % 2 else "岑參"
        records.append({"title": f"詩{number}", "author": author, "paragraphs": couplets})
    folder = tmp_path_factory.mktemp("poems")
    source, root = folder / "poems.json", folder / "workspace"
    source.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    sizes = ("-S", "vae.latent_dim=8", "-S", "vae.hidden_dim=16", "-S", "training.epochs=30")
    before = ["--workspace", str(root)]
    assert run([*before, "ingest", "--poems", str(source)]) == 0
    assert run([*before, "train", *sizes, "-S", "model.kind=vae", "--validation-size", "10"]) == 0
    return root


def test_poems_have_their_titles_authors_and_forms(cli, poems, tmp_path):
    path = tmp_path / "map.html"
    words = ("map", "--on", "poems", "--colour", "author", "--output", path)
    result = cli(*words, "--path", "王維/詩1", "岑參/詩2", workspace=poems)
    assert result.code == 0, result.err
    data = data_of(path)
    assert set(data["names"]) == {"王維", "岑參"}
    assert data["labels"][data["ids"].index("王維/詩1")] == "詩1"
    assert data["details"][0].endswith(" · 5-jueju")
    assert all(len(each) == 1 for each in result.records[0]["decoded"])
    words = ("map", "--on", "poems", "--colour", "author", "--output", path)
    titled = cli(*words, "--path", "詩1", "诗2", workspace=poems)
    assert titled.records == result.records


def test_clusters_of_poems_are_their_themes(cli, poems):
    (record,) = cli("cluster", "--on", "poems", "-k", "2", workspace=poems).records
    told = [{each["name"] for each in one["telling"]} for one in record["clusters"]]
    assert all(one for one in told)
    first, second = sorted(told, key=lambda names: "山" in names)
    assert first <= set("馬劍沙關塞鼓旗雪")
    assert second <= set("山水雲石松泉鶴嶺")
    assert record["quality"]["vae"]["nmi"]["author"] > 0.8


def test_a_picture_of_verse_names_the_font_to_install(cli, poems, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="the extra `map` is not installed")
    monkeypatch.setattr("recsys.maps.HAN_FONTS", ())
    words = ("map", "--on", "poems", "--colour", "author", "--output", tmp_path / "map.png")
    result = cli(*words, workspace=poems)
    assert result.code == 2
    assert "apt install fonts-noto-cjk" in result.complaint
