"""Bringing one archive: by its address, through pip or npm; and each way it can fail."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest

from recsys.catalogue import Source
from recsys.downloads import download
from recsys.errors import FetchError


def source_of(kind: Literal["url", "pip", "npm"], location: str, archive: str) -> Source:
    return Source(kind, location, archive, sha256=None, keep=("*",), files={})


WHEEL = source_of("pip", "toy==1.0", "toy-1.0-py3-none-any.whl")
TARBALL = source_of("npm", "toy@1.0.0", "toy-1.0.0.tgz")


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address on this machine that serves `tmp_path`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def pretend_tool(
    monkeypatch: pytest.MonkeyPatch, leaves: dict[str, bytes], code: int = 0, stderr: str = ""
) -> list[list[str]]:
    """Let pip and npm leave these files and end with this code; gives the commands seen."""
    commands: list[list[str]] = []

    def run(command: list[str], *, cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        for name, content in leaves.items():
            (cwd / name).write_bytes(content)
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr("recsys.downloads.subprocess.run", run)
    monkeypatch.setattr("recsys.downloads.shutil.which", lambda name: f"/usr/bin/{name}")
    return commands


def silent(line: str) -> None:
    pass


def bring(source: Source, folder: Path) -> Path:
    target = folder / "downloads" / source.archive
    target.parent.mkdir()
    download(source, target, silent, progressbar=False)
    return target


def refusal(source: Source, folder: Path) -> str:
    with pytest.raises(FetchError) as caught:
        bring(source, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_downloaded_as_it_is(tmp_path: Path, address: str) -> None:
    (tmp_path / "toy.zip").write_bytes(b"\x00\r\n\xff")
    target = bring(source_of("url", f"{address}/toy.zip", "toy.zip"), tmp_path)
    assert target.read_bytes() == b"\x00\r\n\xff"


def test_progress_is_told_by_tenths(tmp_path: Path, address: str) -> None:
    (tmp_path / "toy.zip").write_bytes(os.urandom(2_000_000))
    told: list[str] = []
    source = source_of("url", f"{address}/toy.zip", "toy.zip")
    download(source, tmp_path / "target", told.append, progressbar=True)
    assert told == [f"downloaded {mb:.1f} of 2.0 MB" for mb in MEGABYTES]


# What is told when the tenth is crossed: whole chunks of 65,536 bytes, the last cut to the total.
MEGABYTES = [0.3, 0.5, 0.7, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0]


def test_a_progress_bar_sees_every_byte(tmp_path: Path, address: str) -> None:
    class Bar:
        total = 0
        seen = 0
        closed = False

        def update(self, n_bytes: int) -> None:
            self.seen += n_bytes

        def reset(self) -> None:
            self.seen = 0

        def close(self) -> None:
            self.closed = True

    (tmp_path / "toy.zip").write_bytes(os.urandom(100_000))
    bar = Bar()
    source = source_of("url", f"{address}/toy.zip", "toy.zip")
    download(source, tmp_path / "target", silent, progressbar=bar)
    assert (bar.seen, bar.total, bar.closed) == (100_000, 100_000, True)


def test_a_host_that_refuses_is_told_in_plain_words(tmp_path: Path) -> None:
    message = refusal(source_of("url", "http://127.0.0.1:9/toy.zip", "toy.zip"), tmp_path)
    assert message.startswith("could not be reached: ")
    assert "Connection refused" in message
    assert "HTTPConnection" not in message


def test_an_address_that_is_gone_is_told_with_its_code(tmp_path: Path, address: str) -> None:
    message = refusal(source_of("url", f"{address}/gone.zip", "gone.zip"), tmp_path)
    assert message.startswith("could not be reached: 404 Client Error: ")


def test_pip_downloads_a_wheel_and_runs_none_of_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = pretend_tool(monkeypatch, {WHEEL.archive: b"wheel"})
    assert bring(WHEEL, tmp_path).read_bytes() == b"wheel"
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:"} <= set(command)
    assert command[-1] == "toy==1.0"


def test_npm_packs_a_tarball_and_runs_none_of_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = pretend_tool(monkeypatch, {TARBALL.archive: b"tarball"})
    assert bring(TARBALL, tmp_path).read_bytes() == b"tarball"
    (command,) = commands
    assert command[:3] == ["/usr/bin/npm", "pack", "--ignore-scripts"]
    assert command[-1] == "toy@1.0.0"


def test_npm_that_is_not_installed_is_the_reason_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.downloads.shutil.which", lambda name: None)
    assert refusal(TARBALL, tmp_path) == "npm is not installed (it comes with Node.js)"


@pytest.mark.parametrize(
    ("source", "stderr", "reason"),
    [
        (WHEEL, "/bin/python: No module named pip\n", "/bin/python: No module named pip"),
        (WHEEL, "WARNING: Retrying\nERROR: None found\n", "ERROR: None found"),
        (TARBALL, "npm error code E404\nnpm error 404\n", "npm error code E404 | npm error 404"),
        (WHEEL, "", "it said nothing"),
    ],
)
def test_a_tool_that_fails_says_why_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Source, stderr: str, reason: str
) -> None:
    pretend_tool(monkeypatch, {}, code=1, stderr=stderr)
    assert refusal(source, tmp_path) == f"{source.kind} failed: {reason}"


def test_a_tool_that_leaves_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_tool(monkeypatch, {"toy-2.0.whl": b""})
    assert refusal(WHEEL, tmp_path) == f"pip left toy-2.0.whl, expected {WHEEL.archive}"


def test_a_tool_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], *, timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr("recsys.downloads.subprocess.run", hang)
    assert refusal(WHEEL, tmp_path).endswith(" gave no result in 900 s")
