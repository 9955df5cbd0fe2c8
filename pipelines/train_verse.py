"""recsys train --verse: the couplet model, beside the model of the poems' bags of characters."""

import datetime
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from recsys.errors import ConfigError, TrainingError
from recsys.storage import write_atomically

from .options import Session, use_machine
from .output import note, progress_bar

if TYPE_CHECKING:
    from recsys.verse.couplet_training import VerseReport

    from .config import Settings

SHARED_FLAGS = ("epochs", "batch_size", "learning_rate", "seed")
"""Options of `recsys train` that the couplet model has too."""


def verse_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the flags of `recsys train` into those of the couplet model.

    Raises
    ------
    ConfigError
        One that it has not was given.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    shared = {f"training__{name}": f"verse__{name}" for name in SHARED_FLAGS}
    foreign = sorted(key for key in given if key not in shared)
    if foreign:
        option = foreign[0].split("__")[-1].replace("_", "-")
        raise ConfigError(
            f"--verse takes no --{option}: the couplet model is trained on the split of the model "
            "of this workspace; `recsys config` lists its settings, verse.*"
        )
    return {shared[key]: value for key, value in given.items()}


def train_verse(session: Session, settings: "Settings", resume: bool) -> None:
    """Train the couplet model of a workspace, whose folder is locked."""
    from recsys.data.artefact import open_interactions
    from recsys.vae.artefact import load_model, load_model_split, open_model
    from recsys.verse.corpus import Corpus
    from recsys.verse.couplet_artefact import save_couplet_vae
    from recsys.verse.couplet_training import train_couplets
    from recsys.verse.lookup_artefact import require_poems
    from recsys.verse.tones import ToneTable

    started = time.perf_counter()
    workspace = session.workspace
    device = use_machine(settings.machine)
    store = open_interactions(workspace.interactions)
    require_poems(store)
    model = open_model(workspace.model)
    vae = load_model(model, device)
    if not vae.members:
        raise ConfigError(
            "verse is written under the latent codes of poems, and a model of neighbours alone has "
            "none: train with model.kind=fused or vae"
        )
    corpus = Corpus.of(store.poems(), load_model_split(model), vae, ToneTable.load())
    note(corpus.sizes())
    folder = workspace.verse_run
    checkpoint = folder / "checkpoint.safetensors"
    if not resume:
        checkpoint.unlink(missing_ok=True)
    elif not checkpoint.exists():
        note("nothing to resume: no training of the couplet model was interrupted")
        return
    folder.mkdir(parents=True, exist_ok=True)
    reports: list[dict[str, Any]] = []
    with progress_bar() as bar:
        task = bar.add_task("training", total=settings.verse.epochs)

        def on_epoch(report: "VerseReport") -> None:
            reports.append(asdict(report))
            lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in reports)
            write_atomically(folder / "metrics.jsonl", lines.encode())
            bar.update(task, completed=report.epoch)
            bar.console.print(_line(report), highlight=False, soft_wrap=True)

        try:
            writer = train_couplets(
                corpus.train,
                corpus.validation,
                corpus.vocabulary,
                settings.verse,
                on_epoch=on_epoch,
                checkpoint=checkpoint,
                device=device,
            )
        except TrainingError:
            checkpoint.unlink(missing_ok=True)
            raise
    save_couplet_vae(
        writer,
        workspace.verse,
        fingerprints={"model": model.manifest.fingerprint, "events": store.fingerprint},
        metrics={
            **(reports[-1] if reports else {}),
            "seconds": round(time.perf_counter() - started, 1),
        },
    )
    checkpoint.unlink()
    note(f"kept in {workspace.verse}; next: recsys generate")


def _line(report: "VerseReport") -> str:
    elbo = ", ".join(f"{value:.2f} ({width})" for width, value in report.elbo.items())
    parts = [
        f"epoch {report.epoch}/{report.n_epochs}",
        f"loss {report.loss:.2f}",
        f"validation -ELBO {elbo}",
        f"importance-weighted {report.weighted:.2f}",
        f"KL {report.kl:.2f}",
        f"information {report.mutual_information:.2f} nats",
        f"active {report.active_units}/{report.latent_dim}",
        f"{datetime.timedelta(seconds=round(report.seconds_left))} left",
        report.sample,
    ]
    return "  ".join(parts)
