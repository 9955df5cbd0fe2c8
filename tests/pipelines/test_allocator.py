"""A training starts once more with glibc's settings, and nobody else notices."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from recsys.pipelines import allocator
from recsys.pipelines.allocator import TUNABLES, keep_large_buffers, tuned
from recsys.pipelines.cli import run

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only glibc has these settings, and only Linux has /proc"
)

PROGRAM = """
import os, sys
from recsys.pipelines.allocator import keep_large_buffers
print("start", flush=True)
keep_large_buffers()
print(open("/proc/self/environ").read().count("glibc.malloc.mmap_threshold=4294967296"))
print(os.environ.get("GLIBC_TUNABLES"), sorted(each for each in os.environ if "BEFORE" in each))
print(sys.flags.utf8_mode, sys.argv[1:], input())
sys.exit(7)
"""


def run_program(**environment: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-X", "utf8=1", "-c", PROGRAM, "a b", "--c"],
        input="from stdin\n",
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if "TUNABLES" not in name}
        | environment,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def settings_of(environment: dict[str, str]) -> dict[str, str]:
    return dict(each.split("=") for each in environment["GLIBC_TUNABLES"].split(":"))


def test_the_second_start_has_every_setting():
    assert settings_of(tuned({"HOME": "/root"})) == TUNABLES
    assert tuned({"HOME": "/root"})["HOME"] == "/root"


def test_what_the_user_has_set_stays():
    own = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=2:glibc.rtld.nns=3"}
    expected = {**TUNABLES, "glibc.malloc.hugetlb": "2", "glibc.rtld.nns": "3"}
    assert settings_of(tuned(own)) == expected


def test_a_process_starts_exactly_once_more_as_it_was_and_its_children_inherit_nothing():
    code, lines = run_program()
    assert code == 7
    assert lines[:2] == ["start", "start"]
    assert lines[2:] == ["1", "None []", "1 ['a b', '--c'] from stdin"]


def test_children_inherit_the_users_own_settings():
    _, lines = run_program(GLIBC_TUNABLES="glibc.rtld.nns=3")
    assert lines[2:4] == ["1", "glibc.rtld.nns=3 []"]


def test_there_is_no_second_start_when_the_user_has_set_everything():
    own = ":".join(f"{name}={value}" for name, value in TUNABLES.items())
    _, lines = run_program(GLIBC_TUNABLES=own)
    assert lines == ["start", "1", f"{own} []", "1 ['a b', '--c'] from stdin"]


def test_there_is_no_second_start_without_glibc(monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started again"))
    keep_large_buffers()


@pytest.fixture
def starts(monkeypatch) -> list[str]:
    """One entry for each time that a command would have started again."""
    found: list[str] = []
    monkeypatch.setattr("recsys.pipelines.train.keep_large_buffers", lambda: found.append("train"))
    return found


@pytest.mark.parametrize(
    ("words", "owns_process", "n_starts"),
    [
        (["train"], True, 1),
        (["train", "--no-tune-malloc"], True, 0),
        (["train"], False, 0),
        (["info"], True, 0),
    ],
)
def test_only_train_as_a_process_of_its_own_starts_again(
    starts, tmp_path, capsys, words, owns_process, n_starts
):
    run(["--workspace", str(tmp_path), *words], owns_process=owns_process)
    assert len(starts) == n_starts


@pytest.mark.slow
def test_the_training_process_has_the_settings(command, changeable, tiny_flags):
    words = [*command, "--workspace", str(changeable), "train", *tiny_flags]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as training:
        assert training.stderr is not None
        line = training.stderr.readline()
        environment = Path(f"/proc/{training.pid}/environ").read_text().split("\0")
        training.kill()
    assert line.startswith("split: ")
    assert any("glibc.malloc.mmap_threshold=4294967296" in each for each in environment)
    assert any(each.startswith(f"{allocator._BEFORE}=") for each in environment)
