"""Artefacts that were written by every format version so far still load and answer the same."""

import json
from pathlib import Path

import pytest

from recsys.data.artefact import open_interactions
from recsys.recommender import Recommender
from recsys.vae.artefact import load_model_split, open_model

GOLDEN = sorted(Path(__file__).with_name("golden").glob("v*"))


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


def test_there_is_a_golden_workspace():
    assert GOLDEN
