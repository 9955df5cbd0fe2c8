"""recsys train --label: a column of the ingested tables is told by the code."""

import json
import re

import numpy as np
import pytest

from recsys.data.artefact import open_interactions
from recsys.errors import ConfigError
from recsys.vae.artefact import load_model, open_model
from recsys.vae.labels import label_accuracy

POOLS = ("山水雲石松泉鶴嶺", "花月酒歌柳燕鶯簾", "馬劍沙關塞鼓旗雪")
SETTINGS = (
    *("-S", "model.kind=vae", "-S", "vae.latent_dim=8", "-S", "vae.hidden_dim=24"),
    *("-S", "validate_every=6", "-S", "vae.dropout=0.1", "-S", "learning_rate=0.01"),
    *("--batch-size", "25", "--epochs", "12"),
)


@pytest.fixture(scope="module")
def poem_workspace(tmp_path_factory):
    """150 made-up poems of three poets, one of whom is named nowhere else, after ingest."""
    from recsys.pipelines.cli import run

    rng = np.random.default_rng(0)
    records = [
        {
            "id": f"p{number:03}",
            "author": f"poet {number % 3}" if number else "nobody else",
            "paragraphs": ["".join(rng.choice(list(POOLS[number % 3] + "不人一風"), 20))],
        }
        for number in range(150)
    ]
    root = tmp_path_factory.mktemp("labels")
    (root / "poems.json").write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    words = ["--workspace", str(root / "poems"), "ingest", "--poems", str(root / "poems.json")]
    assert run(words) == 0
    return root / "poems"


def test_a_poems_author_is_told_by_poems_that_were_not_trained_on(cli, poem_workspace):
    words = ("--label", "author", "--validation-size", "30", *SETTINGS)
    result = cli("train", *words, workspace=poem_workspace)
    assert result.code == 0, result.err
    assert "labels: author of " in result.err
    assert "labels: put aside 1 name of fewer than 10 users, 1 in all" in result.err
    lines = [line for line in result.err.splitlines() if line.startswith("epoch ")]
    reported = re.findall(r"author (\d\.\d{4}) \(most frequent (\d\.\d{4})\)", lines[-1])
    ((accuracy, floor),) = reported
    assert float(accuracy) > 0.9 > 0.5 > float(floor)
    assert re.search(r"loss \S+ = \S+ \+ \S+ \+ \S+ nats/user", lines[0])
    artefact = open_model(poem_workspace / "model")
    assert artefact.manifest.config["label"] == "author"
    assert artefact.manifest.metrics["label_accuracy"] == pytest.approx(float(accuracy), abs=0.1)
    vae = load_model(artefact)
    assert set(vae.labels.names) == {"poet 0", "poet 1", "poet 2"}
    store = open_interactions(poem_workspace / "interactions")
    author_of = dict(zip(store.user_table["user_id"], store.user_table["author"], strict=True))
    truth = vae.labels.positions(store.interactions.users, author_of)
    assert label_accuracy(vae.label_probabilities(store.interactions.matrix), truth) > 0.9


@pytest.mark.parametrize("split", ["weak", "strong", "none"])
def test_an_items_genre_is_learned_in_every_split(cli, changeable, split):
    words = ("--label", "genre", "--split", split, *SETTINGS[:-2], "--epochs", "2")
    result = cli("train", *words, workspace=changeable)
    assert result.code == 0, result.err
    assert "labels: genre of 240 of 240 items, 8 names" in result.err
    assert ("of those held out is told right" in result.err) == (split != "none")
    assert load_model(open_model(changeable / "model")).item_label_probabilities().shape == (240, 8)


def test_where_the_users_are_trained_on_a_tenth_of_their_labels_is_held_out(cli, poem_workspace):
    words = ("--label", "author", "--split", "weak", *SETTINGS)
    result = cli("train", *words, workspace=poem_workspace)
    assert result.code == 0, result.err
    assert "of those held out is told right" in result.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--label", "colour"), 2, "--label colour: no such column; found items: title, genre, y"),
        (("--label", "genre", "--label-on", "users"), 2, "no table of users was ingested"),
        (("--label", "title"), 3, "of 240 labels 0 stand for 10 items or more, expected at least"),
        (("--label", "genre", "-S", "model.kind=neighbours"), 2, "has no code to tell labels by"),
        (("--label", "genre", "-S", "fewest_bearers=0"), 2, "model.fewest_bearers is 0"),
        (("--label", "genre", "-S", "label_weight=-1"), 2, "vae.label_weight is -1.0"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(cli, changeable, words, code, message):
    result = cli("train", *words, workspace=changeable)
    assert result.code == code, result.err
    assert message in result.complaint
    (run,) = (changeable / "runs").iterdir()  # that of the fixture: no other was begun
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_a_column_of_both_sides_asks_whose_is_meant(poem_workspace):
    from recsys.pipelines.config import ModelSettings
    from recsys.pipelines.labels import _bearer

    store = open_interactions(poem_workspace / "interactions")
    tables = {"users": store.user_table, "items": store.user_table}
    settings = ModelSettings(label="author")
    with pytest.raises(ConfigError, match="users and items have it; add --label-on users or items"):
        _bearer(tables, settings.label, settings.label_on)
    assert _bearer(tables, "author", "items") == "items"
