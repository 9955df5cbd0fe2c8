"""What an evaluation found: every user's value, the means with intervals, paired differences."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from recsys.errors import ConfigError
from recsys.metrics import Metric

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over users with its 95 % interval.

    Parameters
    ----------
    mean : float
    low, high : float or None
        None where users have no spread: one user, or a metric of all lists together.
    """

    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        mean = round(self.mean, 4) + 0.0  # never -0.0000
        if self.low is None or self.high is None:
            return f"{mean:.4f}"
        return f"{mean:.4f} ±{(self.high - self.low) / 2:.4f}"


@dataclass(frozen=True)
class Difference:
    """How much higher model `a` is than model `b` on the same users, by one metric."""

    a: str
    b: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True)
class Table:
    """Plain text by row and column, to print in any way; every row is as long as the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def estimate_mean(values: NDArray[np.float64]) -> Estimate:
    """Estimate the mean over users by Student's t.

    Parameters
    ----------
    values : float64, shape (n_users,)
        One value a user; at least one.

    Examples
    --------
    >>> estimate_mean(np.array([0.0, 1.0, 0.0, 1.0]))  # doctest: +ELLIPSIS
    Estimate(mean=0.5, low=-0.418..., high=1.418...)
    >>> print(estimate_mean(np.array([0.25])))
    0.2500
    """
    n_users, mean = len(values), float(values.mean())
    if n_users == 1:
        return Estimate(mean, None, None)
    # scipy.special, because importing scipy.stats takes as long as a small evaluation.
    quantile = float(stdtrit(n_users - 1, (1 + CONFIDENCE) / 2))
    half = quantile * float(values.std(ddof=1)) / math.sqrt(n_users)
    return Estimate(mean, mean - half, mean + half)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Models measured on the same users; the first model is the one that is compared.

    Parameters
    ----------
    on : str
        Which users: "validation" or "test".
    n_users : int
        How many of them; at least 1.
    by_user : mapping of model -> metric -> float64, shape (n_users,)
        Every model is a key, in the order of the report. Users are in the order of the holdout.
    overall : mapping of model -> metric -> float
        The metrics of all lists together, which have no value for one user (coverage).
    """

    on: str
    n_users: int
    by_user: Mapping[str, Mapping[str, NDArray[np.float64]]]
    overall: Mapping[str, Mapping[str, float]]

    def models(self) -> list[str]:
        """List the models, in their order."""
        return list(self.by_user)

    def metrics(self, model: str) -> list[str]:
        """List the metrics that a model was measured by."""
        return [*self.by_user[model], *self.overall.get(model, {})]

    def estimate(self, model: str, metric: Metric | str) -> Estimate:
        """Give the mean of one metric with its interval.

        Raises
        ------
        ConfigError
            The model or the metric was not measured.
        """
        self._check_measured(model, str(metric))
        values = self.by_user[model].get(str(metric))
        if values is None:
            return Estimate(self.overall[model][str(metric)], None, None)
        return estimate_mean(values)

    def mean(self, model: str, metric: Metric | str) -> float:
        """Give the mean of one metric; raises as `estimate` does."""
        return self.estimate(model, metric).mean

    def difference(self, a: str, b: str, metric: Metric | str) -> Difference:
        """Compare two models user by user; raises as `estimate` does."""
        self._check_measured(a, str(metric))
        self._check_measured(b, str(metric))
        if str(metric) in self.by_user[a]:
            paired = self.by_user[a][str(metric)] - self.by_user[b][str(metric)]
            return Difference(a, b, str(metric), estimate_mean(paired))
        gap = self.overall[a][str(metric)] - self.overall[b][str(metric)]
        return Difference(a, b, str(metric), Estimate(gap, None, None))

    def differences(self) -> list[Difference]:
        """Compare the first model with each other one, by the metrics that both have."""
        first, *others = self.models()
        return [
            self.difference(first, other, metric)
            for other in others
            for metric in self.metrics(first)
            if metric in self.metrics(other)
        ]

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values, in the shape that DESIGN.md fixes."""
        models = {
            model: {
                metric: _estimate_json(self.estimate(model, metric))
                for metric in self.metrics(model)
            }
            for model in self.models()
        }
        differences = [
            {"a": each.a, "b": each.b, "metric": each.metric, **_estimate_json(each.estimate)}
            for each in self.differences()
        ]
        return {
            "on": self.on,
            "n_users": self.n_users,
            "models": models,
            "differences": differences,
        }

    def table(self) -> Table:
        """Lay out the means: one row a metric, one column a model; empty where not measured."""
        names = list(dict.fromkeys(each for m in self.models() for each in self.metrics(m)))
        rows = tuple(
            (name, *(self._cell(model, name) for model in self.models())) for name in names
        )
        return Table(("metric", *self.models()), rows)

    def difference_table(self) -> Table:
        """Lay out the paired differences: one row a metric, one column a model compared with."""
        first, *others = self.models()
        cells = {(each.metric, each.b): str(each.estimate) for each in self.differences()}
        names = dict.fromkeys(metric for metric, _ in cells)
        rows = tuple((name, *(cells.get((name, each), "") for each in others)) for name in names)
        return Table(("metric", *(f"{first} - {each}" for each in others)), rows)

    def _cell(self, model: str, metric: str) -> str:
        return str(self.estimate(model, metric)) if metric in self.metrics(model) else ""

    def _check_measured(self, model: str, metric: str) -> None:
        if model not in self.by_user:
            raise ConfigError(
                f"model {model!r} is not in this report; it has {', '.join(self.models())}"
            )
        if metric not in self.metrics(model):
            raise ConfigError(
                f"{metric} of {model} is not in this report; it has "
                f"{', '.join(self.metrics(model))}: ask for it among the metrics"
            )


def _estimate_json(estimate: Estimate) -> dict[str, float | None]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}


@dataclass(frozen=True)
class Threshold:
    """The least mean that is good enough, written `ndcg@100=0.40`."""

    metric: Metric
    floor: float

    def __str__(self) -> str:
        return f"{self.metric}={self.floor:g}"

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        """Read `NAME@K=VALUE`.

        Raises
        ------
        ConfigError
            The text is no threshold, the metric is unknown, or the value is not a finite number.

        Examples
        --------
        >>> Threshold.parse("ndcg@100=0.40")
        Threshold(metric=Metric(name='ndcg', k=100), floor=0.4)
        """
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(
                f"{text!r} is not a threshold: expected METRIC=VALUE, such as ndcg@100=0.40"
            )
        return cls(Metric.parse(name.strip()), _finite(text, value))


def _finite(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(
            f"{text!r} is not a threshold: expected a finite number behind the '=', found "
            f"{value.strip()!r}"
        )
    return number


@dataclass(frozen=True)
class ThresholdCheck:
    """Whether a model's mean reaches a threshold; equal is enough."""

    model: str
    threshold: Threshold
    measured: float

    @property
    def holds(self) -> bool:
        """Whether the mean is at least the floor."""
        return self.measured >= self.threshold.floor

    def __str__(self) -> str:
        word = "at least" if self.holds else "below"
        return (
            f"{self.threshold.metric} of {self.model} is {self.measured:.6g}, "
            f"{word} {self.threshold.floor:g}"
        )


def check_threshold(report: Evaluation, model: str, threshold: Threshold | str) -> ThresholdCheck:
    """Hold a model's mean against a threshold.

    Parameters
    ----------
    threshold : Threshold or str
        A text is parsed: "ndcg@100=0.40".

    Raises
    ------
    ConfigError
        The text is no threshold, or the report lacks the model or the metric.
    """
    if isinstance(threshold, str):
        threshold = Threshold.parse(threshold)
    return ThresholdCheck(model, threshold, report.mean(model, threshold.metric))
