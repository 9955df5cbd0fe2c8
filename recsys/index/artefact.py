"""What look-ups need, as one artefact: item vectors to score with, directions to compare by."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys import storage
from recsys.data.id_store import load_ids, save_ids
from recsys.data.ids import IdMap
from recsys.errors import ArtefactError
from recsys.index.item_index import ItemIndex, unit_vectors

KIND = "index"
FORMAT_VERSION = 1
MADE_BY = "recsys index"


@dataclass(frozen=True, eq=False)
class ServingIndex:
    """The indexes behind recommend and similar.

    Parameters
    ----------
    items : ItemIndex
        Decoder rows with the bias as their last dimension, dim latent_dim + 1.
    item_directions : ItemIndex
        Decoder rows without the bias, of length 1.
    user_directions : ItemIndex
        Latent codes of `users`, of length 1.
    users : IdMap
        Who had a history when the index was built.
    model_fingerprint : str
        Of the model that the vectors are from.
    """

    items: ItemIndex
    item_directions: ItemIndex
    user_directions: ItemIndex
    users: IdMap
    model_fingerprint: str

    @classmethod
    def of_items(cls, item_vectors: NDArray[np.float32], model_fingerprint: str) -> "ServingIndex":
        """Index the items; nobody is among the users yet.

        Parameters
        ----------
        item_vectors : float32, shape (n_items, latent_dim + 1)
        model_fingerprint : str
        """
        directions = unit_vectors(item_vectors[:, :-1])
        nobody = np.empty((0, directions.shape[1]), dtype=np.float32)
        return cls(
            items=ItemIndex.of(item_vectors),
            item_directions=ItemIndex.of(directions),
            user_directions=ItemIndex.of(nobody),
            users=IdMap.in_order([], "user"),
            model_fingerprint=model_fingerprint,
        )

    def with_users(self, users: IdMap, directions: Iterable[NDArray[np.float32]]) -> "ServingIndex":
        """Add the users' unit latent codes, block by block in the order of `users`."""
        nobody = np.empty((0, self.user_directions.dim), dtype=np.float32)
        index = ItemIndex.of(nobody)
        for block in directions:
            index.add(block)
        assert len(index) == len(users)
        return replace(self, user_directions=index, users=users)

    def save(self, path: Path, *, model: storage.Artefact, data: storage.Artefact) -> None:
        """Write as one artefact, stamped with the model and the data that it was built from."""
        fingerprints = {
            "model": self.model_fingerprint,
            "items": model.manifest.fingerprints["items"],
            "events": data.manifest.fingerprints["events"],
        }
        with storage.writing(
            path,
            KIND,
            FORMAT_VERSION,
            config={"kind": "exact", "data_created": data.manifest.created},
            metrics={"n_items": len(self.items), "n_users": len(self.users)},
            fingerprints=fingerprints,
        ) as folder:
            self.items.save(folder / "items.faiss")
            self.item_directions.save(folder / "item_directions.faiss")
            self.user_directions.save(folder / "user_directions.faiss")
            save_ids(self.users, folder / "users.parquet")


def open_index(path: Path, *, expected_model: storage.Artefact) -> ServingIndex:
    """Open the index and check that it was built from `expected_model`.

    Raises
    ------
    ArtefactError
        Missing, damaged, or built from another model.
    """
    artefact = storage.open_artefact(path, KIND, FORMAT_VERSION, made_by=MADE_BY)
    built_from = artefact.manifest.fingerprints.get("model", "none")
    present = expected_model.manifest.fingerprint
    if built_from != present:
        raise ArtefactError(
            f"{path} was built from model {built_from[:12]}, but {expected_model.path} is "
            f"model {present[:12]}; run `{MADE_BY}`"
        )
    return ServingIndex(
        items=ItemIndex.load(artefact.file("items.faiss")),
        item_directions=ItemIndex.load(artefact.file("item_directions.faiss")),
        user_directions=ItemIndex.load(artefact.file("user_directions.faiss")),
        users=load_ids(artefact.file("users.parquet"), "user", MADE_BY),
        model_fingerprint=present,
    )
