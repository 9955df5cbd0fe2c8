"""A workspace: the folder that the stages share, with one writer at a time."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from recsys.errors import ArtefactError, ConfigError, WorkspaceBusyError

from .output import note


@dataclass(frozen=True)
class Workspace:
    """The folder that holds data, model, index and runs."""

    root: Path

    @property
    def raw(self) -> Path:
        """What `recsys fetch` downloaded, unchanged."""
        return self.root / "raw"

    @property
    def interactions(self) -> Path:
        """What `recsys ingest` wrote."""
        return self.root / "interactions"

    @property
    def model(self) -> Path:
        """What `recsys train` wrote."""
        return self.root / "model"

    @property
    def index(self) -> Path:
        """What `recsys index` wrote."""
        return self.root / "index"

    @property
    def runs(self) -> Path:
        """One folder for each training: settings, metrics.jsonl, checkpoint."""
        return self.root / "runs"

    @property
    def lookup(self) -> Path:
        """What the first `recsys similar --poem` or `--text` built."""
        return self.root / "lookup"

    @property
    def verse(self) -> Path:
        """What `recsys train --verse` wrote."""
        return self.root / "verse"

    @property
    def verse_run(self) -> Path:
        """The log of the couplet model's training, its settings and its checkpoint."""
        return self.runs / "verse"

    @property
    def verse_settings(self) -> Path:
        """What the couplet model's training began with, for --resume."""
        return self.verse_run / "settings.json"

    @property
    def verse_checkpoint(self) -> Path:
        """Written after every epoch, removed when the couplet model is saved."""
        return self.verse_run / "checkpoint.safetensors"

    @property
    def events(self) -> Path:
        """What `recsys serve` was told: interactions, as they came."""
        return self.root / "events.sqlite"

    @property
    def ease(self) -> Path:
        """The fitted baseline that `recsys evaluate` keeps."""
        return self.root / "cache" / "ease"

    @property
    def settings_file(self) -> Path:
        """The operator's settings; may be absent."""
        return self.root / "recsys.toml"

    @contextlib.contextmanager
    def locked(self, *, may_be_new: bool = False) -> Iterator[None]:
        """Be the only writer of a workspace that is there, or `may_be_new`.

        Raises
        ------
        ArtefactError
            There is no such workspace.
        WorkspaceBusyError
            Names the process that is.
        """
        if self.root.exists() and not self.root.is_dir():
            raise ConfigError(f"the workspace {self.root} is a file, expected a folder")
        if not self.root.exists():
            if not may_be_new:
                raise ArtefactError(
                    f"there is no workspace {self.root}; make one with `recsys ingest FILE`"
                )
            note(f"new workspace: {self.root}")
            self.root.mkdir(parents=True)
        lock = FileLock(self.root / ".lock")
        owner = self.root / ".lock-owner"
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise WorkspaceBusyError(
                f"the workspace {self.root} is being written to by process {_read_owner(owner)}; "
                "wait for it to end"
            ) from error
        try:
            owner.write_text(str(os.getpid()))
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()


def _read_owner(path: Path) -> str:
    try:
        return path.read_text() or "unknown"
    except FileNotFoundError:
        return "unknown"
