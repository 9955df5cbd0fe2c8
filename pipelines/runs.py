"""The folder of one training: its settings, its log, its checkpoint."""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.errors import ConfigError
from recsys.storage import write_atomically

from .config import Resolved, Settings, flatten, from_flat
from .options import as_json
from .workspace import Workspace


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
        return self.folder / "metrics.jsonl"

    def claim(self, *, data: str, split: str) -> None:
        """Remember what is trained on; refuse to go on with something else.

        Raises
        ------
        ConfigError
            The data or the split differ from those that the run began with.
        """
        record = _read(self.folder)
        for name, now in (("data", data), ("split", split)):
            before = record.setdefault(name, now)
            if before != now:
                raise ConfigError(
                    f"{self.folder} was begun on other {name} ({before[:12]}, now {now[:12]}); "
                    "train again without --resume"
                )
        _write(self.folder, record)

    def log(self, epoch: dict[str, Any]) -> None:
        """Append an epoch; lines of the same epoch or later, from before a kill, give way."""
        earlier = [each for each in self.epochs() if each["epoch"] < epoch["epoch"]]
        lines = [json.dumps(each) + "\n" for each in [*earlier, epoch]]
        write_atomically(self.log_file, "".join(lines).encode())

    def epochs(self) -> list[dict[str, Any]]:
        """Read the log back."""
        if not self.log_file.exists():
            return []
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

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
        _write(self.folder, _read(self.folder) | {"status": "finished"})
        self.checkpoint.unlink(missing_ok=True)


def start_run(workspace: Workspace, settings: Settings, test_path: Path | None) -> Run:
    """Make a folder for a new training, named after the moment."""
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    folder = workspace.runs / moment
    folder.mkdir(parents=True)
    test_path = None if test_path is None else test_path.resolve()
    for each in workspace.runs.iterdir():  # what was interrupted before is given up now
        if _read(each).get("status") == "running":
            _write(each, _read(each) | {"status": "abandoned"})
            (each / "checkpoint.safetensors").unlink(missing_ok=True)
    record = {
        "status": "running",
        "settings": as_json(flatten(settings)),
        "test_path": None if test_path is None else str(test_path),
    }
    _write(folder, record)
    return Run(folder, settings, test_path)


def resumable_run(workspace: Workspace, resolved: Resolved, test_path: Path | None) -> Run | None:
    """Find the training that was interrupted; it goes on with its own settings.

    Raises
    ------
    ConfigError
        A flag contradicts the settings that the run began with.
    """
    folders = sorted(workspace.runs.iterdir()) if workspace.runs.exists() else []
    running = [each for each in folders if _read(each).get("status") == "running"]
    if not running:
        return None
    record = _read(running[-1])
    before = record["settings"]
    for key, value in as_json(resolved.explicit()).items():
        if before[key] != value:
            raise ConfigError(
                f"--resume: {key} is {before[key]!r} in {running[-1]}, not {value!r}; leave the "
                "flag out, or train again without --resume"
            )
    began_with = None if record["test_path"] is None else Path(record["test_path"])
    if test_path is not None and test_path.resolve() != began_with:
        raise ConfigError(f"--resume: the run was begun with --test {began_with}, not {test_path}")
    return Run(running[-1], from_flat(before), began_with)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    return json.loads(path.read_bytes()) if path.exists() else {}


def _write(folder: Path, record: dict[str, Any]) -> None:
    write_atomically(folder / "run.json", json.dumps(record, indent=2).encode())
