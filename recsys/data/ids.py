"""The caller's ids <-> our positions 0 .. n-1."""

import difflib
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.errors import UnknownIdError

# Python refuses to read numbers of more than 4,300 digits: what is longer is a name.
_CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,999}")


def sorted_ids(ids: Iterable[str]) -> list[str]:
    """Sort ids as numbers when every one is a canonical integer, else by code point.

    Examples
    --------
    >>> sorted_ids(["10", "9", "-1"])
    ['-1', '9', '10']
    >>> sorted_ids(["10", "9", "007"])  # 007 is a name, not a number
    ['007', '10', '9']
    """
    ids = list(ids)
    if all(_CANONICAL_INTEGER.fullmatch(each) for each in ids):
        return sorted(ids, key=int)
    return sorted(ids)


@dataclass(frozen=True, eq=False)
class IdMap:
    """A fixed, ordered set of ids; an id's position is its place in it.

    Parameters
    ----------
    ids : object array of str, shape (n,)
        Unique; what the caller wrote, unchanged.
    noun : str
        What one id names, for messages: "user", "item", "poem", "character".

    Examples
    --------
    >>> items = IdMap.of(["b", "a"], noun="item")
    >>> items.positions(["b"])
    array([1])
    """

    ids: NDArray[np.object_]
    noun: str

    def __post_init__(self) -> None:
        assert self._index.is_unique, f"duplicate {self.noun} ids"

    @classmethod
    def of(cls, ids: Iterable[str], noun: str) -> "IdMap":
        """Build from ids in any order, duplicates allowed; positions follow `sorted_ids`."""
        return cls(_object_array(sorted_ids(set(ids))), noun)

    @classmethod
    def in_order(cls, ids: Iterable[str], noun: str) -> "IdMap":
        """Build from unique ids whose order is kept."""
        return cls(_object_array(list(ids)), noun)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, key: str) -> bool:
        return key in self._index

    @cached_property
    def _index(self) -> "pd.Index[str]":
        return pd.Index(self.ids, dtype=object)

    def find(self, ids: Sequence[str] | NDArray[np.object_]) -> NDArray[np.int64]:
        """Give the positions of `ids`, -1 where an id is unknown; int64, shape (len(ids),)."""
        wanted = pd.Index(_object_array(ids), dtype=object)
        return self._index.get_indexer(wanted).astype(np.int64)

    def position(self, key: str) -> int:
        """Give the position of one id, -1 where it is unknown: far quicker than `find`."""
        try:
            return int(self._index.get_loc(key))  # type: ignore[arg-type] # the ids are unique
        except KeyError:
            return -1

    def positions(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Give the positions of `ids`; int64, shape (len(ids),).

        Raises
        ------
        UnknownIdError
            Names up to five unknown ids, and the nearest known ones.
        """
        found = self.find(ids)
        unknown = [each for each, position in zip(ids, found, strict=True) if position < 0]
        if unknown:
            raise UnknownIdError(self.unknown_message(unknown))
        return found

    def unknown_message(self, unknown: Sequence[str]) -> str:
        """Word the refusal of `unknown` ids in one line."""
        shown = ", ".join(repr(each) for each in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        near = self.nearest(unknown[0])
        hint = f"; the nearest known: {', '.join(map(repr, near))}" if near else ""
        plural = "s" if len(unknown) > 1 else ""
        return f"unknown {self.noun}{plural} {shown}{more} (of {len(self):,} known){hint}"

    def nearest(self, key: str, n: int = 3) -> list[str]:
        """Find the known ids most like `key` in writing."""
        pool = [each for each in self.ids if abs(len(each) - len(key)) <= 2]
        folded = [each for each in pool if each.casefold() == key.casefold()]
        if folded:
            return folded[:n]
        # difflib is quadratic in Python: a bounded pool of the ids that share a beginning.
        start = key[: max(1, len(key) // 2)]
        likely = [each for each in pool if each.startswith(start)] or pool
        return difflib.get_close_matches(key, likely[:5000], n=n, cutoff=0.5)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the ids in their order: two maps agree exactly when these agree."""
        digest = hashlib.sha256()
        for each in self.ids:
            raw = each.encode()
            digest.update(len(raw).to_bytes(8, "little"))
            digest.update(raw)
        return digest.hexdigest()


def _object_array(ids: Sequence[str] | NDArray[np.object_]) -> NDArray[np.object_]:
    array = np.empty(len(ids), dtype=object)
    array[:] = ids
    return array
