"""Regulated verse: the tone patterns of six forms, and where a poem leaves them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

from recsys.errors import ConfigError
from recsys.verse.tones import Tone, ToneTable

VerseForm = Literal["5-jueju", "7-jueju", "5-lvshi", "7-lvshi", "couplet-5", "couplet-7"]

LEVEL, OBLIQUE, FREE = "平", "仄", "中"

# The four lines of regulated verse by their traditional letters: a capital one rhymes. Odd
# characters are free (一三五不論) but where that would end a line in three level (A) or three
# oblique (b) characters, and but for the first of B, where an oblique one would leave the line a
# single level character beside its rhyme (孤平).
_LINES = {
    5: {"a": "中仄中平仄", "A": "中仄仄平平", "b": "中平平仄仄", "B": "平平中仄平"},
    7: {"a": "中平中仄中平仄", "A": "中平中仄仄平平", "b": "中仄中平平仄仄", "B": "中仄平平中仄平"},
}
LICENCES = {
    "平平中仄平": "仄平平仄平",
    "中仄平平中仄平": "中仄仄平平仄平",
    "中平平仄仄": "平平仄平仄",
    "中仄中平平仄仄": "中仄平平仄平仄",
}
"""By line of a pattern what passes for it, as `check` says."""

_LENGTHS = {"jueju": 4, "lvshi": 8, "couplet": 2}
_NAMES = {LEVEL: "level", OBLIQUE: "oblique"}
_TONES = {LEVEL: Tone.LEVEL, OBLIQUE: Tone.OBLIQUE}


@dataclass(frozen=True)
class Pattern:
    """One of the four tone patterns of a form.

    Parameters
    ----------
    form : str
        A key of PATTERNS.
    start : "level" or "oblique"
        Tone of the first line's second character, by which patterns are named.
    first_rhymes : bool
        Whether the first line rhymes with the even ones.
    lines : tuple of str
        Per line, a tone per character: "平" level, "仄" oblique, "中" free. Opposition within
        couplets and sticking between them (對, 黏) are in the lines.
    rhyme_lines : tuple of int
        Positions of the lines that share one level rhyme.
    """

    form: VerseForm
    start: Literal["level", "oblique"]
    first_rhymes: bool
    lines: tuple[str, ...]
    rhyme_lines: tuple[int, ...]


@dataclass(frozen=True)
class Verdict:
    """What `check` found.

    Parameters
    ----------
    ok : bool
        Whether there is no fault.
    pattern : Pattern
        The one with the fewest faults; ties by fewer licensed lines, then by the order of
        `patterns`.
    marks : tuple of str
        Per line, the tone of each character as the table has it: "平", "仄", "兩" either, "？" in
        no table.
    rhyme : str or None
        The Pingshui group that all rhyme lines share, the first by code point of several; None
        where there is none.
    ambiguous : tuple of (int, int)
        Line and position, from 0, of the characters whose tone is EITHER; they count as right.
    unknown : tuple of (int, int)
        Those of the characters in no table; a fault only where the pattern wants a tone.
    licensed : tuple of int
        Lines that pass by a licence of `check`.
    faults : tuple of str
        A sentence each; lines and characters are counted from 1.
    """

    ok: bool
    pattern: Pattern
    marks: tuple[str, ...]
    rhyme: str | None
    ambiguous: tuple[tuple[int, int], ...]
    unknown: tuple[tuple[int, int], ...]
    licensed: tuple[int, ...]
    faults: tuple[str, ...]


def _pattern(form: VerseForm, width: int, n_lines: int, opening: str) -> Pattern:
    """Go on from an opening such as "aB": after a couplet ending in B comes bA, after A comes
    aB.
    """
    letters = opening
    while len(letters) < n_lines:
        letters += "bA" if letters[-1] == "B" else "aB"
    lines = tuple(_LINES[width][letter] for letter in letters)
    rhyme_lines = tuple(at for at, letter in enumerate(letters) if letter.isupper())
    return Pattern(
        form,
        "level" if lines[0][1] == LEVEL else "oblique",
        letters[0].isupper(),
        lines,
        rhyme_lines,
    )


def _patterns(form: VerseForm, width: int, kind: str) -> tuple[Pattern, ...]:
    return tuple(
        _pattern(form, width, _LENGTHS[kind], opening) for opening in ("aB", "bA", "AB", "BA")
    )


PATTERNS: Mapping[str, tuple[Pattern, ...]] = {
    "5-jueju": _patterns("5-jueju", 5, "jueju"),
    "7-jueju": _patterns("7-jueju", 7, "jueju"),
    "5-lvshi": _patterns("5-lvshi", 5, "lvshi"),
    "7-lvshi": _patterns("7-lvshi", 7, "lvshi"),
    "couplet-5": _patterns("couplet-5", 5, "couplet"),
    "couplet-7": _patterns("couplet-7", 7, "couplet"),
}
"""The four patterns of each form: the first line unrhymed (two), then rhymed (two)."""


def patterns(form: str) -> tuple[Pattern, ...]:
    """Return the four patterns of a form.

    Raises
    ------
    ConfigError
        For a form that is not one of the six.

    Examples
    --------
    >>> patterns("5-jueju")[0].lines
    ('中仄中平仄', '平平中仄平', '中平平仄仄', '中仄仄平平')
    """
    if form not in PATTERNS:
        raise ConfigError(f"no form is called {form!r}: choose one of {', '.join(PATTERNS)}")
    return PATTERNS[form]


def check(lines: Sequence[str], form: str, table: ToneTable) -> Verdict:
    """Say whether lines are regulated verse of a form, and where not.

    Parameters
    ----------
    lines : sequence of str
        Without punctuation, as `recsys.data.poems.Poem.lines` has them.
    form : str
        A key of PATTERNS.
    table : ToneTable
        The tones and rhymes to judge by.

    Returns
    -------
    Verdict
        For the best matching pattern. A wrong number or length of lines is a fault, and what exists
        is compared.

    Raises
    ------
    ConfigError
        For a form that is not one of the six.

    Notes
    -----
    Besides the lines of the pattern two licences pass, as they do with the poets: 仄平平仄平 for
    平平仄仄平, where the third character makes good for the first (孤平拗救), and 平平仄平仄 for
    平平平仄仄 (特拗); in seven characters likewise after the first two. Rhyme lines share one of
    the Pingshui level groups, the first line too (no borrowing from a neighbouring group).
    """
    tones = [[table.tone(character) for character in line] for line in lines]
    readings = [_read(lines, tones, pattern, table) for pattern in patterns(form)]
    return min(readings, key=lambda each: (len(each.faults), len(each.licensed)))


def _read(
    lines: Sequence[str], tones: list[list[Tone]], pattern: Pattern, table: ToneTable
) -> Verdict:
    """Judge by one pattern."""
    faults = _shape_faults(lines, pattern)
    licensed = []
    for at, (line, of_line, wanted) in enumerate(zip(lines, tones, pattern.lines, strict=False)):
        found = _tone_faults(at, line, of_line, wanted)
        if found and wanted in LICENCES and not _tone_faults(at, line, of_line, LICENCES[wanted]):
            licensed.append(at)
        else:
            faults += found
    rhyme, broken = _rhyme(lines, pattern, table)
    return Verdict(
        ok=not (faults + broken),
        pattern=pattern,
        marks=tuple("".join(tone.value for tone in of_line) for of_line in tones),
        rhyme=rhyme,
        ambiguous=_places(tones, Tone.EITHER),
        unknown=_places(tones, Tone.UNKNOWN),
        licensed=tuple(licensed),
        faults=tuple(faults + broken),
    )


def _places(tones: list[list[Tone]], wanted: Tone) -> tuple[tuple[int, int], ...]:
    return tuple(
        (line, at)
        for line, of_line in enumerate(tones)
        for at, tone in enumerate(of_line)
        if tone is wanted
    )


def _shape_faults(lines: Sequence[str], pattern: Pattern) -> list[str]:
    faults = []
    if len(lines) != len(pattern.lines):
        faults.append(f"{pattern.form} has {len(pattern.lines)} lines; found {len(lines)}")
    width = len(pattern.lines[0])
    faults += [
        f"line {at} ({line}) has {len(line)} characters; expected {width}"
        for at, line in enumerate(lines, 1)
        if len(line) != width
    ]
    return faults


def _tone_faults(line_at: int, line: str, tones: list[Tone], wanted: str) -> list[str]:
    faults = []
    for at, (character, tone, mark) in enumerate(zip(line, tones, wanted, strict=False), 1):
        if mark == FREE or tone in (_TONES[mark], Tone.EITHER):
            continue
        found = "in no rhyme table" if tone is Tone.UNKNOWN else _NAMES[tone.value]
        faults.append(
            f"line {line_at + 1}, character {at} ({character}) is {found}; expected {_NAMES[mark]}"
        )
    return faults


def _rhyme(
    lines: Sequence[str], pattern: Pattern, table: ToneTable
) -> tuple[str | None, list[str]]:
    """Group that all rhyme lines share, or none and the sentence that says so."""
    last = {at: lines[at][-1] for at in pattern.rhyme_lines if at < len(lines) and lines[at]}
    groups = {at: table.rhymes(character) for at, character in last.items()}
    common = reduce(frozenset.intersection, groups.values()) if groups else frozenset()
    if common:
        return min(common), []
    found = ", ".join(
        f"line {at + 1} {last[at]} ({'/'.join(sorted(groups[at])) or 'no level rhyme'})"
        for at in last
    )
    return None, [
        f"the rhyme is broken: {found}; expected one level rhyme group in common"
    ] if last else []
