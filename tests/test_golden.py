"""Artefacts that were written by every format version so far still load and answer the same."""

import json
from pathlib import Path

import pytest

from recsys.data.artefact import open_interactions
from recsys.data.poems import TABLE_COLUMNS, Poem
from recsys.recommender import Recommender
from recsys.vae.artefact import load_model, load_model_split, open_model

GOLDEN = sorted(Path(__file__).with_name("golden").glob("v*"))
GOLDEN_POEMS = sorted(Path(__file__).with_name("golden").glob("poems-v*"))


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_an_old_workspace_gives_the_answers_that_it_gave(folder):
    answers = json.loads((folder / "answers.json").read_text())
    recommender = Recommender.load(folder)
    for user, expected in answers["recommend"].items():
        (found,) = recommender.recommend([user], k=3)
        assert [each.item for each in found.items] == [item for item, _ in expected]
        scores = [score for _, score in expected]
        assert [each.score for each in found.items] == pytest.approx(scores, abs=2e-4)
    similar_items = recommender.similar_items("i03", k=3)
    similar_users = recommender.similar_users("u9", k=3)
    assert [each.id for each in similar_items] == answers["similar_items"]
    assert [each.id for each in similar_users] == answers["similar_users"]
    assert recommender.titles["i03"] == answers["titles"]


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_an_old_workspace_brings_its_split_and_its_rows_back(folder):
    split = load_model_split(open_model(folder / "model"))
    assert split.train.n_users == 30
    assert (split.validation.fold_in.n_users, split.test.fold_in.n_users) == (5, 5)
    events = open_interactions(folder / "interactions").events()
    assert len(events) == 280
    assert events.timestamps is not None
    assert events.value_kind == "rating"


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_an_old_workspace_of_clicks_has_no_poems(folder):
    store = open_interactions(folder / "interactions")
    assert store.poems() == []
    assert tuple(store.user_table.columns) == TABLE_COLUMNS


@pytest.mark.parametrize("folder", GOLDEN_POEMS, ids=lambda folder: folder.name)
def test_an_old_workspace_brings_its_poems_and_their_counts_back(folder):
    store = open_interactions(folder / "interactions")
    assert store.poems() == [
        Poem("t1", "登鸛雀樓", "王之渙", ("白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。")),
        Poem("山中", "山中", "", ("山山黃葉□",)),
    ]
    assert list(store.user_table["form"]) == ["5-jueju", "other"]
    assert store.value_kind == "weight"
    mountain = store.interactions.items.positions(["山"])
    assert store.interactions.users.ids.tolist() == ["t1", "山中"]
    assert store.interactions.matrix.toarray()[:, mountain].tolist() == [[1], [2]]


def test_there_is_a_golden_workspace():
    assert GOLDEN
    assert GOLDEN_POEMS


def test_a_golden_model_tells_the_label_that_it_told():
    folder = Path(__file__).with_name("golden") / "v4"
    expected = json.loads((folder / "answers.json").read_text())["item_labels"]
    vae = Recommender.load(folder).vae
    told = vae.item_label_probabilities()[vae.items.positions(["i03"])[0]]
    assert dict(zip(vae.labels.names, told.tolist(), strict=True)) == pytest.approx(
        expected, abs=2e-4
    )
    before = load_model(open_model(folder.with_name("v3") / "model"))
    assert before.labels is None
