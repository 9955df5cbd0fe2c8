"""Real processes that are killed, or run out of disk: the old artefact stays whole."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytestmark = pytest.mark.slow

STAGES = ("ingest", "train", "index", "evaluate", "score")

# Kills its own process, as kill -9 does, just before the N-th call that changes the disk;
# with 0 it lives, and tells in the end which calls there were.
KILLED_AT = """
import json, os, signal, sys
last, calls = int(sys.argv.pop(1)), []
def deadly(name, call):
    def wrapped(*arguments, **options):
        calls.append(name)
        if len(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return wrapped
for name in ("mkdir", "rename", "replace", "fsync", "unlink", "rmdir"):
    setattr(os, name, deadly(name, getattr(os, name)))
from recsys.pipelines.cli import run
code = run(sys.argv[1:])
sys.stderr.write(json.dumps(calls))
sys.exit(code)
"""


@pytest.fixture
def words_of(sample_file, tiny_flags, tmp_path):
    """Stage -> the words of its command; each would change what is there."""
    return {
        "ingest": ["ingest", str(sample_file), "--min-rating", "3"],
        "train": ["train", *tiny_flags, "--seed", "9", "--test-size", "60"],
        "index": ["index"],
        "score": ["score", "--output", str(tmp_path / "scores"), "--block-size", "100", "-k", "50"],
        "evaluate": ["evaluate", "--metrics", "ndcg@10"],
    }


def digest(folder):
    """One hash over every file that an artefact's manifest vouches for."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(f"{path.relative_to(folder)}\n".encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def check_usable(cli, workspace):
    """Every artefact is whole, and the model, if its index is still its own, recommends."""
    found = cli("verify", workspace=workspace)
    rebuilt = "run `recsys index`" in found.err
    assert found.code == 0 or rebuilt, found.err
    if rebuilt:
        assert cli("index", workspace=workspace).code == 0
    assert cli("recommend", "--user", "u001", workspace=workspace).code == 0


def check_repeatable(cli, workspace, stage, words, tmp_path):
    """The same command afterwards succeeds and leaves nothing half done."""
    result = cli(*words, workspace=workspace)
    assert result.code == 0, result.err
    check_usable(cli, workspace)
    left = [
        each.name
        for folder in (workspace, workspace / "cache", tmp_path / "scores")
        if folder.exists()
        for each in folder.iterdir()
        if each.name.endswith((".partial", ".previous"))
    ]
    assert left == []
    if stage == "score":
        manifest = json.loads((tmp_path / "scores" / "_manifest.json").read_text())
        assert manifest["n_users"] == 600
        assert all((tmp_path / "scores" / name).exists() for name in manifest["files"])


def kill_after(words, workspace, seconds):
    """Run the installed command in a child; kill it after so long; was it still running?"""
    child = subprocess.Popen(
        [sys.executable, "-m", "recsys.pipelines", "--workspace", str(workspace), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    child.kill()
    return child.wait() == -signal.SIGKILL


def killed_at(words, workspace, call):
    """Run in a child that kills itself before the n-th call."""
    arguments = [sys.executable, "-c", KILLED_AT, str(call), "--workspace", str(workspace), *words]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == (-signal.SIGKILL if call else 0), done.stderr
    return done.stderr.splitlines()


def moments_of(calls):
    """The first, the middle and the last call, and those around the last renames."""
    swaps = [number for number, name in enumerate(calls, start=1) if name == "rename"][-3:]
    around = [number + after for number in swaps for after in (0, 1)]
    return sorted({1, len(calls) // 2, len(calls), *around})


def forget(workspace, tmp_path):
    """Take away what would save evaluate and score their work."""
    shutil.rmtree(workspace / "cache", ignore_errors=True)
    shutil.rmtree(tmp_path / "scores", ignore_errors=True)


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_random_moments_a_stage_leaves_the_old_artefact(
    cli, changeable, words_of, tmp_path, stage
):
    # The first second goes into imports, the last into work; spread over both.
    moments = np.random.default_rng(STAGES.index(stage)).uniform(0.3, 3.0, size=3)
    for seconds in sorted(moments):
        forget(changeable, tmp_path)
        kill_after(words_of[stage], changeable, seconds)
        check_usable(cli, changeable)
    check_repeatable(cli, changeable, stage, words_of[stage], tmp_path)


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_each_step_of_the_writing_a_stage_leaves_the_old_artefact(
    cli, changeable, words_of, tmp_path, stage
):
    words = words_of[stage]
    forget(changeable, tmp_path)
    calls = json.loads(killed_at(words, changeable, 0)[-1])
    assert "rename" in calls
    for call in moments_of(calls):
        forget(changeable, tmp_path)
        killed_at(words, changeable, call)
        check_usable(cli, changeable)
    check_repeatable(cli, changeable, stage, words, tmp_path)


def weights_of(workspace):
    path = workspace / "model" / "weights.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_training_killed_again_and_again_ends_with_bit_identical_weights(
    child, changeable, tiny_flags
):
    slow = ["--batch-size", "16", "--threads", "1", "-S", "validate_every=3"]
    words = ["train", *tiny_flags, "-S", "training.epochs=12", *slow]
    before = weights_of(changeable)
    assert child(*words, workspace=changeable).code == 0
    uninterrupted = weights_of(changeable)
    assert uninterrupted != before
    for stop in (1, 4, 8):
        kill_after_epoch(words, changeable, stop)
        words = ["train", "--resume"]
        assert weights_of(changeable) == uninterrupted  # the old model is still there
    (changeable / "model" / "weights.safetensors").unlink()
    result = child(*words, workspace=changeable)
    assert result.code == 0, result.err
    assert "resuming " in result.err
    assert weights_of(changeable) == uninterrupted
    log = max((changeable / "runs").iterdir()) / "metrics.jsonl"
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [*range(1, 13)]


def kill_after_epoch(words, workspace, epoch):
    """Run a training in a child, and kill it when it tells of this epoch or a later one."""
    arguments = [sys.executable, "-m", "recsys.pipelines", "--workspace", str(workspace), *words]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as training:
        for line in training.stderr:
            if line.startswith("epoch ") and int(line.split()[1].split("/")[0]) >= epoch:
                os.kill(training.pid, signal.SIGKILL)
                break
    assert training.returncode == -signal.SIGKILL


ARTEFACT_OF = {
    "ingest": "interactions",
    "train": "model",
    "index": "index",
    "evaluate": "cache/ease",
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("n_bytes", [100, 3000, 12_000])
def test_a_full_disk_is_one_line_and_leaves_the_old_artefact(
    child, cli, changeable, words_of, tmp_path, stage, n_bytes
):
    if stage == "evaluate":
        forget(changeable, tmp_path)
        assert cli("evaluate", "--metrics", "ndcg@10", workspace=changeable).code == 0
        # Another split, so that the cached baseline has to be written again.
        again = ["--split-seed", "3", *words_of["train"][1:]]
        assert cli("train", *again, workspace=changeable).code == 0
        assert cli("index", workspace=changeable).code == 0
    artefact = changeable / ARTEFACT_OF.get(stage, "index")
    before = digest(artefact)
    result = child(
        *words_of[stage],
        workspace=changeable,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes)),
    )
    assert result.code == 1, result.err
    message = result.complaint
    assert "File too large" in message or "could not write" in message
    assert digest(artefact) == before
    check_usable(cli, changeable)
    check_repeatable(cli, changeable, stage, words_of[stage], tmp_path)
