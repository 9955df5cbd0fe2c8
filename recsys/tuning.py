"""Which values of the item-item path, and which tau, serve the validation users best."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.interactions import Interactions
from recsys.data.splits import Holdout
from recsys.fusion import TAUS, SparsePath, choose_tau
from recsys.neighbours.config import NeighboursConfig
from recsys.neighbours.item_item import fit_item_item
from recsys.ranking import Scorer

SEARCH_NEIGHBOURS = 100
"""Width of a trial's neighbourhoods: values that serve there serve wider ones too."""

SEARCH_WORK = 5e11
"""Multiplications that a search may cost, counted as trials x items x neighbours^3."""

MOST_TRIALS = 12

STEPS: tuple[tuple[str, float], ...] = (
    ("ridge", 0.4),
    ("ridge", 2.5),
    ("dropout", -0.2),
    ("dropout", +0.2),
    ("user_exponent", -0.3),
    ("user_exponent", +0.3),
)
"""What a trial changes in the best so far: a factor of the ridge, a summand of the others."""


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

    def beats(self, other: "Trial") -> bool:
        """Whether it is ahead by more than one standard error of the paired difference.

        Less is chance as often as not, and the start is known to do well on many data sets.
        """
        difference = self.by_user - other.by_user
        error = difference.std(ddof=1) / len(difference) ** 0.5 if len(difference) > 1 else np.inf
        return bool(difference.mean() > error)


def n_trials(n_items: int) -> int:
    """Count the trials that data of this size are given: never by the clock.

    Below two there is nothing to compare, and the start is taken as it is: 0.

    Examples
    --------
    >>> [n_trials(n_items) for n_items in (3_500, 40_000, 100_000, 1_000_000)]
    [12, 12, 5, 0]
    """
    affordable = SEARCH_WORK // (n_items * SEARCH_NEIGHBOURS**3)
    return 0 if affordable < 2 else int(min(affordable, MOST_TRIALS))


def search(
    train: Interactions,
    start: NeighboursConfig,
    dense: Scorer | None,
    validation: Holdout,
    *,
    trials: int,
    n_threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> Trial:
    """Improve one value of `start` at a time on narrow neighbourhoods, then fit the full ones.

    Parameters
    ----------
    train : Interactions
    start : NeighboursConfig
        The first trial.
    dense : Scorer or None
        The VAE's, to which the path is added; None for neighbours alone.
    validation : Holdout
        At least one user; none that `train` holds.
    trials : int
        At most so many; 0 is no search at all. See `n_trials`.
    n_threads : int or None
    progress : callable or None
        Receives items solved and items in all, for one fit after the other.
    on_trial : callable or None
        Receives each trial.

    Returns
    -------
    Trial
        With the width of `start`, and the values of the trial that nothing beat.
    """

    def trial_of(config: NeighboursConfig) -> Trial:
        item_item = fit_item_item(train, config, n_threads=n_threads, progress=progress)
        taus = (1.0,) if dense is None else TAUS
        tuning = choose_tau(dense or _no_scores, item_item, validation, taus=taus)
        return Trial(config, SparsePath(item_item, tuning.tau), tuning.by_user)

    best = start = start.sized_for(train.n_items)
    width = start.n_neighbours
    assert width is not None
    narrow = replace(start, n_neighbours=min(width, SEARCH_NEIGHBOURS))
    if trials > 0:
        best = replace(_climb(narrow, trial_of, trials, on_trial), n_neighbours=width)
    return trial_of(best)


def _climb(
    start: NeighboursConfig,
    trial_of: Callable[[NeighboursConfig], Trial],
    trials: int,
    on_trial: Callable[[Trial], None] | None,
) -> NeighboursConfig:
    """Step away from the best so far until a whole round of steps holds nothing new."""
    best: Trial | None = None
    ahead = [start]
    tried: set[NeighboursConfig] = set()
    while ahead and len(tried) < trials:
        config = ahead[0]
        tried.add(config)
        trial = trial_of(config)
        if on_trial is not None:
            on_trial(trial)
        if best is None or trial.beats(best):
            best = trial
        steps = (_changed(best.config, key, step) for key, step in STEPS)
        ahead = [each for each in steps if each is not None and each not in tried]
    assert best is not None
    return best.config


def _no_scores(histories: csr_array) -> NDArray[np.float32]:
    return np.zeros(histories.shape, dtype=np.float32)


def _changed(config: NeighboursConfig, key: str, step: float) -> NeighboursConfig | None:
    """Take one step; None where it leaves the range."""
    before = getattr(config, key)
    if key == "ridge":
        return replace(config, ridge=round(before * step, 6))
    after = round(before + step, 6)
    return replace(config, **{key: after}) if 0 <= after < 1 else None
