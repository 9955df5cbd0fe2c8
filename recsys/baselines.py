"""The floors of every report: popularity, item means, and EASE, the closed-form autoencoder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import csr_array

from recsys.data.interactions import Interactions
from recsys.data.splits import Holdout
from recsys.errors import ArtefactError, ConfigError
from recsys.metrics import DEFAULT_VALIDATION_METRIC, Metric, find_hits
from recsys.ranking import Ranking, Scorer, exclude, top_k

DEFAULT_RIDGE = 500.0
_GRAM_COLUMNS = 1000
_WEIGHTS_FILE = "weights.npy"
_CONFIG_FILE = "ease.json"


@dataclass(frozen=True, eq=False)
class Popularity:
    """Everybody gets what most training users met.

    Parameters
    ----------
    item_counts : int64, shape (n_items,)
        How many training users met each item.
    """

    item_counts: NDArray[np.int64]

    @classmethod
    def fit(cls, train: Interactions) -> "Popularity":
        """Count the users of each item."""
        return cls(train.item_counts())

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        """Score every item, number of users; float32, shape (n_users, n_items)."""
        return np.tile(self.item_counts.astype(np.float32), (histories.shape[0], 1))

    def rank(self, histories: csr_array, k: int) -> Ranking:
        """Rank the k most popular items outside each history."""
        return rank_unseen(self.score, histories, k)

    def standing_in(self, score: Scorer) -> Scorer:
        """Score those without a history by popularity, as the product serves them.

        Parameters
        ----------
        score : Scorer
            Of everybody else; where it writes its scores is written over.
        """

        def scored(histories: csr_array) -> NDArray[np.float32]:
            scores = score(histories)
            scores[np.diff(histories.indptr) == 0] = self.item_counts
            return scores

        return scored


@dataclass(frozen=True, eq=False)
class ItemMeans:
    """Everybody rates an item as the training users did on average: the floor of RMSE and MAE.

    Parameters
    ----------
    means : float32, shape (n_items,)
        In units of the rating; 0 where nobody rated.
    """

    means: NDArray[np.float32]

    @classmethod
    def fit(cls, train: Interactions) -> "ItemMeans":
        """Average the observed values of each item."""
        return cls(train.item_means())

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        """Score every item by its mean; float32, shape (n_users, n_items)."""
        return np.tile(self.means, (histories.shape[0], 1))


@dataclass(frozen=True, eq=False)
class EASE:
    """Each item explained by a linear combination of all others (Steck 2019).

    Parameters
    ----------
    weights : float32, shape (n_items, n_items)
        Row i, column j: what having met item i says for item j; zero on the diagonal.
    ridge : float
        The regularisation that it was fitted with, in squared interactions.

    Notes
    -----
    An empty history scores 0 throughout: see `Popularity.standing_in`.
    """

    weights: NDArray[np.float32]
    ridge: float

    @classmethod
    def fit(cls, train: Interactions, ridge: float = DEFAULT_RIDGE) -> "EASE":
        """Solve the closed form on the binarised matrix.

        Raises
        ------
        ConfigError
            The ridge is not a positive number.

        Notes
        -----
        Takes n_items^3 multiply-adds, and 16 n_items^2 bytes at the peak: 3.6 GB for 15,000.
        """
        _check_ridge(ridge)
        return cls(_ease_weights(_gram(train), ridge), ridge)

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        """Score every item; float32, shape (n_users, n_items), higher is better."""
        return np.asarray(_binary(histories) @ self.weights)

    def rank(self, histories: csr_array, k: int) -> Ranking:
        """Rank the k best items outside each history."""
        return rank_unseen(self.score, histories, k)


def fit_best_ease(
    train: Interactions,
    validation: Holdout | None,
    ridges: Sequence[float] = (200.0, 500.0, 1000.0),
    metric: Metric = DEFAULT_VALIDATION_METRIC,
) -> EASE:
    """Fit EASE with the ridge that serves the validation users best.

    Parameters
    ----------
    validation : Holdout or None
        Over the items of `train`. Without users to choose by, the ridge is DEFAULT_RIDGE.
    ridges : sequence of float
        Positive; of equals the first wins.
    metric : Metric
        One that looks at hits.

    Raises
    ------
    ConfigError
        A ridge is not a positive number, there is none, or the metric does not look at hits.
    """
    metric.of_hits_only()
    if not ridges:
        raise ConfigError("no ridge to choose from: name at least one positive number")
    for ridge in ridges:
        _check_ridge(ridge)
    if validation is None or validation.fold_in.n_users == 0:
        return EASE.fit(train)
    gram, popularity = _gram(train), Popularity.fit(train)
    best, best_value = None, -np.inf
    for ridge in ridges:
        candidate = EASE(_ease_weights(gram, ridge), ridge)
        value = mean_metric(popularity.standing_in(candidate.score), validation, metric)
        if value > best_value:
            best, best_value = candidate, value
    assert best is not None
    return best


def rank_unseen(score: Scorer, histories: csr_array, k: int) -> Ranking:
    """Score, take out each row's history, and rank the k best of the rest."""
    scores = score(histories)
    exclude(scores, histories)
    return top_k(scores, k)


def metric_of_users(
    scores: NDArray[np.float32], histories: csr_array, held_out: csr_array, metric: Metric
) -> NDArray[np.float64]:
    """Measure the lists that scores make, each user's history left out; overwrites `scores`.

    Parameters
    ----------
    scores : float32, shape (n_users, n_items)
    histories, held_out : csr_array, shape (n_users, n_items)
    metric : Metric
        One that looks at hits.

    Returns
    -------
    float64, shape (n_users,)
    """
    exclude(scores, histories)
    ranking = top_k(scores, min(metric.k, scores.shape[1]))
    hits = find_hits(ranking.positions, held_out)
    return metric.of_hits(hits, np.diff(held_out.indptr).astype(np.int64))


def mean_metric(score: Scorer, holdout: Holdout, metric: Metric, batch_size: int = 500) -> float:
    """Measure a scorer on held-out users: the mean of one metric of hits; higher is better.

    Parameters
    ----------
    score : Scorer
        Is given the fold-in histories, `batch_size` users at a time.
    holdout : Holdout
        At least one user.
    """
    histories, wanted = holdout.fold_in.matrix, holdout.held_out.matrix
    total = 0.0
    for start in range(0, histories.shape[0], batch_size):
        rows = slice(start, start + batch_size)
        block = histories[rows]
        total += float(metric_of_users(score(block), block, wanted[rows], metric).sum())
    return total / histories.shape[0]


def save_ease(ease: EASE, folder: Path) -> None:
    """Write `weights.npy` and `ease.json` into an existing folder."""
    np.save(folder / _WEIGHTS_FILE, ease.weights, allow_pickle=False)
    config = {"ridge": ease.ridge, "n_items": len(ease.weights)}
    (folder / _CONFIG_FILE).write_text(json.dumps(config) + "\n", encoding="utf-8")


def load_ease(folder: Path) -> EASE:
    """Load what `save_ease` wrote; the weights stay on disk, memory-mapped.

    Raises
    ------
    ArtefactError
        A file is missing or is not what `save_ease` writes.
    """
    path = folder / _CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        ridge, n_items = float(config["ridge"]), int(config["n_items"])
    except FileNotFoundError:
        raise _unusable(path, "it is missing") from None
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise _unusable(path, f"expected the numbers ridge and n_items ({error})") from error
    return EASE(_load_weights(folder / _WEIGHTS_FILE, n_items), ridge)


def _load_weights(path: Path, n_items: int) -> NDArray[np.float32]:
    try:
        # Not np.load, which would also open zip archives and pickles.
        weights = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise _unusable(path, "it is missing") from None
    except (ValueError, TypeError, EOFError, OverflowError, SyntaxError, TokenError) as error:
        # So many, because numpy parses the header as a Python literal.
        raise _unusable(path, f"it is not a whole .npy file ({error})") from error
    if weights.dtype != np.float32 or weights.shape != (n_items, n_items):
        found = f"{weights.dtype} of shape {weights.shape}"
        raise _unusable(path, f"expected float32 of shape ({n_items}, {n_items}), found {found}")
    return weights


def _unusable(path: Path, why: str) -> ArtefactError:
    reason = " ".join(why.split())
    return ArtefactError(f"cannot load EASE from {path}: {reason}; delete its folder and fit again")


def _check_ridge(ridge: float) -> None:
    if not 0 < ridge < np.inf:
        raise ConfigError(f"EASE's ridge is {ridge}: expected a positive number, such as 500")


def _binary(matrix: csr_array) -> csr_array:
    # An explicit zero is an interaction too, hence not a comparison of values.
    ones = np.ones(len(matrix.indices), dtype=np.float32)
    return csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape)


def _gram(train: Interactions) -> NDArray[np.float32]:
    """Count the users of each pair of items; float32 (exact below 2^24 users), square."""
    X = _binary(train.matrix)
    gram = np.empty((train.n_items, train.n_items), dtype=np.float32)
    by_item, columns = X.T.tocsr(), X.tocsc()
    # In blocks: the sparse product is nearly full, and would take three times the memory.
    for start in range(0, train.n_items, _GRAM_COLUMNS):
        block = slice(start, start + _GRAM_COLUMNS)
        gram[:, block] = (by_item @ columns[:, block].tocsr()).toarray()
    return gram


def _ease_weights(gram: NDArray[np.float32], ridge: float) -> NDArray[np.float32]:
    """Solve B = I - P diag(1 / diag P) with P = (G + ridge I)^-1 (Steck 2019, equation 8)."""
    regularised = gram.astype(np.float64, order="F")
    regularised[np.diag_indices_from(regularised)] += ridge
    # LAPACK itself, because it works in place: one square of float64 instead of three.
    factor, status = dpotrf(regularised, lower=1, clean=0, overwrite_a=1)
    assert status == 0, status  # G is positive semi-definite and the ridge is positive
    lower, status = dpotri(factor, lower=1, overwrite_c=1)
    assert status == 0, status
    diagonal = np.diagonal(lower).copy()
    weights = np.empty(gram.shape, dtype=np.float32)
    for j in range(len(gram)):  # P is symmetric and only its lower triangle is there
        weights[j:, j] = lower[j:, j] / -diagonal[j]
        weights[j, j + 1 :] = lower[j + 1 :, j] / -diagonal[j + 1 :]
    np.fill_diagonal(weights, 0.0)
    return weights
