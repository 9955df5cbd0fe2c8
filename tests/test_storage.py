import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recsys import storage
from recsys.errors import ArtefactError
from recsys.storage import (
    existing_folder,
    open_artefact,
    read_manifest,
    sha256_of,
    write_atomically,
    writing,
)

ROOT = Path(__file__).parents[1]


def save(path: Path, content: str = "old", version: int = 1, kind: str = "thing") -> None:
    with writing(path, kind, version, config={"naïve": [1, 2]}, metrics={"m": 0.5}) as folder:
        (folder / "a.txt").write_text(content)
        (folder / "b.bin").write_bytes(bytes(range(256)))


def save_and_fail(path: Path, error: BaseException) -> None:
    with writing(path, "thing", 1) as folder:
        (folder / "a.txt").write_text("new")
        raise error


def open_thing(path: Path, *, thorough: bool = False) -> storage.Artefact:
    return open_artefact(path, "thing", 1, made_by="recsys make", thorough=thorough)


@pytest.fixture
def thing(tmp_path) -> Path:
    save(tmp_path / "thing")
    return tmp_path / "thing"


@pytest.fixture
def every_file_is_large(monkeypatch, tmp_path):
    """Count hashes: files are remembered as verified, in a cache of the test's own."""
    monkeypatch.setattr(storage, "VERIFY_ALWAYS_BELOW", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    hashed: list[str] = []

    def counting(path: Path) -> str:
        hashed.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(storage, "sha256_of", counting)
    return hashed


def flip_a_bit(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


# --- round trip


def test_what_was_written_is_opened_again(thing):
    artefact = open_thing(thing)
    assert artefact.path == thing
    assert artefact.file("a.txt").read_text() == "old"
    assert artefact.manifest.config == {"naïve": [1, 2]}
    assert artefact.manifest.metrics == {"m": 0.5}
    assert artefact.manifest.created_at.tzinfo is not None
    assert sorted(each.name for each in thing.parent.iterdir()) == ["thing"]


def test_the_fingerprint_changes_with_the_content(tmp_path):
    save(tmp_path / "one", "x")
    save(tmp_path / "two", "y")
    one, two = open_thing(tmp_path / "one"), open_thing(tmp_path / "two")
    assert one.manifest.fingerprint != two.manifest.fingerprint
    assert one.manifest.fingerprint == read_manifest(tmp_path / "one").fingerprint


def test_an_older_format_version_is_read(tmp_path):
    save(tmp_path / "thing", version=1)
    assert open_artefact(tmp_path / "thing", "thing", 2, made_by="x").manifest.format_version == 1


def test_missing_folders_above_are_made(tmp_path):
    save(tmp_path / "a" / "b" / "thing")
    assert open_thing(tmp_path / "a" / "b" / "thing")


# --- refusals


def test_no_artefact_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(ArtefactError) as caught:
        open_thing(tmp_path / "thing")
    assert str(caught.value) == (
        f"there is no thing at {tmp_path / 'thing'}; make one with `recsys make`"
    )


@pytest.mark.parametrize("name", ["a.txt", "b.bin"])
@pytest.mark.parametrize("place", [0, -1])
def test_a_flipped_bit_in_any_file_is_refused(thing, name, place):
    flip_a_bit(thing / name, place)
    with pytest.raises(ArtefactError) as caught:
        open_thing(thing)
    assert str(caught.value) == (
        f"{thing / name} is damaged: its SHA-256 differs; make it again with `recsys make`"
    )


def test_a_truncated_file_is_refused_with_both_sizes(thing):
    (thing / "b.bin").write_bytes(b"short")
    with pytest.raises(ArtefactError) as caught:
        open_thing(thing)
    assert str(caught.value) == (
        f"{thing / 'b.bin'} is damaged: 5 bytes, expected 256; make it again with `recsys make`"
    )


def test_a_missing_file_is_refused(thing):
    (thing / "a.txt").unlink()
    with pytest.raises(ArtefactError) as caught:
        open_thing(thing)
    assert str(caught.value) == f"{thing / 'a.txt'} is missing; make it again with `recsys make`"


def test_a_file_that_the_manifest_does_not_list_is_refused(thing):
    (thing / "extra.txt").write_text("smuggled")
    with pytest.raises(ArtefactError, match=r"has no extra\.txt: it is not whole; make it again"):
        open_thing(thing).file("extra.txt")


def test_a_newer_format_version_is_refused_naming_both(tmp_path):
    save(tmp_path / "thing", version=7)
    with pytest.raises(ArtefactError) as caught:
        open_thing(tmp_path / "thing")
    message = str(caught.value)
    assert "has format version 7" in message
    assert "reads up to 1: upgrade recsys, or make it again with `recsys make`" in message


def test_another_kind_is_refused_naming_both(tmp_path):
    save(tmp_path / "thing", kind="index")
    with pytest.raises(ArtefactError, match="is of kind 'index', expected 'thing'"):
        open_thing(tmp_path / "thing")


def test_a_flipped_bit_anywhere_in_the_manifest_is_refused(thing):
    manifest = thing / "manifest.json"
    content = manifest.read_bytes()
    for place in range(0, len(content), 7):
        if bytes([content[place]]).isspace():
            continue  # layout means nothing
        flip_a_bit(manifest, place)
        with pytest.raises(ArtefactError, match=r"manifest\.json is damaged"):
            read_manifest(thing)
        manifest.write_bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        *[b"", b"{", b"[]", b"3", b'"text"', b"null", b"{}", b"\xff\xfe"],
        *[b'{"checksum": 1, "files": 2}', b'{"checksum": "x", "files": {"a": 3}}'],
        b'{"checksum": "x", "files": {}, "kind": "k"}',
    ],
)
def test_what_is_no_manifest_is_refused_in_one_line(thing, content):
    (thing / "manifest.json").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"manifest\.json is damaged \(") as caught:
        open_thing(thing)
    assert str(caught.value).endswith("; make the artefact again")
    assert "\n" not in str(caught.value)


def test_a_changed_value_in_the_manifest_is_refused(thing):
    manifest = thing / "manifest.json"
    content = json.loads(manifest.read_bytes())
    content["metrics"]["m"] = 0.9
    manifest.write_text(json.dumps(content))
    with pytest.raises(ArtefactError, match="is damaged: its checksum differs"):
        open_thing(thing)


def test_a_folder_without_manifest_is_no_artefact(tmp_path):
    (tmp_path / "thing").mkdir()
    with pytest.raises(ArtefactError, match=r"is not an artefact: it has no manifest\.json"):
        open_thing(tmp_path / "thing")


def test_a_file_in_the_place_of_the_folder_is_no_artefact(tmp_path):
    (tmp_path / "thing").write_text("a file")
    with pytest.raises(ArtefactError, match=r"is not an artefact: it has no manifest\.json"):
        open_thing(tmp_path / "thing")


# --- crashes


def test_an_exception_while_writing_leaves_the_old_artefact(thing):
    with pytest.raises(KeyboardInterrupt):
        save_and_fail(thing, KeyboardInterrupt())
    assert open_thing(thing).file("a.txt").read_text() == "old"
    assert sorted(each.name for each in thing.parent.iterdir()) == ["thing"]


def test_an_error_of_the_disk_is_one_line_and_leaves_the_old_artefact(thing):
    with pytest.raises(ArtefactError) as caught:
        save_and_fail(thing, OSError(28, os.strerror(28)))
    assert str(caught.value) == (
        f"could not write {thing}: No space left on device; what stood there before is unchanged"
    )
    assert open_thing(thing).file("a.txt").read_text() == "old"


KILL_POINTS = {
    "while files are written": "inside",
    "before the manifest": "_write_manifest",
    "after the manifest": "_sync_folder",
    "before the swap": "_swap_in",
    "before the first rename": "rename 1",
    "between the two renames": "rename 2",
    "after the swap": "remove 3",
}

WRITER = """
import os, signal, sys
from pathlib import Path
from recsys import storage

path, where = Path(sys.argv[1]), sys.argv[2]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def die_at(owner, name, call):
    real, calls = getattr(owner, name), []
    def counting(*arguments):
        calls.append(arguments)
        return die() if len(calls) == call else real(*arguments)
    setattr(owner, name, counting)

if where.startswith("rename"):
    die_at(os, "rename", int(where.split()[1]))
elif where.startswith("remove"):
    die_at(storage, "_remove", int(where.split()[1]))
elif where.startswith("_"):
    setattr(storage, where, die)
with storage.writing(path, "thing", 1) as folder:
    (folder / "a.txt").write_text("new")
    if where == "inside":
        die()
    (folder / "b.bin").write_bytes(b"new")
"""


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_writer_that_is_killed_leaves_a_whole_artefact(thing, point):
    child = subprocess.run(
        [sys.executable, "-c", WRITER, str(thing), KILL_POINTS[point]],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    expected = "new" if point == "after the swap" else "old"
    assert open_thing(thing).file("a.txt").read_text() == expected
    save(thing, "the next one")
    assert open_thing(thing).file("a.txt").read_text() == "the next one"
    assert sorted(each.name for each in thing.parent.iterdir()) == ["thing"]


def test_a_crash_between_the_renames_does_not_lose_the_old_one_to_a_second_crash(thing):
    thing.rename(thing.with_name(".thing.previous"))
    assert existing_folder(thing) == thing.with_name(".thing.previous")
    with pytest.raises(ZeroDivisionError):
        save_and_fail(thing, ZeroDivisionError())
    assert open_thing(thing).file("a.txt").read_text() == "old"


@pytest.mark.parametrize("rename", [1, 2, 3])
def test_a_second_kill_after_one_between_the_renames_leaves_the_old_artefact(thing, rename):
    thing.rename(thing.with_name(".thing.previous"))
    child = subprocess.run(
        [sys.executable, "-c", WRITER, str(thing), f"rename {rename}"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    assert open_thing(thing).file("a.txt").read_text() == "old"


FILLER = """
import resource, sys
from pathlib import Path
from recsys import storage
from recsys.errors import ArtefactError

limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with storage.writing(Path(sys.argv[1]), "thing", 1) as folder:
        (folder / "a.txt").write_bytes(bytes(int(sys.argv[3])))
except ArtefactError as error:
    sys.exit(str(error))
"""


# The first stops a data file, the second the manifest.
@pytest.mark.parametrize(("n_bytes", "limit"), [(100_000, 50_000), (5, 100)])
def test_a_full_disk_names_the_path_and_leaves_the_old_artefact(thing, n_bytes, limit):
    child = subprocess.run(
        [sys.executable, "-c", FILLER, str(thing), str(limit), str(n_bytes)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 1
    assert child.stderr == (
        f"could not write {thing}: File too large; what stood there before is unchanged\n"
    )
    assert open_thing(thing).file("a.txt").read_text() == "old"
    assert sorted(each.name for each in thing.parent.iterdir()) == ["thing"]


def test_write_atomically_replaces_the_content_whole(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


# --- large files are hashed once


def test_a_large_file_is_hashed_once_for_each_version_of_it(thing, every_file_is_large):
    hashed = every_file_is_large
    open_thing(thing)
    assert sorted(hashed) == ["a.txt", "b.bin"]
    open_thing(thing)
    assert len(hashed) == 2
    os.utime(thing / "a.txt", ns=(1, 1))
    open_thing(thing)
    assert hashed[2:] == ["a.txt"]


def test_a_large_file_that_was_replaced_is_hashed_again(thing, every_file_is_large):
    open_thing(thing)
    status = (thing / "a.txt").stat()
    (thing / "aside").write_text("odd")
    os.utime(thing / "aside", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(thing / "aside", thing / "a.txt")  # same size and time, another inode
    with pytest.raises(ArtefactError, match="its SHA-256 differs"):
        open_thing(thing)


def test_a_thorough_look_hashes_every_file_every_time(thing, every_file_is_large):
    open_thing(thing)
    status = (thing / "a.txt").stat()
    (thing / "a.txt").write_text("odd")  # in place: same size and inode
    os.utime(thing / "a.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    open_thing(thing)
    with pytest.raises(ArtefactError, match=r"a\.txt is damaged: its SHA-256 differs"):
        open_thing(thing, thorough=True)


@pytest.mark.parametrize("content", [b"not json", b"[]", b"\xff"])
def test_a_damaged_cache_of_hashes_is_made_anew(thing, every_file_is_large, tmp_path, content):
    open_thing(thing)
    (tmp_path / "cache" / "recsys" / "verified.json").write_bytes(content)
    open_thing(thing)
    assert len(every_file_is_large) == 4
    open_thing(thing)
    assert len(every_file_is_large) == 4


def test_a_cache_that_cannot_be_written_costs_time_only(
    thing, every_file_is_large, tmp_path, monkeypatch
):
    (tmp_path / "blocked").write_text("a file where the cache folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "blocked"))
    open_thing(thing)
    open_thing(thing)
    assert len(every_file_is_large) == 4


def test_a_newer_manifest_with_more_fields_names_its_version(thing):
    manifest = json.loads((thing / "manifest.json").read_text())
    del manifest["checksum"]
    manifest |= {"format_version": 99, "signature": "new"}
    canonical = json.dumps(manifest, sort_keys=True, ensure_ascii=False).encode()
    manifest["checksum"] = hashlib.sha256(canonical).hexdigest()
    (thing / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match="has format version 99, this recsys"):
        open_artefact(thing, "thing", 1, made_by="recsys make")


def test_an_artefact_behind_a_link_can_be_replaced(tmp_path):
    real, link = tmp_path / "disk", tmp_path / "thing"
    real.mkdir()
    link.symlink_to(real)
    with storage.writing(link, "thing", 1) as folder:
        (folder / "a.txt").write_text("new")
    assert open_artefact(link, "thing", 1, made_by="recsys make").file("a.txt").read_text() == "new"


def test_a_file_of_a_replaced_artefact_is_not_read_as_the_old_one(thing):
    opened = open_artefact(thing, "thing", 1, made_by="recsys make")
    with storage.writing(thing, "thing", 1) as folder:
        (folder / "a.txt").write_text("another generation")
    with pytest.raises(ArtefactError, match="was replaced since it was opened"):
        opened.file("a.txt")


def test_every_file_is_as_open_as_any_that_is_made_here(tmp_path):
    """safetensors writes files that their owner alone may read."""
    with writing(tmp_path / "thing", "thing", 1) as folder:
        (folder / "closed").write_bytes(b"x")
        (folder / "closed").chmod(0o600)
    (tmp_path / "usual").write_bytes(b"")
    modes = {each.stat().st_mode & 0o777 for each in (tmp_path / "thing").iterdir()}
    assert modes == {(tmp_path / "usual").stat().st_mode & 0o777}
