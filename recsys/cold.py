"""Items that nobody has met yet, placed among the model's items by what is known of them."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import svds

from recsys.data.ids import IdMap
from recsys.errors import ConfigError
from recsys.index.exact import exact_search
from recsys.recommendation import GroupLimit, Recommendation, RecommendationList

RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
FOLDS = 5
FEWEST_BEARERS = 3
"""Items that must share a value or a word before it counts."""

TEXT_DIM = 64
_WORDS = re.compile(r"\w+")
_IDS = frozenset({"item_id"})


@dataclass(frozen=True, eq=False)
class ColdItems:
    """New items with the vectors that the model's items suggest for them.

    Parameters
    ----------
    ids : IdMap
    table : DataFrame
        What is known of each, in the order of `ids`.
    vectors : float32, shape (n, dim)
        As the decoder's rows with the bias: a score is their product with a user vector.
    """

    ids: IdMap
    table: pd.DataFrame
    vectors: NDArray[np.float32]

    @classmethod
    def place(
        cls,
        known: pd.DataFrame,
        vectors: NDArray[np.float32],
        counts: NDArray[np.int64],
        new: pd.DataFrame,
    ) -> "ColdItems":
        """Regress the vectors of known items on what is known of them, and apply that to new ones.

        Ridge regression on the values and words of the table's columns, and on the singular
        vectors of the character n-grams of its texts; an item counts by the root of its users,
        since the vector of a rare one is mostly chance. Five folds of known items choose the ridge.

        Parameters
        ----------
        known : DataFrame
            Column item_id and more, all str, a row for each of `vectors`.
        vectors : float32, shape (n_known, dim)
        counts : int64, shape (n_known,)
            Users of each.
        new : DataFrame
            The same columns.

        Raises
        ------
        ConfigError
            Nothing is known of the items but their ids.
        """
        columns = [each for each in known.columns if each not in _IDS]
        if not columns or not len(known) or not (known[columns] != "").any(axis=None):
            raise ConfigError(
                "new items are placed by what is known of them, and the workspace knows nothing: "
                "run `recsys ingest` with --items"
            )
        features = _features(pd.concat([known, new])[columns])
        n_known = len(known)
        weights = np.sqrt(counts.astype(np.float64))
        coefficients = _ridge(features[:n_known], vectors, weights, FOLDS)
        placed = features[n_known:] @ coefficients
        return cls(
            IdMap.in_order(new["item_id"], "item"), new, np.asarray(placed, dtype=np.float32)
        )

    def last_places(
        self,
        lists: Sequence[RecommendationList],
        user_vectors: NDArray[np.float32],
        n_new: int,
        allowed: NDArray[np.bool_] | None,
        seen: Sequence[Collection[str]],
        limit: GroupLimit | None = None,
    ) -> list[RecommendationList]:
        """Give the last places of each list to the new items that suit its user best.

        Parameters
        ----------
        lists : sequence of RecommendationList
        user_vectors : float32, shape (len(lists), dim)
        n_new : int
            At least 1; fewer where fewer exist.
        allowed : bool or None, shape (n,)
        seen : sequence of collection of str
            Ids that each user is not given.
        limit : GroupLimit or None
            Holds for known and new items together: where it leaves room for fewer new ones, more
            of the known ones stay.
        """
        depth = n_new + max((len(each) for each in seen), default=0)
        if limit is not None:
            depth = len(self.ids)
        ranking = exact_search(self.vectors, user_vectors, depth, allowed=allowed)
        titles = self.table.get("title", pd.Series([""] * len(self.ids))).to_list()
        longer = []
        for place, listed in enumerate(lists):
            is_found = ranking.positions[place] >= 0
            found = ranking.positions[place, is_found]
            score_of = np.zeros(len(self.ids), dtype=np.float32)
            score_of[found] = ranking.scores[place, is_found]
            suited = (str(each) for each in self.ids.ids[found] if each not in seen[place])
            known = [each.item for each in listed.items]
            n_kept, new = _ending(known, suited, listed.requested, n_new, limit)
            added = (
                Recommendation(item, rank, float(score_of[at]), titles[at] or None, "attributes")
                for rank, (item, at) in enumerate(
                    zip(new, self.ids.positions(new), strict=True), start=n_kept + 1
                )
            )
            longer.append(replace(listed, items=(*listed.items[:n_kept], *added)))
        return longer


def _ending(
    known: Sequence[str], suited: Iterable[str], k: int, n_new: int, limit: GroupLimit | None
) -> tuple[int, list[str]]:
    """How many of the known items a list of k keeps, and which of the suited it ends in.

    Examples
    --------
    >>> _ending(["a", "b", "c"], ["d", "e"], k=3, n_new=1, limit=None)
    (2, ['d'])
    >>> genres = GroupLimit({"a": "x", "b": "y", "d": "x", "e": "z"}, most=1)
    >>> _ending(["a", "b", "c"], ["d", "e"], k=3, n_new=2, limit=genres)
    (2, ['e'])
    """
    if limit is not None:
        suited = limit.room_for(suited)
    # Each known item takes the place of at most one of them.
    some = list(islice(suited, n_new + len(known)))
    for n in range(min(n_new, len(some)), 0, -1):
        n_kept = min(len(known), k - n)
        fitting = some if limit is None else limit.room_for(some, beside=known[:n_kept])
        new = list(islice(fitting, n))
        if len(new) == n:
            return n_kept, new
    return min(len(known), k), []


def _features(table: pd.DataFrame) -> NDArray[np.float64]:
    """A row an item: 1, its values and words, and its texts' place; float64, shape (n, width)."""
    parts = [np.ones((len(table), 1))]
    values = [_values(row, table.columns) for row in table.itertuples(index=False, name=None)]
    parts.append(_bags(values).toarray())
    texts = table.agg(" ".join, axis=1).str.casefold()
    grams = _bags([_grams(each) for each in texts])
    counts = np.bincount(grams.indices, minlength=grams.shape[1])
    telling = np.flatnonzero((counts > 0) & (counts < len(table)))  # what all have weighs nothing
    rank = min(TEXT_DIM, len(table) - 1, len(telling) - 1)
    if rank > 0:
        weighted = grams[:, telling] @ diags_array(np.log(len(table) / counts[telling]))
        lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)))
        weighted = csr_array(diags_array(1 / np.maximum(lengths, 1e-12)) @ weighted)
        left, sizes, _ = svds(weighted, k=rank, random_state=0)
        parts.append(left * sizes * np.sqrt(len(table)) / max(sizes.max(), 1e-12))
    return np.concatenate(parts, axis=1)


def _values(row: Sequence[str], columns: Iterable[str]) -> Iterator[str]:
    """The cells of a row, and their words, each with its column."""
    for column, cell in zip(columns, row, strict=True):
        if cell:
            yield f"{column}={cell}"
            yield from {f"{column}:{word}" for word in _WORDS.findall(cell.casefold())}


def _grams(text: str) -> Iterator[str]:
    padded = f" {text} "
    for length in (3, 4):
        yield from {padded[at : at + length] for at in range(len(padded) - length + 1)}


def _bags(rows: Iterable[Iterable[str]]) -> csr_array:
    """1 where a row has a feature; those of too few rows are left out."""
    held = [list(each) for each in rows]
    counts = Counter(name for row in held for name in row)
    place = {
        name: number
        for number, name in enumerate(n for n, c in counts.items() if c >= FEWEST_BEARERS)
    }
    pairs = [(at, place[name]) for at, row in enumerate(held) for name in row if name in place]
    at, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return csr_array((np.ones(len(pairs)), (at, columns)), shape=(len(held), len(place)))


def _ridge(
    features: NDArray[np.float64],
    targets: NDArray[np.float32],
    weights: NDArray[np.float64],
    n_folds: int,
) -> NDArray[np.float64]:
    """Weighted ridge regression; the folds choose the ridge; shape (width, dim)."""
    folds = np.random.default_rng(0).integers(n_folds, size=len(features))
    errors = np.zeros(len(RIDGES))
    for fold in range(n_folds):
        inside, outside = folds != fold, folds == fold
        if not inside.any() or not outside.any():
            continue
        for place, solved in enumerate(
            _solved(features[inside], targets[inside], weights[inside], RIDGES)
        ):
            missed = features[outside] @ solved - targets[outside]
            errors[place] += (weights[outside, None] * missed**2).sum()
    best = RIDGES[int(errors.argmin())]
    return next(iter(_solved(features, targets, weights, (best,))))


def _solved(
    features: NDArray[np.float64],
    targets: NDArray[np.float32],
    weights: NDArray[np.float64],
    ridges: Sequence[float],
) -> Iterator[NDArray[np.float64]]:
    weighted = features * weights[:, None]
    gram, right = features.T @ weighted, weighted.T @ targets
    share = weights.mean() if weights.mean() > 0 else 1.0
    for ridge in ridges:
        penalty = np.full(len(gram), ridge * share)
        penalty[0] = 1e-6  # the mean itself is not drawn to zero
        yield np.asarray(np.linalg.solve(gram + np.diag(penalty), right), dtype=np.float64)
