"""A workspace of poems behind HTTP: similar poems, in either script, and poems that are written."""

import pytest
from made_verse import Noise, write_poems
from starlette.testclient import TestClient

from recsys.verse.tones import ToneTable


@pytest.fixture(scope="module")
def workspace_of_poems(tmp_path_factory):
    from recsys.pipelines.cli import run

    folder = tmp_path_factory.mktemp("poems")
    write_poems(folder / "poems.json")
    before = ["--workspace", str(folder / "workspace")]
    small = ("-S", "vae.latent_dim=8", "-S", "vae.hidden_dim=16", "-S", "training.epochs=3")
    sizes = ("--validation-size", "10", "--test-size", "10")
    assert run([*before, "ingest", "--poems", str(folder / "poems.json")]) == 0
    assert run([*before, "train", "-S", "model.kind=vae", *small, *sizes]) == 0
    assert run([*before, "index"]) == 0
    assert run([*before, "similar", "--text", "明月"]) == 0
    (folder / "workspace" / "verse").mkdir()
    (folder / "workspace" / "verse" / "manifest.json").write_text("{}")
    return folder / "workspace"


@pytest.fixture(scope="module")
def client(workspace_of_poems):
    from recsys.serving.api import make_app
    from recsys.serving.served import Served

    table = ToneTable.load()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.verse.desk.ToneTable.load", lambda **_: table)
        patch.setattr("recsys.verse.desk.open_writer", lambda path, model, device: Noise())
        served = Served(workspace_of_poems)
        with TestClient(make_app(served), raise_server_exceptions=False) as client:
            yield client
        served.close()


def test_it_says_what_it_serves(client):
    ready = client.get("/readyz").json()
    assert (ready["poems"], ready["verse"], ready["value_kind"]) == (True, True, "weight")


def test_a_line_finds_poems_as_the_command_does(client, workspace_of_poems, capsys):
    import json

    from recsys.pipelines.cli import run

    found = client.post("/poems/similar", json={"text": "白日依山盡", "k": 3})
    assert found.status_code == 200, found.text
    capsys.readouterr()
    words = ["--format", "ndjson", "similar", "--text", "白日依山盡", "-k", "3"]
    assert run(["--workspace", str(workspace_of_poems), *words]) == 0
    assert found.json() == json.loads(capsys.readouterr().out)


def test_a_poem_is_named_by_its_id(client):
    found = client.post("/poems/similar", json={"poem": "p5", "k": 2}).json()
    assert found["query"] == "p5"
    assert "p5" not in [each["poem"] for each in found["items"]]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"poem": "none"}, 404, "none"),
        ({"poem": "無題"}, 422, "2 poems"),
        ({"text": "abc"}, 422, "no Chinese character"),
        ({"text": "明月", "author": "nobody"}, 404, "nobody"),
        ({"text": "明月", "poem": "p5"}, 422, "Extra inputs"),
    ],
)
def test_a_mistake_is_told(client, body, status, said):
    found = client.post("/poems/similar", json=body)
    assert (found.status_code, said in found.json()["detail"]) == (status, True), found.text


def test_a_poem_is_written_with_its_tones(client):
    asked = {"form": "5-jueju", "theme": "明月", "n": 2, "seed": 3}
    found = client.post("/poems/generate", json=asked)
    assert found.status_code == 200, found.text
    poems = found.json()["poems"]
    assert [len(each["lines"]) for each in poems] == [4, 4]
    assert all(len(line["tones"]) == 5 for each in poems for line in each["lines"])
    assert client.post("/poems/generate", json=asked).json() == found.json()


def test_an_acrostic_that_cannot_be_is_refused(client):
    found = client.post("/poems/generate", json={"form": "couplet-5", "acrostic": "一二三"})
    assert found.status_code == 422
    assert len(found.json()["detail"]) > 20


def test_nothing_happens_to_a_poem(client):
    found = client.post("/events", json={"events": [{"user": "p5", "item": "月"}]})
    assert (found.status_code, "poems" in found.json()["detail"]) == (409, True)
