"""Unpack what is wanted from a zip or a tar, and refuse one that would write elsewhere."""

import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from recsys.errors import FetchError


@dataclass(frozen=True)
class _Member:
    path: str
    open: Callable[[], IO[bytes] | None] | None  # None for a folder, a link or a device
    is_folder: bool


def unpack(archive: Path, keep: Sequence[str], folder: Path) -> None:
    """Unpack the wanted files of a zip or a (compressed) tar, each under its last name.

    Parameters
    ----------
    archive : Path
        The file; what it is is told from its content.
    keep : sequence of str
        Patterns of whole paths inside the archive; ``*`` does not cross a ``/``.
    folder : Path
        Exists; receives the files side by side.

    Raises
    ------
    FetchError
        It is no archive, it is damaged, a path in it is absolute or climbs by ``..``,
        a wanted path is a link, or two wanted files bear the same name.
    """
    try:
        if zipfile.is_zipfile(archive):
            members = _zip_members(archive)
        elif tarfile.is_tarfile(archive):
            members = _tar_members(archive)
        else:
            raise FetchError(
                f"{archive.name} is neither a zip nor a tar archive; "
                "perhaps a web page was saved in its place"
            )
        for member in members:
            _take(member, archive, keep, folder)
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise FetchError(f"{archive.name} is damaged ({error}); download it again") from error


def is_wanted(path: str, keep: Sequence[str]) -> bool:
    """Tell whether a path inside an archive matches one of the patterns, part by part.

    Examples
    --------
    >>> is_wanted("ml-1m/ratings.dat", ["ml-1m/*"])
    True
    >>> is_wanted("ml-1m/old/ratings.dat", ["ml-1m/*"])
    False
    """
    parts = PurePosixPath(path)
    return any(
        len(parts.parts) == len(PurePosixPath(pattern).parts) and parts.match(pattern)
        for pattern in keep
    )


def _take(member: _Member, archive: Path, keep: Sequence[str], folder: Path) -> None:
    _refuse_climbing(member.path, archive)
    if member.is_folder or not is_wanted(member.path, keep):
        return
    content = member.open() if member.open else None
    if content is None:
        raise FetchError(
            f"{archive.name} is refused: {member.path!r} in it is a link or a device, "
            "expected a plain file"
        )
    target = folder / PurePosixPath(member.path).name
    if target.exists():
        raise FetchError(f"{archive.name} is refused: it holds two files named {target.name!r}")
    with content as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)


def _refuse_climbing(path: str, archive: Path) -> None:
    # A backslash separates folders on Windows, and C: begins an absolute path there.
    parts = PurePosixPath(path.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in path.split("/")[0]:
        raise FetchError(
            f"{archive.name} is refused: the path {path!r} in it leads outside the folder "
            "that it is unpacked to"
        )


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as bundle:
        for info in bundle.infolist():
            is_link = stat.S_ISLNK(info.external_attr >> 16)
            plain = not (is_link or info.is_dir())
            opener = partial(bundle.open, info) if plain else None
            yield _Member(info.filename, opener, info.is_dir())


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive) as bundle:
        for info in bundle:
            opener = partial(bundle.extractfile, info) if info.isreg() else None
            yield _Member(info.name, opener, info.isdir())
