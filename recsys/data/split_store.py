"""A split on disk: two files of plain arrays in the folder of the model that it trained."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.holdout import Holdout, Split
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.errors import ArtefactError

_MATRICES = "split_matrices.npz"
_IDS = "split_ids.parquet"


def save_split(split: Split, folder: Path) -> None:
    """Write the split as `split_matrices.npz` and `split_ids.parquet`.

    Parameters
    ----------
    split : Split
    folder : Path
        Exists; whoever makes the artefact moves it whole and keeps the checksums.
    """
    arrays: dict[str, Any] = _csr_arrays("train", split.train)
    arrays["left_out"] = np.array(split.left_out, dtype=np.str_)
    ids = {"items": split.train.items, "train": split.train.users}
    for name, holdout in (("validation", split.validation), ("test", split.test)):
        if holdout is not None:
            arrays |= _csr_arrays(f"{name}_fold_in", holdout.fold_in)
            arrays |= _csr_arrays(f"{name}_held_out", holdout.held_out)
            ids[name] = holdout.held_out.users
    np.savez(folder / _MATRICES, **arrays)
    _write_ids(ids, folder / _IDS)


def load_split(folder: Path) -> Split:
    """Read what `save_split` wrote; the fingerprint is the same.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    ArtefactError
        A file is missing or is not what `save_split` writes.
    """
    try:
        ids = _read_ids(folder / _IDS)
        # numpy leaves a broken file open where it opened it itself.
        with (folder / _MATRICES).open("rb") as stream:
            arrays = dict(np.load(stream, allow_pickle=False))
        return _built(arrays, ids)
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        pa.ArrowException,
        zipfile.BadZipFile,
    ) as error:
        reason = " ".join(str(error).split())
        raise ArtefactError(
            f"{folder}: the stored split cannot be read ({reason}); expected {_MATRICES} and"
            f" {_IDS} as `recsys train` writes them: train again"
        ) from error


def _csr_arrays(name: str, part: Interactions) -> dict[str, NDArray[Any]]:
    matrix = part.matrix
    arrays = {f"{name}_indptr": matrix.indptr, f"{name}_indices": matrix.indices}
    # Clicks are all ones: as large as the indices and nothing to know.
    if not (matrix.data == 1).all():
        arrays[f"{name}_data"] = matrix.data
    return arrays


def _write_ids(ids: dict[str, IdMap], path: Path) -> None:
    names = np.repeat(list(ids), [len(each) for each in ids.values()])
    values = np.concatenate([each.ids for each in ids.values()])
    table = pa.table(
        {
            "of": pa.array(names, type=pa.string()),
            "id": pa.array(values, type=pa.string()),
        }
    )
    pyarrow.parquet.write_table(table, path)


def _read_ids(path: Path) -> dict[str, NDArray[np.object_]]:
    table = pyarrow.parquet.read_table(path, partitioning=None)
    of = table["of"].to_numpy()
    ids = table["id"].to_numpy()
    return {name: ids[of == name] for name in np.unique(of.astype(str))}


def _built(arrays: dict[str, NDArray[Any]], ids: dict[str, NDArray[np.object_]]) -> Split:
    items = IdMap(ids["items"], "item")

    def interactions(name: str, users: IdMap) -> Interactions:
        indptr, indices = arrays[f"{name}_indptr"], arrays[f"{name}_indices"]
        data = arrays.get(f"{name}_data", np.ones(len(indices), dtype=np.float32))
        matrix = csr_array((data, indices, indptr), shape=(len(users), len(items)))
        return Interactions(users, items, matrix)

    def holdout(name: str) -> Holdout | None:
        if name not in ids:
            return None
        users = IdMap(ids[name], "user")
        fold_in, held_out = f"{name}_fold_in", f"{name}_held_out"
        return Holdout(interactions(fold_in, users), interactions(held_out, users))

    return Split(
        train=interactions("train", IdMap(ids["train"], "user")),
        validation=holdout("validation"),
        test=holdout("test"),
        left_out=tuple(str(line) for line in arrays["left_out"]),
    )
