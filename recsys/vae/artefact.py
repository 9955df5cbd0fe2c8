"""A trained VAE as an artefact: weights in safetensors, the catalogue in parquet."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from recsys import storage
from recsys.data.id_store import load_ids, save_ids
from recsys.data.ids import IdMap
from recsys.data.split_store import load_split, save_split
from recsys.data.splits import Split
from recsys.errors import ArtefactError
from recsys.vae.checkpoint import write_tensors
from recsys.vae.config import VAEConfig
from recsys.vae.labels import LabelSet
from recsys.vae.model import VAE, VAEModule

KIND = "model"
FORMAT_VERSION = 4
MADE_BY = "recsys train"
LABELS = "labels.parquet"


def save_model(
    vae: VAE,
    split: Split,
    path: Path,
    *,
    training: Mapping[str, Any],
    metrics: Mapping[str, float],
    fingerprints: Mapping[str, str],
    also: Callable[[Path], None] | None = None,
) -> None:
    """Write the model, and the split it was trained and chosen on, as one artefact.

    Parameters
    ----------
    vae, split : VAE, Split
    path : Path
        Replaced whole; a crash leaves what stood there.
    training : mapping
        The settings to show beside the model's own.
    metrics : mapping
        Validation figures to keep in the manifest.
    fingerprints : mapping
        Of the data that it was trained on.
    also : callable or None
        Writes what belongs to the model beside the VAE into the folder.
    """
    config = {"vae": asdict(vae.config), **training}
    if vae.labels is not None:
        config["labels_on"] = vae.labels.on
    fingerprints = {**fingerprints, "items": vae.items.fingerprint, "split": split.fingerprint}
    with storage.writing(
        path, KIND, FORMAT_VERSION, config=config, metrics=metrics, fingerprints=fingerprints
    ) as folder:
        write_tensors(_tensors(vae), folder / "weights.safetensors")
        save_ids(vae.items, folder / "items.parquet")
        save_split(split, folder)
        if vae.labels is not None:
            save_ids(IdMap.in_order(vae.labels.names, "label"), folder / LABELS)
        if also is not None:
            also(folder)


def open_model(path: Path) -> storage.Artefact:
    """Open and verify a model artefact, without loading it."""
    return storage.open_artefact(path, KIND, FORMAT_VERSION, made_by=MADE_BY)


def load_model(artefact: storage.Artefact, device: str = "cpu") -> VAE:
    """Load a VAE; nothing in the artefact is ever executed.

    Raises
    ------
    ArtefactError
        The files do not fit together.
    """
    items = load_ids(artefact.file("items.parquet"), "item", MADE_BY)
    try:
        tensors = load_file(artefact.file("weights.safetensors"), device=device)
        means, counts = tensors.pop("item_means"), tensors.pop("item_counts")
        n_train_users = int(tensors.pop("n_train_users"))
        liked_value = float(tensors.pop("liked_value"))
        n_members = int(tensors.pop("n_members", torch.tensor(1)))
        settings = dict(artefact.manifest.config["vae"])
        if artefact.manifest.format_version < 3:  # one member, whose tensors bore no number
            settings |= {"members": 1, "softmax": "exact"}
            tensors = {f"0.{name}": tensor for name, tensor in tensors.items()}
        config = VAEConfig(**settings)
        labels = _label_set(artefact)
        n_labels = 0 if labels is None else len(labels)
        members = tuple(
            _member(len(items), config, tensors, place, n_labels) for place in range(n_members)
        )
    except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ArtefactError(f"{artefact.path} is not whole ({reason}); run `{MADE_BY}`") from error
    return VAE(
        config=config,
        items=items,
        members=members,
        item_means=means.cpu().numpy(),
        item_counts=counts.cpu().numpy(),
        n_train_users=n_train_users,
        liked_value=liked_value,
        labels=labels,
    )


def load_model_split(artefact: storage.Artefact) -> Split:
    """Load the split that the model was trained and chosen on."""
    return load_split(artefact.path)


def _label_set(artefact: storage.Artefact) -> LabelSet | None:
    if LABELS not in artefact.manifest.files:  # there since version 4, where labels were known
        return None
    names = load_ids(artefact.file(LABELS), "label", MADE_BY)
    return LabelSet(artefact.manifest.config["labels_on"], tuple(names.ids))


def _member(
    n_items: int,
    config: VAEConfig,
    tensors: Mapping[str, torch.Tensor],
    place: int,
    n_labels: int,
) -> VAEModule:
    prefix = f"{place}."
    own = {k.removeprefix(prefix): each for k, each in tensors.items() if k.startswith(prefix)}
    if any(each.dtype != torch.float32 for each in own.values()):
        raise TypeError("expected weights in float32")
    with torch.device("meta"):  # no memory and no time for weights that are replaced at once
        module = VAEModule(n_items, config, n_labels)
    module.load_state_dict(own, assign=True)
    return module.eval()


def _tensors(vae: VAE) -> dict[str, torch.Tensor]:
    weights = {
        f"{place}.{name}": tensor.detach().cpu().contiguous()
        for place, member in enumerate(vae.members)
        for name, tensor in member.state_dict().items()
    }
    return weights | {
        "n_members": torch.tensor(len(vae.members), dtype=torch.int64),
        "item_means": torch.from_numpy(vae.item_means),
        "item_counts": torch.from_numpy(vae.item_counts),
        "n_train_users": torch.tensor(vae.n_train_users, dtype=torch.int64),
        "liked_value": torch.tensor(vae.liked_value, dtype=torch.float64),
    }
