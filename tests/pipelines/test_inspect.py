"""recsys info and verify: what is there, what is stale, what is whole."""

import datetime
import json
import shutil


def states(cli, workspace):
    return {each["stage"]: each for each in cli("info", workspace=workspace).records}


def test_an_empty_workspace_misses_every_stage_and_names_the_commands(cli, tmp_path):
    found = states(cli, tmp_path)
    assert [each["state"] for each in found.values()] == ["missing"] * 3
    assert [each["why"] for each in found.values()] == [
        f"run `recsys {stage}`" for stage in ("ingest", "train", "index")
    ]
    result = cli("verify", workspace=tmp_path)
    assert result.code == 1
    assert result.complaint == (f"recsys: {tmp_path} holds no artefact; begin with `recsys ingest`")


def test_a_new_workspace_is_fresh_and_its_content_is_shown(cli, made):
    found = states(cli, made)
    assert [each["state"] for each in found.values()] == ["fresh"] * 3
    assert found["ingest"]["content"] == "20,740 interactions, 600 users, 240 items"
    assert (
        "multinomial VAE, 8 latents + item-item path, split strong, best validation 0."
        in found["train"]["content"]
    )
    assert found["index"]["content"].startswith("240 items, 600 users")
    assert all(each["age"] for each in found.values())
    table = cli("info", "--format", "table", workspace=made).out
    assert "Workspace" in table
    assert "fresh" in table


def test_after_other_data_model_and_index_are_stale(cli, changeable, sample_file, tiny_flags):
    assert cli("ingest", sample_file, "--min-rating", "4", workspace=changeable).code == 0
    found = states(cli, changeable)
    assert [each["state"] for each in found.values()] == ["fresh", "stale", "stale"]
    assert "made from other interactions" in found["train"]["why"]
    assert cli("train", *tiny_flags, workspace=changeable).code == 0
    found = states(cli, changeable)
    assert [each["state"] for each in found.values()] == ["fresh", "fresh", "stale"]
    assert found["index"]["why"] == "was built from another model"
    assert cli("index", workspace=changeable).code == 0
    assert [each["state"] for each in states(cli, changeable).values()] == ["fresh"] * 3


def test_the_same_data_again_make_nothing_stale(cli, changeable, sample_file):
    assert cli("ingest", sample_file, workspace=changeable).code == 0
    assert [each["state"] for each in states(cli, changeable).values()] == ["fresh"] * 3


def test_a_damaged_manifest_shows_as_damaged_and_hides_nothing_else(cli, changeable, damage):
    damage(changeable / "model" / "manifest.json")
    found = states(cli, changeable)
    assert found["train"]["state"] == "damaged"
    assert "is damaged" in found["train"]["why"]
    assert found["ingest"]["state"] == "fresh"


def test_verify_lists_every_artefact_that_is_there(cli, changeable):
    assert cli("evaluate", workspace=changeable).code == 0  # keeps EASE
    result = cli("verify", workspace=changeable)
    assert (result.code, result.out) == (0, "")
    whole = [line for line in result.err.splitlines() if line.endswith("bytes, whole")]
    assert len(whole) == 4
    shutil.rmtree(changeable / "index")
    result = cli("verify", workspace=changeable)
    assert result.code == 0
    assert len(result.err.splitlines()) == 3


def test_verify_finds_a_flipped_byte_in_the_kept_baseline(cli, changeable, damage):
    assert cli("evaluate", workspace=changeable).code == 0
    damage(changeable / "cache" / "ease" / "weights.npy")
    result = cli("verify", workspace=changeable)
    assert result.code == 1
    assert "weights.npy is damaged" in result.complaint


def test_newer_data_are_told_by_verify_and_not_refused(cli, changeable, sample_file):
    assert cli("ingest", sample_file, "--min-rating", "2", workspace=changeable).code == 0
    result = cli("verify", workspace=changeable)
    assert result.code == 0
    assert "was made from other interactions" in result.err


def test_artefacts_are_named_by_their_folder_and_dated(cli, made):
    found = states(cli, made).values()
    assert [each["artefact"] for each in found] == ["interactions", "model", "index"]
    for each in found:
        moment = datetime.datetime.fromisoformat(each["created"])
        assert moment.utcoffset() == datetime.timedelta(0)


def test_a_file_that_is_missing_or_of_another_size_shows_as_damaged(cli, changeable):
    weights = changeable / "model" / "weights.safetensors"
    size = weights.stat().st_size
    weights.write_bytes(weights.read_bytes()[:-7])
    found = states(cli, changeable)["train"]
    assert found["state"] == "damaged"
    assert found["why"] == (
        f"weights.safetensors has {size - 7:,} bytes, expected {size:,}; run `recsys train`"
    )
    weights.unlink()
    found = states(cli, changeable)
    assert found["train"]["why"] == "weights.safetensors is missing; run `recsys train`"
    assert [each["state"] for each in found.values()] == ["fresh", "damaged", "fresh"]


def test_a_training_that_was_interrupted_shows_in_the_row_of_train(cli, changeable):
    folder = changeable / "runs" / "20200101T000000.000000Z"
    folder.mkdir()
    record = {"status": "running", "settings": {"training.epochs": 9}}
    (folder / "run.json").write_text(json.dumps(record))
    found = states(cli, changeable)["train"]
    assert (found["state"], found["why"]) == (
        "fresh",
        "runs/20200101T000000.000000Z ended no epoch and was interrupted, or runs still: "
        "`recsys train --resume` goes on with it",
    )
