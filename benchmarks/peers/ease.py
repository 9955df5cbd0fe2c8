"""EASE (Steck 2019): the closed form of our own baselines, its ridge from a wider grid."""

from recsys.baselines import fit_best_ease
from recsys.data.interactions import Interactions
from recsys.data.splits import Holdout

from .fitted import Fitted

RIDGES = (100.0, 250.0, 500.0, 750.0, 1000.0, 1500.0)


def fit(train: Interactions, validation: Holdout) -> Fitted:
    """Fit at every ridge and keep the one that serves the validation users best."""
    ease = fit_best_ease(train, validation, RIDGES)
    return Fitted(ease.score, f"ridge {ease.ridge:g}", len(RIDGES))
