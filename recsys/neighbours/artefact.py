"""The item-item path inside a model's folder: one npz of plain arrays."""

import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.errors import ArtefactError
from recsys.neighbours.item_item import ItemItem
from recsys.neighbours.products import MOST_ENTRIES

FILE = "item_item.npz"


def save_item_item(item_item: ItemItem, folder: Path) -> None:
    """Write into an existing folder."""
    weights = item_item.weights
    np.savez(folder / FILE, indptr=weights.indptr, indices=weights.indices, values=weights.data)


def load_item_item(path: Path, n_items: int) -> ItemItem:
    """Read what `save_item_item` wrote.

    Raises
    ------
    ArtefactError
        The file is no such matrix of `n_items` items.
    """
    try:
        # numpy leaves a broken file open where it opened it itself.
        with path.open("rb") as stream:
            arrays = dict(np.load(stream, allow_pickle=False))
        return ItemItem(_matrix(arrays, n_items))
    except (
        *(OSError, EOFError, zipfile.BadZipFile, zlib.error),  # cut off, or no archive at all
        # By these zipfile refuses an archive whose compression it does not know, or an encrypted
        # one: a stranger's file, not work that we left undone.
        RuntimeError,
        *(SyntaxError, TokenError),  # an array's header, which is a Python literal
        *(KeyError, TypeError, ValueError),  # other arrays than ours
    ) as error:
        raise ArtefactError(f"{path} is not an item-item matrix; run `recsys train`") from error


def _matrix(arrays: dict[str, NDArray[Any]], n_items: int) -> csr_array:
    values = arrays["values"]
    if values.dtype != np.float32 or not np.isfinite(values).all():
        raise ValueError(f"expected finite float32 values, found {values.dtype}")
    indices, indptr = arrays["indices"], arrays["indptr"]
    if not (np.issubdtype(indices.dtype, np.integer) and np.issubdtype(indptr.dtype, np.integer)):
        raise ValueError(f"expected whole numbers, found {indices.dtype} and {indptr.dtype}")
    weights = csr_array((values, indices, indptr), shape=(n_items, n_items))
    weights.check_format(full_check=True)
    if weights.nnz <= MOST_ENTRIES:  # as products take them: not to be converted for each
        weights.indices = weights.indices.astype(np.int32, copy=False)
        weights.indptr = weights.indptr.astype(np.int32, copy=False)
    return weights
