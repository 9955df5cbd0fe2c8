"""A stored split is the split, to the bit; what is not one is refused."""

from pathlib import Path

import numpy as np
import pytest

from recsys.data.ids import IdMap
from recsys.data.interactions import Events
from recsys.data.split_store import load_split, save_split
from recsys.data.splits import Split, SplitConfig, split_events
from recsys.errors import ArtefactError


def split_of(kind: str, rated: bool = False) -> Split:
    rng = np.random.default_rng(0)
    users = IdMap.of([f'用户 {n}, "é"' for n in range(30)], "user")
    items = IdMap.of([f"00{n}" for n in range(12)], "item")
    cells = np.flatnonzero(rng.random(30 * 12) < 0.6).astype(np.int32)
    values = rng.integers(0, 6, len(cells)) if rated else np.ones(len(cells))
    times = rng.random(len(cells))
    rows = cells // 12, cells % 12, values.astype(np.float32)
    return split_events(Events(users, items, *rows, times, "none"), SplitConfig(kind))


@pytest.mark.parametrize("kind", ["strong", "weak", "last", "time", "none"])
@pytest.mark.parametrize("rated", [True, False])
def test_a_stored_split_comes_back_to_the_bit(tmp_path: Path, kind: str, rated: bool) -> None:
    split = split_of(kind, rated)
    save_split(split, tmp_path)
    loaded = load_split(tmp_path)
    assert loaded.fingerprint == split.fingerprint
    assert loaded.left_out == split.left_out
    assert (loaded.test is None) == (split.test is None)
    assert loaded.train.matrix.indices.dtype == split.train.matrix.indices.dtype
    assert loaded.train.matrix.data.tobytes() == split.train.matrix.data.tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "split_ids.parquet",
        "split_matrices.npz",
    ]


def test_values_that_are_all_one_are_not_stored(tmp_path: Path) -> None:
    save_split(split_of("last"), tmp_path)
    with np.load(tmp_path / "split_matrices.npz", allow_pickle=False) as stored:
        assert not [name for name in stored.files if name.endswith("_data")]


def refusal(folder: Path) -> str:
    with pytest.raises(ArtefactError) as caught:
        load_split(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{folder}: the stored split cannot be read (")
    assert message.endswith(
        "; expected split_matrices.npz and split_ids.parquet as `recsys train` writes them: train"
        " again"
    )
    return message


@pytest.mark.parametrize("name", ["split_ids.parquet", "split_matrices.npz"])
def test_a_missing_or_broken_file_is_refused(tmp_path: Path, name: str) -> None:
    save_split(split_of("last"), tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    refusal(tmp_path)
    (tmp_path / name).unlink()
    assert name in refusal(tmp_path)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    save_split(split_of("none"), tmp_path)
    with np.load(tmp_path / "split_matrices.npz", allow_pickle=False) as stored:
        arrays = dict(stored)
    arrays["left_out"] = np.array([{"code": "run"}], dtype=object)
    np.savez(tmp_path / "split_matrices.npz", **arrays)
    assert "Object arrays cannot be loaded when allow_pickle=False" in refusal(tmp_path)
