import io

import numpy as np
import pytest

from recsys.errors import ArtefactError
from recsys.neighbours.artefact import FILE, load_item_item, save_item_item
from recsys.neighbours.item_item import ItemItem


@pytest.fixture
def item_item(matrix_of) -> ItemItem:
    return ItemItem(matrix_of([[0, 0.5, -1], [2, 0, 0], [0, 0, 0]]))


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def whole(**changes) -> bytes:
    arrays = {
        "indptr": np.array([0, 2, 3, 3], dtype=np.int32),
        "indices": np.array([1, 2, 0], dtype=np.int32),
        "values": np.array([0.5, -1, 2], dtype=np.float32),
    }
    return npz(**{**arrays, **changes})


def assert_refused(path, content, n_items=3):
    path.write_bytes(content)
    with pytest.raises(ArtefactError) as caught:
        load_item_item(path, n_items)
    assert str(caught.value) == f"{path} is not an item-item matrix; run `recsys train`"


def test_it_is_loaded_as_it_was_saved(tmp_path, item_item):
    save_item_item(item_item, tmp_path)
    found = load_item_item(tmp_path / FILE, 3).weights
    np.testing.assert_array_equal(found.toarray(), item_item.weights.toarray())
    assert found.dtype == np.float32
    assert found.shape == (3, 3)


def test_places_of_64_bits_are_halved_once(tmp_path, item_item):
    places = {"indices": np.array([1, 2, 0]), "indptr": np.array([0, 2, 3, 3])}
    (tmp_path / FILE).write_bytes(whole(**places))
    found = load_item_item(tmp_path / FILE, 3).weights
    np.testing.assert_array_equal(found.toarray(), item_item.weights.toarray())
    assert (found.indices.dtype, found.indptr.dtype) == (np.int32, np.int32)


def test_places_that_would_fit_once_halved_are_refused(tmp_path):
    assert_refused(tmp_path / FILE, whole(indices=np.array([1, 2, 2**32])))


def test_a_file_that_is_none_is_refused(tmp_path, bomb):
    sound = whole()
    (tmp_path / FILE).write_bytes(sound)
    load_item_item(tmp_path / FILE, 3)
    contents = (b"", b"x", b"PK\x03\x04 rubbish", sound[:-1], sound[:40], npy(np.eye(3)))
    for content in contents:
        assert_refused(tmp_path / FILE, content)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="is not an item-item matrix; run `recsys train`"):
        load_item_item(tmp_path / FILE, 3)


class Pickled:
    """Makes a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.folder),)


def test_a_pickle_is_refused_and_never_run(tmp_path, bomb):
    hidden = np.array([Pickled(bomb.folder)], dtype=object)
    for content in (bomb.content, npy(hidden), whole(values=hidden), npz(values=hidden)):
        assert_refused(tmp_path / FILE, content)
    assert not bomb.has_run()


@pytest.mark.parametrize(
    "changes",
    [
        {"indices": np.array([1, 3, 0], dtype=np.int32)},
        {"indices": np.array([1, -1, 0], dtype=np.int32)},
        {"indices": np.array([1.0, 2.0, 0.0])},
        {"indptr": np.array([0, 2, 3], dtype=np.int32)},
        {"indptr": np.array([0, 3, 2, 3], dtype=np.int32)},
        {"indptr": np.array([0, 2, 3, 4], dtype=np.int32)},
        {"values": np.array([0.5, -1], dtype=np.float32)},
        {"values": np.array([[0.5, -1, 2]], dtype=np.float32)},
        {"values": np.array(["a", "b", "c"])},
        {"values": np.array([0.5, np.nan, 2], dtype=np.float32)},
        {"values": np.array([0.5, -1, 2], dtype=np.float64)},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_arrays_that_do_not_fit_together_are_refused(tmp_path, changes):
    assert_refused(tmp_path / FILE, whole(**changes))


def test_a_foreign_archive_is_refused(tmp_path):
    assert_refused(tmp_path / FILE, npz(a=np.eye(3)))


def test_a_matrix_of_another_catalogue_is_refused(tmp_path):
    for n_items in (2, 4):
        assert_refused(tmp_path / FILE, whole(), n_items)
