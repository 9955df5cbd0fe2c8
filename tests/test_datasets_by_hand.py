"""A data set that was fetched by hand: verified as strictly, from an archive or from a folder."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_dataset import RATINGS, TITLES, ZIP, sha256, toy_source, zip_of

from recsys import datasets
from recsys.catalogue import Dataset, Source
from recsys.datasets import fetch
from recsys.errors import FetchError


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Dataset]:
    def put(*sources: Source) -> Dataset:
        home = "https://example.org/toy"
        toy = Dataset("toy", "Toy: two rows", "CC0", "Nobody (2020). Toy.", home, sources)
        monkeypatch.setattr(datasets, "CATALOGUE", {"toy": toy})
        return toy

    return put


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


def test_an_archive_fetched_by_hand_is_verified_and_unpacked(
    tmp_path: Path, catalogue: Callable[..., Dataset], closed_source: Source
) -> None:
    catalogue(closed_source)
    by_hand = tmp_path / "renamed.bin"
    by_hand.write_bytes(ZIP)
    fetched = fetch("toy", tmp_path / "raw", from_path=by_hand)
    assert fetched.source == f"{by_hand} (by hand, as {closed_source.location})"
    assert (fetched.folder / "ratings.csv").read_bytes() == RATINGS


def test_another_archive_fetched_by_hand_is_refused(
    tmp_path: Path, catalogue: Callable[..., Dataset], closed_source: Source
) -> None:
    catalogue(closed_source)
    by_hand = tmp_path / "toy.zip"
    by_hand.write_bytes(b"something else")
    assert refusal("toy", tmp_path / "raw", from_path=by_hand) == (
        f"--from {by_hand} is not toy as the catalogue knows it: found sha256 "
        f"{sha256(b'something else')}, expected {sha256(ZIP)} (toy.zip)"
    )


def test_an_archive_without_a_published_checksum_is_judged_by_what_it_holds(
    tmp_path: Path, catalogue: Callable[..., Dataset]
) -> None:
    catalogue(toy_source("url", "http://127.0.0.1:9/toy.zip", "toy.zip", None))
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    good.write_bytes(ZIP)
    bad.write_bytes(zip_of({"toy/ratings.csv": b"other", "toy/titles.csv": TITLES}))
    assert "ratings.csv has a wrong checksum" in refusal("toy", tmp_path / "a", from_path=bad)
    assert fetch("toy", tmp_path / "b", from_path=good).source.startswith(str(good))


@pytest.mark.parametrize("level", [".", "toy"])
def test_an_unpacked_folder_is_taken_at_any_level(
    tmp_path: Path, catalogue: Callable[..., Dataset], closed_source: Source, level: str
) -> None:
    catalogue(closed_source)
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(io.BytesIO(ZIP)) as bundle:
        bundle.extractall(unpacked)
    fetched = fetch("toy", tmp_path / "raw", from_path=unpacked / level)
    names = sorted(each.name for each in fetched.folder.iterdir())
    assert names == ["SHA256SUMS", "ratings.csv", "titles.csv"]


def test_a_folder_that_lacks_a_file_or_has_another_edition_is_refused(
    tmp_path: Path, catalogue: Callable[..., Dataset], closed_source: Source
) -> None:
    catalogue(closed_source)
    by_hand = tmp_path / "by_hand"
    by_hand.mkdir()
    (by_hand / "titles.csv").write_bytes(TITLES)
    message = refusal("toy", tmp_path / "raw", from_path=by_hand)
    assert message.startswith(f"--from {by_hand} is not toy: as {closed_source.location}: ")
    assert "by_hand does not hold ratings.csv" in message
    (by_hand / "ratings.csv").write_bytes(b"other edition")
    message = refusal("toy", tmp_path / "raw", from_path=by_hand)
    assert "ratings.csv has a wrong checksum" in message
    missing = refusal("toy", tmp_path / "raw", from_path=tmp_path / "nowhere")
    assert missing == f"--from {tmp_path / 'nowhere'}: there is no such file or folder"
