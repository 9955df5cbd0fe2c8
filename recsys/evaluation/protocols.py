"""How models are measured: histories in, held-out items back, the same users for every model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from recsys.baselines import mean_metric
from recsys.data.interactions import Interactions
from recsys.data.splits import Holdout
from recsys.errors import ConfigError
from recsys.evaluation.report import Evaluation
from recsys.metrics import (
    DEFAULT_VALIDATION_METRIC,
    Metric,
    coverage,
    find_hits,
    mae,
    novelty,
    rmse,
)
from recsys.ranking import Ranker, Scorer

_NO_SCORERS: Mapping[str, Scorer] = MappingProxyType({})


def evaluate(
    rankers: Mapping[str, Ranker],
    holdout: Holdout,
    train: Interactions,
    metrics: Sequence[Metric],
    *,
    on: str = "test",
    rating_scorers: Mapping[str, Scorer] = _NO_SCORERS,
    batch_size: int = 500,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure every model on the same held-out users.

    Parameters
    ----------
    rankers : mapping of name -> Ranker
        At least one; the first is the model that the others are compared with.
    holdout : Holdout
        What the models are given of each user, and what they have to find.
    train : Interactions
        What the models were trained on, over the same items; novelty counts in it.
    metrics : sequence of Metric
        Each ranker is asked once for the longest of their lists.
    on : str
        What the report calls these users: "validation" or "test".
    rating_scorers : mapping of name -> Scorer
        Models whose scores are ratings: their RMSE and MAE over the held-out entries are added.
    batch_size : int
        Users at a time.
    progress : callable, optional
        Called with the number of users done and of all to do, over all models.

    Raises
    ------
    ConfigError
        There is no user to measure on, or nothing to measure.
    """
    if not metrics and not rating_scorers:
        raise ConfigError("no metric to measure: name at least one, such as ndcg@100")
    _check_measurable(holdout, train, on)
    steps = _Steps(holdout, batch_size, len(rankers) + len(rating_scorers), progress)
    by_user: dict[str, dict[str, NDArray[np.float64]]] = {}
    overall: dict[str, dict[str, float]] = {}
    for name, rank in rankers.items():
        measured = _measure_lists(rank, holdout, train, metrics, steps)
        by_user[name], overall[name] = measured.by_user, measured.overall
    for name, score in rating_scorers.items():
        by_user.setdefault(name, {}).update(_measure_ratings(score, holdout, steps))
    return Evaluation(on, holdout.held_out.n_users, by_user, overall)


def ndcg_validator(
    holdout: Holdout,
    metric: Metric = DEFAULT_VALIDATION_METRIC,
    batch_size: int = 500,
) -> Callable[[Scorer], float]:
    """Give what training calls after an epoch: a scorer's mean metric; higher is better.

    Parameters
    ----------
    holdout : Holdout
        The validation users; what they have met is never listed.
    metric : Metric
        One that looks at hits.

    Raises
    ------
    ConfigError
        There is no validation user, or the metric does not look at hits.
    """
    metric.of_hits_only()
    if holdout.held_out.n_users == 0:
        raise ConfigError(
            "there are no validation users to choose the best epoch by: split some users off, "
            "or train without validation"
        )

    def validate(score: Scorer) -> float:
        return mean_metric(score, holdout, metric, batch_size)

    return validate


def rmse_validator(holdout: Holdout, batch_size: int = 500) -> Callable[[Scorer], float]:
    """Give what training of a rating model calls: minus the RMSE; higher is better.

    Parameters
    ----------
    holdout : Holdout
        The validation users; the values of their held-out entries are the truth.

    Raises
    ------
    ConfigError
        There is no validation user.
    """
    if holdout.held_out.n_users == 0:
        raise ConfigError("there are no validation users to choose the best epoch by")

    def validate(score: Scorer) -> float:
        steps = _Steps(holdout, batch_size, 1, None)
        return -rmse(_predict(score, holdout, steps), holdout.held_out.matrix.data)

    return validate


class _Steps:
    """The batches of users, counted over all models."""

    def __init__(
        self,
        holdout: Holdout,
        batch_size: int,
        n_passes: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._n_users, self._batch_size = holdout.held_out.n_users, batch_size
        self._done, self._total = 0, n_passes * holdout.held_out.n_users
        self._progress = progress

    def __iter__(self) -> Iterator[slice]:
        for start in range(0, self._n_users, self._batch_size):
            stop = min(start + self._batch_size, self._n_users)
            yield slice(start, stop)
            self._done += stop - start
            if self._progress is not None:
                self._progress(self._done, self._total)


@dataclass(frozen=True, eq=False)
class _Measured:
    by_user: dict[str, NDArray[np.float64]]
    overall: dict[str, float]


def _measure_lists(
    rank: Ranker, holdout: Holdout, train: Interactions, metrics: Sequence[Metric], steps: _Steps
) -> _Measured:
    histories, wanted = holdout.fold_in.matrix, holdout.held_out.matrix
    n_users, n_items = wanted.shape
    depth = min(max(metric.k for metric in metrics), n_items)
    item_counts = train.item_counts()
    by_user = {each: np.empty(n_users) for each in metrics if each.name != "coverage"}
    listed: dict[Metric, list[NDArray[np.int64]]] = {
        each: [] for each in metrics if each.name == "coverage"
    }
    for rows in steps:
        positions = rank(histories[rows], depth).positions
        assert positions.shape == (rows.stop - rows.start, depth), positions.shape
        held_out = wanted[rows]
        hits = find_hits(positions, held_out)
        n_held_out = np.diff(held_out.indptr).astype(np.int64)
        for metric, values in by_user.items():
            if metric.name == "novelty":
                values[rows] = novelty(positions[:, : metric.k], item_counts, train.n_users)
            else:
                values[rows] = metric.of_hits(hits, n_held_out)
        for metric, found in listed.items():
            found.append(np.unique(positions[:, : metric.k]))
    return _Measured(
        {str(metric): values for metric, values in by_user.items()},
        {str(each): coverage(np.concatenate(found), n_items) for each, found in listed.items()},
    )


def _measure_ratings(
    score: Scorer, holdout: Holdout, steps: _Steps
) -> dict[str, NDArray[np.float64]]:
    wanted = holdout.held_out.matrix
    users = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr))
    predicted = _predict(score, holdout, steps)
    return rating_errors_by_user(predicted, wanted.data.astype(np.float64), users)


def _predict(score: Scorer, holdout: Holdout, steps: _Steps) -> NDArray[np.float64]:
    """Score the held-out entries; float64, shape (n_entries,)."""
    histories, wanted = holdout.fold_in.matrix, holdout.held_out.matrix
    predicted = np.empty(len(wanted.indices), dtype=np.float64)
    users = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr))
    for rows in steps:
        entries = slice(wanted.indptr[rows.start], wanted.indptr[rows.stop])
        scores = score(histories[rows])
        predicted[entries] = scores[users[entries] - rows.start, wanted.indices[entries]]
    return predicted


def rating_errors_by_user(
    predicted: NDArray[np.float64], observed: NDArray[np.float64], users: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Spread RMSE and MAE over users, so that means and intervals can be taken as for any metric.

    Parameters
    ----------
    predicted, observed : float64, shape (n_entries,)
        Ratings.
    users : int64, shape (n_entries,)
        Whose rating it is: 0 .. n_users - 1, each with at least one.

    Returns
    -------
    dict of "rmse" and "mae" -> float64, shape (n_users,)
        In units of the rating; lower is better.

    Notes
    -----
    The mean over users is the error over all entries. That is a ratio of sums (and its root)
    whose users are the sampling units: each user gets its linearised share (the delta method,
    Deng, Knoblich and Lu 2018, section 3), which may be negative, instead of its own error.

    Examples
    --------
    >>> predicted, observed = np.array([1.0, 2.0, 5.0]), np.array([1.0, 4.0, 4.0])
    >>> errors = rating_errors_by_user(predicted, observed, np.array([0, 0, 1]))
    >>> bool(np.isclose(errors["rmse"].mean(), np.sqrt(5 / 3))), float(errors["mae"].mean())
    (True, 1.0)
    """
    errors = predicted - observed
    root = rmse(predicted, observed)
    squares = _shares_of_ratio(errors**2, root**2, users)
    slope = 0.0 if root == 0.0 else 1.0 / (2.0 * root)
    return {
        "rmse": root + slope * (squares - root**2),
        "mae": _shares_of_ratio(np.abs(errors), mae(predicted, observed), users),
    }


def _shares_of_ratio(
    errors: NDArray[np.float64], pooled: float, users: NDArray[np.int64]
) -> NDArray[np.float64]:
    counts = np.bincount(users)
    totals = np.bincount(users, weights=errors)
    return np.asarray(pooled + (totals - pooled * counts) / counts.mean())


def _check_measurable(holdout: Holdout, train: Interactions, on: str) -> None:
    assert holdout.held_out.n_items == holdout.fold_in.n_items == train.n_items
    if holdout.held_out.n_users == 0:
        raise ConfigError(
            f"there are no {on} users to evaluate on: the split holds none out; evaluate on "
            f"another part of it, or train with a split that has {on} users"
        )
