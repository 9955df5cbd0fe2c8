"""Which characters of a vocabulary may stand at a place: by tone, by rhyme, or one alone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.data.poem_text import is_mostly_han
from recsys.verse.opencc_forms import convert_each, converter
from recsys.verse.prosody import FREE, LEVEL, OBLIQUE
from recsys.verse.tones import Tone, ToneTable
from recsys.verse.variants import VARIANTS

ANY = "any"
"""The kind of a place where every character may stand."""

OBLIQUE_END = "oblique end"
"""The kind of an unrhymed line's last place, which is oblique by every reading."""

_TWINS = {"鴈": "雁", "迴": "回"}
"""Forms that the tables have as characters of their own, by their commoner one."""


@dataclass(frozen=True, eq=False)
class Masks:
    """The kinds of places, and who may stand there.

    Parameters
    ----------
    kinds : sequence of str
        ANY; FREE, LEVEL and OBLIQUE as in `recsys.verse.prosody.Pattern.lines`; OBLIQUE_END; then
        the names of the level rhyme groups.
    allowed : bool, shape (n_kinds, n_characters)
        A character whose tone is EITHER may stand at level and at oblique places, but not at the
        end of a line, where the tone is heard. One that is in no rhyme table stands at ANY places
        alone.
    """

    kinds: Sequence[str]
    allowed: NDArray[np.bool_]

    @classmethod
    def of(cls, characters: Sequence[str], table: ToneTable | None) -> "Masks":
        """Build from a vocabulary.

        Parameters
        ----------
        characters : sequence of str
            By their position; what is no single Chinese character, such as a mark for the
            beginning, may stand nowhere.
        table : ToneTable or None
            None: verse without prosody, where ANY is the one kind.
        """
        written = np.array([len(each) == 1 and is_mostly_han(each) for each in characters])
        if table is None:
            return cls((ANY,), written[None])
        written &= np.array([each not in table.doubtful for each in characters])
        tones = np.array([table.tone(each) if len(each) == 1 else None for each in characters])
        groups = [
            table.shared.get(each, table.rhymes(each)) if len(each) == 1 else frozenset()
            for each in characters
        ]
        either, level, oblique = (tones == each for each in (Tone.EITHER, Tone.LEVEL, Tone.OBLIQUE))
        names = sorted(frozenset[str]().union(*groups))
        rhyming = [[name in of_one for of_one in groups] for name in names]
        rows = [
            np.ones(len(characters), dtype=bool),
            level | oblique | either,
            level | either,
            oblique | either,
            oblique,
            *(np.array(rhyming, dtype=bool).reshape(-1, len(characters)) & level),
        ]
        kinds = (ANY, FREE, LEVEL, OBLIQUE, OBLIQUE_END, *names)
        return cls(kinds, np.array(rows) & written)

    @property
    def rhymes(self) -> tuple[str, ...]:
        """Names of the rhyme groups."""
        return tuple(self.kinds[5:])

    def numbers(self, kinds: Collection[str]) -> NDArray[np.int64]:
        """Positions of kinds by their names."""
        number = {name: at for at, name in enumerate(self.kinds)}
        return np.array([number[each] for each in kinds], dtype=np.int64)


def same_characters(characters: Sequence[str]) -> NDArray[np.int64]:
    """Find the forms of each character: a poem that has one of them shall not have another.

    Parameters
    ----------
    characters : sequence of str
        The vocabulary by position.

    Returns
    -------
    int64, shape (n_characters, n_forms)
        Positions of those with the same simplified form (煙 烟) or standard form (猨 猿), itself
        among them; a row of fewer is filled up with the first.

    Raises
    ------
    ConfigError
        When opencc is not installed.
    """
    standard = [(VARIANTS | _TWINS).get(each, each) for each in characters]
    simplified = convert_each(set(standard), converter("t2s"))
    forms: dict[str, list[int]] = {}
    for position, each in enumerate(standard):
        forms.setdefault(simplified[each], []).append(position)
    most = max(map(len, forms.values()))
    rows = [forms[simplified[each]] for each in standard]
    return np.array([row + row[:1] * (most - len(row)) for row in rows], dtype=np.int64)
