import dataclasses
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys import storage
from recsys.errors import ArtefactError
from recsys.vae.artefact import load_model, load_model_split, open_model, save_model
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.training import train

ROOT = Path(__file__).parents[2]


def test_a_model_is_loaded_as_it_was_saved(workspace, trained, split):
    artefact = open_model(workspace / "model")
    loaded = load_model(artefact)
    assert loaded.config == trained.config
    assert list(loaded.items.ids) == list(trained.items.ids)
    assert (loaded.n_train_users, loaded.liked_value) == (480, 1.0)
    np.testing.assert_array_equal(loaded.item_counts, trained.item_counts)
    np.testing.assert_array_equal(loaded.item_means, trained.item_means)
    histories = split.test.fold_in.matrix
    np.testing.assert_array_equal(loaded.score(histories), trained.score(histories))
    assert artefact.manifest.fingerprints["items"] == trained.items.fingerprint
    assert artefact.manifest.fingerprints["split"] == split.fingerprint


def test_the_split_is_stored_with_the_model(workspace, split):
    assert load_model_split(open_model(workspace / "model")).fingerprint == split.fingerprint


def test_loading_leaves_the_global_random_state_alone(workspace):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    load_model(open_model(workspace / "model"))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("config", [VAEConfig(likelihood="gaussian", values="weighted"), None])
def test_rating_models_and_composite_ones_come_back_too(interactions_of, split, tmp_path, config):
    config = config or VAEConfig(values="binary", prior="composite", encoder_layers=1)
    config = dataclasses.replace(config, latent_dim=3, hidden_dim=5)
    data = interactions_of([[1, 5, 0], [4, 0, 2], [0, 3, 3]])
    vae = train(data, config, TrainingConfig(epochs=1))
    save_model(vae, split, tmp_path / "model", training={}, metrics={}, fingerprints={})
    loaded = load_model(open_model(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.score(data.matrix), vae.score(data.matrix))
    assert loaded.liked_value == vae.liked_value


def test_every_file_of_a_model_is_verified(copy_of_workspace):
    folder = copy_of_workspace() / "model"
    names = sorted(each.name for each in folder.iterdir() if each.name != "manifest.json")
    assert names == [
        "items.parquet",
        "split_ids.parquet",
        "split_matrices.npz",
        "weights.safetensors",
    ]
    for name in names:
        content = (folder / name).read_bytes()
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        (folder / name).write_bytes(changed)
        with pytest.raises(ArtefactError, match=f"{name} is damaged: its SHA-256 differs"):
            open_model(folder)
        (folder / name).unlink()
        with pytest.raises(ArtefactError, match=f"{name} is missing; make it again with `recsys "):
            open_model(folder)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weights.safetensors", "is not whole ("),
        ("items.parquet", "is not a list of ids ("),
        ("split_matrices.npz", "the stored split cannot be read ("),
        ("split_ids.parquet", "the stored split cannot be read ("),
    ],
)
def test_a_pickle_bomb_is_refused_and_does_not_run(copy_of_workspace, bomb, forge, name, message):
    folder = copy_of_workspace() / "model"
    (folder / name).write_bytes(bomb.content)
    with pytest.raises(ArtefactError, match=f"{name} is damaged"):
        open_model(folder)
    forge(folder, name, bomb.content)
    artefact = open_model(folder)  # the checksums do not protect from a stranger; the formats do
    load = load_model_split if name.startswith("split") else load_model
    with pytest.raises(ArtefactError) as caught:
        load(artefact)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not bomb.has_run()


def test_the_bomb_of_these_tests_is_live(bomb):
    pickle.loads(bomb.content)
    assert bomb.has_run()


def test_weights_of_another_shape_are_refused_in_one_line(copy_of_workspace):
    folder = copy_of_workspace() / "model"
    artefact = open_model(folder)
    config = artefact.manifest.config | {"vae": artefact.manifest.config["vae"] | {"hidden_dim": 7}}
    with pytest.raises(
        ArtefactError, match=r"model is not whole \(.*\); run `recsys tra"
    ) as caught:
        load_model(with_config(artefact, config))
    assert "\n" not in str(caught.value)


def test_a_setting_that_this_version_does_not_know_is_refused(copy_of_workspace):
    folder = copy_of_workspace() / "model"
    artefact = open_model(folder)
    config = artefact.manifest.config | {"vae": {"warp": 9}}
    with pytest.raises(ArtefactError, match=r"is not whole .*'warp'"):
        load_model(with_config(artefact, config))


def with_config(artefact, config):
    """Write other settings into an artefact's manifest."""
    manifest = dataclasses.replace(artefact.manifest, config=config)
    text = json.dumps(dataclasses.asdict(manifest) | {"checksum": manifest.fingerprint})
    (artefact.path / storage.MANIFEST).write_text(text)
    return open_model(artefact.path)


SAVER = """
import resource, sys
from pathlib import Path
from recsys.errors import ArtefactError
from recsys.vae.artefact import *

path, limit = Path(sys.argv[1]), int(sys.argv[2])
artefact = open_model(path)
vae, split = load_model(artefact), load_model_split(artefact)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    save_model(vae, split, path, training={}, metrics={}, fingerprints={"new": "x"})
except ArtefactError as error:
    sys.exit(str(error))
"""


# Stopped in the split, and in the weights.
@pytest.mark.parametrize("limit", [100_000, 40_000])
def test_a_full_disk_leaves_the_old_model(copy_of_workspace, limit):
    folder = copy_of_workspace() / "model"
    before = open_model(folder).manifest.fingerprint
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", SAVER, str(folder), str(limit)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 1, child.stderr
    assert child.stderr.startswith(f"could not write {folder}: ")
    assert child.stderr.endswith("; what stood there before is unchanged\n")
    assert open_model(folder).manifest.fingerprint == before
