"""Why an item is recommended, and how sure its score is: from the model itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.fusion import SparsePath
from recsys.recommendation import Because, RecommendationList
from recsys.vae.model import VAE, with_ones

REMOVED_AT_ONCE = 256
"""Histories, each without one of its items, that are encoded together."""

NORMAL_95 = 1.96
"""Standard deviations on each side of the mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True, eq=False)
class Explainer:
    """What a history's items do for the scores of others.

    Parameters
    ----------
    vae : VAE
    vectors : float32, shape (n_items, latent_dim + 1)
        The model's item vectors.
    sparse : SparsePath or None
    """

    vae: VAE
    vectors: NDArray[np.float32]
    sparse: SparsePath | None = None

    def contributions(
        self, history: csr_array, positions: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """How much each item of a history adds to the scores of some items.

        Parameters
        ----------
        history : csr_array of float32, shape (1, n_items)
        positions : int64, shape (k,)
            The items to explain.

        Returns
        -------
        float32, shape (n_history, k)
            In the order of `history.indices`; in units of the score, negative where it takes.

        Notes
        -----
        On the item-item path a score is a sum over the history, and the terms are exact. The VAE
        is no sum: there it is the score with the whole history less that without the item.
        """
        vectors = self.vectors[positions]
        whole = self.vae.user_vectors(history) @ vectors.T
        parts = np.empty((len(history.indices), len(positions)), dtype=np.float32)
        for start in range(0, len(parts), REMOVED_AT_ONCE):
            removed = np.arange(start, min(start + REMOVED_AT_ONCE, len(parts)))
            without = self.vae.user_vectors(_without_each(history, removed))
            parts[removed] = whole - without @ vectors.T
        if self.sparse is not None:
            rows = self.sparse.item_item.weights[history.indices]
            parts += np.float32(self.sparse.tau) * rows[:, positions].toarray()
        return parts

    def intervals(self, history: csr_array, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """How far the scores of some items may be off, by the spread of the history's code.

        Parameters
        ----------
        history : csr_array of float32, shape (1, n_items)
        positions : int64, shape (k,)

        Returns
        -------
        float32, shape (2, k)
            Lower and upper bounds that hold 95 % of the scores of codes drawn from the posterior;
            the item-item path has no spread.
        """
        found = self.vae.posteriors(history)
        vectors = self.vectors[positions]
        score = (with_ones(found.means) @ vectors.T)[0]
        if self.sparse is not None:
            score += self.sparse.scores(history).toarray()[0, positions]
        half = NORMAL_95 * np.sqrt(vectors[:, :-1] ** 2 @ found.deviations[0] ** 2)
        return np.stack([score - half, score + half]).astype(np.float32)

    def explained(
        self,
        listed: RecommendationList,
        history: csr_array,
        n: int,
        titles: Mapping[str, str],
        offset: NDArray[np.float32] | None,
    ) -> RecommendationList:
        """Add to each item of a list its interval and what of the history adds most to its score.

        A list by popularity stays as it is: there is no history that it could be explained by.

        Parameters
        ----------
        listed : RecommendationList
        history : csr_array of float32, shape (1, n_items)
        n : int
            Items of the history that are told of each, at most.
        titles : mapping of str to str
        offset : float32 or None, shape (n_items,)
            What rules added to the scores.
        """
        if listed.reason == "popularity" or not listed.items:
            return listed
        catalogue = self.vae.items
        positions = catalogue.positions([each.item for each in listed.items])
        added = self.contributions(history, positions)
        bounds = self.intervals(history, positions)
        if offset is not None:
            bounds += offset[positions]
        items = []
        for one, by_item, (low, high) in zip(listed.items, added.T, bounds.T, strict=True):
            most = np.argsort(-by_item, kind="stable")[:n]
            reasons = (
                (catalogue.ids[history.indices[each]], float(by_item[each]))
                for each in most
                if by_item[each] > 0
            )
            why = tuple(Because(item, score, titles.get(item)) for item, score in reasons)
            items.append(replace(one, low=float(low), high=float(high), why=why))
        return replace(listed, items=tuple(items))


def _without_each(history: csr_array, removed: NDArray[np.int64]) -> csr_array:
    """Repeat a history, each time without one of its entries; shape (len(removed), n_items)."""
    n = len(history.indices)
    kept = np.arange(n) != removed[:, None]
    entries = np.broadcast_to(np.arange(n), kept.shape)[kept]
    indptr = np.arange(len(removed) + 1) * (n - 1)
    return csr_array(
        (history.data[entries], history.indices[entries], indptr),
        shape=(len(removed), history.shape[1]),
    )
