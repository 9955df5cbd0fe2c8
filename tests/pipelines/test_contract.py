"""What other programs rely on: options, streams, formats, exit codes."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest


def test_workspace_and_format_are_accepted_on_both_sides_of_the_command(cli, made):
    before = cli("--workspace", made, "--format", "csv", "recommend", "--user", "u001")
    after = cli("recommend", "--user", "u001", "--workspace", made, "--format", "csv")
    assert before == after
    assert before.out.startswith("user,item,rank,score\n")
    inner = cli(
        "--format", "json", "recommend", "--user", "u001", "--format", "csv", workspace=made
    )
    assert inner == after


def test_the_workspace_comes_from_the_environment_else_it_is_data(cli, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("recommend", "--user", "u001").complaint.startswith(
        "recsys: there is no model at data/model; make one with `recsys train`"
    )
    monkeypatch.setenv("RECSYS_WORKSPACE", str(made))
    monkeypatch.setenv("RECSYS_FORMAT", "csv")
    assert cli("recommend", "--user", "u001").out.startswith("user,item,rank,score\n")


@pytest.mark.parametrize("stage", ["train", "index"])
def test_a_stage_on_a_mistyped_workspace_makes_no_folder(cli, tmp_path, stage):
    mistyped = tmp_path / "ml-10k"
    result = cli(stage, workspace=mistyped)
    assert result.code == 1
    assert result.complaint == (
        f"recsys: there is no workspace {mistyped}; make one with `recsys ingest FILE`"
    )
    assert not mistyped.exists()


def test_stdout_is_ndjson_when_piped_and_nothing_else(cli, made):
    for words in (
        ("recommend", "--user", "u001", "--user", "u002", "-k", "3"),
        ("similar", "--item", "001"),
        ("evaluate", "--metrics", "ndcg@10"),
        ("info",),
        ("config",),
    ):
        result = cli(*words, workspace=made)
        assert result.code == 0, result.err
        assert all(isinstance(each, dict) for each in result.records)


def test_what_a_stage_says_goes_to_stderr(cli, changeable, sample_file, tiny_flags, tmp_path):
    for words in (
        ("ingest", sample_file),
        ("train", *tiny_flags),
        ("index",),
        ("score", "--output", tmp_path / "scores", "-k", "3"),
        ("verify",),
    ):
        result = cli(*words, workspace=changeable)
        assert (result.code, result.out) == (0, ""), result.err
        assert result.err


def test_a_recommendation_has_the_fixed_shape(cli, made):
    (record,) = cli("recommend", "--user", "u001", "-k", "2", workspace=made).records
    assert list(record) == ["user", "items"]
    assert record["user"] == "u001"
    assert [list(each) for each in record["items"]] == [["item", "rank", "score", "title"]] * 2
    assert [each["rank"] for each in record["items"]] == [1, 2]
    first, second = record["items"]
    assert isinstance(first["item"], str)
    assert first["score"] >= second["score"]


def test_fewer_than_asked_shows_in_the_record_and_on_stderr(cli, made, tmp_path):
    (tmp_path / "allow.txt").write_text("001\n002\n003\n")
    words = ("recommend", "--item", "001", "-k", "5", "--allow", tmp_path / "allow.txt")
    result = cli(*words, workspace=made)
    (record,) = result.records
    assert (record["user"], record["requested"]) == (None, 5)
    assert {each["item"] for each in record["items"]} == {"002", "003"}
    assert "the list of items: only 2 of 5 exist under these rules" in result.err
    assert result.code == 0


def test_csv_json_and_parquet_tell_the_same_as_ndjson(cli, made, tmp_path):
    words = ("recommend", "--user", "u001", "--user", "u002", "-k", "3")
    records = cli(*words, workspace=made).records
    rows = [
        (each["user"], one["item"], one["rank"], one["score"])
        for each in records
        for one in each["items"]
    ]
    assert json.loads(cli(*words, "--format", "json", workspace=made).out) == records
    header, *found = csv.reader(io.StringIO(cli(*words, "--format", "csv", workspace=made).out))
    assert header == ["user", "item", "rank", "score"]
    assert [(user, item, int(rank), float(score)) for user, item, rank, score in found] == rows
    cli(*words, "--output", tmp_path / "out.parquet", workspace=made)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["user", "item", "rank", "score"]
    assert [str(each.type) for each in table.schema] == ["string", "string", "int32", "float"]
    assert [tuple(each.values()) for each in table.to_pylist()] == rows


@pytest.mark.parametrize("suffix", ["csv", "json", "ndjson"])
def test_output_writes_the_format_of_its_suffix(cli, made, tmp_path, suffix):
    words = ("recommend", "--user", "u001", "-k", "3")
    path = tmp_path / "new" / f"out.{suffix}"
    written = cli(*words, "--output", path, workspace=made)
    assert (written.code, written.out) == (0, "")
    assert f"wrote {path}" in written.err
    assert path.read_text() == cli(*words, "--format", suffix, workspace=made).out
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_an_unknown_suffix_is_refused(cli, made, tmp_path):
    path = tmp_path / "out.xlsx"
    result = cli("recommend", "--user", "u001", "--output", path, workspace=made)
    assert result.code == 2
    assert "the suffix names no format; expected one of .parquet, .csv" in result.complaint
    assert not path.exists()


def test_similar_has_the_fixed_shape(cli, made):
    (record,) = cli("similar", "--item", "001", "-k", "4", workspace=made).records
    assert list(record) == ["query", "items"]
    assert record["query"] == "001"
    assert [list(each) for each in record["items"]] == [["item", "rank", "score", "title"]] * 4
    assert "001" not in {each["item"] for each in record["items"]}
    (record,) = cli("similar", "--user", "u001", "-k", "4", workspace=made).records
    assert [each["rank"] for each in record["items"]] == [1, 2, 3, 4]
    assert all(each["user"] != "u001" for each in record["items"])
    single = json.loads(cli("similar", "--item", "001", "--format", "json", workspace=made).out)
    assert single["query"] == "001"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("similar", "--item", "1"), 4, "unknown item '1' (of 240 known)"),
        (
            ("similar", "--user", "u01"),
            4,
            "unknown user 'u01' (of 600 known); the nearest known: 'u",
        ),
        (("similar",), 2, "give one of --item, --user, --poem and --text"),
        (
            ("similar", "--item", "001", "--user", "u001"),
            2,
            "give one of --item, --user, --poem and --text",
        ),
        (
            ("similar", "--item", "001", "--item", "002"),
            2,
            "--item was given 2 times ('001', '002'); similar answers for one",
        ),
        (("similar", "--user", "u001", "--user", "u001"), 2, "--user was given 2 times"),
        (("similar", "--item", "001", "-k", "0"), 2, "recommend.k is 0, expected at least 1"),
        (("recommand",), 2, "No such command 'recommand'"),
        (("recommend", "--users", "x"), 2, "No such option"),
        (("recommend", "-k", "ten"), 2, "'ten' is not a valid integer"),
        (("--format", "xml", "info"), 2, "'xml' is not one of"),
        (("train", "--device", "tpu"), 2, "'tpu' is not one of"),
    ],
)
def test_each_mistake_has_its_exit_code_and_its_line(cli, made, words, code, message):
    result = cli(*words, workspace=made)
    assert result.code == code
    assert message in result.complaint


def test_a_workspace_that_is_a_file_is_refused(cli, tmp_path, sample_file):
    (tmp_path / "file").write_text("")
    for words in (("ingest", sample_file), ("train",), ("index",)):
        result = cli(*words, workspace=tmp_path / "file")
        assert result.code == 2
        assert result.complaint == (
            f"recsys: the workspace {tmp_path / 'file'} is a file, expected a folder"
        )


def test_a_second_writer_is_refused_and_told_who_is_first(cli, changeable, sample_file):
    hold = (
        "import sys; from pathlib import Path; from recsys.pipelines.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).locked(): print('held', flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", hold, str(changeable)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(arguments, **pipes) as first:
        assert first.stdout.readline() == b"held\n"
        for words in (("ingest", sample_file), ("train",), ("index",)):
            result = cli(*words, workspace=changeable)
            assert result.code == 1
            assert f"is being written to by process {first.pid}; wait" in result.complaint
        assert cli("recommend", "--user", "u001", workspace=changeable).code == 0
        first.stdin.close()
    assert cli("index", workspace=changeable).code == 0


def test_a_lock_whose_owner_was_killed_holds_nobody_up(cli, changeable):
    (changeable / ".lock-owner").write_text("999999")
    assert cli("index", workspace=changeable).code == 0


def test_a_pipe_that_breaks_within_a_table_is_no_failure(cli, made, monkeypatch):
    class Broken(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr("recsys.pipelines.output._Stdout.file", Broken())
    monkeypatch.setattr("recsys.pipelines.cli._reader_is_gone", lambda: 0)
    assert cli("--format", "table", "recommend", "--user", "u001", workspace=made).code == 0


@pytest.mark.parametrize("chosen", ["ndjson", "table", "csv", "json"])
def test_a_reader_that_has_seen_enough_is_no_failure(command, made, tmp_path, chosen):
    users = tmp_path / "users.txt"
    users.write_text("".join(f"u{n:03}\n" for n in range(1, 601)))
    words = ["--format", chosen, "recommend", "--users-from", str(users), "-k", "100"]
    pipeline = 'set -o pipefail; "$@" | head -1'
    shell = ["bash", "-c", pipeline, "bash", *command, "--workspace", str(made), *words]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_an_interrupted_training_exits_with_130_and_harms_nothing(
    cli, command, changeable, tiny_flags
):
    words = [*command, "--workspace", str(changeable), "train", *tiny_flags]
    words += ["-S", "training.epochs=100000"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as training:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(epochs_logged(changeable)) < 1:
            time.sleep(0.05)
        os.kill(training.pid, signal.SIGINT)
        _, err = training.communicate(timeout=60)
    assert training.returncode == 130
    assert err.splitlines()[-1] == ("recsys: interrupted; go on with `recsys train --resume`")
    assert "Traceback" not in err
    assert cli("recommend", "--user", "u001", workspace=changeable).code == 0
    assert cli("train", *tiny_flags, workspace=changeable).code == 0


def epochs_logged(workspace):
    """The epochs of the run that is under way."""
    logs = [
        each.with_name("metrics.jsonl")
        for each in (workspace / "runs").glob("*/run.json")
        if json.loads(each.read_text())["status"] == "running"
    ]
    return [line for log in logs if log.exists() for line in log.read_text().splitlines()]
