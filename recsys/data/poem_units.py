"""Poems -> interactions: a poem is a user, each of its characters or words an item, with counts."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Literal

import numpy as np

from recsys.data.ids import IdMap
from recsys.data.interactions import Events
from recsys.data.poem_text import is_mostly_han
from recsys.data.poems import Poem
from recsys.errors import DataError

Unit = Literal["character", "word"]

SAMPLE = 1000
"""Poems that are looked at to find the unit."""


def find_unit(poems: Sequence[Poem]) -> Unit:
    """Characters where most letters are Chinese characters, else words.

    Parameters
    ----------
    poems : sequence of Poem
        A thousand of them, spread evenly, are looked at.
    """
    step = max(1, len(poems) // SAMPLE)
    text = "".join(each.text for each in poems[::step])
    return "character" if is_mostly_han(text) else "word"


def units_of(text: str, unit: Unit) -> list[str]:
    """Split a text into its characters or words, lower-cased, without anything else.

    Parameters
    ----------
    text : str
    unit : {"character", "word"}
        Characters are letters of any script; □ and digits are none. Words are letters in a row,
        with the apostrophes and hyphens between them.

    Examples
    --------
    >>> units_of("白日依山盡，□河入海流。", "character")
    ['白', '日', '依', '山', '盡', '河', '入', '海', '流']
    >>> units_of("'Tis the Poet's sea-change -- at 3 o'clock", "word")
    ['tis', 'the', "poet's", 'sea-change', 'at', "o'clock"]
    """
    if unit == "character":
        return list(text.lower().translate(_CHARACTERS))
    stripped = (word.strip("'-") for word in text.lower().translate(_WORDS).split())
    return [word for word in stripped if word]


def poem_events(poems: Sequence[Poem], unit: Unit) -> Events:
    """Count the units of each poem.

    Parameters
    ----------
    poems : sequence of Poem
        With unique ids.
    unit : {"character", "word"}

    Returns
    -------
    Events
        In the order of the poems, and within one in that of first occurrence; `values` are
        counts. A poem without a unit has no row.

    Raises
    ------
    DataError
        No poem has one.
    """
    counts = [Counter(units_of(each.text, unit)) for each in poems]
    lengths = np.array([len(each) for each in counts], dtype=np.int64)
    if not lengths.sum():
        raise DataError(f"none of {len(poems):,} poems holds a {unit}: expected text with letters")
    written = [poem.id for poem, each in zip(poems, counts, strict=True) if each]
    users = IdMap.of(written, "user")
    items = IdMap.of(chain.from_iterable(counts), "item")
    of_item = {each: position for position, each in enumerate(items.ids)}
    n_events = int(lengths.sum())
    return Events(
        users=users,
        items=items,
        user_positions=np.repeat(users.find(written), lengths[lengths > 0]).astype(np.int32),
        item_positions=np.fromiter(
            (of_item[each] for each in chain.from_iterable(counts)), np.int32, n_events
        ),
        values=np.fromiter(
            chain.from_iterable(each.values() for each in counts), np.float32, n_events
        ),
        timestamps=None,
        value_kind="weight",
    )


_SELECTORS = frozenset([*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
"""They say which of a character's forms is meant, and are in category M."""


class _Letters(dict[int, str]):
    """What `str.translate` puts for each code point: letters stay, the rest is decided once."""

    def __init__(self, also: str, instead: str) -> None:
        super().__init__((ord(each), each) for each in also)
        self._instead = instead

    def __missing__(self, code: int) -> str:
        character = chr(code)
        # M: the vowel signs of Indic scripts, and accents that do not compose.
        is_letter = unicodedata.category(character)[0] in "LM" and code not in _SELECTORS
        self[code] = character if is_letter else self._instead
        return self[code]


_CHARACTERS = _Letters("〇", "")
_WORDS = _Letters("'-", " ")
_WORDS[ord("’")] = "'"
