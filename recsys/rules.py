"""What may be given and how a list is put together: rules by id, then by position."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.data.artefact import rows_of
from recsys.data.ids import IdMap
from recsys.data.where import known_column, parse_where
from recsys.errors import ConfigError
from recsys.ranking import Ranking
from recsys.recommendation import GroupLimit, checked_ids
from recsys.settings import check_range

DIVERSE_AMONG = 10
"""A diverse list of k is put together from the 10 k best."""

MOST_POPULARITY = 100.0
"""Beyond it nothing but popularity is left of a list."""


@dataclass(frozen=True)
class Rules:
    """What a list must and must not hold; without any of them it is the k best.

    Parameters
    ----------
    allow : collection of str or None
        Only these item ids; None allows every item. Ids that the model has not met are ignored.
    deny : collection of str
        None of these item ids.
    where : str or None
        Only items whose attributes pass, see `recsys.data.where`.
    at_most : tuple of (str, int) or None
        A column of the items' table, and how many items of a list may share a cell of it; an
        empty cell is shared with nobody.
    diversity : float
        From 0 (off) to 1: weight of not being like what the list already holds (maximal marginal
        relevance, Carbonell and Goldstein 1998) against the score.
    popularity : float
        Added to each score times the natural logarithm of the item's share of training users:
        at -1 a list holds what is likelier for this user than for others, above 0 what is
        popular gains; 0 is off. Those without a history get what is popular all the same.

    Raises
    ------
    ConfigError
        A list of ids is a single text or holds what is no text, the rule cannot be read, or a
        number is out of its range.
    """

    allow: Collection[str] | None = None
    deny: Collection[str] = ()
    where: str | None = None
    at_most: tuple[str, int] | None = None
    diversity: float = 0.0
    popularity: float = 0.0

    def __post_init__(self) -> None:
        # Held as tuples: a generator could be gone through only once.
        if self.allow is not None:
            object.__setattr__(self, "allow", tuple(checked_ids(self.allow, "allow")))
        object.__setattr__(self, "deny", tuple(checked_ids(self.deny, "deny")))
        if self.where is not None:
            if not isinstance(self.where, str):
                raise ConfigError(f"where is {self.where!r}, expected a text")
            parse_where(self.where)
        if self.at_most is not None:
            object.__setattr__(self, "at_most", _checked_limit(self.at_most))
        check_range("diversity", self.diversity, at_least=0, at_most=1)
        check_range(
            "popularity", self.popularity, at_least=-MOST_POPULARITY, at_most=MOST_POPULARITY
        )

    def mask(self, items: IdMap, table: pd.DataFrame) -> NDArray[np.bool_] | None:
        """Items that may be given; bool, shape (n_items,), or None when all may.

        Parameters
        ----------
        items : IdMap
            The catalogue.
        table : DataFrame
            What is known of items, see `recsys.data.artefact.InteractionStore`.
        """
        denied = list(self.deny)
        if self.allow is None and not denied and self.where is None:
            return None
        allowed = np.full(len(items), self.allow is None)
        if self.allow is not None:
            allowed[_known(items, list(self.allow))] = True
        if self.where is not None:
            allowed &= parse_where(self.where).mask(attributes_of(items, table))
        allowed[_known(items, denied)] = False
        return allowed


def _checked_limit(at_most: Any) -> tuple[str, int]:
    """Take a column and a number, as a tuple that can be hashed."""
    try:
        column, most = at_most
    except (TypeError, ValueError):
        column, most = None, None
    if not isinstance(column, str) or not _is_whole(most):
        raise ConfigError(f"at_most is {at_most!r}, expected a column and a whole number")
    if most < 1:
        raise ConfigError(f"at most {most} of {column}: expected 1 or more")
    return column, int(most)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


NO_RULES = Rules()
"""Every item may be given, the best first."""


@dataclass(frozen=True)
class Manner:
    """How a list is made, whoever it is for; lists of one manner can be ranked together.

    Parameters
    ----------
    k : int
        At least 1. Fewer come back only where fewer exist.
    exclude_seen : bool
    rules : Rules
    n_reasons : int
        Above 0: each item tells so many items of the history that add most to its score, and the
        interval of the score.
    explore : int or None
        A seed: items are then ranked by a code drawn from the posterior of each user's (Thompson
        sampling), so that what is uncertain is tried.
    n_new : int
        So many of the k places go to items that the model has not met, at the end of each list:
        see `recsys.cold`. Rules by id and attribute hold for them as well, and so does at most
        so many of a group; diversity and popularity do not look at them.

    Raises
    ------
    ConfigError
        A number is out of its range.
    """

    k: int = 10
    exclude_seen: bool = True
    rules: Rules = NO_RULES
    n_reasons: int = 0
    explore: int | None = None
    n_new: int = 0

    def __post_init__(self) -> None:
        for name in ("k", "n_reasons", "explore", "n_new"):
            value = getattr(self, name)
            if value is not None and not _is_whole(value):
                raise ConfigError(f"{name} is {value!r}, expected a whole number")
        if self.n_reasons < 0:
            raise ConfigError(f"n_reasons is {self.n_reasons}, expected 0 or more")
        if self.k >= 1 and not 0 <= self.n_new <= self.k:
            raise ConfigError(
                f"{self.n_new} of {self.k} places for new items, expected from 0 to {self.k}"
            )
        if self.explore is not None and self.explore < 0:
            raise ConfigError(f"explore is {self.explore}, expected a seed of 0 or more")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What rules need to know of a model's items.

    Parameters
    ----------
    items : IdMap
    table : DataFrame
        Of `recsys.data.artefact.InteractionStore`.
    shares : float64, shape (n_items,)
        Of the training users, who had the item.
    directions : callable
        Gives unit vectors whose inner products say how alike two items are; float32, shape
        (n_items, dim). Only asked for where a list is to be diverse.
    """

    items: IdMap
    table: pd.DataFrame
    shares: NDArray[np.float64]
    directions: Callable[[], NDArray[np.float32]]

    @cached_property
    def cells(self) -> Callable[[str], Mapping[str, str]]:
        """Column -> item id -> cell, where it is not empty; new items have theirs as well."""

        @cache
        def cells(column: str) -> dict[str, str]:
            _check_known(self.table)
            pairs = zip(
                self.table["item_id"], self.table[known_column(column, self.table)], strict=True
            )
            return {item: cell for item, cell in pairs if cell}

        return cells


@dataclass(frozen=True, eq=False)
class AppliedRules:
    """Rules joined to a catalogue.

    Parameters
    ----------
    rules : Rules
    catalogue : Catalogue
    """

    rules: Rules
    catalogue: Catalogue

    @cached_property
    def allowed(self) -> NDArray[np.bool_] | None:
        """See `Rules.mask`."""
        return self.rules.mask(self.catalogue.items, self.catalogue.table)

    @cached_property
    def offset(self) -> NDArray[np.float32] | None:
        """What is added to every user's scores; float32, shape (n_items,)."""
        if not self.rules.popularity:
            return None
        shares = self.catalogue.shares
        shares = np.maximum(shares, shares[shares > 0].min())  # nobody's items: as the rarest
        return np.asarray(self.rules.popularity * np.log(shares), dtype=np.float32)

    @cached_property
    def limit(self) -> GroupLimit | None:
        """The rule of at most so many of a group, by id: new items keep to it as well."""
        if self.rules.at_most is None:
            return None
        column, most = self.rules.at_most
        return GroupLimit(self.catalogue.cells(column), most)

    @property
    def rearranges(self) -> bool:
        """Whether a list is anything but the k best of what is allowed."""
        return self.rules.at_most is not None or self.rules.diversity > 0

    @property
    def fingerprint(self) -> str:
        """Hash of what the rules come to: the same for ids in another order."""
        rules = self.rules
        digest = hashlib.sha256(repr((rules.at_most, rules.diversity, rules.popularity)).encode())
        digest.update(b"" if self.allowed is None else self.allowed.tobytes())
        digest.update(b"" if rules.at_most is None else self._group_of.tobytes())
        return digest.hexdigest()

    @cached_property
    def longest(self) -> int:
        """How many items the longest list can hold, whoever it is for."""
        groups = self._group_of if self.allowed is None else self._group_of[self.allowed]
        sizes = np.bincount(groups + 1, minlength=1)
        return int(sizes[0] + np.minimum(sizes[1:], self._most).sum())

    def depth(self, k: int) -> int:
        """How many of the best a rearranged list of k is put together from, at first."""
        return DIVERSE_AMONG * k

    def choose(self, ranking: Ranking, k: int) -> Ranking:
        """Put lists of k together from longer ones; -1 where too few of them may be given.

        Parameters
        ----------
        ranking : Ranking
            Best first, without what is not allowed.
        k : int
        """
        positions = np.full((len(ranking.positions), k), -1, dtype=np.int64)
        scores = np.full(positions.shape, -np.inf, dtype=np.float32)
        for row, (found, values) in enumerate(zip(ranking.positions, ranking.scores, strict=True)):
            n_found = int((found >= 0).sum())
            if self.rules.diversity:
                chosen = self._diverse(found[:n_found], values[:n_found], k)
            else:
                chosen = np.flatnonzero(_first_of_groups(self._groups(found[:n_found]), self._most))
            chosen = chosen[:k]
            positions[row, : len(chosen)] = found[chosen]
            scores[row, : len(chosen)] = values[chosen]
        return Ranking(positions, scores)

    def _diverse(
        self, positions: NDArray[np.int64], scores: NDArray[np.float32], k: int
    ) -> NDArray[np.int64]:
        """Choose k greedily: the best by score, less the likeness to the most alike chosen."""
        vectors = self.catalogue.directions()[positions]
        groups = self._groups(positions)
        lowest, highest = scores.min(initial=np.inf), scores.max(initial=-np.inf)
        relevance = (scores - lowest) / ((highest - lowest) or 1)
        likeness = np.zeros(len(positions), dtype=np.float32)
        open_ = np.ones(len(positions), dtype=bool)
        chosen: list[int] = []
        while len(chosen) < k and open_.any():
            worth = (1 - self.rules.diversity) * relevance - self.rules.diversity * likeness
            best = int(np.where(open_, worth, -np.inf).argmax())
            chosen.append(best)
            open_[best] = False
            to_best = vectors @ vectors[best]
            likeness = to_best if len(chosen) == 1 else np.maximum(likeness, to_best)
            same = groups == groups[best]
            if groups[best] >= 0 and same[chosen].sum() >= self._most:
                open_[same] = False
        return np.array(chosen, dtype=np.int64)

    @property
    def _most(self) -> int:
        return self.rules.at_most[1] if self.rules.at_most else 0

    def _groups(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._group_of[positions]

    @cached_property
    def _group_of(self) -> NDArray[np.int64]:
        """The number of each item's cell; -1 where it is empty, or cells do not count."""
        items = self.catalogue.items
        if self.limit is None:
            return np.full(len(items), -1, dtype=np.int64)
        numbers, _ = pd.factorize(pd.Series(items.ids, dtype=object).map(self.limit.cells))
        return numbers.astype(np.int64)


def attributes_of(items: IdMap, table: pd.DataFrame) -> pd.DataFrame:
    """Give what is known of each item of a catalogue, in its order; "" where nothing is.

    Raises
    ------
    ConfigError
        Nothing is known of any item.
    """
    _check_known(table)
    return rows_of(table, "item_id", items)


def _check_known(table: pd.DataFrame) -> None:
    if table.empty:
        raise ConfigError(
            "nothing is known of the items that a rule could look at: run "
            "`recsys ingest --items FILE` with a file of their attributes"
        )


def _first_of_groups(groups: NDArray[np.int64], most: int) -> NDArray[np.bool_]:
    """Mark the first `most` of each group; all of group -1.

    Examples
    --------
    >>> _first_of_groups(np.array([3, -1, 3, 3, -1]), 2).tolist()
    [True, True, True, False, True]
    """
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(groups) else order
    nth = np.arange(len(groups)) - np.repeat(starts, np.diff(np.r_[starts, len(groups)]))
    kept = np.empty(len(groups), dtype=bool)
    kept[order] = (nth < most) | (ordered < 0)
    return kept


def _known(items: IdMap, ids: list[str]) -> NDArray[np.int64]:
    found = items.find(ids)
    return found[found >= 0]
