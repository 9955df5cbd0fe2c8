"""What is answered: recommendations and neighbours, as plain records."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from recsys.errors import ConfigError

Reason = Literal["history", "popularity", "attributes"]


def checked_ids(ids: Iterable[str], name: str) -> list[str]:
    """Give the ids of a list as plain str.

    Parameters
    ----------
    ids : iterable of str
        numpy's str is one.
    name : str
        The argument, for messages.

    Raises
    ------
    ConfigError
        A single text, whose letters would be taken for ids, or something that is no list of text.

    Examples
    --------
    >>> checked_ids(pd.Series(["007", "x"]), "users")
    ['007', 'x']
    """
    if isinstance(ids, str):
        raise ConfigError(
            f"{name} must be a list of ids, got the single text {ids!r}: "
            f"write [{json.dumps(ids, ensure_ascii=False)}]"
        )
    if isinstance(ids, bytes) or not isinstance(ids, Iterable):
        raise ConfigError(
            f"{name} must be a list of ids, got {_shown(ids)}: put one id into [...] as well"
        )
    return [checked_id(each) for each in ids]


def checked_id(key: str) -> str:
    """Give one id as a plain str.

    Raises
    ------
    ConfigError
        It is no text: 7 might be "7" or "007".
    """
    if not isinstance(key, str):
        raise ConfigError(f"ids are text: got {_shown(key)}; write str(id)")
    return str(key)


def _shown(value: object) -> str:
    return f"{value!s:.80} ({type(value).__name__})"


@dataclass(frozen=True)
class Because:
    """An item of the history, and how much it adds to the score of what is recommended."""

    item: str
    score: float
    title: str | None


@dataclass(frozen=True)
class Recommendation:
    """One recommended item; a higher score is better, rank 1 is best.

    `reason` is "history" when the model ranked it for what the user has done, and "popularity"
    when there was no history to go by (the score is then the share of training users), and
    "attributes" where nobody had met the item in training: it is cold, and was placed by what is
    known of it.
    `low` and `high` hold 95 % of the scores that the spread of the user's latent code allows, and
    `why` the items of the history that add most: both only where they were asked for.
    """

    item: str
    rank: int
    score: float
    title: str | None
    reason: Reason
    low: float | None = None
    high: float | None = None
    why: tuple[Because, ...] = ()


@dataclass(frozen=True)
class RecommendationList:
    """What one user is recommended, best first; `user` is None for a bare list of items."""

    user: str | None
    items: tuple[Recommendation, ...]
    requested: int
    reason: Reason


@dataclass(frozen=True, eq=False)
class GroupLimit:
    """How many items of a list may share a cell of the items' table.

    Parameters
    ----------
    cells : mapping of str to str
        Item id -> cell, where it is not empty.
    most : int
    """

    cells: Mapping[str, str]
    most: int

    def room_for(self, others: Iterable[str], *, beside: Iterable[str] = ()) -> Iterator[str]:
        """Give the items that may be added one after the other to those that a list holds.

        Parameters
        ----------
        others, beside : iterable of str
            Item ids.

        Examples
        --------
        >>> limit = GroupLimit({"a": "x", "b": "x", "c": "x", "d": "y"}, most=2)
        >>> list(limit.room_for("bcde", beside="a"))
        ['b', 'd', 'e']
        """
        held = Counter(map(self.cells.get, beside))
        for item in others:
            cell = self.cells.get(item)
            if cell is None or held[cell] < self.most:
                held[cell] += 1
                yield item


@dataclass(frozen=True)
class Neighbour:
    """A similar item or user; a higher score is nearer, rank 1 is nearest.

    `score` is, of items, the correlation of their scores over users, and, of users, the cosine
    of their latent codes.
    """

    id: str
    rank: int
    score: float
    title: str | None


def record_of(listed: RecommendationList) -> dict[str, Any]:
    """Shape a list as the command line and HTTP give it: without what was not asked for.

    Examples
    --------
    >>> one = Recommendation("007", 1, 2.5, None, "history")
    >>> record_of(RecommendationList("ann", (one,), 2, "history"))
    {'user': 'ann', 'items': [{'item': '007', 'rank': 1, 'score': 2.5}], 'requested': 2}
    """
    record: dict[str, Any] = {"user": listed.user, "items": [_record_of(x) for x in listed.items]}
    if len(listed.items) < listed.requested:
        record["requested"] = listed.requested
    if listed.reason == "popularity":
        record["reason"] = listed.reason
    return record


def neighbours_record(
    query: str, found: Sequence[Neighbour], noun: Literal["item", "user"], k: int
) -> dict[str, Any]:
    """Shape the neighbours of an item or a user in the same way.

    Examples
    --------
    >>> neighbours_record("001", [Neighbour("007", 1, 0.5, None)], "user", 2)
    {'query': '001', 'items': [{'user': '007', 'rank': 1, 'score': 0.5}], 'requested': 2}
    """
    items = []
    for each in found:
        record = asdict(each)
        items.append(_without_none({noun: record.pop("id"), **record}))
    shaped = {"query": query, "items": items}
    return shaped if len(found) == k else {**shaped, "requested": k}


def _record_of(recommendation: Recommendation) -> dict[str, Any]:
    record = {
        "item": recommendation.item,
        "rank": recommendation.rank,
        "score": recommendation.score,
        "title": recommendation.title,
        "low": recommendation.low,
        "high": recommendation.high,
        "cold": True if recommendation.reason == "attributes" else None,
        "why": [_without_none(asdict(each)) for each in recommendation.why] or None,
    }
    return _without_none(record)


def _without_none(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value is not None}


def to_frame(lists: Iterable[RecommendationList]) -> pd.DataFrame:
    """Lay lists out as a table, one row a recommendation: user, item, rank, score, title."""
    return pd.DataFrame(
        (
            (each.user, one.item, one.rank, one.score, one.title)
            for each in lists
            for one in each.items
        ),
        columns=["user", "item", "rank", "score", "title"],
    )
