"""What look-ups need, as one artefact: item vectors to score with, directions to compare by."""

from dataclasses import dataclass
from pathlib import Path

from recsys import storage
from recsys.data.id_store import load_ids, save_ids
from recsys.data.ids import IdMap
from recsys.errors import ArtefactError
from recsys.index.item_index import ItemIndex

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
        Of length 1, for comparing items by cosine.
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
