"""One loaded workspace behind the service; a newer one takes its place whole."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.event_store import Event, EventStore
from recsys.data.folding import folded_through, latest, waiting
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, RecsysError, UnknownIdError
from recsys.recommendation import Neighbour, RecommendationList, record_of
from recsys.recommender import Recommender
from recsys.rules import Manner
from recsys.serving.attributes import Attributes
from recsys.serving.latent_map import latent_map
from recsys.serving.poems import Poems


@dataclass(frozen=True)
class Asked:
    """One list that is asked for.

    Parameters
    ----------
    manner : Manner
    user : str or None
    items : sequence of str
        That count as liked, beside the user's history.
    """

    manner: Manner
    user: str | None = None
    items: Sequence[str] = ()


class NotMetError(UnknownIdError):
    """An id that is unknown. Looking for those that are like it takes long, and is put off."""

    def __init__(self, ids: IdMap, unknown: Sequence[str]) -> None:
        super().__init__(f"unknown {ids.noun} {', '.join(map(repr, unknown[:5]))}")
        self.ids, self.unknown = ids, unknown

    def with_the_nearest(self) -> str:
        """Name the ids, and the known ones that are most like them."""
        return self.ids.unknown_message(self.unknown)


@dataclass(frozen=True, eq=False)
class History:
    """What a list is made from.

    Parameters
    ----------
    columns : int64, shape (n,)
        Positions in the catalogue, ascending, each once.
    values : float32, shape (n,)
    row : int
        The user's position in the workspace's data where the history is the one there; else -1.
    met : frozenset of str
        Items outside the catalogue that the user has met since.
    """

    columns: NDArray[np.int64]
    values: NDArray[np.float32]
    row: int
    met: frozenset[str]


@dataclass(frozen=True, eq=False)
class Generation:
    """What is served until the next one is loaded.

    Parameters
    ----------
    root : Path
        The workspace.
    recommender : Recommender
    events : EventStore
        Shared by all generations.
    """

    root: Path
    recommender: Recommender
    events: EventStore

    @classmethod
    def load(cls, root: Path, events: EventStore, device: str = "cpu") -> "Generation":
        """Load a workspace whole, and try it out before anybody is given to it.

        Raises
        ------
        RecsysError
            As of `Recommender.load`.
        """
        generation = cls(root, Recommender.load(root, device=device), events)
        liked = str(generation.recommender.items.ids[0])
        (answer,) = generation.answers([Asked(Manner(k=1), items=[liked])])
        if isinstance(answer, Exception):
            raise answer
        # Whatever is read later could by then have been replaced on disk.
        index = generation.recommender.index
        _ = (index.item_directions, index.user_directions, index.user_lengths, index.users)
        _ = (generation.attributes, generation.poems)
        return generation

    @property
    def fingerprint(self) -> str:
        """Of the model."""
        return self.recommender.index.model_fingerprint

    def answers(self, block: Sequence[Asked]) -> list[dict[str, Any] | Exception]:
        """Rank a block of histories; what was asked in one manner is ranked together.

        Returns
        -------
        list of dict or Exception
            A record each, as `recsys recommend` gives it, or why there is none.
        """
        answers: list[dict[str, Any] | Exception] = [ConfigError("not asked")] * len(block)
        users = {each.user for each in block if each.user is not None}
        events: Mapping[str, Sequence[Event]] = {}
        unreadable = None
        try:
            events = self._events_of(users)
        except RecsysError as error:
            unreadable = error
        histories: dict[int, History] = {}
        for place, asked in enumerate(block):
            if unreadable is not None and asked.user is not None:
                answers[place] = unreadable
                continue
            try:
                histories[place] = self.history(asked.user, asked.items, events)
            except RecsysError as error:
                answers[place] = error
        order = sorted(histories, key=lambda place: hash(block[place].manner))
        for manner, places in groupby(order, key=lambda place: block[place].manner):
            together = list(places)
            names = [block[place].user for place in together]
            try:
                lists = self._ranked(names, [histories[place] for place in together], manner)
            except RecsysError as error:
                for place in together:
                    answers[place] = error
            else:
                for place, listed in zip(together, lists, strict=True):
                    answers[place] = record_of(listed)
        return answers

    def history(
        self,
        user: str | None,
        items: Sequence[str] = (),
        events: Mapping[str, Sequence[Event]] | None = None,
    ) -> History:
        """Look a history up: a user's, with what has happened since, and a list of items.

        Parameters
        ----------
        user : str or None
        items : sequence of str
        events : mapping of str to sequence of Event, or None
            Each user's since the workspace's data, where they were looked up.

        Raises
        ------
        NotMetError
            A user of whom nothing is known, or an item that the model has not met.
        ArtefactError
            The events cannot be read.
        """
        value_of: dict[int, float] = {}
        met = frozenset[str]()
        row = -1
        if user is not None:
            if events is None:
                events = self._events_of({user})
            since = events.get(user, ())
            value_of, met = self._history_of(user, since)
            if not since and not items:
                row = self.recommender.users.position(user)
        if items:
            liked = self.recommender.items.find(items).tolist()
            if -1 in liked:
                unknown = [item for item, at in zip(items, liked, strict=True) if at < 0]
                raise NotMetError(self.recommender.items, unknown)
            value_of |= dict.fromkeys(liked, self.recommender.vae.liked_value)
        columns = sorted(value_of)
        values = np.array([value_of[each] for each in columns], dtype=np.float32)
        return History(np.array(columns, dtype=np.int64), values, row, met)

    def similar_users(self, user: str, k: int) -> list[Neighbour]:
        """Find the users whose codes point as this one's does with all that has happened.

        Raises
        ------
        RecsysError
            As of `history` and `Recommender.similar_users`.
        """
        matrix = self._matrix([self.history(user)])
        return self.recommender.similar_users(user, k, matrix)

    def _matrix(self, histories: Sequence[History]) -> csr_array:
        indptr = np.cumsum([0, *(len(each.columns) for each in histories)])
        columns = np.concatenate([each.columns for each in histories])
        values = np.concatenate([each.values for each in histories])
        shape = (len(histories), len(self.recommender.items))
        return csr_array((values, columns, indptr), shape=shape)

    def _ranked(
        self, names: Sequence[str | None], histories: Sequence[History], manner: Manner
    ) -> list[RecommendationList]:
        met = None
        if manner.n_new:
            store = self.recommender.store
            met = [
                store.items_of(name) | each.met for name, each in zip(names, histories, strict=True)
            ]
        return self.recommender.lists_of(
            names,
            self._matrix(histories),
            manner,
            met,
            np.array([each.row for each in histories], dtype=np.int64),
        )

    def _history_of(
        self, user: str, since: Sequence[Event]
    ) -> tuple[dict[int, float], frozenset[str]]:
        """Give a user's history with what has happened since, and the new items among that.

        Returns
        -------
        dict of int to float, frozenset of str
            Position of an item -> value; ids outside the catalogue that were liked as much.
        """
        recommender = self.recommender
        value_of = recommender.history(user)
        if value_of is None and not since:
            raise NotMetError(recommender.users, [user])
        value_of = value_of or {}
        kind = recommender.store.value_kind
        adds_up = kind == "weight"
        met = set()
        for event in latest(recommender.store, user, since):
            column = recommender.items.position(event.item)
            if event.value < self._least_value:
                # The latest rating counts, and it is no liking any more.
                value_of.pop(column, None)
                met.discard(event.item)
            elif column < 0:
                met.add(event.item)
            else:
                before = value_of.get(column, 0.0) if adds_up else 0.0
                value_of[column] = before + (1.0 if kind == "none" else event.value)
        return value_of, frozenset(met)

    def _events_of(self, users: Collection[str]) -> dict[str, list[Event]]:
        """Give what the workspace's data do not hold of what happened to each of some users."""
        rows, through = self.recommender.store.interactions, self._events_through
        found = self.events.of_users(users)
        return {user: waiting(rows, through, placed) for user, placed in found.items()}

    @cached_property
    def _events_through(self) -> int:
        """Position of the last event that the workspace's histories hold already."""
        return folded_through(self.recommender.store.artefact.manifest.config, self.events)

    @cached_property
    def _least_value(self) -> float:
        """What `recsys ingest --min-rating` left out is no liking here either."""
        settings = self.recommender.store.artefact.manifest.config.get("settings", {})
        least = settings.get("min_rating")
        return -np.inf if least is None else float(least)

    @cached_property
    def attributes(self) -> "Attributes":
        """What is known of the items."""
        return Attributes.of(self.recommender)

    @cached_property
    def poems(self) -> Poems:
        """What the workspace has for poems; nothing where its data are none."""
        return Poems.of(self.root, self.recommender)

    @cached_property
    def map(self) -> dict[str, Any]:
        """The items in the plane, with their clusters; see `recsys.serving.latent_map`."""
        return latent_map(self.recommender)
