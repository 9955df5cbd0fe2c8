"""Popularity: everybody gets what most training users met."""

from recsys.baselines import Popularity
from recsys.data.interactions import Interactions
from recsys.data.splits import Holdout

from .fitted import Fitted


def fit(train: Interactions, validation: Holdout) -> Fitted:
    """Count; there is nothing to choose."""
    return Fitted(Popularity.fit(train).score, "", 1)
