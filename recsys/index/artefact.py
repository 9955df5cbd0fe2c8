"""What look-ups need, as one artefact: item vectors to score with, directions to compare by."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys import storage
from recsys.data.id_store import load_ids, save_ids
from recsys.data.ids import IdMap
from recsys.errors import ArtefactError
from recsys.index.item_index import ItemIndex
from recsys.index.quick import Measured, QuickIndex

KIND = "index"
FORMAT_VERSION = 3
QUICK_FILE = "items_quick.faiss"
LENGTHS_FILE = "user_lengths.npy"
"""Since version 3, as are cells behind a transform; an index without them is read as well."""

MADE_BY = "recsys index"


@dataclass(frozen=True, eq=False)
class ServingIndex:
    """The opened indexes behind recommend and similar; each is read when it is first needed.

    Parameters
    ----------
    artefact : storage.Artefact
    model_fingerprint : str
        Of the model that the vectors are from.
    """

    artefact: storage.Artefact
    model_fingerprint: str

    @cached_property
    def items(self) -> ItemIndex:
        """Decoder rows with the bias as their last dimension, dim latent_dim + 1."""
        exact = ItemIndex.load(self.artefact.file("items.faiss"))
        if QUICK_FILE not in self.artefact.manifest.files:
            return exact
        config = self.artefact.manifest.config
        try:
            n_probed, depth = int(config["n_probed"]), int(config["depth"])
        except (KeyError, TypeError, ValueError) as error:
            path = self.artefact.path
            raise ArtefactError(f"{path} is not whole ({error}); run `{MADE_BY}`") from error
        quick = QuickIndex.load(self.artefact.file(QUICK_FILE), n_probed, depth)
        return replace(exact, quick=quick)

    @cached_property
    def item_directions(self) -> ItemIndex:
        """One vector of length 1 an item, for comparing items by their inner product."""
        return ItemIndex.load(self.artefact.file("item_directions.faiss"))

    @cached_property
    def user_directions(self) -> ItemIndex:
        """Latent codes of `users`, of length 1."""
        return ItemIndex.load(self.artefact.file("user_directions.faiss"))

    @cached_property
    def user_lengths(self) -> NDArray[np.float32] | None:
        """Lengths of the codes whose directions are indexed; shape (n_users,); None: not kept."""
        if LENGTHS_FILE not in self.artefact.manifest.files:
            return None
        path = self.artefact.file(LENGTHS_FILE)
        try:
            lengths = np.load(path, allow_pickle=False)
        except (ValueError, EOFError):
            lengths = None
        if (
            not isinstance(lengths, np.ndarray)
            or lengths.dtype != np.float32
            or lengths.shape != (len(self.user_directions),)
            or not np.isfinite(lengths).all()
        ):
            raise ArtefactError(f"{path} is not a list of lengths; run `{MADE_BY}`")
        return lengths

    @cached_property
    def users(self) -> IdMap:
        """Who had a history when the index was built."""
        return load_ids(self.artefact.file("users.parquet"), "user", MADE_BY)


def save_index(
    path: Path,
    *,
    items: ItemIndex,
    item_directions: ItemIndex,
    user_directions: ItemIndex,
    user_lengths: NDArray[np.float32],
    users: IdMap,
    model: storage.Artefact,
    data: storage.Artefact,
    measured: Measured,
) -> None:
    """Write the indexes as one artefact, stamped with the model and the data they are from.

    Parameters
    ----------
    path : Path
        Replaced whole; a crash leaves what stood there.
    items, item_directions, user_directions, user_lengths, users
        As in `ServingIndex`.
    model, data : storage.Artefact
        The vectors' model, and the interactions whose users are indexed.
    measured : Measured
        Of `items`.
    """
    quick = items.quick
    tuned = {} if quick is None else {"n_probed": quick.n_probed, "depth": quick.depth}
    with storage.writing(
        path,
        KIND,
        FORMAT_VERSION,
        config={"kind": measured.kind, "data_created": data.manifest.created, **tuned},
        metrics={
            "n_items": len(items),
            "n_users": len(users),
            "search": measured.as_metrics(),
        },
        fingerprints={
            "model": model.manifest.fingerprint,
            "items": model.manifest.fingerprints["items"],
            "events": data.manifest.fingerprints["events"],
        },
    ) as folder:
        items.save(folder / "items.faiss")
        if quick is not None:
            quick.save(folder / QUICK_FILE)
        item_directions.save(folder / "item_directions.faiss")
        user_directions.save(folder / "user_directions.faiss")
        np.save(folder / LENGTHS_FILE, user_lengths, allow_pickle=False)
        save_ids(users, folder / "users.parquet")


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
    return ServingIndex(artefact, present)
