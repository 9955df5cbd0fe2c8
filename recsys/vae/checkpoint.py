"""The state of a training after an epoch, as one safetensors file."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recsys.errors import ArtefactError
from recsys.storage import replacing


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that the next epoch depends on, and the best weights so far.

    `identity` is a hash of the settings and the data; `best_weights` is None where the best are
    the present ones, or none is known; `moments` is Adam's state: name of a parameter or table
    -> {"step", "exp_avg", "exp_avg_sq"}; `past` is what the composite prior remembers: a member's
    place -> {"means", "log_variances"}.
    """

    identity: str
    epoch: int
    best_epoch: int
    best_validation: float | None
    weights: dict[str, Tensor]
    best_weights: dict[str, Tensor] | None
    moments: dict[str, dict[str, Tensor]]
    past: dict[str, dict[str, Tensor]] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write aside and rename: a crash leaves the checkpoint before."""
    tensors = {f"weights/{name}": tensor for name, tensor in checkpoint.weights.items()}
    best = checkpoint.best_weights or {}
    tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
    for group, tables in (("adam", checkpoint.moments), ("past", checkpoint.past)):
        for place, table in tables.items():
            tensors |= {f"{group}/{place}/{name}": tensor for name, tensor in table.items()}
    state = {
        "identity": checkpoint.identity,
        "epoch": checkpoint.epoch,
        "best_epoch": checkpoint.best_epoch,
        "best_validation": checkpoint.best_validation,
    }
    with replacing(path) as aside:
        write_tensors(tensors, aside, metadata={"state": json.dumps(state)})


def write_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors one after the other, without a copy of them all in memory.

    Raises
    ------
    OSError
        The disk is full or not writable.
    """
    try:
        save_file(dict(tensors), path, metadata=None if metadata is None else dict(metadata))
    except SafetensorError as error:  # its one kind of error, whatever failed
        code = re.search(r"os error (\d+)", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error


def load_checkpoint(path: Path, identity: str, device: torch.device) -> Checkpoint:
    """Read what `save_checkpoint` wrote, if it is of the training that `identity` names.

    Raises
    ------
    ArtefactError
        The file is damaged, or was written by a training on other data, with other settings or
        by another version.
    """
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "adam": {}, "past": {}}
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            state = json.loads(file.metadata()["state"])
            for key in file.keys():  # noqa: SIM118 - not a dict
                group, name = key.split("/", 1)
                groups[group][name] = file.get_tensor(key)
        epoch, best_epoch = int(state["epoch"]), int(state["best_epoch"])
        best_validation = state["best_validation"]
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ArtefactError(f"the checkpoint {path} is damaged; train without --resume") from error
    if state.get("identity") != identity:
        raise ArtefactError(
            f"the checkpoint {path} is of a training on other data, with other settings or by "
            "another version of recsys; train without --resume"
        )
    return Checkpoint(
        identity=identity,
        epoch=epoch,
        best_epoch=best_epoch,
        best_validation=best_validation,
        weights=groups["weights"],
        best_weights=groups["best"] or None,
        moments=_by_place(groups["adam"]),
        past=_by_place(groups["past"]),
    )


def _by_place(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    tables: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        place, name = key.rsplit("/", 1)
        tables.setdefault(place, {})[name] = tensor
    return tables
