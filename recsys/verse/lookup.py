"""Similar poems: a poem or any line of verse -> the poems most like it, with their closest line."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.ids import IdMap
from recsys.data.interactions import csr_from_pairs
from recsys.data.poem_units import Unit, units_of
from recsys.data.poems import Poem
from recsys.errors import ConfigError, DataError, UnknownIdError
from recsys.index.cell_index import CellIndex
from recsys.index.item_index import ItemIndex
from recsys.verse.directions import Directions
from recsys.verse.finding import PoemNames


@dataclass(frozen=True)
class SimilarPoem:
    """A poem that was found; a higher score is nearer, rank 1 is nearest.

    Parameters
    ----------
    poem : Poem
    rank : int
    score : float
        At most 1: of the query with the poem, or with the line or couplet of it that is nearest
        where the query is itself a line or couplet.
    line : str
        Of the poem's lines the one whose own similarity with the query is highest.
    """

    poem: Poem
    rank: int
    score: float
    line: str


@dataclass(frozen=True, eq=False)
class Parts:
    """An index of parts of poems: their lines, or their couplets.

    Parameters
    ----------
    index : CellIndex
    poem_of : int32, shape (n_parts,)
        The position of each part's poem.
    """

    index: CellIndex
    poem_of: NDArray[np.int32]

    def texts(
        self,
        positions: NDArray[np.integer],
        poems: Sequence[Poem],
        texts_of: Callable[[Sequence[Poem]], Iterator[tuple[int, str]]],
    ) -> list[str]:
        """Give the parts at some positions; `texts_of` gives the parts of poems in order."""
        found = []
        for position in positions:
            poem = self.poem_of[position]
            number = int(position - np.searchsorted(self.poem_of, poem))
            found.append(next(islice(texts_of([poems[poem]]), number, None))[1])
        return found


@dataclass(frozen=True, eq=False)
class PoemLookup:
    """Everything that a look-up needs, loaded.

    Parameters
    ----------
    poems : sequence of Poem
    unit : {"character", "word"}
        What an item of the model is.
    directions : Directions
    whole : ItemIndex
        Of the poems, in their order; its search is exact.
    couplets, lines : Parts
        8 bits a number, searched in the nearest cells; what they find is ranked again exactly.
    """

    poems: Sequence[Poem]
    unit: Unit
    directions: Directions
    whole: ItemIndex
    couplets: Parts
    lines: Parts

    @property
    def items(self) -> IdMap:
        """The characters that the model knows."""
        return self.directions.vae.items

    def unknown_units(self, text: str) -> list[str]:
        """Give the characters or words of a text that the model has not met, each once."""
        units = list(dict.fromkeys(units_of(text, self.unit)))
        return [each for each, at in zip(units, self.items.find(units), strict=True) if at < 0]

    def similar_to_poem(
        self, position: int, k: int = 10, *, author: str | None = None, form: str | None = None
    ) -> list[SimilarPoem]:
        """Find the poems most like one of them, other than itself.

        Parameters
        ----------
        position : int
            As `names.find` gives it.
        k : int
            Fewer come back only where fewer exist.
        author, form : str or None
            Only poems of this author, in this form.

        Raises
        ------
        ConfigError
            k is below 1, or no other poem is of this author and form.
        """
        allowed = self._allowed(k, author, form)
        allowed = np.ones(len(self.poems), dtype=bool) if allowed is None else allowed
        allowed[position] = False
        _check_any(allowed, author, form)
        query = self.whole.vectors[position]
        return self._similar_whole(query, k, allowed)

    def similar_to_text(
        self, text: str, k: int = 10, *, author: str | None = None, form: str | None = None
    ) -> list[SimilarPoem]:
        """Find the poems most like a text.

        A line is looked up among lines, two among couplets, and more among whole poems.

        Parameters
        ----------
        text : str
            In the script of the poems.
        k, author, form
            As of `similar_to_poem`.

        Raises
        ------
        DataError
            The model knows no character of it.
        ConfigError
            As of `similar_to_poem`.
        """
        allowed = self._allowed(k, author, form)
        if allowed is not None:
            _check_any(allowed, author, form)
        history = histories_of([text], self.unit, self.items)
        if not history.nnz:
            noun = "Chinese character" if self.unit == "character" else "word"
            raise DataError(
                f"{text!r} holds no {noun} that the model knows (it knows {len(self.items):,}); "
                "give a line of verse or more"
            )
        query = self.directions.of(history)[0]
        n_lines = len(Poem("", "", "", (text,)).lines)
        if n_lines > 2:
            return self._similar_whole(query, k, allowed)
        if n_lines == 1:
            return self._similar_by_part(query, k, self.lines, texts_of_lines, allowed)
        return self._similar_by_part(query, k, self.couplets, texts_of_couplets, allowed)

    def _similar_whole(
        self, query: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None
    ) -> list[SimilarPoem]:
        ranking = self.whole.search(query[None], min(k, len(self.poems)), allowed=allowed)
        found = ranking.positions[0] >= 0
        return self._shown(query, ranking.positions[0, found], ranking.scores[0, found])

    def _similar_by_part(
        self,
        query: NDArray[np.float32],
        k: int,
        parts: Parts,
        texts_of: Callable[[Sequence[Poem]], Iterator[tuple[int, str]]],
        allowed: NDArray[np.bool_] | None,
    ) -> list[SimilarPoem]:
        """Ask for more parts until they are of k poems, or all have been seen; then rank these."""
        permitted = None if allowed is None else allowed[parts.poem_of]
        n_permitted = len(parts.poem_of) if permitted is None else int(permitted.sum())
        depth = min(2 * k, n_permitted)
        while True:
            ranking = parts.index.search(query, depth, allowed=permitted)
            at = ranking.positions[0] >= 0
            poems = np.unique(parts.poem_of[ranking.positions[0, at]])
            if len(poems) >= k or depth == n_permitted:
                break
            depth = min(4 * depth, n_permitted)
        # 8 bits a number cannot tell the nearest parts apart: not even a line from one like it.
        found = np.sort(ranking.positions[0, at])
        texts = parts.texts(found, self.poems, texts_of)
        likeness = self._likeness(query, texts)
        best_part: dict[int, int] = {}
        for part in np.argsort(-likeness, kind="stable").tolist():
            best_part.setdefault(int(parts.poem_of[found[part]]), part)
        positions, best = (np.array(each[:k]) for each in zip(*best_part.items(), strict=True))
        closest = [texts[each] for each in best] if parts is self.lines else None
        return self._shown(query, positions, likeness[best], closest)

    def _likeness(self, query: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
        """Give each text's cosine with the query; they are encoded together."""
        directions = self.directions.of(histories_of(texts, self.unit, self.items))
        return np.asarray(directions @ query)

    def _shown(
        self,
        query: NDArray[np.float32],
        positions: NDArray[np.integer],
        scores: NDArray[np.float32],
        closest: Sequence[str] | None = None,
    ) -> list[SimilarPoem]:
        """Add each poem's closest line, which is looked for where it is not known yet."""
        poems = [self.poems[each] for each in positions]
        closest = closest or self._closest_lines(query, poems)
        # Rounding takes a cosine to a little above 1.
        return [
            SimilarPoem(poem, rank, min(float(score), 1.0), line)
            for rank, (poem, score, line) in enumerate(
                zip(poems, scores, closest, strict=True), start=1
            )
        ]

    def _closest_lines(self, query: NDArray[np.float32], poems: Sequence[Poem]) -> list[str]:
        likeness = self._likeness(query, list(chain.from_iterable(each.lines for each in poems)))
        found, start = [], 0
        for poem in poems:
            stop = start + len(poem.lines)
            found.append(poem.lines[int(likeness[start:stop].argmax())])
            start = stop
        return found

    def _allowed(self, k: int, author: str | None, form: str | None) -> NDArray[np.bool_] | None:
        if k < 1:
            raise ConfigError(f"k is {k}, expected at least 1")
        if author is None and form is None:
            return None
        allowed = np.ones(len(self.poems), dtype=bool)
        if author is not None:
            allowed &= self._authors == author
            if not allowed.any():
                near = IdMap.of(self._authors, "author").nearest(author)
                hint = f"; the nearest known: {', '.join(near)}" if near else ""
                raise UnknownIdError(f"no poem is by {author!r}{hint}")
        if form is not None:
            allowed &= self._forms == form
        return allowed

    @cached_property
    def names(self) -> PoemNames:
        """Finds a poem by its id or title."""
        return PoemNames(self.poems)

    @cached_property
    def _authors(self) -> NDArray[np.object_]:
        return np.array([each.author for each in self.poems], dtype=object)

    @cached_property
    def _forms(self) -> NDArray[np.object_]:
        return np.array([each.form for each in self.poems], dtype=object)


def histories_of(texts: Sequence[str], unit: Unit, items: IdMap) -> csr_array:
    """Count the units of texts; float32, shape (n_texts, n_items)."""
    units = [units_of(each, unit) for each in texts]
    columns = items.find(list(chain.from_iterable(units)))
    rows = np.repeat(np.arange(len(texts)), [len(each) for each in units])
    known = columns >= 0
    # One pair a row and column, with its count.
    pairs, counts = np.unique(rows[known] * len(items) + columns[known], return_counts=True)
    return csr_from_pairs(
        *np.divmod(pairs, len(items)), counts.astype(np.float32), (len(texts), len(items))
    )


def texts_of_couplets(poems: Sequence[Poem]) -> Iterator[tuple[int, str]]:
    """Give each couplet with the position of its poem; a lone line stands for one."""
    for position, poem in enumerate(poems):
        for pair in poem.couplets or [poem.lines]:
            yield position, "，".join(pair)


def texts_of_lines(poems: Sequence[Poem]) -> Iterator[tuple[int, str]]:
    """Give each line with the position of its poem."""
    for position, poem in enumerate(poems):
        for line in poem.lines:
            yield position, line


def _check_any(allowed: NDArray[np.bool_], author: str | None, form: str | None) -> None:
    if not allowed.any():
        asked = [f"by {author}"] * (author is not None) + [f"of form {form}"] * (form is not None)
        raise ConfigError(f"there is no other poem {' '.join(asked)}".rstrip())
