"""Ids in, ranked ids out: joins model, index and histories, and is exact because its index is."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.cold import ColdItems
from recsys.data.artefact import InteractionStore, open_interactions, rows_of
from recsys.data.histories import Histories
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions, ValueKind, csr_from_pairs
from recsys.errors import ConfigError, DataError
from recsys.fusion import SparsePath, load_sparse_path
from recsys.index.artefact import ServingIndex, open_index
from recsys.index.item_index import unit_vectors
from recsys.model_ranker import ModelRanker, check_k
from recsys.ranking import Ranking
from recsys.reasons import Explainer
from recsys.recommendation import (
    Neighbour,
    Reason,
    Recommendation,
    RecommendationList,
    checked_id,
    checked_ids,
)
from recsys.rules import AppliedRules, Catalogue, Manner, Rules
from recsys.settings import check_one_of
from recsys.vae.artefact import load_model, open_model
from recsys.vae.model import VAE, with_ones

ItemPath: TypeAlias = Literal["both", "latent", "sparse"]

RULES_KEPT = 64
"""Rules that stay joined to the catalogue, the latest ones that were asked for."""

SIMILARITY_WEIGHT = np.float32(4)
"""What a unit of S is worth beside a correlation of scores: see docs/experiments.md."""


@dataclass(frozen=True, eq=False)
class Recommender:
    """A model and its index, joined by id to everybody's histories.

    Parameters
    ----------
    vae : VAE
    index : ServingIndex
        Built from `vae`.
    store : InteractionStore
        Histories and titles; may be newer than the model.
    sparse : SparsePath or None
        The item-item term of a fused model.

    Examples
    --------
    >>> recommender = Recommender.load("data/ml-100k")  # doctest: +SKIP
    >>> recommender.recommend(["196"], k=3)  # doctest: +SKIP
    """

    vae: VAE
    index: ServingIndex
    store: InteractionStore
    sparse: SparsePath | None = None

    @classmethod
    def load(cls, workspace: str | Path, *, device: str = "cpu") -> "Recommender":
        """Load what `recsys ingest`, `train` and `index` left in a workspace.

        Raises
        ------
        ArtefactError
            An artefact is missing or damaged, or the index was built from another model.
        """
        root = Path(workspace)
        model = open_model(root / "model")
        index = open_index(root / "index", expected_model=model)
        store = open_interactions(root / "interactions")
        vae = load_model(model, device)
        recommender = cls(vae, index, store, load_sparse_path(model, vae.n_items))
        recommender.check_values(store.value_kind, str(root / "interactions"))
        return recommender

    def check_values(self, value_kind: ValueKind, source: str) -> None:
        """Refuse histories without ratings for a model of ratings: every item would count as a 1.

        Raises
        ------
        DataError
            Names `source`.
        """
        if self.vae.config.predicts_ratings and value_kind == "none":
            raise DataError(
                f"{source} has no ratings, and the model predicts ratings: read it with "
                "ingest.rating_column, or train with -S vae.likelihood=multinomial"
            )

    @cached_property
    def index_is_older(self) -> bool:
        """Whether the users' neighbours were found in other data than today's."""
        built_from = self.index.artefact.manifest.fingerprints["events"]
        return bool(built_from != self.store.fingerprint)

    @property
    def items(self) -> IdMap:
        """The model's catalogue."""
        return self.vae.items

    @property
    def users(self) -> IdMap:
        """Everybody who has a history."""
        return self.store.interactions.users

    @cached_property
    def titles(self) -> dict[str, str]:
        """Item id -> title."""
        return self.store.titles()

    @cached_property
    def _histories(self) -> Histories:
        return Histories(self.store.interactions, self.items)

    @property
    def n_unknown_items(self) -> int:
        """Items of the histories that the model has not met; they count for nothing."""
        return self._histories.n_unknown_items

    def histories(self, user_positions: NDArray[np.int64]) -> csr_array:
        """Histories of known users over the model's catalogue, read row by row.

        Returns
        -------
        csr_array of float32, shape (len(user_positions), n_items)
        """
        return self._histories.rows(user_positions)

    def history(self, user: str) -> dict[int, float] | None:
        """Give one user's history as position in the catalogue -> value; None of an unknown one."""
        position = self.users.position(user)
        return None if position < 0 else self._histories.values_of(position)

    def recommend(
        self,
        users: Sequence[str] | None = None,
        *,
        items: Sequence[str] | None = None,
        histories: Interactions | None = None,
        **manner: Any,
    ) -> list[RecommendationList]:
        """Recommend for known users, for one list of items, or for histories from outside.

        Parameters
        ----------
        users : sequence of str
            Ids of users who have a history in the workspace.
        items : sequence of str
            "Somebody who liked these"; what is listed counts as seen.
        histories : Interactions
            Any users, joined to the catalogue by item id.
        **manner
            What `Manner` takes: k, exclude_seen, rules, n_reasons, explore, n_new.

        Returns
        -------
        list of RecommendationList
            In the order that was asked for.

        Raises
        ------
        UnknownIdError
            A user or an item of the list is not known.
        ConfigError
            A single text instead of a list, ids that are no text, a seed below 0, or a rule that
            looks at what is not known.
        """
        if sum(given is not None for given in (users, items, histories)) != 1:
            raise ConfigError("give exactly one of users, items and histories")
        names: Sequence[str | None]
        rows, met = None, None
        if users is not None:
            names = known = checked_ids(users, "users")
            rows = self.users.positions(known)
            matrix = self.histories(rows)
        elif items is not None:
            names, matrix = [None], self._liked(checked_ids(items, "items"))
        else:
            assert histories is not None
            names, matrix = list(histories.users.ids), histories.joined_to(self.items)[0].matrix
            met = histories.items_outside(self.items)
        return self.lists_of(names, matrix, Manner(**manner), met, rows)

    def lists_of(
        self,
        names: Sequence[str | None],
        matrix: csr_array,
        manner: Manner,
        met: Sequence[Collection[str]] | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> list[RecommendationList]:
        """Recommend for histories over the model's catalogue; see `recommend`.

        Parameters
        ----------
        names : sequence of str or None
            Of the rows.
        matrix : csr_array of float32, shape (len(names), n_items)
        manner : Manner
        met : sequence of collection of str, or None
            Items outside the catalogue that each has met; None: those that the workspace knows of.
        rows : int64 or None, shape (len(names),)
            Where `matrix` holds a known user's history as it is, that user's position; else -1.
        """
        k, rules, explore = manner.k, self.applied(manner.rules), manner.explore
        if explore is not None:
            self.vae.require_spread()
        codes = None if rows is None or explore is not None else self._codes(matrix, rows)
        ranking = self.ranker(
            matrix, k, exclude_seen=manner.exclude_seen, rules=rules, explore=explore, codes=codes
        )
        lengths = np.diff(matrix.indptr)
        lists = [
            self._list_of(name, ranking.positions[row], ranking.scores[row], k, lengths[row] == 0)
            for row, name in enumerate(names)
        ]
        if manner.n_reasons:
            explainer = Explainer(self.vae, self.index.items.vectors, self.sparse)
            lists = [
                explainer.explained(
                    each, matrix[[row]], manner.n_reasons, self.titles, rules.offset
                )
                for row, each in enumerate(lists)
            ]
        if manner.n_new and len(self.cold.ids):
            allowed = rules.rules.mask(self.cold.ids, self.cold.table)
            vectors = with_ones(self.vae.encode(matrix) if codes is None else codes)
            seen = [self.store.items_of(name) for name in names] if met is None else met
            if not manner.exclude_seen:
                seen = [()] * len(lists)
            lists = self.cold.last_places(lists, vectors, manner.n_new, allowed, seen, rules.limit)
        return lists

    def _codes(self, matrix: csr_array, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Encode histories, but for those that were encoded when the index was built."""
        lengths = self.index.user_lengths
        if lengths is None or self.index_is_older:
            return self.vae.encode(matrix)
        codes = self.index.user_directions.vectors[rows] * lengths[rows, None]
        changed = np.flatnonzero(rows < 0)
        if len(changed):
            codes[changed] = self.vae.encode(matrix[changed])
        return codes

    @cached_property
    def cold(self) -> ColdItems:
        """Items of the items' table that the model has not met, placed among those it has.

        Raises
        ------
        ConfigError
            The model has no latent codes, or nothing is known of its items.
        """
        self.vae.require_codes("new items are placed")
        table = self.store.item_table
        new = table[self.items.find(table["item_id"].to_numpy(dtype=object)) < 0]
        known = rows_of(table, "item_id", self.items)
        return ColdItems.place(
            known, self.index.items.vectors, self.vae.item_counts, new.reset_index(drop=True)
        )

    @cached_property
    def ranker(self) -> ModelRanker:
        """Ranks items for histories over the catalogue."""
        return ModelRanker(self.vae, self.index.items, self.sparse)

    def applied(self, rules: Rules) -> AppliedRules:
        """Join rules to the model's catalogue and to what the workspace knows of its items.

        Raises
        ------
        ConfigError
            A rule looks at what is not known.
        """
        return self._applied(rules)

    @cached_property
    def _applied(self) -> Callable[[Rules], AppliedRules]:
        """Join rules to the catalogue; the latest ones stay joined."""
        vae, catalogue = self.vae, self._catalogue  # not self: it would never be freed

        @lru_cache(RULES_KEPT)
        def applied(rules: Rules) -> AppliedRules:
            if rules.diversity:
                vae.require_codes("items are told apart")
            return AppliedRules(rules, catalogue)

        return applied

    @cached_property
    def _catalogue(self) -> Catalogue:
        index = self.index
        return Catalogue(
            self.items,
            self.store.item_table,
            self.vae.popularity,
            lambda: index.item_directions.vectors,
        )

    def similar_items(self, item: str, k: int = 10, path: ItemPath = "both") -> list[Neighbour]:
        """Find the items that go with this one.

        Parameters
        ----------
        item : str
        k : int
        path : {"both", "latent", "sparse"}
            "latent": the correlation of the two items' scores over users; "sparse": what they say
            for each other on the item-item path of a fused model, where that is above 0; "both"
            adds them up.

        Raises
        ------
        UnknownIdError
        ConfigError
            "sparse" is asked of a model that has no item-item path.
        """
        check_k(k)
        check_one_of("path", path, ItemPath)
        item = checked_id(item)
        (position,) = self.items.positions([item])
        said = None if self.sparse is None else self.sparse.item_item.around(int(position))
        if path == "sparse":
            if said is None:
                raise ConfigError("the model is a VAE alone, which has no item-item path")
            best = np.argsort(-said.data, kind="stable")[: k + 1]
            best = best[said.data[best] > 0]
            ranking = Ranking(said.indices[best][None].astype(np.int64), said.data[best][None])
        else:
            query = self.index.item_directions.vectors[position][None]
            added = None if said is None or path == "latent" else SIMILARITY_WEIGHT * said
            ranking = self.index.item_directions.search(query, k + 1, added=added)
        return self._neighbours(item, self.items, ranking, k, self.titles)

    def similar_users(
        self, user: str, k: int = 10, history: csr_array | None = None
    ) -> list[Neighbour]:
        """Find the users (as of the index) whose codes point as the user's, or `history`'s, does.

        Raises
        ------
        UnknownIdError
        ConfigError
            The model is of neighbours alone, which has no latent codes.
        """
        check_k(k)
        self.vae.require_codes("users are compared")
        user = checked_id(user)
        if history is None:
            history = self.histories(self.users.positions([user]))
        ranking = self.index.user_directions.search(unit_vectors(self.vae.encode(history)), k + 1)
        return self._neighbours(user, self.index.users, ranking, k, {})

    def _liked(self, items: Sequence[str]) -> csr_array:
        columns = np.unique(self.items.positions(items))
        values = np.full(len(columns), self.vae.liked_value, dtype=np.float32)
        rows = np.zeros(len(columns), dtype=np.int64)
        return csr_from_pairs(rows, columns, values, (1, len(self.items)))

    def _list_of(
        self,
        user: str | None,
        positions: NDArray[np.int64],
        scores: NDArray[np.float32],
        k: int,
        empty: bool,
    ) -> RecommendationList:
        reason: Reason = "popularity" if empty else "history"
        ids = self.items.ids[positions[positions >= 0]]
        items = tuple(
            Recommendation(item, rank, float(score), self.titles.get(item), reason)
            for rank, (item, score) in enumerate(zip(ids, scores, strict=False), start=1)
        )
        return RecommendationList(user, items, k, reason)

    def _neighbours(
        self, query: str, ids: IdMap, ranking: Ranking, k: int, titles: dict[str, str]
    ) -> list[Neighbour]:
        found = [
            (ids.ids[position], float(score))
            for position, score in zip(ranking.positions[0], ranking.scores[0], strict=True)
            if position >= 0 and ids.ids[position] != query
        ]
        nearest = enumerate(found[:k], start=1)
        return [Neighbour(each, rank, score, titles.get(each)) for rank, (each, score) in nearest]
