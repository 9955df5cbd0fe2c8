"""A fitted peer, and how validation users choose one of several fits."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from recsys.baselines import mean_metric
from recsys.data.splits import Holdout
from recsys.metrics import DEFAULT_VALIDATION_METRIC
from recsys.ranking import Scorer

Values = TypeVar("Values")


@dataclass(frozen=True, eq=False)
class Fitted:
    """A peer that is ready to be measured.

    Parameters
    ----------
    score : Scorer
    chosen : str
        What the validation users chose; empty where there is nothing to choose.
    n_fits : int
        How many fits they chose from.
    """

    score: Scorer
    chosen: str
    n_fits: int


@dataclass(frozen=True, eq=False)
class Best(Generic[Values]):
    """The best of `n_fits` fits so far; `value` is its ndcg@100 on validation users."""

    values: Values
    score: Scorer
    value: float
    n_fits: int

    def fitted(self) -> Fitted:
        """Leave the search behind."""
        return Fitted(self.score, str(self.values), self.n_fits)


def search(
    grid: Iterable[Values],
    fit: Callable[[Values], Scorer],
    validation: Holdout,
    best: Best[Values] | None = None,
) -> Best[Values]:
    """Fit at every point and keep what serves the validation users best; of equals the first.

    Parameters
    ----------
    grid : iterable
        At least one point. Its text is shown.
    fit : callable
        Gives the scorer that was fitted at a point; all but the best are forgotten at once.
    validation : Holdout
        At least one user.
    best : Best, optional
        What an earlier search found, which is kept unless it is beaten.
    """
    for values in grid:
        score = fit(values)
        value = mean_metric(score, validation, DEFAULT_VALIDATION_METRIC)
        note(f"{values}: {DEFAULT_VALIDATION_METRIC} {value:.4f} on validation users")
        n_fits = 1 if best is None else best.n_fits + 1
        if best is None or value > best.value:
            best = Best(values, score, value, n_fits)
        else:
            best = Best(best.values, best.score, best.value, n_fits)
    assert best is not None
    return best


def note(line: str) -> None:
    """Tell how a fit goes on; stdout is for figures."""
    print(f"  {line}", file=sys.stderr, flush=True)
