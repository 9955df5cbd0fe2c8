"""Poems go through ingest, train, index, evaluate and recommend like any other data."""

import json

import numpy as np
import pytest

from recsys.data.artefact import open_interactions

SOUNDS = (
    "山水雲石松泉鶴嶺溪嵐",
    "花月酒歌柳燕鶯簾妝夢",
    "馬劍沙關塞鼓旗雪弓烽",
    "舟帆江潮客雁渡楫浦汀",
)
EVERYDAY = "不人一風日天何春無來"


@pytest.fixture(scope="session")
def poems_file(tmp_path_factory):
    """200 made-up poems of four themes, in the layout of the chinese-poetry collection."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(200):
        pool = list(SOUNDS[number % 4] + EVERYDAY)
        lines = ["".join(rng.choice(pool, 5)) for _ in range(8)]
        couplets = [f"{odd}，{even}。" for odd, even in zip(lines[::2], lines[1::2], strict=True)]
        title, author = f"詩{number}", f"詩人{number % 4}"
        records.append({"title": title, "author": author, "paragraphs": couplets})
    path = tmp_path_factory.mktemp("poems") / "poems.json"
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def poem_workspace(poems_file, tmp_path_factory, tiny_flags):
    """A workspace of poems after ingest, train and index; do not change it."""
    from recsys.pipelines.cli import run

    root = tmp_path_factory.mktemp("workspace") / "poems"
    before = ["--workspace", str(root)]
    assert run([*before, "ingest", "--poems", str(poems_file)]) == 0
    kind = ("-S", "model.kind=vae", "--test-size", "40")
    assert run([*before, "train", *tiny_flags, *kind]) == 0
    assert run([*before, "index"]) == 0
    return root


def test_a_poem_is_a_user_and_a_character_an_item_with_its_count(poem_workspace, poems_file):
    store = open_interactions(poem_workspace / "interactions")
    poems = store.poems()
    assert [each.title for each in poems] == [f"詩{number}" for number in range(200)]
    assert poems[3].id == "詩人3/詩3"
    assert poems[3].form == "5-lvshi"
    assert list(store.user_table["form"].unique()) == ["5-lvshi"]
    assert store.value_kind == "weight"
    interactions = store.interactions
    row = interactions.matrix[interactions.users.positions(["詩人3/詩3"])].toarray()[0]
    for character, count in zip(interactions.items.ids, row, strict=True):
        assert count == poems[3].text.count(character)
    assert row.sum() == 40


def test_the_losses_are_told(cli, tmp_path):
    records = [
        {"id": "a", "paragraphs": ["白日（一作「月」）依山盡，黃河□海流。"]},
        {"id": "b", "paragraphs": ["白日依山盡，黃河海流。"]},
        {"id": "a", "paragraphs": ["欲窮千里目，更上一層樓。"]},
        {"id": "d", "paragraphs": []},
    ]
    path = tmp_path / "poems.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    result = cli("ingest", "--poems", path, workspace=tmp_path / "w")
    assert result.code == 0
    assert result.out == ""
    assert result.err.splitlines() == [
        f"new workspace: {tmp_path / 'w'}",
        "1 poem with the id of an earlier one: #2, #3, ... added",
        f"read 4 poems of {path} (json; an item is a character)",
        "  dropped 1: poems without a letter",
        "  dropped 1: poems with the letters of an earlier one",
        "  dropped 1: editors' notes in brackets",
        "  dropped 1: missing characters: □ in the text, and no item",
        "  2 poems and 19 characters before the filters",
        f"kept 19 interactions of 2 poems x 19 characters in {tmp_path / 'w' / 'interactions'}",
        "  every character that was read is kept: no filter was set (--min-item-interactions and "
        "others)",
    ]


def test_filters_count_poems_and_leave_the_table_of_those_that_stay(cli, poems_file, tmp_path):
    words = ("--min-item-interactions", "60", "--min-user-interactions", "9")
    result = cli("ingest", "--poems", poems_file, *words, workspace=tmp_path / "w")
    assert result.code == 0
    store = open_interactions(tmp_path / "w" / "interactions")
    assert store.interactions.n_items == len(EVERYDAY)
    assert 0 < store.interactions.n_users < 200
    assert set(store.user_table["user_id"]) == set(store.interactions.users.ids)


def test_words_are_items_where_the_text_is_not_chinese_or_it_is_asked_for(cli, tmp_path):
    text = "Fog by Carl Sandburg\nThe fog comes\non little cat feet\n\nWhose woods\nthese are\n"
    path = tmp_path / "poems.txt"
    path.write_text(text, encoding="utf-8")
    result = cli("ingest", "--poems", path, workspace=tmp_path / "w")
    assert "(plain text, a poem a paragraph; an item is a word)" in result.err
    store = open_interactions(tmp_path / "w" / "interactions")
    assert "fog" in store.interactions.items
    assert [(each.id, each.author) for each in store.poems()] == [
        ("Carl Sandburg/Fog", "Carl Sandburg"),
        ("2", ""),
    ]
    cli("ingest", "--poems", path, "--unit", "character", workspace=tmp_path / "w")
    items = open_interactions(tmp_path / "w" / "interactions").interactions.items
    assert {len(each) for each in items.ids} == {1}


def test_a_folder_says_what_it_passed_over(cli, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "authors.json").write_text('[{"name": "x"}]')
    (tmp_path / "d" / "a.txt").write_text("白日依山盡\n黃河入海流\n", encoding="utf-8")
    result = cli("ingest", "--poems", tmp_path / "d", workspace=tmp_path / "w")
    assert f"passed over {tmp_path / 'd' / 'authors.json'}: entry 1: no paragraphs" in result.err
    assert "read 2 poems" in result.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "expected SOURCE or --poems FILE|DIR, found neither: give one of them"),
        (("x.csv", "--poems", "y.json"), 2, "found both: give one of them"),
        (("x.csv", "--unit", "word"), 2, "--unit is an option of --poems; leave it out"),
        (("--poems", "y.json", "--items", "t.csv"), 2, "--items is for rows of interactions"),
        (("--poems", "y.json", "--min-rating", "4"), 2, "--min-rating is for rows of interactions"),
        (("--poems", "y.json", "--user-column", "u"), 2, "--user-column is for rows"),
        (("--poems", "nothing-here.json"), 3, "nothing-here.json: cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused(cli, tmp_path, words, code, message):
    result = cli("ingest", *words, workspace=tmp_path / "w")
    assert result.code == code
    assert message in result.complaint
    assert not (tmp_path / "w" / "interactions").exists()


def test_other_data_have_no_poems(made):
    store = open_interactions(made / "interactions")
    assert store.poems() == []
    assert list(store.user_table.columns) == ["user_id", "title", "author", "form", "text"]


def test_evaluate_adds_perplexities_beside_the_unigram(cli, poem_workspace):
    words = ("--metrics", "ndcg@10", "--without-ease")
    (record,) = cli("evaluate", *words, workspace=poem_workspace).records
    assert list(record["models"]) == ["vae", "popularity", "unigram"]
    assert list(record["models"]["unigram"]) == ["perplexity", "completion"]
    vae, unigram = (record["models"][name] for name in ("vae", "unigram"))
    assert list(vae) == ["ndcg@10", "perplexity", "completion"]
    assert 20 < unigram["perplexity"]["mean"] < 50
    assert "perplexity" not in record["models"]["popularity"]
    (note,) = record["notes"]
    assert note.startswith("the VAE's perplexity is a bound, and a loose one for this model")
    shown = cli("evaluate", *words, "--format", "table", workspace=poem_workspace).out
    assert "unigram" in shown


def test_evaluate_of_other_data_knows_no_perplexity(cli, made):
    (record,) = cli("evaluate", "--metrics", "ndcg@10", workspace=made).records
    assert "unigram" not in record["models"]


def test_poems_that_were_trained_on_have_no_perplexity(cli, poems_file, tiny_flags, tmp_path):
    root = tmp_path / "w"
    cli("ingest", "--poems", poems_file, workspace=root)
    cli("train", *tiny_flags, "--split", "weak", workspace=root)
    words = ("--metrics", "ndcg@10", "--without-ease")
    (record,) = cli("evaluate", *words, workspace=root).records
    assert "unigram" not in record["models"]


def test_a_model_trained_for_it_bounds_tightly(cli, poems_file, tiny_flags, tmp_path):
    root = tmp_path / "w"
    cli("ingest", "--poems", poems_file, workspace=root)
    config = ("values=weighted", "prior=standard", "kl_scale=constant", "kl_weight=1", "members=1")
    settings = [word for each in config for word in ("-S", f"vae.{each}")]
    longer = ("-S", "training.epochs=40", "-S", "model.kind=vae", "--test-size", "40")
    fast = ("-S", "vae.latent_dim=4", "-S", "vae.hidden_dim=32", "--learning-rate", "0.01")
    assert cli("train", *settings, *longer, *fast, workspace=root).code == 0
    words = ("--metrics", "ndcg@10", "--without-ease")
    (record,) = cli("evaluate", *words, workspace=root).records
    assert "notes" not in record
    for figure in ("perplexity", "completion"):
        vae, unigram = (record["models"][name][figure]["mean"] for name in ("vae", "unigram"))
        assert vae < unigram


def test_characters_are_recommended_for_a_poem(cli, poem_workspace):
    (record,) = cli("recommend", "--user", "詩人3/詩3", "-k", "3", workspace=poem_workspace).records
    assert [len(each["item"]) for each in record["items"]] == [1, 1, 1]
