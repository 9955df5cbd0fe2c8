"""Traditional and simplified characters: what a query is brought to, and what a reader is shown."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from recsys.verse.opencc_forms import convert_each, converter

Script = Literal["traditional", "simplified"]

_STRAY_SHARE = 0.01
"""Below this share of its sister's count, a form in a traditional corpus is a slip."""


@dataclass(frozen=True)
class Scripts:
    """The script of a corpus and the way into it.

    Parameters
    ----------
    counts : mapping of str to int
        How often each character occurs in training.
    simplified : mapping of str to str
        The simplified form of each character in ``counts``.
    most_frequent : mapping of str to str
        By simplified form, the character of ``counts`` that occurs most; ties go by code point.

    Notes
    -----
    A character that has another simplified form (雲) is *traditional*; one that is the simplified
    form of other characters of the vocabulary (云, 后, 里) may be *both*, for some of these are
    words of their own in traditional text (云 "says", 后 "queen"). In a text that has a traditional
    character, those that the vocabulary has stay as they are; in any other text each becomes the
    most frequent character of its simplified form, so that 后 alone means 後 and 里 stays 里 where
    miles are more frequent than insides. A form that occurs less than a hundredth as often as its
    most frequent sister is simplified only, and always changes.
    """

    counts: Mapping[str, int]
    simplified: Mapping[str, str]
    most_frequent: Mapping[str, str]

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> "Scripts":
        """Build from a vocabulary with its counts; a word counts for each of its characters.

        Raises
        ------
        ConfigError
            When opencc is not installed.
        """
        characters: Counter[str] = Counter()
        for unit, count in counts.items():
            for character in unit:
                characters[character] += count
        simplified = convert_each(characters, converter("t2s"))
        most_frequent: dict[str, str] = {}
        for character in sorted(characters, key=lambda each: (-characters[each], each)):
            most_frequent.setdefault(simplified[character], character)
        return cls(dict(characters), simplified, most_frequent)

    @cached_property
    def is_simplified(self) -> bool:
        """Whether the corpus is simplified: under 1 % of what has two forms is traditional."""
        of_source = convert_each(self.counts, self._to_traditional)
        traditional = sum(
            count for each, count in self.counts.items() if self.simplified[each] != each
        )
        simplified = sum(count for each, count in self.counts.items() if of_source[each] != each)
        return simplified > 0 and traditional < 0.01 * (traditional + simplified)

    def to_source(self, text: str) -> str:
        """Bring a text to the corpus's characters; what it does not have in any form stays."""
        if self.is_simplified:
            return str(self._to_simplified.convert(text))
        simplified = convert_each(set(text), self._to_simplified)
        text_is_traditional = any(simplified[each] != each for each in text)
        return "".join(
            self._source_of(each, simplified[each], text_is_traditional) for each in text
        )

    def shown(self, text: str, script: Script | None) -> str:
        """Write a text in the script that a reader asked for; None leaves it as it is.

        From a simplified corpus, traditional characters are OpenCC's choice by phrase; a
        traditional corpus is shown as it is.
        """
        if script == "simplified":
            return str(self._to_simplified.convert(text))
        if script == "traditional" and self.is_simplified:
            return str(self._to_traditional.convert(text))
        return text

    def _source_of(self, character: str, simplified: str, text_is_traditional: bool) -> str:
        best = self.most_frequent.get(simplified, character)
        count = self.counts.get(character, 0)
        stays = text_is_traditional or simplified != character
        return (
            character
            if stays and count >= max(1, _STRAY_SHARE * self.counts.get(best, 0))
            else best
        )

    @cached_property
    def _to_simplified(self) -> Any:
        return converter("t2s")

    @cached_property
    def _to_traditional(self) -> Any:
        return converter("s2t")
