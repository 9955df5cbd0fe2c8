"""Artefacts on disk: a directory with a manifest, written aside, moved whole, verified on load.

    model/
      manifest.json     kind, format version, config, metrics, fingerprints, checksums
      weights.safetensors, items.parquet, ...

A writer fills `.model.partial` and swaps it in at the end, so a crash leaves the old artefact.
The swap is two renames; between them the old one is `.model.previous`, where readers find it.
"""

import contextlib
import datetime
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from recsys import __version__
from recsys.errors import ArtefactError

MANIFEST = "manifest.json"
VERIFY_ALWAYS_BELOW = 64 * 2**20
"""Files up to this size are hashed on every load; larger ones once for each version of the file."""


@dataclass(frozen=True)
class FileRecord:
    """Size and SHA-256 of one file of an artefact."""

    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an artefact is, what made it, and the checksums of its files."""

    kind: str
    format_version: int
    created: str
    created_with: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Hash of everything in the manifest: two artefacts with equal ones are the same."""
        return hashlib.sha256(_canonical_json(asdict(self))).hexdigest()

    @property
    def created_at(self) -> datetime.datetime:
        """Moment of writing, in UTC."""
        return datetime.datetime.fromisoformat(self.created)


@dataclass(frozen=True)
class Artefact:
    """An opened and verified artefact."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Path of one of the files that the manifest lists.

        Raises
        ------
        ArtefactError
            There is no such file, or the artefact was replaced by another since it was opened.
        """
        if name not in self.manifest.files:
            raise ArtefactError(f"{self.path} has no {name}: it is not whole; make it again")
        if read_manifest(self.path).fingerprint != self.manifest.fingerprint:
            raise ArtefactError(f"{self.path} was replaced since it was opened; load it again")
        return self.path / name


@contextlib.contextmanager
def writing(
    path: Path,
    kind: str,
    format_version: int,
    *,
    config: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    fingerprints: Mapping[str, str] | None = None,
) -> Iterator[Path]:
    """Give an empty folder to write files into; on success it becomes the artefact `path`.

    Raises
    ------
    ArtefactError
        The disk is full or not writable. Whatever stood at `path` is unchanged.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _settle(path)
        _remove(partial)
        partial.mkdir()
        yield partial
        manifest = Manifest(
            kind=kind,
            format_version=format_version,
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            created_with={"recsys": __version__},
            config=config or {},
            metrics=metrics or {},
            fingerprints=fingerprints or {},
            files={each.name: _record(each) for each in sorted(partial.iterdir())},
        )
        _write_manifest(partial, manifest)
        _open_alike(partial)
        _sync_folder(partial)
        _swap_in(partial, path)
    except OSError as error:
        _remove(partial)
        raise ArtefactError(
            f"could not write {path}: {_reason(error)}; what stood there before is unchanged"
        ) from error
    except BaseException:
        _remove(partial)
        raise


def open_artefact(
    path: Path, kind: str, format_version: int, *, made_by: str, thorough: bool = False
) -> Artefact:
    """Open the artefact at `path` after checking kind, version and checksums.

    Parameters
    ----------
    path : Path
    kind : str
        What the caller expects: "model", "index", ...
    format_version : int
        The newest version that the caller reads.
    made_by : str
        The command that makes such an artefact, for the message when there is none.
    thorough : bool
        Hash the large files too, even those that were verified before.

    Raises
    ------
    ArtefactError
        Missing, of another kind, newer than this library, or damaged.
    """
    folder = existing_folder(path)
    if folder is None:
        raise ArtefactError(f"there is no {kind} at {path}; make one with `{made_by}`")
    manifest = read_manifest(folder)
    if manifest.kind != kind:
        raise ArtefactError(f"{folder} is of kind {manifest.kind!r}, expected {kind!r}")
    if manifest.format_version > format_version:
        raise ArtefactError(
            f"{folder} has format version {manifest.format_version}, this recsys "
            f"({__version__}) reads up to {format_version}: upgrade recsys, or make it again "
            f"with `{made_by}`"
        )
    for name, record in manifest.files.items():
        _verify(folder / name, record, made_by, thorough)
    return Artefact(folder, manifest)


def existing_folder(path: Path) -> Path | None:
    """Find where the artefact is: at `path`, or left beside it by a writer killed in mid-swap."""
    previous = _previous(path)
    if (path / MANIFEST).exists():
        return path
    return previous if (previous / MANIFEST).exists() else (path if path.exists() else None)


def read_manifest(folder: Path) -> Manifest:
    """Read and check `manifest.json` itself, without looking at the other files.

    Raises
    ------
    ArtefactError
        Missing, unreadable, or its content does not match its own checksum.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        checksum = content.pop("checksum")
        found = hashlib.sha256(_canonical_json(content)).hexdigest()
        files = {name: FileRecord(**record) for name, record in content.pop("files").items()}
        # A newer recsys may have added fields: its version is for the caller to refuse.
        known = {each.name: content[each.name] for each in fields(Manifest) if each.name in content}
        manifest = Manifest(**known, files=files)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtefactError(f"{folder} is not an artefact: it has no {MANIFEST}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path} is damaged ({error}); make the artefact again") from error
    if checksum != found:
        raise ArtefactError(f"{path} is damaged: its checksum differs; make the artefact again")
    return manifest


def write_atomically(path: Path, content: bytes) -> None:
    """Write one file aside and rename it over `path`; a crash leaves the old content.

    Raises
    ------
    ArtefactError
        The disk is full or not writable; the old content is unchanged.
    """
    with replacing(path) as aside:
        aside.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; it is renamed over `path` in the end.

    Raises
    ------
    ArtefactError
        The disk is full or not writable; the old content is unchanged.
    """
    aside = path.with_name(f".{path.name}.partial")
    try:
        yield aside
        with open(aside, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ArtefactError(f"could not write {path}: {_reason(error)}") from error


def sha256_of(path: Path) -> str:
    """Hash a file's content; hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _reason(error: OSError) -> str:
    # numpy words a short write itself ("601 requested and 109 written").
    return error.strerror or f"{error}: is the disk full?"


def _record(path: Path) -> FileRecord:
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())
    return FileRecord(path.stat().st_size, sha256_of(path))


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    content = asdict(manifest) | {"checksum": manifest.fingerprint}
    text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True)
    with open(folder / MANIFEST, "wb") as stream:
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())


def _open_alike(folder: Path) -> None:
    """Let everybody read each file who may read a file that is made here: libraries differ."""
    mode = (folder / MANIFEST).stat().st_mode & 0o777
    for each in folder.iterdir():
        each.chmod(mode)


def _canonical_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode()


def _previous(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")


def _swap_in(partial: Path, path: Path) -> None:
    previous = _previous(path)
    _remove(previous)
    if path.exists():
        os.rename(path, previous)
    os.rename(partial, path)
    _sync_folder(path.parent)
    # The new artefact is in place: what is left of the old one can wait for the next writer.
    with contextlib.suppress(OSError):
        _remove(previous)


def _settle(path: Path) -> None:
    """Bring back the old artefact if a writer was killed between the two renames."""
    previous = _previous(path)
    if previous.exists() and not path.exists():
        os.rename(previous, path)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def _verify(path: Path, record: FileRecord, made_by: str, thorough: bool) -> None:
    advice = f"make it again with `{made_by}`"
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise ArtefactError(f"{path} is missing; {advice}") from error
    if status.st_size != record.n_bytes:
        raise ArtefactError(
            f"{path} is damaged: {status.st_size:,} bytes, expected {record.n_bytes:,}; {advice}"
        )
    if status.st_size <= VERIFY_ALWAYS_BELOW or thorough:
        found = sha256_of(path)
    else:
        found = _remembered_hash(path, status)
    if found != record.sha256:
        raise ArtefactError(f"{path} is damaged: its SHA-256 differs; {advice}")


def _remembered_hash(path: Path, status: os.stat_result) -> str:
    """Hash a large file once for each (path, size, mtime, inode), remembered between processes."""
    cache = _cache_folder() / "verified.json"
    key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"
    try:
        known = dict(json.loads(cache.read_bytes()))
    except (OSError, ValueError, TypeError):
        known = {}  # no cache yet, or a damaged one: the file is hashed again
    if key not in known:
        known[key] = sha256_of(path)
        # A cache that cannot be written costs time at the next load, nothing else.
        with contextlib.suppress(OSError, ArtefactError):
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(cache, json.dumps(known).encode())
    return str(known[key])


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "recsys"
