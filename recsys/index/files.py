"""FAISS indexes as files: a full disk stays an OSError, a wrong file becomes our error."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from recsys.errors import ArtefactError


def write_index(index: Any, path: Path) -> None:
    """Write to one file; an OSError means what it says (a full disk)."""
    # Through bytes: faiss itself turns every failed write into a RuntimeError.
    with open(path, "wb") as stream:
        stream.write(faiss.serialize_index(index).data)


def read_index(path: Path, expected: type, noun: str, advice: str) -> Any:
    """Read an index that `write_index` wrote.

    Parameters
    ----------
    path : Path
    expected : type
        Its class.
    noun : str
        What that is in words.
    advice : str
        What to do when the file is another one.

    Raises
    ------
    ArtefactError
        The file is no such index.
    """
    content = np.fromfile(path, dtype=np.uint8)
    try:
        index = faiss.deserialize_index(content)
    except RuntimeError as error:  # faiss has no narrower class
        raise ArtefactError(f"{path} is not a FAISS index; {advice}") from error
    check_class(index, expected, path, noun, advice)
    return index


def map_index(path: Path, expected: type | tuple[type, ...], noun: str, advice: str) -> Any:
    """Map an index that `write_index` wrote into memory: ready at once, whatever its size.

    The parameters and what is raised are those of `read_index`.
    """
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:  # faiss has no narrower class
        raise ArtefactError(f"{path} is not a FAISS index; {advice}") from error
    check_class(index, expected, path, noun, advice)
    return index


def check_class(
    index: Any, expected: type | tuple[type, ...], path: Path, noun: str, advice: str
) -> None:
    """Refuse an index of another class; see `read_index`."""
    if not isinstance(index, expected):
        raise ArtefactError(f"{path} holds a {type(index).__name__}, expected {noun}; {advice}")
