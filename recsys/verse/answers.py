"""What is answered about poems, as plain records: similar poems, and poems that were written."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from recsys.errors import ConfigError
from recsys.verse.composing import WrittenPoem
from recsys.verse.desk import Desk
from recsys.verse.lookup import PoemLookup, SimilarPoem
from recsys.verse.novelty import NearestLine
from recsys.verse.scripts import Script, Scripts

Record = dict[str, Any]

EITHER = "兩"
"""Marks a character that has a level and an oblique reading."""


@dataclass(frozen=True)
class Among:
    """Which poems are looked among, and how they are shown.

    Parameters
    ----------
    author, form : str or None
        Only poems of this author, in this form.
    script : {"traditional", "simplified"} or None
        None: as they are written.
    """

    author: str | None = None
    form: str | None = None
    script: Script | None = None


@dataclass(frozen=True, eq=False)
class SimilarPoems:
    """A look-up that reads either script and shows either.

    Parameters
    ----------
    lookup : PoemLookup
    scripts : Scripts or None
        None for words, and where OpenCC is not installed.
    """

    lookup: PoemLookup
    scripts: Scripts | None

    @classmethod
    def of(cls, lookup: PoemLookup, *, scripts_needed: bool = False) -> "SimilarPoems":
        """Build the way between scripts from the model's vocabulary.

        Raises
        ------
        ConfigError
            Scripts are needed, and OpenCC is not installed.
        """
        if lookup.unit != "character":
            return cls(lookup, None)
        vae = lookup.directions.vae
        counts = Counter(dict(zip(vae.items.ids.tolist(), vae.item_counts.tolist(), strict=True)))
        for poem in lookup.poems:  # a name may hold what no line does
            counts.update(poem.title + poem.author)
        try:
            return cls(lookup, Scripts.of(counts))
        except ConfigError:
            if scripts_needed:
                raise
            return cls(lookup, None)

    def to_source(self, text: str) -> str:
        """Bring a text to the characters of the poems."""
        return text if self.scripts is None else self.scripts.to_source(text)

    def to_poem(self, key: str, k: int, among: Among) -> Record:
        """Find poems like one that is named by id or title; see `PoemLookup.similar_to_poem`.

        Raises
        ------
        UnknownIdError
            Nothing, or more than one poem, is called so.
        """
        position, author = self.lookup.names.find(key), self._author(among)
        found = self.lookup.similar_to_poem(position, k, author=author, form=among.form)
        return self._answer(self.lookup.poems[position].id, found, k, among.script)

    def to_text(self, text: str, k: int, among: Among) -> Record:
        """Find poems like a text; see `PoemLookup.similar_to_text`."""
        source, author = self.to_source(text), self._author(among)
        found = self.lookup.similar_to_text(source, k, author=author, form=among.form)
        return self._answer(text, found, k, among.script)

    def unknown_units(self, text: str) -> list[str]:
        """Give what of a text the model has not met."""
        return self.lookup.unknown_units(self.to_source(text))

    def _author(self, among: Among) -> str | None:
        return None if among.author is None else self.to_source(among.author)

    def _answer(
        self, query: str, found: list[SimilarPoem], k: int, script: Script | None
    ) -> Record:
        record: Record = {"query": query, "items": [self._record_of(one, script) for one in found]}
        if len(found) < k:
            record["requested"] = k
        return record

    def _record_of(self, found: SimilarPoem, script: Script | None) -> Record:
        def shown(text: str) -> str:
            return text if self.scripts is None else self.scripts.shown(text, script)

        return {
            "poem": found.poem.id,
            "rank": found.rank,
            "score": found.score,
            "title": shown(found.poem.title),
            "author": shown(found.poem.author),
            "line": shown(found.line),
        }


def written_record(
    number: int, form: str, poem: WrittenPoem, desk: Desk, script: Script | None
) -> Record:
    """Shape a poem that was written, with what judges it.

    Parameters
    ----------
    number : int
        From 1, among those that were asked for together.
    form : str
    poem : WrittenPoem
    desk : Desk
        Where it was written.
    script : {"traditional", "simplified"} or None
    """
    plan, verdict = poem.plan, poem.verdict
    marks = ("",) * len(poem.lines) if verdict is None else verdict.marks
    rhyming = () if plan.pattern is None else plan.pattern.rhyme_lines
    lines = [
        {
            "line": desk.scripts.shown(line, script),
            "tones": marks[at],
            "pattern": "" if plan.pattern is None else plan.lines[at],
            "rhymes": at in rhyming,
            "ambiguous": [place for place, mark in enumerate(marks[at], 1) if mark == EITHER],
            "nearest": _nearest(poem.nearest[at], desk, script),
        }
        for at, line in enumerate(poem.lines)
    ]
    return {
        "poem": number,
        "form": form,
        "start": None if plan.pattern is None else plan.pattern.start,
        "rhyme": None if verdict is None else verdict.rhyme,
        "score": round(poem.score.total, 4),
        "log_likelihood": round(poem.score.log_likelihood, 4),
        "commonness": round(poem.score.commonness, 4),
        "closeness": round(poem.score.closeness, 4),
        "theme": round(poem.score.theme, 4),
        "antithesis": round(poem.score.antithesis, 4),
        "lines": lines,
    }


def _nearest(nearest: NearestLine | None, desk: Desk, script: Script | None) -> Record | None:
    if nearest is None:
        return None
    line, title, author = (
        desk.scripts.shown(each, script)
        for each in (nearest.line, nearest.poem.title, nearest.poem.author)
    )
    return {
        "line": line,
        "poem": nearest.poem.id,
        "title": title,
        "author": author,
        "closeness": round(nearest.closeness, 4),
    }
