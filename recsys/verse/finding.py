"""Poems by what a person calls them: an id, or a title."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from recsys.data.ids import IdMap
from recsys.data.poems import Poem
from recsys.errors import ConfigError, UnknownIdError
from recsys.verse.opencc_forms import converter

SHOWN_CANDIDATES = 10
"""Poems of the same title that a refusal lists."""


@dataclass(frozen=True, eq=False)
class PoemNames:
    """Ids and titles of poems.

    Parameters
    ----------
    poems : sequence of Poem
    """

    poems: Sequence[Poem]

    def find(self, key: str) -> int:
        """Find a poem by its id, or by its title (in either script) where just one poem has it.

        Returns
        -------
        int
            Its position.

        Raises
        ------
        UnknownIdError
            No poem has the id or the title.
        ConfigError
            Several poems have the title; they are listed.
        """
        of_id = self._ids.find([key])[0]
        if of_id >= 0:
            return int(of_id)
        titled = self._titled.get(key) or self._in_simplified(key)
        if not titled:
            near = IdMap.in_order(self._titled, "title").nearest(key)
            hint = f"; the nearest titles: {', '.join(near)}" if near else ""
            raise UnknownIdError(
                f"no poem has the id or the title {key!r} (of {len(self.poems):,} poems){hint}"
            )
        if len(titled) > 1:
            listed = ", ".join(
                f"{self.poems[each].id} ({self.poems[each].author or 'unknown'}: "
                f"{self.poems[each].lines[0]})"
                for each in titled[:SHOWN_CANDIDATES]
            )
            left = len(titled) - SHOWN_CANDIDATES
            more = f" and {left} more" if left > 0 else ""
            raise ConfigError(
                f"{len(titled)} poems are called {key!r}; give the id of one: {listed}{more}"
            )
        return titled[0]

    @cached_property
    def _ids(self) -> IdMap:
        return IdMap.in_order((each.id for each in self.poems), "poem")

    def _in_simplified(self, key: str) -> list[int]:
        """Positions of the poems whose title is this one once both are simplified."""
        simplify, titled = self._simplified
        return titled.get(simplify(key), [])

    @cached_property
    def _simplified(self) -> tuple[Callable[[str], str], dict[str, list[int]]]:
        """What simplifies a title, and the positions of each simplified one."""
        try:
            simplify: Callable[[str], str] = converter("t2s").convert
        except ConfigError:  # without opencc titles are known as they are written
            return str, {}
        titled: dict[str, list[int]] = {}
        for title, positions in self._titled.items():
            titled.setdefault(simplify(title), []).extend(positions)
        return simplify, titled

    @cached_property
    def _titled(self) -> dict[str, list[int]]:
        titled: dict[str, list[int]] = {}
        for position, each in enumerate(self.poems):
            titled.setdefault(each.title, []).append(position)
        titled.pop("", None)
        return titled
