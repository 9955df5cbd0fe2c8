"""The state of a training after an epoch, as one safetensors file."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from recsys.errors import ArtefactError
from recsys.storage import write_atomically


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that the next epoch depends on, and the best weights so far.

    `identity` is a hash of the settings and the data; `moments` is Adam's state: parameter
    number -> {"step", "exp_avg", "exp_avg_sq"}.
    """

    identity: str
    epoch: int
    best_epoch: int
    best_validation: float | None
    weights: dict[str, Tensor]
    best_weights: dict[str, Tensor]
    moments: dict[int, dict[str, Tensor]]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write aside and rename: a crash leaves the checkpoint before."""
    tensors = {f"weights/{name}": tensor for name, tensor in checkpoint.weights.items()}
    tensors |= {f"best/{name}": tensor for name, tensor in checkpoint.best_weights.items()}
    for number, moments in checkpoint.moments.items():
        tensors |= {f"adam/{number}/{name}": tensor for name, tensor in moments.items()}
    state = {
        "identity": checkpoint.identity,
        "epoch": checkpoint.epoch,
        "best_epoch": checkpoint.best_epoch,
        "best_validation": checkpoint.best_validation,
    }
    write_atomically(path, save(tensors, metadata={"state": json.dumps(state)}))


def load_checkpoint(path: Path, identity: str, device: torch.device) -> Checkpoint:
    """Read what `save_checkpoint` wrote, if it is of the training that `identity` names.

    Raises
    ------
    ArtefactError
        The file is damaged, or was written by a training on other data or with other settings.
    """
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "adam": {}}
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
            f"the checkpoint {path} is of a training on other data or with other settings; "
            "train without --resume"
        )
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in groups["adam"].items():
        number, name = key.split("/", 1)
        # Adam keeps its step counters on the host unless it is fused.
        moments.setdefault(int(number), {})[name] = tensor
    return Checkpoint(
        identity=identity,
        epoch=epoch,
        best_epoch=best_epoch,
        best_validation=best_validation,
        weights=groups["weights"],
        best_weights=groups["best"],
        moments=moments,
    )
