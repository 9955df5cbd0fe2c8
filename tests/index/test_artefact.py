import io

import numpy as np
import pytest

from recsys.data.artefact import open_interactions
from recsys.errors import ArtefactError
from recsys.index.artefact import FORMAT_VERSION, open_index
from recsys.indexing import build_index
from recsys.storage import open_artefact, read_manifest
from recsys.vae.artefact import load_model, open_model, save_model

FILES = [
    *("items.faiss", "item_directions.faiss", "user_directions.faiss"),
    *("user_lengths.npy", "users.parquet"),
]


def test_the_index_holds_every_item_and_every_user(workspace, trained, events):
    index = open_index(workspace / "index", expected_model=open_model(workspace / "model"))
    np.testing.assert_array_equal(index.items.vectors, trained.item_vectors())
    assert len(index.item_directions) == trained.n_items
    assert len(index.user_directions) == len(events.users)
    assert list(index.users.ids) == list(events.users.ids)
    for directions in (index.item_directions, index.user_directions):
        np.testing.assert_allclose(np.linalg.norm(directions.vectors, axis=1), 1, rtol=1e-5)


def test_a_users_code_is_its_direction_by_its_length(recommender):
    index = recommender.index
    codes = index.user_directions.vectors * index.user_lengths[:, None]
    everybody = recommender.histories(np.arange(len(recommender.users)))
    expected = recommender.vae.encode(everybody)
    np.testing.assert_allclose(codes, expected, atol=1e-5)


def test_lengths_of_other_users_are_refused(copy_of_workspace, forge):
    root = copy_of_workspace()
    content = io.BytesIO()
    np.save(content, np.ones(3, dtype=np.float32))
    forge(root / "index", "user_lengths.npy", content.getvalue())
    index = open_index(root / "index", expected_model=open_model(root / "model"))
    with pytest.raises(ArtefactError, match=r"user_lengths.npy is not a list of lengths"):
        _ = index.user_lengths


def test_the_index_is_stamped_with_its_model_and_data(workspace):
    fingerprints = read_manifest(workspace / "index").fingerprints
    model, data = read_manifest(workspace / "model"), read_manifest(workspace / "interactions")
    assert fingerprints["model"] == model.fingerprint
    assert fingerprints["items"] == model.fingerprints["items"]
    assert fingerprints["events"] == data.fingerprints["events"]


def test_an_index_built_in_small_blocks_is_the_same(workspace, tmp_path):
    model = open_model(workspace / "model")
    store = open_interactions(workspace / "interactions")
    build_index(load_model(model), store, model, tmp_path / "index", block_size=37)
    small = open_index(tmp_path / "index", expected_model=model)
    whole = open_index(workspace / "index", expected_model=model)
    np.testing.assert_allclose(
        small.user_directions.vectors, whole.user_directions.vectors, atol=1e-5
    )


def test_an_index_of_another_model_is_refused_naming_both(copy_of_workspace, trained, split):
    root = copy_of_workspace()
    built_from = read_manifest(root / "model").fingerprint
    save_model(trained, split, root / "model", training={"x": 1}, metrics={}, fingerprints={})
    present = read_manifest(root / "model").fingerprint
    with pytest.raises(ArtefactError) as caught:
        open_index(root / "index", expected_model=open_model(root / "model"))
    assert str(caught.value) == (
        f"{root / 'index'} was built from model {built_from[:12]}, but {root / 'model'} is "
        f"model {present[:12]}; run `recsys index`"
    )


def test_no_index_is_refused_with_the_command_that_makes_one(workspace, tmp_path):
    with pytest.raises(ArtefactError, match=r"there is no index at .*; make one with `recsys ind"):
        open_index(tmp_path / "index", expected_model=open_model(workspace / "model"))


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_an_index_is_verified(copy_of_workspace, name):
    root = copy_of_workspace()
    model = open_model(root / "model")
    content = bytearray((root / "index" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (root / "index" / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=f"{name} is damaged: its SHA-256 differs"):
        open_index(root / "index", expected_model=model)
    (root / "index" / name).unlink()
    with pytest.raises(ArtefactError, match=f"{name} is missing; make it again with `recsys ind"):
        open_index(root / "index", expected_model=model)


@pytest.mark.parametrize("name", FILES)
def test_a_pickle_bomb_in_an_index_is_refused_and_does_not_run(
    copy_of_workspace, bomb, forge, name
):
    root = copy_of_workspace()
    forge(root / "index", name, bomb.content)
    assert open_artefact(
        root / "index", "index", FORMAT_VERSION, made_by="x"
    )  # the checksums are mended
    with pytest.raises(ArtefactError, match=rf"{name} is not a .*; run `recsys index`"):
        read_all(open_index(root / "index", expected_model=open_model(root / "model")))
    assert not bomb.has_run()


def read_all(index):
    """Each file is read when it is first needed."""
    return (
        *(index.items, index.item_directions, index.user_directions),
        *(index.user_lengths, index.users),
    )
