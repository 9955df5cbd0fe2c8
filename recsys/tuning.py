"""Which values of the item-item path, and which tau, serve the validation users best."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.baselines import Popularity
from recsys.data.interactions import Interactions
from recsys.data.splits import Holdout
from recsys.errors import ConfigError
from recsys.fusion import TAUS, SparsePath, choose_tau
from recsys.neighbours.config import NeighboursConfig
from recsys.neighbours.item_item import fit_item_item
from recsys.neighbours.neighbourhoods import Neighbourhoods, Progress
from recsys.ranking import Scorer

SEARCH_ITEMS = 500_000
"""Items that all trials may solve together: a catalogue of half as many is given two."""

MOST_TRIALS = 9

STEPS: tuple[tuple[str, float], ...] = (
    ("ridge", 0.4),
    ("ridge", 2.5),
    ("dropout", -0.2),
    ("dropout", +0.2),
    ("user_exponent", -0.3),
    ("user_exponent", +0.3),
)
"""What a trial changes in the best so far: a factor of the ridge, a summand of the others.

Those that keep the neighbourhoods come first: they are found once.
"""

STEP_ERRORS, KEPT_ERRORS = 1.0, 3.0
"""Standard errors by which a step must be ahead to be taken; and by which what the steps have led
to must beat the start at its width, or half the neighbours all of them. The best of nine trials
leads by luck alone, and with fewer errors it misled (docs/experiments.md)."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One configuration, fitted and measured.

    Parameters
    ----------
    config : NeighboursConfig
    path : SparsePath
        With the tau that serves the validation users best.
    by_user : float64, shape (n_users,)
        The metric of each validation user; higher is better.
    """

    config: NeighboursConfig
    path: SparsePath
    by_user: NDArray[np.float64]

    def beats(self, other: "Trial", errors: float) -> bool:
        """Whether it is ahead by more than `errors` standard errors of the paired difference."""
        difference = self.by_user - other.by_user
        error = difference.std(ddof=1) / len(difference) ** 0.5 if len(difference) > 1 else np.inf
        return bool(difference.mean() > errors * error)


def n_trials(n_items: int) -> int:
    """Count the trials that data of this size are given: never by the clock.

    Below two there is nothing to compare, and the start is taken as it is: 0.

    Examples
    --------
    >>> [n_trials(n_items) for n_items in (3_500, 40_000, 100_000, 1_000_000)]
    [9, 9, 5, 0]
    """
    affordable = SEARCH_ITEMS // n_items
    return 0 if affordable < 2 else min(affordable, MOST_TRIALS)


def search(
    train: Interactions,
    start: NeighboursConfig,
    dense: Scorer | None,
    validation: Holdout,
    *,
    trials: int,
    n_threads: int | None = None,
    progress: Progress | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> Trial:
    """Improve one value of `start` at a time at half its width, then see what the full one adds.

    Parameters
    ----------
    train : Interactions
    start : NeighboursConfig
        The first trial.
    dense : Scorer or None
        The VAE's, to which the path is added; None for neighbours alone.
    validation : Holdout
        At least one user; what is to be found is not in `train`.
    trials : int
        At most so many at half the width; 0 is no search at all. See `n_trials`.
    n_threads : int or None
    progress : callable or None
        Receives how much is done, and how much there is in all, for one step after the other.
    on_trial : callable or None
        Receives each trial.

    Returns
    -------
    Trial
        `start`, unless other values are clearly better at its width; with half the neighbours
        where that is clearly better again.
    """
    start = start.sized_for(train.n_items)
    assert start.n_neighbours is not None
    bench = _Bench(train, dense, validation, n_threads, progress)
    if trials == 0:
        return bench.trial_of(start)
    half = replace(start, n_neighbours=max(1, start.n_neighbours // 2))
    climbed = _climb(half, bench, trials, on_trial)
    best = bench.trial_of(start)
    widened = replace(climbed.config, n_neighbours=start.n_neighbours)
    if widened != start:
        found = bench.trial_of(widened)
        best = found if found.beats(best, KEPT_ERRORS) else best
    return climbed if climbed.beats(best, KEPT_ERRORS) else best


class _Bench:
    """Fits and measures one configuration after the other on the same data."""

    def __init__(
        self,
        train: Interactions,
        dense: Scorer | None,
        validation: Holdout,
        n_threads: int | None,
        progress: Progress | None,
    ) -> None:
        self.train, self.n_threads, self.progress = train, n_threads, progress
        self.validation, self.taus = validation, TAUS if dense is not None else (1.0,)
        self.dense = Popularity.fit(train).standing_in(dense or _no_scores)
        self.neighbourhoods: tuple[tuple[float, int | None], Neighbourhoods] | None = None

    def trial_of(self, config: NeighboursConfig) -> Trial:
        """Fit the path, and find its tau."""
        item_item = fit_item_item(
            self.train,
            config,
            neighbourhoods=self._neighbourhoods_of(config),
            n_threads=self.n_threads,
            progress=self.progress,
        )
        tuning = choose_tau(self.dense, item_item, self.validation, taus=self.taus)
        return Trial(config, SparsePath(item_item, tuning.tau), tuning.by_user)

    def _neighbourhoods_of(self, config: NeighboursConfig) -> Neighbourhoods:
        """Those of the trial before where they serve: two at once may not fit the memory."""
        key = (config.user_exponent, config.n_neighbours)
        if self.neighbourhoods is None or self.neighbourhoods[0] != key:
            self.neighbourhoods = None
            found = Neighbourhoods.of(self.train, config, self.n_threads, self.progress)
            self.neighbourhoods = (key, found)
        return self.neighbourhoods[1]


def _climb(
    start: NeighboursConfig,
    bench: _Bench,
    trials: int,
    on_trial: Callable[[Trial], None] | None,
) -> Trial:
    """Step away from the best so far until a whole round of steps holds nothing new."""
    best: Trial | None = None
    ahead = [start]
    tried: set[NeighboursConfig] = set()
    while ahead and len(tried) < trials:
        config = ahead[0]
        tried.add(config)
        trial = bench.trial_of(config)
        if on_trial is not None:
            on_trial(trial)
        best = trial if best is None or trial.beats(best, STEP_ERRORS) else best
        steps = (_changed(best.config, key, step) for key, step in STEPS)
        ahead = [each for each in steps if each is not None and each not in tried]
    assert best is not None
    return best


def _no_scores(histories: csr_array) -> NDArray[np.float32]:
    return np.zeros(histories.shape, dtype=np.float32)


def _changed(config: NeighboursConfig, key: str, step: float) -> NeighboursConfig | None:
    """Take one step; None where it leaves the range."""
    before = getattr(config, key)
    if key == "ridge":
        return replace(config, ridge=round(before * step, 6))
    try:
        return replace(config, **{key: round(before + step, 6)})
    except ConfigError:
        return None
