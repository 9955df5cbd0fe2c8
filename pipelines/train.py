"""recsys train: interactions -> split -> VAE, with checkpoints and a log of every epoch."""

import datetime
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.data.holdout import counted
from recsys.errors import ConfigError, DataError, TrainingError

from .config import ModelSettings, Settings
from .options import (
    Session,
    device_option,
    epilog,
    stage,
    threads_option,
    use_machine,
)
from .output import note, progress_bar
from .reading import read_file
from .runs import Run, interrupted_folder, new_run, progress_of, resumable_run

if TYPE_CHECKING:
    from recsys.data.artefact import InteractionStore
    from recsys.data.splits import Split
    from recsys.fusion import SparsePath
    from recsys.ranking import Scorer
    from recsys.vae.config import VAEConfig
    from recsys.vae.model import VAE
    from recsys.vae.tally import EpochReport


NOTHING_TO_RESUME = "nothing to resume: no training of this workspace was interrupted"

FEW_VALIDATION_USERS = 50
"""Below so many, which epoch is the best is mostly chance."""


@click.command(
    short_help="Train the model; --resume goes on after an interruption.",
    epilog=epilog("recsys train --split strong --test-size 1000 --epochs 60"),
)
@click.option(
    "--split",
    "split__kind",
    metavar="strong|weak|last|time|none|FILE",
    help="Who or what is held out  [strong: min(5 %, 1,000) users for validation]. A FILE has "
    "the columns user_id, item_id and part, which is train, validation_fold_in, "
    "validation_held_out, test_fold_in or test_held_out.",
)
@click.option(
    "--validation-size",
    "split__validation",
    type=float,
    metavar="N",
    help="strong: users (a count, or a fraction below 1); weak: share of each user's items; "
    "last: latest items of each user; time: share of the rows.",
)
@click.option("--test-size", "split__test", type=float, metavar="N", help="The same, for test.")
@click.option("--split-seed", "split__seed", type=int, metavar="N", help="Of the split  [98765]")
@click.option(
    "--test",
    "test_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Test interactions that came with the data, in any format that ingest reads.",
)
@click.option("--epochs", "training__epochs", type=int, metavar="N", help="Passes over the users.")
@click.option("--batch-size", "training__batch_size", type=int, metavar="N", help="Users a step.")
@click.option("--learning-rate", "training__learning_rate", type=float, metavar="R")
@click.option("--patience", "training__patience", type=int, metavar="N", help="Off by default.")
@click.option("--seed", "training__seed", type=int, metavar="N", help="Same seed, same bits.")
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted.")
@threads_option
@device_option
@stage
def train(
    session: Session,
    test_path: Path | None,
    resume: bool,
    threads: int | None,
    device: str | None,
    **flags: Any,
) -> None:
    """Train the model on the ingested interactions.

    The split is stored with the model, and `recsys evaluate` uses it. Every epoch is logged to
    WORKSPACE/runs and checkpointed: --resume goes on where a killed run stopped and ends with
    the same weights, to the bit.
    """
    resolved = session.settings(machine__threads=threads, machine__device=device, **flags)
    if resume and not session.workspace.root.exists():
        note(NOTHING_TO_RESUME)  # before `locked` makes the folder
        return
    with session.workspace.locked():
        if resume:
            resumable = resumable_run(session.workspace, resolved, test_path)
            if resumable is None:
                note(NOTHING_TO_RESUME)
                return
            run = resumable
            note(f"resuming {run.folder} after {progress_of(run.folder)}")
        else:
            _note_interrupted(session)
            run = new_run(session.workspace, resolved.settings, test_path)
        try:
            _train(session, run)
        except KeyboardInterrupt as error:
            if not run.can_go_on:
                raise
            note("")  # the terminal has written ^C on this line
            raise click.Abort("go on with `recsys train --resume`") from error


def _note_interrupted(session: Session) -> None:
    folder = interrupted_folder(session.workspace)
    if folder is not None:
        note(
            f"{folder} ({progress_of(folder)}) was interrupted: it is given up once this training "
            "has ended an epoch; `recsys train --resume` would go on with it"
        )


def _train(session: Session, run: Run) -> None:
    from recsys.data.artefact import open_interactions
    from recsys.neighbours.artefact import save_item_item
    from recsys.vae.artefact import save_model
    from recsys.vae.training import train as train_vae

    started = time.perf_counter()
    settings = run.settings
    device = use_machine(settings.machine)
    store = open_interactions(session.workspace.interactions)
    split = _split(store, run)
    run.claim(data=store.fingerprint, split=split.fingerprint)
    vae_config = _decide_values(settings.vae, store.value_kind)
    validator = _validator(split, vae_config.predicts_ratings)
    floor = None if validator is None else validator.measure(_floor(split, vae_config))
    size = f"{counted(split.train.n_users, 'user')} x {counted(split.train.n_items, 'item')}"
    note(f"training on {size}, {device}")
    with progress_bar() as bar:
        task = bar.add_task("training", total=settings.training.epochs)

        def on_epoch(report: "EpochReport") -> None:
            run.log(asdict(report) | {"floor": floor})
            bar.update(task, completed=report.epoch)
            bar.console.print(_line(report, validator, floor), highlight=False, soft_wrap=True)

        try:
            vae = train_vae(
                split.train,
                vae_config,
                settings.training,
                validate=None if validator is None else validator.measure,
                on_epoch=on_epoch,
                checkpoint=run.checkpoint,
                device=device,
            )
        except (DataError, TrainingError):
            run.fail()
            raise
    _warn_below_floor(run, validator)
    sparse = _sparse_path(split, vae, settings, validator)
    metrics = run.summary() | {"seconds": round(time.perf_counter() - started, 1)}
    save_model(
        vae,
        split,
        session.workspace.model,
        training={
            "training": asdict(settings.training),
            "split": run.split_description(),
            "device": device,
            **(
                {}
                if sparse is None
                else {"tau": sparse.tau, "neighbours": asdict(settings.neighbours)}
            ),
        },
        metrics=metrics,
        fingerprints={"events": store.fingerprint},
        also=None if sparse is None else partial(save_item_item, sparse.item_item),
    )
    run.finish()
    note(f"kept epoch {metrics['best_epoch']} in {session.workspace.model}; next: recsys index")


def _sparse_path(
    split: "Split", vae: "VAE", settings: Settings, validator: "_Validator | None"
) -> "SparsePath | None":
    """Fit the item-item path where the settings and the data's size allow it."""
    from recsys.fusion import DEFAULT_TAU, SparsePath, choose_tau
    from recsys.neighbours.item_item import fit_item_item

    if not _wants_sparse_path(split, vae.config, settings.model):
        return None
    with progress_bar() as bar:
        task = bar.add_task("item-item path", total=split.train.n_items)
        item_item = fit_item_item(
            split.train,
            settings.neighbours,
            progress=lambda done, total: bar.update(task, completed=done),
        )
    if validator is None:
        return SparsePath(item_item, DEFAULT_TAU)
    path = choose_tau(vae.score, item_item, validator.measure)
    fused = validator.measure(path.added_to(vae.score))
    note(
        f"item-item path: {validator.name} {validator.measure(item_item.score):.4f} alone, "
        f"{fused:.4f} fused (tau {path.tau:g})"
    )
    return path


def _wants_sparse_path(split: "Split", config: "VAEConfig", settings: ModelSettings) -> bool:
    from recsys.neighbours.cooccurrence import gram_bytes

    if config.likelihood != "multinomial":
        return False
    if settings.kind != "auto":
        return settings.kind == "fused"
    needed = gram_bytes(split.train.matrix) / 1e9
    if needed > settings.gram_gb:
        note(f"no item-item path: its Gram matrix would take {needed:.1f} GB (model.gram_gb)")
    return needed <= settings.gram_gb


@dataclass(frozen=True)
class _Validator:
    """What chooses the best epoch, what it is called, and what it is held against."""

    name: str
    floor: str
    measure: "Callable[[Scorer], float]"


def _validator(split: "Split", predicts_ratings: bool) -> _Validator | None:
    from recsys.evaluation.protocols import ndcg_validator, rmse_validator

    if split.validation is None:
        return None
    if predicts_ratings:
        return _Validator("-rmse", "item means", rmse_validator(split.validation))
    return _Validator("ndcg@100", "popularity", ndcg_validator(split.validation))


def _floor(split: "Split", vae_config: "VAEConfig") -> "Scorer":
    """The floor: how often each item is met, or its mean rating where ratings are predicted."""
    from recsys.baselines import ItemMeans, Popularity

    baseline = ItemMeans if vae_config.predicts_ratings else Popularity
    return baseline.fit(split.train).score


def _split(store: "InteractionStore", run: Run) -> "Split":
    from recsys.data.splits import split_events

    test_events = None
    if run.test_path is not None:
        test_events, _ = read_file(run.test_path, run.settings.ingest, to_train=False)
    split = split_events(store.events(), run.settings.split, test_events)
    for line in split.left_out:
        note(f"split: {line}")
    for name, part in (("validation", split.validation), ("test", split.test)):
        if part is not None:
            note(f"split: {counted(part.fold_in.n_users, f'{name} user')}")
    n_users = None if split.validation is None else split.validation.fold_in.n_users
    if n_users is not None and n_users < FEW_VALIDATION_USERS:
        note(
            f"warning: with fewer than {FEW_VALIDATION_USERS} validation users the choice of the "
            "epoch is noisy: hold out more (--validation-size)"
        )
    return split


def _warn_below_floor(run: Run, validator: _Validator | None) -> None:
    chosen = run.summary()
    best, floor = chosen["best_validation"], chosen["floor"]
    if validator is not None and best <= floor:
        note(
            f"warning: {validator.name} of the chosen epoch, {best:.4f}, is not above that of "
            f"{validator.floor}, {floor:.4f}: the VAE has learned too little; train longer "
            "(--epochs), or give more data"
        )


def _decide_values(config: "VAEConfig", value_kind: str) -> "VAEConfig":
    """Weighted where the gaussian likelihood meets ratings or weights, else binary."""
    if config.values == "weighted" and value_kind == "none":
        raise ConfigError(
            "vae.values is weighted, but the data have neither ratings nor weights; "
            "use binary, or ingest with --rating-column or --weight-column"
        )
    if config.values != "auto":
        return config
    weighted = config.likelihood == "gaussian" and value_kind != "none"
    return replace(config, values="weighted" if weighted else "binary")


def _line(report: "EpochReport", validator: _Validator | None, floor: float | None) -> str:
    parts = [
        f"epoch {report.epoch}/{report.n_epochs}",
        f"loss {report.loss:.2f} = {report.reconstruction:.2f} + {report.kl:.2f} nats/user",
        f"active {report.active_units}/{report.latent_dim}",
    ]
    if report.validation is not None and validator is not None:
        parts.append(
            f"{validator.name} {report.validation:.4f} ({validator.floor} {floor:.4f}, "
            f"best {report.best_validation:.4f} at {report.best_epoch})"
        )
    left = datetime.timedelta(seconds=round(report.seconds_left))
    return "  ".join([*parts, f"{report.users_per_second:,.0f} users/s", f"{left} left"])
