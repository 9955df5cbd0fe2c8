"""The item-item path inside a model's folder: one npz without pickle."""

from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from recsys.errors import ArtefactError
from recsys.neighbours.item_item import ItemItem

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
        with np.load(path, allow_pickle=False) as arrays:
            parts = (arrays["values"], arrays["indices"], arrays["indptr"])
        weights = csr_array(parts, shape=(n_items, n_items))
        weights.check_format()
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise ArtefactError(f"{path} is not an item-item matrix; run `recsys train`") from error
    return ItemItem(weights)
