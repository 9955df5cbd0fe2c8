"""The fused model from the command line: when it is made, what it says, when it is refused."""

import dataclasses
import json

import pytest

from recsys import storage
from recsys.fusion import DEFAULT_TAU, TAUS


def manifest_of(workspace):
    return storage.read_manifest(workspace / "model")


def train(cli, workspace, *words):
    result = cli("train", *words, workspace=workspace)
    assert result.code == 0, result.err
    return result


def models_of(cli, workspace):
    words = ("--on", "validation", "--metrics", "ndcg@10", "--without-ease")
    result = cli("evaluate", *words, workspace=workspace)
    assert result.code == 0, result.err
    return list(result.records[0]["models"])


def test_the_default_model_is_fused_and_says_what_each_path_buys(cli, changeable, tiny_flags):
    err = train(cli, changeable, *tiny_flags).err
    (line,) = [each for each in err.splitlines() if each.startswith("item-item path: ")]
    assert "item-item path, trial: " in err
    manifest = manifest_of(changeable)
    assert "item_item.npz" in manifest.files
    assert manifest.format_version == 4
    assert manifest.config["kind"] == "fused"
    assert manifest.config["tau"] in TAUS
    assert manifest.config["neighbours"]["n_neighbours"] == 239  # all the others
    assert manifest.config["vae"]["prior"] == "composite"
    assert line.startswith(f"item-item path: ndcg@100 {manifest.metrics['best_validation']:.4f}")
    assert f"(tau {manifest.config['tau']:g}, " in line
    assert models_of(cli, changeable) == ["fused", "vae", "neighbours", "popularity"]


def test_the_neighbours_have_settings_of_their_own(cli, changeable, tiny_flags):
    words = ("--no-search", "-S", "n_neighbours=3", "-S", "neighbours.ridge=7")
    train(cli, changeable, *tiny_flags, *words)
    neighbours = manifest_of(changeable).config["neighbours"]
    assert (neighbours["n_neighbours"], neighbours["ridge"]) == (3, 7.0)


def test_a_vae_alone_has_no_item_item_file(cli, changeable, tiny_flags):
    result = train(cli, changeable, *tiny_flags, "-S", "model.kind=vae")
    assert "item-item" not in result.err
    assert not (changeable / "model" / "item_item.npz").exists()
    assert "tau" not in manifest_of(changeable).config
    assert models_of(cli, changeable) == ["vae", "popularity"]
    assert cli("index", workspace=changeable).code == 0
    assert cli("recommend", "--user", "u001", workspace=changeable).code == 0


def test_without_search_the_settings_are_fitted_as_they_stand(cli, changeable, tiny_flags):
    result = train(cli, changeable, *tiny_flags, "--no-search", "-S", "neighbours.ridge=7")
    assert "trial" not in result.err
    neighbours = manifest_of(changeable).config["neighbours"]
    assert (neighbours["ridge"], neighbours["dropout"]) == (7.0, 0.5)


def test_neighbours_alone_train_no_vae(cli, changeable):
    result = train(cli, changeable, "-S", "model.kind=neighbours")
    assert "epoch 1/" not in result.err
    manifest = manifest_of(changeable)
    assert (manifest.config["kind"], manifest.config["tau"]) == ("neighbours", 1.0)
    assert manifest.metrics["best_validation"] > manifest.metrics["floor"]
    assert models_of(cli, changeable) == ["neighbours", "popularity"]
    assert cli("index", workspace=changeable).code == 0
    (lists,) = cli("recommend", "--user", "u001", workspace=changeable).records
    assert len(lists["items"]) == 10
    assert cli("similar", "--item", lists["items"][0]["item"], workspace=changeable).code == 0
    shown = cli("info", workspace=changeable).out
    assert "item-item path" in shown
    assert "VAE" not in shown


def test_users_cannot_be_compared_without_latent_codes(cli, changeable):
    train(cli, changeable, "-S", "model.kind=neighbours", "--no-search")
    assert cli("index", workspace=changeable).code == 0
    result = cli("similar", "--user", "u001", workspace=changeable)
    assert result.code == 2
    assert "train with model.kind=fused or vae" in result.complaint


def test_a_gaussian_model_is_a_vae_alone_by_default(cli, changeable, tiny_flags):
    result = train(cli, changeable, *tiny_flags, "-S", "likelihood=gaussian")
    assert "item-item" not in result.err
    assert "item_item.npz" not in manifest_of(changeable).files


def test_without_validation_users_tau_is_the_default(cli, changeable, tiny_flags):
    train(cli, changeable, "--split", "none", *tiny_flags)
    manifest = manifest_of(changeable)
    assert "item_item.npz" in manifest.files
    assert manifest.config["tau"] == DEFAULT_TAU


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.kind=both", "model.kind is 'both', expected one of auto, fused, vae, neighbours"),
        ("neighbours.dropout=1", "neighbours.dropout is 1.0, expected at least 0 and below 1"),
        ("n_neighbours=0", "neighbours.n_neighbours is 0, expected at least 1"),
    ],
)
def test_a_setting_out_of_range_is_refused_before_any_work(cli, made, setting, message):
    result = cli("train", "-S", setting, workspace=made)
    assert result.code == 2
    assert result.complaint.endswith(message)
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("words", [("recommend", "--user", "u001"), ("evaluate",)])
def test_a_damaged_item_item_file_is_refused_in_one_line(cli, changeable, damage, words):
    path = changeable / "model" / "item_item.npz"
    damage(path)
    result = cli(*words, workspace=changeable)
    assert result.code == 1
    assert result.complaint.startswith(f"recsys: {path} is damaged")
    assert len(result.err.splitlines()) == 1


def test_a_forged_item_item_file_is_refused_in_one_line_and_nothing_runs(
    cli, changeable, forge, bomb
):
    path = changeable / "model" / "item_item.npz"
    forge(path.parent, path.name, bomb.content)
    result = cli("evaluate", workspace=changeable)
    assert result.code == 1
    assert result.complaint == f"recsys: {path} is not an item-item matrix; run `recsys train`"
    assert not bomb.has_run()


def test_an_item_item_file_without_its_tau_is_refused_in_one_line(cli, changeable):
    folder = changeable / "model"
    manifest = manifest_of(changeable)
    config = {key: value for key, value in manifest.config.items() if key != "tau"}
    changed = dataclasses.replace(manifest, config=config)
    content = dataclasses.asdict(changed) | {"checksum": changed.fingerprint}
    (folder / storage.MANIFEST).write_text(json.dumps(content))
    result = cli("evaluate", workspace=changeable)
    assert result.code == 1
    assert result.complaint == f"recsys: {folder} is not whole ('tau'); run `recsys train`"


def test_a_user_is_given_the_same_alone_among_many_and_as_a_list(cli, made):
    words = ("-k", "10", "--format", "ndjson")
    (alone,) = cli("recommend", "--user", "u007", *words, workspace=made).records
    many = ("recommend", "--user", "u003", "--user", "u007", *words)
    together = cli(*many, workspace=made).records[1]
    assert together["user"] == alone["user"] == "u007"
    for one, other in zip(alone["items"], together["items"], strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
        assert one["item"] == other["item"]


def test_ratings_are_not_fused(cli, changeable, tiny_flags):
    words = ("train", *tiny_flags, "-S", "likelihood=gaussian", "-S", "model.kind=fused")
    result = cli(*words, workspace=changeable)
    assert result.code == 2
    assert "the gaussian likelihood scores in ratings" in result.complaint
