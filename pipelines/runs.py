"""The folder of one training: its settings, its log, its checkpoint."""

import datetime
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recsys.errors import ConfigError
from recsys.storage import write_atomically

from .config import Resolved, Settings, flatten, from_flat
from .options import as_json
from .workspace import Workspace

LOG_FILE = "metrics.jsonl"

RUNNING = "running"
"""Status of a run that is under way or was interrupted."""


@dataclass(frozen=True)
class Run:
    """A training that is under way or was interrupted."""

    folder: Path
    settings: Settings
    test_path: Path | None

    @property
    def checkpoint(self) -> Path:
        """Written after every epoch, removed when the model is saved."""
        return self.folder / "checkpoint.safetensors"

    @property
    def log_file(self) -> Path:
        """One JSON object an epoch."""
        return self.folder / LOG_FILE

    def claim(self, *, data: str, split: str) -> None:
        """Remember what is trained on; refuse to go on with something else.

        A new run gets its folder here, once its data and its split are known to be good.

        Raises
        ------
        ConfigError
            The data or the split differ from those that the run began with.
        """
        if not self.folder.exists():
            self.folder.mkdir(parents=True)
            record = {
                "status": RUNNING,
                "settings": as_json(flatten(self.settings)),
                "test_path": None if self.test_path is None else str(self.test_path),
                "data": data,
                "split": split,
            }
            _write(self.folder, record)
            return
        before = _read(self.folder)
        for name, now in (("data", data), ("split", split)):
            if before[name] != now:
                raise ConfigError(
                    f"{self.folder} was begun on other {name} ({before[name][:12]}, now "
                    f"{now[:12]}); train again without --resume"
                )

    def log(self, epoch: dict[str, Any]) -> None:
        """Append an epoch; lines of the same epoch or later, from before a kill, give way."""
        if log_epoch(self.log_file, epoch) == 1:
            self._supersede_others()

    def epochs(self) -> list[dict[str, Any]]:
        """Read the log back."""
        return epochs_of(self.log_file)

    @property
    def can_go_on(self) -> bool:
        """Whether --resume would find it."""
        return _read(self.folder).get("status") == RUNNING

    def summary(self) -> dict[str, Any]:
        """The figures that are kept with the model."""
        last = self.epochs()[-1]
        return {key: last[key] for key in ("best_epoch", "best_validation", "floor")}

    def split_description(self) -> dict[str, Any]:
        """How the split was made, for `recsys info` and `recsys evaluate --split`."""
        split = self.settings.split
        return {
            "kind": split.kind,
            "validation": split.validation,
            "test": split.test,
            "seed": split.seed,
            "test_file": None if self.test_path is None else str(self.test_path),
        }

    def finish(self) -> None:
        """Mark as finished; the checkpoint has done its work."""
        _end(self.folder, "finished")

    def fail(self) -> None:
        """Mark as failed: going on from here would fail again."""
        _end(self.folder, "failed")

    def _supersede_others(self) -> None:
        """Give up what was interrupted before, now that this run has trained an epoch."""
        for each in self.folder.parent.iterdir():
            if each != self.folder and _read(each).get("status") == RUNNING:
                _end(each, "superseded")


def new_run(workspace: Workspace, settings: Settings, test_path: Path | None) -> Run:
    """Plan a training; nothing is written before `Run.claim`."""
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    kind = _resolved_kind(settings.split.kind)
    settings = replace(settings, split=replace(settings.split, kind=kind))
    test_path = None if test_path is None else test_path.resolve()
    return Run(workspace.runs / moment, settings, test_path)


def interrupted_folder(workspace: Workspace) -> Path | None:
    """Find the latest training that is under way or was interrupted."""
    folders = sorted(workspace.runs.iterdir()) if workspace.runs.exists() else []
    running = [each for each in folders if _read(each).get("status") == RUNNING]
    return running[-1] if running else None


def progress_of(folder: Path) -> str:
    """How far the log of a run goes: "epoch 2 of 3"."""
    epochs = epochs_of(folder / LOG_FILE)
    if not epochs:
        return "no epoch"
    return f"epoch {epochs[-1]['epoch']} of {epochs[-1]['n_epochs']}"


def resumable_run(workspace: Workspace, resolved: Resolved, test_path: Path | None) -> Run | None:
    """Find the training that was interrupted; it goes on with its own settings.

    Raises
    ------
    ConfigError
        A flag contradicts the settings that the run began with.
    """
    folder = interrupted_folder(workspace)
    if folder is None:
        return None
    record = _read(folder)
    before = record["settings"]
    for key, value in as_json(resolved.explicit()).items():
        if key == "split.kind":
            value = _resolved_kind(value)
        if before[key] != value:
            raise ConfigError(
                f"--resume: {key} is {before[key]!r} in {folder}, not {value!r}; leave the "
                "flag out, or train again without --resume"
            )
    began_with = None if record["test_path"] is None else Path(record["test_path"])
    if test_path is not None and test_path.resolve() != began_with:
        raise ConfigError(f"--resume: the run was begun with --test {began_with}, not {test_path}")
    return Run(folder, from_flat(before), began_with)


def log_epoch(log_file: Path, epoch: dict[str, Any]) -> int:
    """Append an epoch and count the lines; those of it or later, from before a kill, give way."""
    earlier = [each for each in epochs_of(log_file) if each["epoch"] < epoch["epoch"]]
    lines = [json.dumps(each, ensure_ascii=False) + "\n" for each in [*earlier, epoch]]
    write_atomically(log_file, "".join(lines).encode())
    return len(lines)


def epochs_of(log_file: Path) -> list[dict[str, Any]]:
    """Read a log of epochs back; none where there is no such file."""
    if not log_file.exists():
        return []
    return [json.loads(line) for line in log_file.read_text(encoding="utf-8").splitlines()]


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    return json.loads(path.read_bytes()) if path.exists() else {}


def _resolved_kind(kind: str) -> str:
    """Make a split file's path absolute: --resume may be called from another folder."""
    return str(Path(kind).resolve()) if Path(kind).is_file() else kind


def _end(folder: Path, status: str) -> None:
    _write(folder, _read(folder) | {"status": status})
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)


def _write(folder: Path, record: dict[str, Any]) -> None:
    write_atomically(folder / "run.json", json.dumps(record, indent=2).encode())
