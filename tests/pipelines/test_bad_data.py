"""The bad input of the issue's section 6: each its one clear line and its exit code."""

import contextlib
import gzip
import subprocess
import sys
import tempfile

import pytest

HEADER = "user_id,item_id,rating,timestamp\n"
GOOD = HEADER + "a,x,1,1\na,y,2,2\nb,x,3,3\nb,z,4,4\n"


@pytest.fixture
def ingest(cli, tmp_path):
    """Give a function that ingests bytes and returns the result and the file's path."""

    def call(content):
        path = tmp_path / "in.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return cli("ingest", path, workspace=tmp_path / "workspace"), path

    return call


REFUSED = {
    "empty file": ("", "empty, expected a header and rows"),
    "header only": (HEADER, "no data rows, expected one a user and item"),
    "NaN rating": (GOOD + "c,x,NaN,5\n", ", line 6: rating 'NaN' is not a finite number"),
    "infinite rating": (GOOD + "c,x,inf,5\n", ", line 6: rating 'inf' is not a finite number"),
    "wrong encoding": (
        GOOD.encode() + "é,x,1,1\n".encode("latin-1"),
        ", line 6, byte 1: byte 0xe9 where UTF-8 text was expected",
    ),
    "truncated gzip": (
        gzip.compress(GOOD.encode() * 100, mtime=0)[:-10],
        "the gzip stream is cut short or damaged",
    ),
    "a column missing": ("user_id,rating\na,1\n", "item"),
    "a long line": (GOOD + "a" * (2 << 20) + "\n", ", line 6: longer than 1,048,576 bytes"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_unusable_input_is_refused_with_one_line_that_names_the_file(ingest, what):
    content, message = REFUSED[what]
    result, path = ingest(content)
    assert result.code == 3
    assert result.complaint.startswith(f"recsys: {path}")
    assert message in result.complaint


def test_columns_that_cannot_be_told_are_asked_for(ingest):
    result, path = ingest("a,x,1,1\nb,y,2,2\n")
    assert result.code == 2
    assert str(path) in result.complaint
    assert "the first line 'a,x,1,1' holds no known column name" in result.complaint
    assert "--columns user_id,item_id" in result.complaint


WARNED = {
    "byte order mark": (b"\xef\xbb\xbf" + GOOD.encode(), "a byte order mark (BOM)"),
    "mixed line ends": (GOOD.replace("\n", "\r\n", 2), "mixed line ends"),
    "case-only differences": (GOOD + "A,x,1,1\n", "2 user ids differ from another one only by"),
    "negative times": (GOOD + "c,x,1,-5\n", "1 timestamps are negative (the least is -5)"),
    "future times": (GOOD + "c,x,1,99999999999\n", "1 timestamps lie in the future"),
    "all-equal ratings": (HEADER + "a,x,3,1\nb,y,3,2\n", "all 2 ratings are 3"),
    "a user with all items": (GOOD + "a,z,1,9\n", "1 user has every item (such as 'a')"),
}


@pytest.mark.parametrize("what", WARNED)
def test_odd_input_is_read_with_a_warning(cli, ingest, tmp_path, what):
    content, message = WARNED[what]
    result, _ = ingest(content)
    assert (result.code, result.out) == (0, "")
    warnings = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    assert any(message in line for line in warnings), result.err
    assert cli("verify", workspace=tmp_path / "workspace").code == 0


def test_ids_that_differ_by_case_are_kept_apart(cli, ingest, tmp_path):
    ingest(GOOD + "A,X,1,1\n")
    content = cli("info", workspace=tmp_path / "workspace").records[0]["content"]
    assert content == "5 interactions, 3 users, 4 items"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,x,1,1\na,y,2,2\n", "user"),
        ("a,x,1,1\nb,x,2,2\n", "item"),
    ],
)
def test_one_user_or_one_item_is_read_but_not_trained_on(cli, ingest, tmp_path, rows, message):
    assert ingest(HEADER + rows)[0].code == 0
    for split in ("none", "strong", "weak"):
        result = cli("train", "--split", split, workspace=tmp_path / "workspace")
        assert result.code == 3, result.err
        assert message in result.complaint


def test_a_user_with_all_items_is_given_nothing_and_told_so(cli, ingest, tmp_path, tiny_flags):
    ingest(GOOD + "a,z,1,9\nc,y,5,3\n")
    workspace = tmp_path / "workspace"
    assert cli("train", "--split", "none", *tiny_flags, workspace=workspace).code == 0
    assert cli("index", workspace=workspace).code == 0
    result = cli("recommend", "--user", "a", workspace=workspace)
    assert result.records == [{"user": "a", "items": [], "requested": 10}]
    assert "user a: only 0 of 10 exist" in result.err
    assert result.code == 0


GIGABYTE = 1 << 30


MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""By a small process between: the kernel counts a child's start among its peak, when it still is
its parent, and a worker of these tests may have grown beyond what is asked."""


def peak_memory(words, feed=None):
    """Run a child; give its exit code, its stderr and its peak resident memory in bytes."""
    with tempfile.TemporaryFile() as err, tempfile.NamedTemporaryFile() as peak:
        stdin = subprocess.DEVNULL if feed is None else subprocess.PIPE
        measured = [sys.executable, "-c", MEASURED, peak.name, *words]
        child = subprocess.Popen(measured, stdin=stdin, stderr=err, bufsize=0)
        if feed is not None:
            feed(child.stdin)
        code = child.wait()
        err.seek(0)
        return code, err.read().decode(), int(peak.read()) * 1024


@pytest.mark.slow
def test_a_line_of_a_gigabyte_is_refused_in_bounded_memory(command, tmp_path):
    def feed(stream):
        block = b"a" * (1 << 20)
        with contextlib.suppress(BrokenPipeError):  # it may refuse before all is written
            stream.write(GOOD.encode())
            for _ in range(GIGABYTE // len(block)):
                stream.write(block)
        stream.close()

    words = [*command, "--workspace", str(tmp_path / "workspace"), "ingest", "-"]
    code, err, peak = peak_memory(words, feed)
    assert code == 3, err
    assert err.splitlines()[-1].startswith(
        "recsys: standard input, line 6: longer than 1,048,576 bytes"
    )
    assert peak < GIGABYTE


@pytest.mark.slow
def test_a_zipped_gigabyte_in_one_line_is_refused_in_bounded_memory(command, tmp_path):
    path = tmp_path / "in.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(GOOD.encode())
        for _ in range(GIGABYTE >> 20):
            stream.write(b"a" * (1 << 20))
    words = [*command, "--workspace", str(tmp_path / "workspace"), "ingest", str(path)]
    code, err, peak = peak_memory(words)
    assert code == 3, err
    assert f"recsys: {path}, line 6: longer than 1,048,576 bytes" in err
    assert peak < GIGABYTE
