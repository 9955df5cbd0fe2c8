"""What is asked of a poem, and the plan of its places: tones, rhyme, and characters given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.data.poem_text import is_mostly_han
from recsys.errors import ConfigError, DataError
from recsys.verse.masks import ANY, OBLIQUE_END, Masks
from recsys.verse.prosody import FREE, LEVEL, LICENCES, OBLIQUE, Pattern, VerseForm, patterns
from recsys.verse.tones import Tone, ToneTable

FIRST_LINE_RHYMES = {5: 0.15, 7: 0.75}
"""How often the first line rhymes, by its length: in regulated Tang verse 11 to 19 % and
73 to 77 %."""

SPARE_RHYMES = 3
"""Characters that a rhyme group must have in the vocabulary beyond those that a poem needs."""

_FITS = {
    LEVEL: (Tone.LEVEL, Tone.EITHER),
    OBLIQUE: (Tone.OBLIQUE, Tone.EITHER),
    FREE: tuple(Tone),
}
_NAMES = {LEVEL: "level", OBLIQUE: "oblique"}


@dataclass(frozen=True)
class Request:
    """What a poem shall be.

    Parameters
    ----------
    form : str
        One of `recsys.verse.prosody.PATTERNS`.
    acrostic : str
        The first characters of the lines; "" for none.
    first_line : str
        "" for none.
    free : bool
        Without tone pattern and rhyme.

    Raises
    ------
    ConfigError
        There is no such form, or the acrostic or the first line is of another length, or they
        contradict each other.
    DataError
        They are not Chinese characters.
    """

    form: VerseForm
    acrostic: str = ""
    first_line: str = ""
    free: bool = False

    def __post_init__(self) -> None:
        n_lines, width = len(patterns(self.form)[0].lines), self.width
        for name, text, length, per in (
            ("acrostic", self.acrostic, n_lines, "one a line"),
            ("first line", self.first_line, width, "as its lines have"),
        ):
            if not text:
                continue
            foreign = [each for each in dict.fromkeys(text) if not is_mostly_han(each)]
            if foreign:
                raise DataError(
                    f"the {name} {text!r} holds {', '.join(map(repr, foreign[:5]))}; "
                    "expected Chinese characters alone"
                )
            if len(text) != length:
                raise ConfigError(
                    f"the {name} {text!r} has {len(text)} characters; a {self.form} takes "
                    f"{length}, {per}"
                )
        if self.acrostic and self.first_line and self.acrostic[0] != self.first_line[0]:
            raise ConfigError(
                f"the acrostic begins with {self.acrostic[0]!r} and the first line with "
                f"{self.first_line[0]!r}: they must be the same character"
            )

    @property
    def width(self) -> int:
        """Characters of a line."""
        return len(patterns(self.form)[0].lines[0])

    @property
    def given(self) -> dict[tuple[int, int], str]:
        """Characters by line and place."""
        of_acrostic = {(line, 0): each for line, each in enumerate(self.acrostic)}
        return of_acrostic | {(0, at): each for at, each in enumerate(self.first_line)}


@dataclass(frozen=True)
class Plan:
    """What the places of one poem ask for.

    Parameters
    ----------
    pattern : Pattern or None
        None where the verse is free.
    rhyme : str or None
        The level group that the rhyme lines share.
    lines : tuple of str
        The pattern's lines, but with a poet's licence where what is given needs it; ANY's place
        is "？" in free verse.
    kinds : tuple of tuple of str
        Per line, the kind of each place: a row of `Masks`.
    """

    pattern: Pattern | None
    rhyme: str | None
    lines: tuple[str, ...]
    kinds: tuple[tuple[str, ...], ...]


def plans(
    request: Request,
    table: ToneTable | None,
    masks: Masks,
    rhyme_weights: Mapping[str, float],
    n: int,
    rng: np.random.Generator,
) -> list[Plan]:
    """Draw a pattern and a rhyme for each of n poems, among those that what is given allows.

    Parameters
    ----------
    request : Request
    table : ToneTable or None
        None for free verse.
    masks : Masks
    rhyme_weights : mapping of str to float
        How often verse rhymes in each group.
    n : int
    rng : numpy.random.Generator

    Raises
    ------
    ConfigError
        No pattern or no rhyme has room for what is given; the message says what is nearest.
    """
    if table is None:
        places = (ANY,) * request.width
        n_lines = len(patterns(request.form)[0].lines)
        lines = ("？" * request.width,) * n_lines
        return [Plan(None, None, lines, (places,) * n_lines)] * n
    options = _options(request, table, masks, rhyme_weights)
    weights = np.array([weight for weight, _ in options])
    drawn = rng.choice(len(options), size=n, p=weights / weights.sum())
    return [options[each][1] for each in drawn]


def _options(
    request: Request, table: ToneTable, masks: Masks, rhyme_weights: Mapping[str, float]
) -> list[tuple[float, Plan]]:
    """Every plan that fits, with its weight; those with the fewest licences alone."""
    first = FIRST_LINE_RHYMES[request.width]
    fitting, complaints = [], []
    for pattern in patterns(request.form):
        lines, faults = _lines_for(pattern, request, table)
        rhymes = _rhymes_for(pattern, request, table, masks, rhyme_weights)
        if faults:
            complaints.append(faults)
        elif rhymes:
            n_licensed = sum(a != b for a, b in zip(lines, pattern.lines, strict=True))
            share = first if pattern.first_rhymes else 1 - first
            fitting.append((n_licensed, share, pattern, lines, rhymes))
    if not fitting and complaints:
        nearest = min(complaints, key=len)
        raise ConfigError(
            f"no tone pattern of a {request.form} has what is given: in the nearest one "
            f"{'; '.join(nearest[:5])}; change it, or ask for --free verse"
        )
    if not fitting:
        end = f" and {request.first_line[-1]!r}" if request.first_line else ""
        raise ConfigError(
            f"the characters of the model{end} have no rhyme group in common that is large enough "
            f"for a {request.form}; ask for another form or first line, or for --free verse"
        )
    fewest = min(each[0] for each in fitting)
    return [
        (share * weight / sum(rhymes.values()), _plan(pattern, lines, rhyme))
        for n_licensed, share, pattern, lines, rhymes in fitting
        if n_licensed == fewest
        for rhyme, weight in rhymes.items()
    ]


def _lines_for(
    pattern: Pattern, request: Request, table: ToneTable
) -> tuple[tuple[str, ...], list[str]]:
    """The pattern's lines, licensed where that helps, and what is against them."""
    lines, faults = [], []
    for number, wanted in enumerate(pattern.lines):
        found = _faults(number, wanted, request, table)
        licensed = LICENCES.get(wanted)
        if found and licensed is not None and not _faults(number, licensed, request, table):
            wanted, found = licensed, []
        lines.append(wanted)
        faults += found
    return tuple(lines), faults


def _faults(number: int, wanted: str, request: Request, table: ToneTable) -> list[str]:
    return [
        f"{each!r} would have to be {_NAMES[wanted[at]]} (line {number + 1}, place {at + 1})"
        for (line, at), each in request.given.items()
        if line == number and table.tone(each) not in _FITS[wanted[at]]
    ]


def _rhymes_for(
    pattern: Pattern,
    request: Request,
    table: ToneTable,
    masks: Masks,
    rhyme_weights: Mapping[str, float],
) -> dict[str, float]:
    """Weight of each rhyme group that has characters enough, and those given."""
    needed = len(pattern.rhyme_lines) + SPARE_RHYMES
    counts = masks.allowed.sum(axis=1)
    sizes = dict(zip(masks.kinds, counts.tolist(), strict=True))
    possible = {
        name: weight for name, weight in rhyme_weights.items() if sizes.get(name, 0) >= needed
    }
    if request.first_line and 0 in pattern.rhyme_lines:
        of_end = table.rhymes(request.first_line[-1])
        possible = {name: weight for name, weight in possible.items() if name in of_end}
    return possible


def _plan(pattern: Pattern, lines: tuple[str, ...], rhyme: str) -> Plan:
    kinds = []
    for number, line in enumerate(lines):
        end = rhyme if number in pattern.rhyme_lines else OBLIQUE_END
        kinds.append((*line[:-1], end))
    return Plan(pattern, rhyme, lines, tuple(kinds))


def rhyme_weights(ends: Sequence[str], table: ToneTable) -> dict[str, float]:
    """Count the rhyme groups of line ends; an end of several groups counts for none.

    Parameters
    ----------
    ends : sequence of str
        Last characters of the rhyming lines.
    """
    groups = [table.rhymes(each) for each in ends]
    names, counts = np.unique([min(each) for each in groups if len(each) == 1], return_counts=True)
    return dict(zip(names.tolist(), counts.astype(float).tolist(), strict=True))
