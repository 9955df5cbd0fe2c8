"""What the command line's tests share: one tiny workspace that the commands themselves made."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from made_verse import write_poems

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
TINY = ("-S", "vae.latent_dim=8", "-S", "vae.hidden_dim=16", "-S", "training.epochs=3")


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict]:
        """Stdout as ndjson; every line has to be an object."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def complaint(self) -> str:
        """The one line that a failed command ends with."""
        assert self.out == "", self.out
        assert "Traceback" not in self.err, self.err
        last = self.err.splitlines()[-1]
        assert last.startswith(("recsys: ", "Error: ")), self.err
        return last


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> Iterator[None]:
    """Keep the operator's own RECSYS_* variables out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [each for each in os.environ if each.startswith("RECSYS_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def tiny_flags() -> tuple[str, ...]:
    """Settings of a model that trains in a fraction of a second."""
    return TINY


@pytest.fixture(scope="session")
def sample_file() -> Path:
    return SAMPLE / "interactions.csv"


@pytest.fixture(scope="session")
def titles_file() -> Path:
    return SAMPLE / "items.csv"


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A workspace after ingest, train and index; do not change it."""
    from recsys.pipelines.cli import run

    root = tmp_path_factory.mktemp("made") / "workspace"
    before = ["--workspace", str(root)]
    source = [str(SAMPLE / "interactions.csv"), "--items", str(SAMPLE / "items.csv")]
    assert run([*before, "ingest", *source]) == 0
    assert run([*before, "train", *TINY, "--test-size", "60"]) == 0
    assert run([*before, "index"]) == 0
    return root


@pytest.fixture(scope="session")
def poem_workspace(tmp_path_factory) -> Path:
    """A workspace of 80 made-up poems and a model of them; do not change it."""
    from recsys.pipelines.cli import run

    folder = tmp_path_factory.mktemp("poems")
    write_poems(folder / "poems.json")
    root = folder / "workspace"
    before = ["--workspace", str(root)]
    assert run([*before, "ingest", "--poems", str(folder / "poems.json")]) == 0
    flags = (*TINY, "-S", "model.kind=vae", "--validation-size", "10", "--test-size", "10")
    assert run([*before, "train", *flags]) == 0
    return root


@pytest.fixture
def changeable(made, tmp_path) -> Path:
    """A copy of `made`, for tests that write to it or damage it."""
    return Path(shutil.copytree(made, tmp_path / "workspace"))


@pytest.fixture
def cli(capsys, monkeypatch) -> Callable[..., Result]:
    """Give a function that runs a command in this process."""
    from recsys.pipelines.cli import run

    def call(*words: object, workspace: Path | None = None, stdin: str | bytes = "") -> Result:
        before = [] if workspace is None else ["--workspace", str(workspace)]
        content = stdin if isinstance(stdin, bytes) else stdin.encode()
        source = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
        monkeypatch.setattr("sys.stdin", source)
        capsys.readouterr()
        code = run([*before, *map(str, words)])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def command() -> tuple[str, ...]:
    """The installed command, for tests that need a process of its own."""
    installed = Path(sys.executable).with_name("recsys")
    assert installed.exists(), f"{installed} is missing: pip install -e ."
    return (str(installed),)


@pytest.fixture(scope="session")
def child(command) -> Callable[..., Result]:
    """Give a function that runs the installed command to its end."""

    def call(*words: object, workspace: Path, **options) -> Result:
        arguments = [*command, "--workspace", str(workspace), *map(str, words)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, **options)
        return Result(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def ingested(cli, tmp_path) -> Callable[..., Path]:
    """Give a function that ingests a text into a new workspace and names that."""

    def call(text: str, *words: object, name: str = "data.csv") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        root = tmp_path / "fresh"
        result = cli("ingest", tmp_path / name, *words, workspace=root)
        assert result.code == 0, result.err
        return root

    return call


@pytest.fixture
def damage() -> Callable[[Path], None]:
    """Give a function that flips one bit in the middle of a file."""

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))

    return flip
