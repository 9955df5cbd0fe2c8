"""Fetch a public data set into a folder of raw files: from the first source that answers."""

import difflib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pooch  # type: ignore[import-untyped]

from recsys.archives import unpack
from recsys.catalogue import CATALOGUE, Dataset, Source
from recsys.downloads import ProgressBar, Say, download
from recsys.errors import ConfigError, FetchError

__all__ = ["CATALOGUE", "Dataset", "Fetched", "ProgressBar", "Source", "fetch"]

MANIFEST = "SHA256SUMS"


@dataclass(frozen=True)
class Fetched:
    """A data set that lies in its folder, verified.

    Parameters
    ----------
    dataset : Dataset
        What it is.
    folder : Path
        Holds the raw files, unchanged, and SHA256SUMS.
    source : str
        Where it came from.
    reused : bool
        It was there already, and every file still has its checksum.
    failures : tuple of str
        One line for each source that was tried before and why it failed.
    """

    dataset: Dataset
    folder: Path
    source: str
    reused: bool
    failures: tuple[str, ...]

    @property
    def interactions(self) -> Path | None:
        """The file that `recsys ingest` reads; None where the data are no interactions."""
        return self._first([each.interactions for each in self.dataset.sources])

    @property
    def items(self) -> Path | None:
        """The file of titles; None where there is none."""
        return self._first([each.items for each in self.dataset.sources])

    def _first(self, names: list[str | None]) -> Path | None:
        there = [self.folder / name for name in names if name and (self.folder / name).exists()]
        return there[0] if there else None


def fetch(
    name: str,
    raw: Path,
    *,
    from_path: Path | None = None,
    on_event: Say | None = None,
    progressbar: bool | ProgressBar = False,
) -> Fetched:
    """Bring a data set of the catalogue to ``raw/name``, whole and verified or not at all.

    Parameters
    ----------
    name : str
        A name in `CATALOGUE`.
    raw : Path
        Made if need be.
    from_path : Path, optional
        An archive or a folder that was fetched by hand, used instead of the sources.
    on_event : callable, optional
        Receives lines for a person; the licence and the citation come first.
    progressbar : bool or ProgressBar
        True reports each tenth of a download through `on_event`.

    Returns
    -------
    Fetched
        With `reused` set when the folder was there and every file is as it was fetched.

    Raises
    ------
    ConfigError
        The catalogue has no such name.
    FetchError
        No source could be used, a checksum is wrong, or a file of an earlier fetch has changed.
    """
    dataset = _find(name)
    say = on_event or (lambda line: None)
    say(f"{dataset.name}: {dataset.title}")
    say(f"licence: {dataset.licence}")
    say(f"please cite: {dataset.citation}")
    folder = raw / name
    if folder.exists():
        source = _verify_fetched(folder, name)
        unused = f"; {from_path} was not needed" if from_path else ""
        say(f"{folder} is there already, and every file is as it was fetched{unused}")
        return Fetched(dataset, folder, source, reused=True, failures=())
    workshop = _Workshop(raw / f".{name}.partial", say, progressbar)
    try:
        workshop.clear()
        source, failures = workshop.obtain(dataset, from_path)
        _write_manifest(workshop.files, name, source)
        # One move: a fetch that is killed before it leaves no folder of that name.
        os.replace(workshop.files, folder)
    except OSError as error:
        raise FetchError(
            f"cannot store {name} in {raw}: {error}; check the free space and the permissions"
        ) from error
    finally:
        shutil.rmtree(workshop.folder, ignore_errors=True)
    return Fetched(dataset, folder, source, reused=False, failures=failures)


def _find(name: str) -> Dataset:
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = difflib.get_close_matches(name, CATALOGUE, n=3, cutoff=0.4)
    hint = f"the nearest: {', '.join(near)}; " if near else ""
    raise ConfigError(f"unknown data set {name!r}; {hint}known: {', '.join(CATALOGUE)}")


class _Workshop:
    """The folder aside in which a data set is put together before it is moved whole."""

    def __init__(self, folder: Path, say: Say, progressbar: bool | ProgressBar) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.downloads = folder / "downloads"
        self._say = say
        self._progressbar = progressbar

    def clear(self) -> None:
        """Begin empty, whatever a killed fetch or a failed source left."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.files.mkdir(parents=True)
        self.downloads.mkdir()

    def obtain(self, dataset: Dataset, from_path: Path | None) -> tuple[str, tuple[str, ...]]:
        """Fill `files`; give the source used and the failures before it."""
        if from_path is not None:
            return self._by_hand(dataset, from_path), ()
        failures: list[str] = []
        for number, source in enumerate(dataset.sources, 1):
            self._say(f"source {number} of {len(dataset.sources)}: {source}")
            try:
                self._unpack(self._download(source), source)
            except FetchError as error:
                failures.append(f"{source}: {error}")
                self._say(f"source {number} could not be used: {error}")
                self.clear()
            else:
                return str(source), tuple(failures)
        reasons = "; ".join(f"({n}) {failure}" for n, failure in enumerate(failures, 1))
        raise FetchError(
            f"no source of {dataset.name} could be used: {reasons}. To fetch it by hand, download "
            f"it from {dataset.homepage} and run: recsys fetch {dataset.name} --from PATH"
        )

    def _download(self, source: Source) -> Path:
        archive = self.downloads / source.archive
        download(source, archive, self._say, self._progressbar)
        if source.sha256 is not None:
            _require_checksum(archive, source.sha256)
        return archive

    def _unpack(self, archive: Path, source: Source) -> None:
        unpack(archive, source.keep, self.files)
        self._check_files(source, archive, archive_known=source.sha256 is not None)

    def _check_files(self, source: Source, origin: Path, *, archive_known: bool) -> None:
        missing = [name for name in source.files if not (self.files / name).exists()]
        if missing:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise FetchError(f"{origin.name} does not hold {', '.join(missing[:5])}{more}")
        for name, sha256 in source.files.items():
            if sha256 is not None:
                _require_checksum(self.files / name, sha256)
        unknown = [each for each in self.files.iterdir() if source.files.get(each.name) is None]
        if unknown and not archive_known:
            self._say(
                f"no checksum is published for {len(unknown)} of these files: "
                "they are remembered as they are now and checked from now on"
            )

    def _by_hand(self, dataset: Dataset, path: Path) -> str:
        if not path.exists():
            raise FetchError(f"--from {path}: there is no such file or folder")
        reasons = []
        for source in self._candidates(dataset, path):
            try:
                if path.is_dir():
                    _copy_wanted(path, source, self.files)
                    self._check_files(source, path, archive_known=False)
                else:
                    self._unpack(path, source)
            except FetchError as error:
                reasons.append(f"as {source}: {error}")
                self.clear()
            else:
                return f"{path.resolve()} (by hand, as {source})"
        raise FetchError(f"--from {path} is not {dataset.name}: {'; '.join(reasons)}")

    def _candidates(self, dataset: Dataset, path: Path) -> list[Source]:
        if path.is_dir():
            return list(dataset.sources)
        found = pooch.file_hash(str(path))
        likely = [each for each in dataset.sources if each.sha256 == found]
        likely = likely or [each for each in dataset.sources if each.sha256 is None]
        if likely:
            return likely
        expected = " or ".join(f"{each.sha256} ({each.archive})" for each in dataset.sources)
        raise FetchError(
            f"--from {path} is not {dataset.name} as the catalogue knows it: "
            f"found sha256 {found}, expected {expected}"
        )


def _copy_wanted(folder: Path, source: Source, target: Path) -> None:
    """Copy the wanted files from a folder that may be any level of the unpacked archive."""
    for pattern in source.keep:
        parts = PurePosixPath(pattern).parts
        levels = ("/".join(parts[start:]) for start in range(len(parts)))
        matches = next(filter(None, (sorted(folder.glob(level)) for level in levels)), [])
        for each in matches:
            if each.is_file() and each.name != MANIFEST:
                shutil.copyfile(each, target / each.name)


def _require_checksum(file: Path, expected: str) -> None:
    found = pooch.file_hash(str(file))
    if found != expected:
        raise FetchError(
            f"{file.name} has a wrong checksum: expected sha256 {expected}, found {found}; "
            "it is damaged or another edition"
        )


def _write_manifest(folder: Path, name: str, source: str) -> None:
    sums = [f"{pooch.file_hash(str(each))}  {each.name}" for each in sorted(folder.iterdir())]
    # In the format of `sha256sum --check`, which passes over lines with a hash sign.
    text = "\n".join([f"# {name}, fetched by recsys", f"# source: {source}", *sums, ""])
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _verify_fetched(folder: Path, name: str) -> str:
    """Check every file of an earlier fetch; give the source that it names."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise FetchError(
            f"{folder} exists but was not made by recsys (it has no {MANIFEST}); move it away, "
            f"then run: recsys fetch {name} --from PATH"
        )
    lines = manifest.read_text(encoding="utf-8").splitlines()
    sums = [line.split("  ", 1) for line in lines if line and not line.startswith("#")]
    if not sums or any(len(each) != 2 for each in sums):
        raise FetchError(f"{manifest} is damaged; delete {folder} and fetch {name} again")
    for expected, file_name in sums:
        file = folder / file_name
        found = pooch.file_hash(str(file)) if file.is_file() else "no file"
        if found != expected:
            raise FetchError(
                f"{file} has changed since it was fetched: expected sha256 {expected}, "
                f"found {found}; delete {folder} and fetch {name} again"
            )
    return next((line[10:] for line in lines if line.startswith("# source: ")), "an unnamed source")
