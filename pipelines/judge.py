"""What a training is judged by: a figure on validation users, and the floor it has to pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .output import note

if TYPE_CHECKING:
    from recsys.data.splits import Split
    from recsys.ranking import Scorer
    from recsys.vae.config import VAEConfig


@dataclass(frozen=True)
class Judge:
    """How well a model does on the validation users, if there are any.

    Parameters
    ----------
    metric : str
        Higher is better.
    measure : callable or None
        None without validation users.
    floor_name : str
    floor : float or None
        What a model without any learning reaches.
    """

    metric: str
    measure: "Callable[[Scorer], float] | None"
    floor_name: str
    floor: float | None

    @classmethod
    def of(cls, split: "Split", config: "VAEConfig") -> "Judge":
        """RMSE over item means where ratings are predicted, else ndcg@100 over popularity."""
        from recsys.baselines import ItemMeans, Popularity
        from recsys.evaluation.protocols import ndcg_validator, rmse_validator

        ratings = config.predicts_ratings
        metric, floor_name = ("-rmse", "item means") if ratings else ("ndcg@100", "popularity")
        if split.validation is None:
            return cls(metric, None, floor_name, None)
        if ratings:
            measure = rmse_validator(split.validation)
            return cls(metric, measure, floor_name, measure(ItemMeans.fit(split.train).score))
        validate, popularity = ndcg_validator(split.validation), Popularity.fit(split.train)

        def measure_ranking(score: "Scorer") -> float:
            return validate(popularity.standing_in(score))

        return cls(metric, measure_ranking, floor_name, validate(popularity.score))

    def warn_below_floor(self, chosen: float | None) -> None:
        """Say so when the VAE's chosen epoch has learned nothing."""
        if chosen is not None and self.floor is not None and chosen <= self.floor:
            note(
                f"warning: {self.metric} of the chosen epoch, {chosen:.4f}, is not above that of "
                f"{self.floor_name}, {self.floor:.4f}: the VAE has learned too little; train "
                "longer (--epochs), or give more data"
            )
