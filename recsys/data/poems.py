"""Poems as records: lines, couplets and form, and the table that an artefact keeps of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pandas as pd

from recsys.data.poem_text import is_mostly_han

Form = Literal["5-jueju", "7-jueju", "5-lvshi", "7-lvshi", "other"]
"""Four or eight lines of five or seven characters; anything else is other."""

_FORMS: dict[tuple[int, int], Form] = {
    (4, 5): "5-jueju",
    (4, 7): "7-jueju",
    (8, 5): "5-lvshi",
    (8, 7): "7-lvshi",
}

_BETWEEN_LINES = re.compile(r"[\s，。！？；：、,.!?;:]+")
_MARKS = re.compile("[「」『』《》〈〉“”…·]")

TABLE_COLUMNS = ("user_id", "title", "author", "form", "text")


@dataclass(frozen=True)
class Poem:
    """One poem, in the script that it was read in.

    Parameters
    ----------
    id : str
        The caller's.
    title, author : str
        Empty where unknown.
    paragraphs : tuple of str
        With their punctuation; in Tang verse a paragraph is a couplet.
    """

    id: str
    title: str
    author: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it, a paragraph a line."""
        return "\n".join(self.paragraphs)

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """In Chinese verse what stands between stops, without marks; else the lines of the text.

        Examples
        --------
        >>> Poem("1", "登鸛雀樓", "王之渙", ("白日依山盡，黃河入海流。",)).lines
        ('白日依山盡', '黃河入海流')
        """
        text = self.text
        if not is_mostly_han(text):
            return tuple(line for line in map(str.strip, text.split("\n")) if line)
        return tuple(line for line in _BETWEEN_LINES.split(_MARKS.sub("", text)) if line)

    @property
    def couplets(self) -> tuple[tuple[str, str], ...]:
        """Lines two by two; an odd last line is left out."""
        return tuple(zip(self.lines[::2], self.lines[1::2], strict=False))

    @property
    def form(self) -> Form:
        """By the number of lines and their common length."""
        lengths = {len(line) for line in self.lines}
        if len(lengths) != 1:
            return "other"
        return _FORMS.get((len(self.lines), lengths.pop()), "other")


def poem_table(poems: Iterable[Poem]) -> pd.DataFrame:
    """Lay poems out as the user table of an interactions artefact: TABLE_COLUMNS, all str."""
    rows = [(each.id, each.title, each.author, each.form, each.text) for each in poems]
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS), dtype=str)


def poems_of(table: pd.DataFrame) -> list[Poem]:
    """Bring back what `poem_table` laid out, in its order."""
    columns = (table[name] for name in ("user_id", "title", "author", "text"))
    return [
        Poem(user_id, title, author, tuple(text.split("\n")))
        for user_id, title, author, text in zip(*columns, strict=True)
    ]
