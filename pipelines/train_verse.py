"""recsys train --verse: the couplet model, beside the model of the poems' bags of characters."""

import datetime
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from recsys.errors import ArtefactError, ConfigError, TrainingError
from recsys.storage import write_atomically

from .options import Session, use_machine
from .output import note, progress_bar
from .runs import LOG_FILE, epochs_of, log_epoch

if TYPE_CHECKING:
    from recsys.verse.config import VerseConfig
    from recsys.verse.couplet_training import VerseReport

    from .config import Resolved
    from .workspace import Workspace

SHARED_FLAGS = ("epochs", "batch_size", "learning_rate", "seed")
"""Options of `recsys train` that the couplet model has too."""

OPTION_OF = {
    "split__kind": "split",
    "split__validation": "validation-size",
    "split__test": "test-size",
    "split__seed": "split-seed",
}
"""Options of `recsys train` that are not called like the settings that they set."""


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
        option = OPTION_OF.get(foreign[0], foreign[0].split("__")[-1]).replace("_", "-")
        raise ConfigError(
            f"--verse takes no --{option}: the couplet model is trained on the split of the model "
            "of this workspace; `recsys config` lists its settings, verse.*"
        )
    return {shared[key]: value for key, value in given.items()}


def train_verse(session: Session, resolved: "Resolved", resume: bool) -> None:
    """Train the couplet model of a workspace, whose folder is locked."""
    workspace = session.workspace
    if not resume:
        workspace.verse_checkpoint.unlink(missing_ok=True)
    elif not workspace.verse_checkpoint.exists():
        note("nothing to resume: no training of the couplet model was interrupted")
        return
    config = _begun_with(workspace, resolved) if resume else resolved.settings.verse
    try:
        _train(workspace, config, use_machine(resolved.settings.machine))
    except TrainingError:
        workspace.verse_checkpoint.unlink(missing_ok=True)  # to go on would fail again
        raise
    except KeyboardInterrupt as error:
        if not workspace.verse_checkpoint.exists():
            raise
        note("")  # the terminal has written ^C on this line
        raise click.Abort("go on with `recsys train --verse --resume`") from error


def _begun_with(workspace: "Workspace", resolved: "Resolved") -> "VerseConfig":
    """Give the settings of the training that was interrupted.

    Raises
    ------
    ConfigError
        A flag contradicts them.
    ArtefactError
        They are missing or damaged.
    """
    from recsys.verse.config import VerseConfig

    try:
        before = asdict(VerseConfig(**json.loads(workspace.verse_settings.read_bytes())))
    except (OSError, ValueError, TypeError) as error:
        raise ArtefactError(
            f"{workspace.verse_settings} is missing or damaged ({error}): train again without "
            "--resume"
        ) from error
    for key, value in resolved.explicit().items():
        section, _, name = key.partition(".")
        if section == "verse" and before[name] != value:
            raise ConfigError(
                f"--resume: {key} is {before[name]!r} in {workspace.verse_settings}, not "
                f"{value!r}; leave the flag out, or train again without --resume"
            )
    return VerseConfig(**before)


def _train(workspace: "Workspace", config: "VerseConfig", device: str) -> None:
    from recsys.data.artefact import open_interactions
    from recsys.vae.artefact import load_model, load_model_split, open_model
    from recsys.verse.corpus import Corpus
    from recsys.verse.couplet_artefact import save_couplet_vae
    from recsys.verse.couplet_training import train_couplets
    from recsys.verse.lookup_artefact import require_poems
    from recsys.verse.scripts import Scripts
    from recsys.verse.tones import ToneTable

    started = time.perf_counter()
    store = open_interactions(workspace.interactions)
    require_poems(store)
    if store.artefact.manifest.config.get("unit") == "word":
        raise ConfigError(
            "the couplet model writes character by character, and these poems were read word by "
            "word: it is for Chinese verse"
        )
    model = open_model(workspace.model)
    vae = load_model(model, device)
    vae.require_codes("verse is written")
    counts = dict(zip(vae.items.ids.tolist(), vae.item_counts.tolist(), strict=True))
    table = ToneTable.load(simplified=Scripts.of(counts).is_simplified)
    corpus = Corpus.of(store.poems(), load_model_split(model), vae, table)
    note(corpus.sizes())
    workspace.verse_run.mkdir(parents=True, exist_ok=True)
    write_atomically(workspace.verse_settings, json.dumps(asdict(config)).encode())
    log_file = workspace.verse_run / LOG_FILE
    with progress_bar() as bar:
        task = bar.add_task("training", total=config.epochs)

        def on_epoch(report: "VerseReport") -> None:
            log_epoch(log_file, asdict(report))
            bar.update(task, completed=report.epoch)
            bar.console.print(_line(report), highlight=False, soft_wrap=True)

        writer = train_couplets(
            corpus.train,
            corpus.validation,
            corpus.vocabulary,
            config,
            on_epoch=on_epoch,
            checkpoint=workspace.verse_checkpoint,
            device=device,
        )
    save_couplet_vae(
        writer,
        workspace.verse,
        fingerprints={"model": model.manifest.fingerprint, "events": store.fingerprint},
        metrics=epochs_of(log_file)[-1] | {"seconds": round(time.perf_counter() - started, 1)},
    )
    workspace.verse_checkpoint.unlink()
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
