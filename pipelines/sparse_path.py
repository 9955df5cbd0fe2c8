"""The item-item path of a training: searched, fitted, and weighed against the VAE."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .config import Settings
from .judge import Judge
from .output import note, progress_bar

if TYPE_CHECKING:
    from recsys.data.interactions import Interactions
    from recsys.data.splits import Split
    from recsys.fusion import SparsePath
    from recsys.neighbours.config import NeighboursConfig
    from recsys.tuning import Trial
    from recsys.vae.model import VAE


@dataclass(frozen=True)
class FittedPath:
    """The path as it is served, what it was fitted with, and its validation figure."""

    sparse: "SparsePath"
    config: "NeighboursConfig"
    validation: float | None

    def description(self) -> dict[str, Any]:
        """What the model's manifest says of it."""
        return {"tau": self.sparse.tau, "neighbours": asdict(self.config)}


def fit_path(split: "Split", vae: "VAE", settings: Settings, judge: Judge) -> FittedPath:
    """Fit the path; validation users, where there are any, choose its values and tau."""
    if split.validation is None:
        return _fit_untuned(split.train, settings.neighbours, alone=not vae.members)
    from recsys.tuning import n_trials, search

    trials = n_trials(split.train.n_items) if settings.model.search else 0
    with progress_bar() as bar:
        task = bar.add_task("item-item path", total=split.train.n_items)

        def on_trial(trial: "Trial") -> None:
            line = f"item-item path, trial: {judge.metric} {_described(trial)}"
            bar.console.print(line, highlight=False, soft_wrap=True)

        chosen = search(
            split.train,
            settings.neighbours,
            vae.score if vae.members else None,
            split.validation,
            trials=trials,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            on_trial=on_trial,
        )
    note(f"item-item path: {judge.metric} {_described(chosen)}")
    return FittedPath(chosen.path, chosen.config, float(chosen.by_user.mean()))


def _fit_untuned(train: "Interactions", config: "NeighboursConfig", alone: bool) -> FittedPath:
    from recsys.fusion import DEFAULT_TAU, SparsePath
    from recsys.neighbours.item_item import fit_item_item

    with progress_bar() as bar:
        task = bar.add_task("item-item path", total=train.n_items)
        item_item = fit_item_item(
            train, config, progress=lambda done, _: bar.update(task, completed=done)
        )
    return FittedPath(SparsePath(item_item, 1.0 if alone else DEFAULT_TAU), config, None)


def _described(trial: "Trial") -> str:
    config = trial.config
    return (
        f"{trial.by_user.mean():.4f} (tau {trial.path.tau:g}, ridge {config.ridge:g}, dropout "
        f"{config.dropout:g}, user exponent {config.user_exponent:g}, "
        f"{config.n_neighbours} neighbours)"
    )
