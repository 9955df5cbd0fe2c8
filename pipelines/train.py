"""recsys train: interactions -> split -> VAE, with checkpoints and a log of every epoch."""

import datetime
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.data.holdout import counted
from recsys.errors import ConfigError, DataError, TrainingError

from .allocator import keep_large_buffers
from .ingest_sources import read_test_rows
from .judge import Judge
from .labels import LabelTask, find_task
from .options import (
    Session,
    device_option,
    epilog,
    stage,
    threads_option,
    use_machine,
)
from .output import note, progress_bar
from .runs import Run, interrupted_folder, new_run, progress_of, resumable_run
from .sparse_path import fit_path
from .train_verse import train_verse, verse_flags

if TYPE_CHECKING:
    from recsys.data.artefact import InteractionStore
    from recsys.data.interactions import Interactions
    from recsys.data.splits import Split
    from recsys.vae.config import TrainingConfig, VAEConfig
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
    help="Test interactions that came with the data, in any format that ingest reads. The data's "
    "column names, --min-rating, --since and --until hold for them.",
)
@click.option("--epochs", "training__epochs", type=int, metavar="N", help="Passes over the users.")
@click.option("--batch-size", "training__batch_size", type=int, metavar="N", help="Users a step.")
@click.option("--learning-rate", "training__learning_rate", type=float, metavar="R")
@click.option("--patience", "training__patience", type=int, metavar="N", help="Off by default.")
@click.option("--seed", "training__seed", type=int, metavar="N", help="Same seed, same bits.")
@click.option(
    "--search/--no-search",
    "model__search",
    default=None,
    help="Search the item-item path's values on the validation users  [search]",
)
@click.option(
    "--label",
    "model__label",
    metavar="COLUMN",
    help="Learn to tell it, too: a column of the items file, or a poem's author or form.",
)
@click.option(
    "--label-on",
    "model__label_on",
    type=click.Choice(["users", "items"]),
    help="Whose COLUMN is meant, where both have one.",
)
@click.option(
    "--verse", is_flag=True, help="Train the couplet model that `recsys generate` writes with."
)
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted.")
@click.option(
    "--tune-malloc/--no-tune-malloc",
    default=True,
    help="Start once more with glibc told to keep large buffers: faster, on Linux  [tune]",
)
@threads_option
@device_option
@stage
def train(
    session: Session,
    test_path: Path | None,
    verse: bool,
    resume: bool,
    tune_malloc: bool,
    threads: int | None,
    device: str | None,
    **flags: Any,
) -> None:
    """Train the model on the ingested interactions.

    The split is stored with the model, and `recsys evaluate` uses it. Every epoch is logged to
    WORKSPACE/runs and checkpointed: --resume goes on where a killed run stopped and ends with
    the same weights, to the bit.

    --verse trains the couplet model on the poems of this workspace, on whose bags of characters
    the model has been trained before; each epoch ends with a couplet that it writes.
    """
    if tune_malloc and session.owns_process:
        keep_large_buffers()
    if verse:
        flags = verse_flags({**flags, "test": test_path})
    resolved = session.settings(machine__threads=threads, machine__device=device, **flags)
    if resume and not session.workspace.root.exists():
        note(NOTHING_TO_RESUME)
        return
    with session.workspace.locked():
        if verse:
            train_verse(session, resolved, resume)
            return
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
    from recsys.vae.model import without_members

    started = time.perf_counter()
    settings = run.settings
    device = use_machine(settings.machine)
    store = open_interactions(session.workspace.interactions)
    split = _split(store, run)
    task = find_task(store, split, settings.model, settings.split.seed)
    run.claim(data=store.fingerprint, split=split.fingerprint)
    vae_config = _decide_values(settings.vae, store.value_kind)
    kind = settings.model_kind
    n_items = split.train.n_items
    vae_config = vae_config.sized_for(n_items, split.train.matrix.nnz)
    training = settings.training.sized_for(
        split.train.n_users, n_items, sampled=vae_config.softmax == "sampled"
    )
    judge = Judge.of(split, vae_config)
    size = f"{counted(split.train.n_users, 'user')} x {counted(split.train.n_items, 'item')}"
    note(f"training on {size}, {device}")
    if kind == "neighbours":
        vae = without_members(split.train)
        metrics: dict[str, Any] = {"best_epoch": None, "best_validation": None}
    else:
        vae = _train_vae(run, split.train, vae_config, training, judge, task, device)
        metrics = run.summary()
    judge.warn_below_floor(metrics["best_validation"])
    path = None if kind == "vae" else fit_path(split, vae, settings, judge)
    if path is not None:
        metrics["best_validation"] = path.validation
    save_model(
        vae,
        split,
        session.workspace.model,
        training={
            "kind": kind,
            "training": asdict(training),
            "split": run.split_description(),
            "device": device,
            **({} if path is None else path.description()),
            **({} if task is None else {"label": task.column}),
        },
        metrics=metrics
        | _told(task, vae)
        | {"floor": judge.floor, "seconds": round(time.perf_counter() - started, 1)},
        fingerprints={"events": store.fingerprint},
        also=None if path is None else partial(save_item_item, path.sparse.item_item),
    )
    run.finish()
    epoch = "" if metrics["best_epoch"] is None else f"epoch {metrics['best_epoch']} "
    note(f"kept {epoch}in {session.workspace.model}; next: recsys index")


def _train_vae(
    run: Run,
    train: "Interactions",
    config: "VAEConfig",
    training: "TrainingConfig",
    judge: Judge,
    labels: LabelTask | None,
    device: str,
) -> "VAE":
    from recsys.vae.training import train as train_vae

    with progress_bar() as bar:
        task = bar.add_task("training", total=training.epochs)

        def on_epoch(report: "EpochReport") -> None:
            run.log(asdict(report) | {"floor": judge.floor})
            bar.update(task, completed=report.epoch)
            bar.console.print(_line(report, judge, labels), highlight=False, soft_wrap=True)

        try:
            return train_vae(
                train,
                config,
                training,
                validate=judge.measure,
                labels=None if labels is None else labels.labels,
                label_accuracy=None if labels is None else labels.measure,
                on_epoch=on_epoch,
                checkpoint=run.checkpoint,
                device=device,
            )
        except (DataError, TrainingError):
            run.fail()
            raise


def _split(store: "InteractionStore", run: Run) -> "Split":
    from recsys.data.splits import split_events

    test_events = None
    if run.test_path is not None:
        test_events = read_test_rows(run.test_path, store, run.settings.ingest)
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


def _told(task: LabelTask | None, vae: "VAE") -> dict[str, float]:
    """Judge the kept model by the labels that were held out."""
    if task is None or task.measure is None:
        return {}
    accuracy = task.measure(vae)
    note(
        f"labels: {task.column} of {accuracy:.1%} of those held out is told right (the most "
        f"frequent everywhere: {task.floor:.1%})"
    )
    return {"label_accuracy": accuracy, "label_floor": task.floor}


def _line(report: "EpochReport", judge: Judge, task: LabelTask | None) -> str:
    terms = f"{report.reconstruction:.2f} + {report.kl:.2f}"
    if task is not None:
        terms += f" + {report.labels:.2f}"
    parts = [
        f"epoch {report.epoch}/{report.n_epochs}",
        f"loss {report.loss:.2f} = {terms} nats/user",
        f"active {report.active_units}/{report.latent_dim}",
    ]
    if report.validation is not None:
        parts.append(
            f"{judge.metric} {report.validation:.4f} ({judge.floor_name} {judge.floor:.4f}, "
            f"best {report.best_validation:.4f} at {report.best_epoch})"
        )
    if task is not None and report.label_accuracy is not None:
        parts.append(f"{task.column} {report.label_accuracy:.4f} (most frequent {task.floor:.4f})")
    left = datetime.timedelta(seconds=round(report.seconds_left))
    return "  ".join([*parts, f"{report.users_per_second:,.0f} users/s", f"{left} left"])
