"""A model and its index as one ranker: what recommend, score and evaluate rank with."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.histories import blocks_of, row_blocks
from recsys.errors import ConfigError
from recsys.fusion import SparsePath
from recsys.index.item_index import BLOCK_SCORES, ItemIndex
from recsys.ranking import Ranking, top_k
from recsys.rules import AppliedRules
from recsys.vae.model import VAE, with_ones

RANKED_AT_ONCE = 256
"""Users whose scores on the item-item path, or whose longer lists, are held at once."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """What a block of users is ranked by."""

    histories: csr_array
    vectors: NDArray[np.float32]
    exclude_seen: bool
    rules: AppliedRules | None

    def of(self, rows: NDArray[np.int64]) -> "_Asked":
        """Some of the users."""
        return replace(self, histories=self.histories[rows], vectors=self.vectors[rows])


@dataclass(frozen=True, eq=False)
class ModelRanker:
    """A model and the index of its item vectors: what recommend, score and evaluate rank with."""

    vae: VAE
    items: ItemIndex
    sparse: SparsePath | None = None

    def __call__(
        self,
        histories: csr_array,
        k: int,
        *,
        exclude_seen: bool = True,
        rules: AppliedRules | None = None,
        explore: int | None = None,
        codes: NDArray[np.float32] | None = None,
    ) -> Ranking:
        """Rank the k best items for each history; an empty one is ranked by popularity.

        At most n_items are listed, whatever k is.

        Parameters
        ----------
        histories : csr_array of float32, shape (n_users, n_items)
        k : int
        exclude_seen : bool
        rules : AppliedRules or None
        explore : int or None
            A seed: lists are then ranked by codes drawn from the posteriors, not by their means.
        codes : float32 or None, shape (n_users, latent_dim)
            The posteriors' means, where they are known already; not for exploring.
        """
        check_k(k)
        k = min(k, len(self.items))
        n_users = histories.shape[0]
        ranking = Ranking(np.empty((n_users, k), np.int64), np.empty((n_users, k), np.float32))
        rearranged = rules is not None and rules.rearranges
        at_once = RANKED_AT_ONCE if self.sparse is not None or rearranged else max(1, n_users)
        for rows, block in row_blocks(histories, at_once):
            if explore is not None:
                vectors = self.vae.drawn_user_vectors(block, explore)
            elif codes is not None:
                vectors = with_ones(codes[rows])
            else:
                vectors = self.vae.user_vectors(block)
            found = self._ranked(_Asked(block, vectors, exclude_seen, rules), k)
            ranking.positions[rows], ranking.scores[rows] = found.positions, found.scores
        return ranking

    def _ranked(self, asked: _Asked, k: int) -> Ranking:
        """Rank a block, looking deeper for those whose lists the rules leave short."""
        rules = asked.rules
        if rules is None or not rules.rearranges:
            return self._best(asked, k)
        n_items = len(self.items)
        # Nobody's list can be longer: who has so many needs no deeper look.
        longest = max(1, min(k, rules.longest))
        depth = min(rules.depth(k), n_items)
        best = self._best(asked, depth)
        ranking = rules.choose(best, k)
        short = np.flatnonzero(_is_short(ranking, longest) & ~_is_short(best, depth))
        while len(short) and depth < n_items:
            depth = min(8 * depth, n_items)
            still: list[NDArray[np.int64]] = []
            for part in blocks_of(len(short), max(1, BLOCK_SCORES // depth)):
                rows = short[part]
                best = self._best(asked.of(rows), depth)
                deeper = rules.choose(best, k)
                ranking.positions[rows], ranking.scores[rows] = deeper.positions, deeper.scores
                still.append(rows[_is_short(deeper, longest) & ~_is_short(best, depth)])
            short = np.concatenate(still)
        return ranking

    def _best(self, asked: _Asked, k: int) -> Ranking:
        histories, rules = asked.histories, asked.rules
        allowed = None if rules is None else rules.allowed
        ranking = self.items.search(
            asked.vectors,
            k,
            added=None if self.sparse is None else self.sparse.scores(histories),
            excluded=histories if asked.exclude_seen else None,
            allowed=allowed,
            offset=None if rules is None else rules.offset,
        )
        empty = np.diff(histories.indptr) == 0
        if empty.any():
            popular = self._popular(k, allowed)
            ranking.positions[empty] = popular.positions
            ranking.scores[empty] = popular.scores
        return ranking

    def _popular(self, k: int, allowed: NDArray[np.bool_] | None) -> Ranking:
        share = self.vae.popularity.astype(np.float32)
        if allowed is not None:
            share = np.where(allowed, share, np.float32(-np.inf))
        return top_k(share[None], k)


def _is_short(ranking: Ranking, n: int) -> NDArray[np.bool_]:
    """Whether fewer than n were found; shape (n_users,)."""
    return np.asarray(ranking.positions[:, n - 1] < 0)


def check_k(k: int) -> None:
    """Refuse a length of lists below 1.

    Raises
    ------
    ConfigError
    """
    if k < 1:
        raise ConfigError(f"k is {k}, expected at least 1")
