"""A data set of two rows, as a catalogue lists it and as an archive holds it."""

import hashlib
import io
import zipfile

from recsys.catalogue import Source

RATINGS = b"user_id,item_id\n1,2\n"
TITLES = b"item_id,title\n2,The Clue in Harbour Lane\n"
MEMBERS = {"toy/ratings.csv": RATINGS, "toy/titles.csv": TITLES, "toy/deep/other.csv": b"x"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zip_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(zipfile.ZipInfo(name), content)  # ZipInfo: no clock in the bytes
    return buffer.getvalue()


ZIP = zip_of(MEMBERS)


def toy_source(kind: str, location: str, archive: str, content_sha256: str | None) -> Source:
    return Source(
        kind=kind,  # type: ignore[arg-type]
        location=location,
        archive=archive,
        sha256=content_sha256,
        keep=("toy/*",),
        files={"ratings.csv": sha256(RATINGS), "titles.csv": None},
        interactions="ratings.csv",
        items="titles.csv",
    )
