"""Artefacts that are damaged, missing, newer, or do not belong together."""

import json
import shutil
from dataclasses import asdict, replace

import pytest

from recsys import storage

FILES = [
    *(f"interactions/{name}.npy" for name in ("indices", "indptr", "row_order", "timestamps")),
    *("interactions/values.npy", "interactions/users.parquet", "interactions/items.parquet"),
    *("interactions/item_table.parquet", "interactions/manifest.json"),
    *("model/weights.safetensors", "model/items.parquet", "model/split_ids.parquet"),
    *("model/split_matrices.npz", "model/item_item.npz", "model/manifest.json"),
    *("index/items.faiss", "index/item_directions.faiss", "index/user_directions.faiss"),
    *("index/user_lengths.npy", "index/users.parquet", "index/manifest.json"),
]
MADE_BY = {"interactions": "ingest", "model": "train", "index": "index"}


def test_the_list_above_is_every_file_of_every_artefact(made):
    found = {f"{stage}/{each.name}" for stage in MADE_BY for each in (made / stage).iterdir()}
    assert found == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_refused_and_the_file_named(cli, changeable, damage, name):
    damage(changeable / name)
    for words in (("recommend", "--user", "u001"), ("verify",)):
        result = cli(*words, workspace=changeable)
        assert result.code == 1
        message = result.err.splitlines()[-1]
        assert message.startswith(f"recsys: {changeable / name} is damaged")
        assert "make" in message


@pytest.mark.parametrize("name", [each for each in FILES if "manifest" not in each])
def test_a_missing_file_is_named_with_the_command_that_makes_it(cli, changeable, name):
    (changeable / name).unlink()
    result = cli("recommend", "--user", "u001", workspace=changeable)
    assert result.code == 1
    stage = MADE_BY[name.split("/")[0]]
    assert result.complaint == (
        f"recsys: {changeable / name} is missing; make it again with `recsys {stage}`"
    )


@pytest.mark.parametrize("artefact", MADE_BY)
def test_a_missing_artefact_is_named_with_the_command_that_makes_it(cli, changeable, artefact):
    shutil.rmtree(changeable / artefact)
    result = cli("recommend", "--user", "u001", workspace=changeable)
    assert result.code == 1
    assert result.complaint == (
        f"recsys: there is no {artefact} at {changeable / artefact}; "
        f"make one with `recsys {MADE_BY[artefact]}`"
    )


@pytest.mark.parametrize("artefact", MADE_BY)
def test_an_artefact_without_manifest_is_none(cli, changeable, artefact):
    (changeable / artefact / "manifest.json").unlink()
    result = cli("recommend", "--user", "u001", workspace=changeable)
    assert result.code == 1
    assert f"{changeable / artefact} is not an artefact: it has no manifest" in result.complaint


def rewritten(folder, **changes):
    """Change a manifest and give it the right checksum again."""
    manifest = replace(storage.read_manifest(folder), **changes)
    content = asdict(manifest) | {"checksum": manifest.fingerprint}
    (folder / "manifest.json").write_text(json.dumps(content))


@pytest.mark.parametrize("artefact", MADE_BY)
def test_a_newer_format_version_is_refused(cli, changeable, artefact):
    rewritten(changeable / artefact, format_version=99)
    result = cli("recommend", "--user", "u001", workspace=changeable)
    assert result.code == 1
    assert f"{changeable / artefact} has format version 99, this recsys" in result.complaint
    assert "upgrade recsys, or make it again with" in result.complaint


def test_an_artefact_of_another_kind_is_refused(cli, changeable):
    shutil.rmtree(changeable / "model")
    shutil.copytree(changeable / "interactions", changeable / "model")
    result = cli("recommend", "--user", "u001", workspace=changeable)
    assert result.code == 1
    assert "'interactions', expected 'model'" in result.complaint


def test_an_index_of_another_model_is_refused_and_both_are_named(cli, changeable, tiny_flags):
    assert cli("train", *tiny_flags, "--seed", "1", workspace=changeable).code == 0
    for words in (("recommend", "--user", "u001"), ("similar", "--item", "001"), ("verify",)):
        result = cli(*words, workspace=changeable)
        assert result.code == 1
        message = result.err.splitlines()[-1]
        assert str(changeable / "index") in message
        assert "was built from" in message
        assert "recsys index" in message
    assert cli("index", workspace=changeable).code == 0
    assert cli("recommend", "--user", "u001", workspace=changeable).code == 0


def test_new_items_and_users_work_with_the_old_model(cli, changeable, sample_file, tmp_path):
    rows = "newcomer,001,5,1\nnewcomer,brand new,5,1\nlost,brand new,5,1\n"
    (tmp_path / "more.csv").write_text(sample_file.read_text() + rows)
    assert cli("ingest", tmp_path / "more.csv", workspace=changeable).code == 0
    result = cli("recommend", "--user", "newcomer", "--user", "lost", workspace=changeable)
    assert result.code == 0
    assert result.err.startswith("not in the model: 1 item of the data (new, or ")
    assert "user lost has no history that the model knows" in result.err
    assert "user newcomer" not in result.err
    listed = [[one["item"] for one in each["items"]] for each in result.records]
    (asked,) = cli("recommend", "--item", "001", workspace=changeable).records
    assert listed[0] == [one["item"] for one in asked["items"]]


def test_an_artefact_left_between_two_renames_is_found(cli, changeable):
    before = cli("recommend", "--user", "u001", workspace=changeable)
    for name in MADE_BY:
        (changeable / name).rename(changeable / f".{name}.previous")
    assert cli("recommend", "--user", "u001", workspace=changeable) == before
    assert cli("index", workspace=changeable).code == 0
    assert cli("recommend", "--user", "u001", workspace=changeable) == before
