"""Couplets as rows of characters, with what is told of them: what the couplet model learns from."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recsys.data.histories import blocks_of
from recsys.data.poems import Poem
from recsys.errors import DataError
from recsys.vae.model import VAE
from recsys.verse.lookup import histories_of
from recsys.verse.tones import Tone, ToneTable

Width = Literal[5, 7]
WIDTHS: tuple[Width, ...] = (5, 7)
"""Characters of a line."""

FEWEST_OCCURRENCES = 5
"""A character that training has less often is left out, with the couplets that hold it."""

BEGIN = "<begin>"
"""Stands before a couplet; its number is 0."""

NOT_TOLD = 0
FORMS = ("jueju", "lvshi", "other")
N_TONE_CLASSES = 4
CODES_AT_ONCE = 8192


@dataclass(frozen=True)
class Vocabulary:
    """The characters that can be read and written, and the rhymes that can be told.

    Parameters
    ----------
    characters : tuple of str
        BEGIN, then each character once, the most frequent first.
    rhymes : tuple of str
        Names of the level rhyme groups.
    """

    characters: tuple[str, ...]
    rhymes: tuple[str, ...]

    @classmethod
    def of(
        cls, poems: Sequence[Poem], table: ToneTable, at_least: int = FEWEST_OCCURRENCES
    ) -> "Vocabulary":
        """Take the characters that the couplets of `poems` hold often enough.

        Raises
        ------
        DataError
            There is none.
        """
        counts = Counter(
            each for width in WIDTHS for _, couplet in _couplets(poems, width) for each in couplet
        )
        frequent = [each for each, count in counts.items() if count >= at_least]
        if not frequent:
            raise DataError(
                f"no character occurs {at_least} times in couplets of five or seven characters a "
                "line: give `recsys ingest --poems` more classical verse"
            )
        by_frequency = sorted(frequent, key=lambda each: (-counts[each], each))
        rhymes = sorted(frozenset[str]().union(*map(table.rhymes, by_frequency)))
        return cls((BEGIN, *by_frequency), tuple(rhymes))

    def __len__(self) -> int:
        return len(self.characters)

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Character -> number."""
        return {each: number for number, each in enumerate(self.characters)}

    def text(self, row: Iterable[int]) -> str:
        """Turn the numbers of characters into them."""
        return "".join(self.characters[each] for each in row)

    def tone_class(self, second: Tone, last: Tone) -> int:
        """Number the tones that make a couplet's pattern; NOT_TOLD where one has two readings.

        Parameters
        ----------
        second, last : Tone
            Of the first line's second and last character.
        """
        if not {second, last} <= {Tone.LEVEL, Tone.OBLIQUE}:
            return NOT_TOLD
        return 1 + 2 * (second is Tone.OBLIQUE) + (last is Tone.OBLIQUE)

    def rhyme(self, name: str | None) -> int:
        """Number a level rhyme group; NOT_TOLD for any other and for None."""
        return self.rhymes.index(name) + 1 if name in self.rhymes else NOT_TOLD


@dataclass(frozen=True, eq=False)
class Couplets:
    """Couplets of one width, of known characters.

    Parameters
    ----------
    rows : int64, shape (n, 2 * width)
        Numbers of the characters of both lines.
    told : int64, shape (n, 3)
        Form, tone class and rhyme of each; NOT_TOLD where it is not clear.
    poems : int64, shape (n,)
        Which poem each is of: positions in the poems they were taken from.
    codes : float32, shape (n, poem_dim)
        Codes of the other couplets of the poem; zeros where there are none.
    n_left_out : int
        Couplets with a character that the vocabulary has not.
    """

    rows: NDArray[np.int64]
    told: NDArray[np.int64]
    poems: NDArray[np.int64]
    codes: NDArray[np.float32]
    n_left_out: int = 0

    @classmethod
    def of(
        cls,
        poems: Sequence[Poem],
        width: Width,
        vocabulary: Vocabulary,
        table: ToneTable,
        vae: VAE | None,
    ) -> "Couplets":
        """Take all couplets with lines of `width` characters.

        Parameters
        ----------
        poems : sequence of Poem
        width : int
        vocabulary : Vocabulary
        table : ToneTable
        vae : VAE or None
            Of the poems' bags of characters, which gives the codes; None: codes of no dimension.
        """
        rows, told, positions, texts, n_left_out = [], [], [], [], 0
        for position, couplet in _couplets(poems, width):
            numbers = [vocabulary.number_of.get(each, -1) for each in couplet]
            if -1 in numbers:
                n_left_out += 1
                continue
            rows.append(numbers)
            told.append(_told(poems[position], couplet, vocabulary, table))
            positions.append(position)
            texts.append(couplet)
        poem_of = np.array(positions, dtype=np.int64)
        return cls(
            np.array(rows, dtype=np.int64).reshape(-1, 2 * width),
            np.array(told, dtype=np.int64).reshape(-1, 3),
            poem_of,
            np.empty((len(rows), 0), dtype=np.float32)
            if vae is None
            else codes_of_others(vae, poems, poem_of, texts),
            n_left_out,
        )

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, places: NDArray[np.integer]) -> "Couplets":
        """Keep these, in this order."""
        return Couplets(
            self.rows[places], self.told[places], self.poems[places], self.codes[places]
        )

    def untold(self) -> "Couplets":
        """The same couplets, with nothing told of them but their width."""
        return Couplets(self.rows, np.zeros_like(self.told), self.poems, np.zeros_like(self.codes))


def codes_of_others(
    vae: VAE, poems: Sequence[Poem], poem_of: NDArray[np.int64], couplets: Sequence[str]
) -> NDArray[np.float32]:
    """Encode what a poem holds besides each couplet of it.

    Parameters
    ----------
    vae : VAE
    poems : sequence of Poem
    poem_of : int64, shape (n,)
        The poem of each couplet.
    couplets : sequence of str

    Returns
    -------
    float32, shape (n, latent_dim)
        Zeros where the couplet is all that there is: nothing is known then.
    """
    codes = np.zeros((len(couplets), vae.latent_dim), dtype=np.float32)
    whole = histories_of([each.text for each in poems], "character", vae.items)
    for rows in blocks_of(len(couplets), CODES_AT_ONCE):
        block = slice(rows[0], rows[-1] + 1)
        others = whole[poem_of[block]] - histories_of(couplets[block], "character", vae.items)
        others.eliminate_zeros()
        is_some = np.diff(others.indptr) > 0
        codes[block][is_some] = vae.encode(others)[is_some]
    return codes


def _couplets(poems: Sequence[Poem], width: int) -> Iterable[tuple[int, str]]:
    for position, poem in enumerate(poems):
        for first, second in poem.couplets:
            if len(first) == len(second) == width:
                yield position, first + second


def _told(
    poem: Poem, couplet: str, vocabulary: Vocabulary, table: ToneTable
) -> tuple[int, int, int]:
    form = FORMS.index(poem.form.rpartition("-")[2]) + 1
    width = len(couplet) // 2
    tones = vocabulary.tone_class(table.tone(couplet[1]), table.tone(couplet[width - 1]))
    return form, tones, vocabulary.rhyme(_only_rhyme(couplet[-1], table))


def _only_rhyme(character: str, table: ToneTable) -> str | None:
    groups = table.rhymes(character)
    is_level = table.tone(character) is Tone.LEVEL
    return next(iter(groups)) if is_level and len(groups) == 1 else None
