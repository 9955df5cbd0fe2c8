"""Unpacking: what is wanted lands side by side, and nothing ever lands elsewhere."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from recsys.archives import unpack
from recsys.errors import FetchError

WANTED = ("toy/*.csv", "LICENSE")
MEMBERS = {
    "toy/a.csv": b"a",
    "LICENSE": b"free",
    "toy/deep/b.csv": b"b",
    "toy/readme.md": b"r",
    "other/LICENSE": b"another",
}


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return path


def write_tar(path: Path, members: dict[str, bytes], link: str | None = None) -> Path:
    with tarfile.open(path, "w:gz") as bundle:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            bundle.addfile(info, io.BytesIO(content))
        if link is not None:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            bundle.addfile(info)
    return path


def refusal(archive: Path, folder: Path) -> str:
    folder.mkdir()
    with pytest.raises(FetchError) as caught:
        unpack(archive, WANTED, folder)
    return str(caught.value)


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_only_what_is_wanted_is_unpacked(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    archive = write(tmp_path / "toy.archive", MEMBERS)
    (tmp_path / "out").mkdir()
    unpack(archive, WANTED, tmp_path / "out")
    found = {each.name: each.read_bytes() for each in (tmp_path / "out").iterdir()}
    assert found == {"a.csv": b"a", "LICENSE": b"free"}


@pytest.mark.parametrize("write", [write_zip, write_tar])
@pytest.mark.parametrize(
    "path", ["../evil.csv", "toy/../../evil.csv", "/etc/evil.csv", "..\\evil.csv", "C:/evil.csv"]
)
def test_an_archive_that_would_write_elsewhere_is_refused(  # type: ignore[no-untyped-def]
    tmp_path: Path, write, path: str
) -> None:
    archive = write(tmp_path / "toy.archive", {path: b"evil"})
    message = refusal(archive, tmp_path / "out")
    assert message == (
        f"toy.archive is refused: the path {path!r} in it leads outside the folder that it is "
        "unpacked to"
    )
    assert sorted(os.listdir(tmp_path)) == ["out", "toy.archive"]


def test_a_link_in_place_of_a_wanted_file_is_refused(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "toy.tgz", {}, link="toy/a.csv")
    expected = "toy.tgz is refused: 'toy/a.csv' in it is a link or a device, expected a plain file"
    assert refusal(archive, tmp_path / "out") == expected
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as bundle:
        info = zipfile.ZipInfo("toy/a.csv")
        info.external_attr = 0o120777 << 16
        bundle.writestr(info, "/etc/passwd")
    assert "is a link or a device" in refusal(tmp_path / "toy.zip", tmp_path / "out2")


def test_two_wanted_files_of_one_name_are_refused(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "toy.tgz", {"toy/a.csv": b"1", "./toy/a.csv": b"2"})
    expected = "toy.tgz is refused: it holds two files named 'a.csv'"
    assert refusal(archive, tmp_path / "out") == expected


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "toy.zip").write_bytes(b"<html>")
    assert refusal(tmp_path / "toy.zip", tmp_path / "out") == (
        "toy.zip is neither a zip nor a tar archive; perhaps a web page was saved in its place"
    )


def test_a_truncated_or_flipped_archive_is_refused(tmp_path: Path) -> None:
    noise = os.urandom(50_000)
    whole = write_tar(tmp_path / "toy.tgz", {"toy/a.csv": noise}).read_bytes()
    (tmp_path / "toy.tgz").write_bytes(whole[:30_000])
    assert "toy.tgz is damaged (" in refusal(tmp_path / "toy.tgz", tmp_path / "out")
    flipped = bytearray(write_zip(tmp_path / "toy.zip", {"toy/a.csv": noise}).read_bytes())
    flipped[25_000] ^= 0xFF
    (tmp_path / "toy.zip").write_bytes(flipped)
    message = refusal(tmp_path / "toy.zip", tmp_path / "out2")
    assert message.startswith("toy.zip is damaged (")
    assert message.endswith("; download it again")
