"""recsys info, config and verify: what is in the workspace, and whether it fits together."""

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from rich.console import RenderableType

from recsys import storage
from recsys.errors import ArtefactError

from .options import Session, epilog, output_option, plain_stage, stage
from .output import Record, Shape, emit, note, titled_table
from .workspace import Workspace

OTHER_MODEL = "was built from another model"


@dataclass(frozen=True)
class StageState:
    """One stage's artefact: `state` is missing, fresh, stale or damaged, and `why` says more."""

    stage: str
    artefact: str
    state: str
    age: str
    content: str
    why: str


@click.command(epilog=epilog("recsys info"))
@output_option
@plain_stage
def info(session: Session, output: Path | None) -> None:
    """Show what is in the workspace, how old it is, and which stage is stale."""
    records = [vars(each) for each in stage_states(session.workspace)]
    columns = ("stage", "artefact", "state", "age", "content", "why")
    emit(
        records, _rows_shape(f"Workspace {session.workspace.root}", columns), session.format, output
    )


@click.command(epilog=epilog("recsys config -S training.epochs=20"))
@output_option
@stage
def config(session: Session, output: Path | None) -> None:
    """Show every setting, its value and where that came from.

    A flag goes before an environment variable (RECSYS_TRAINING_EPOCHS), that before the
    workspace's recsys.toml (a table a section), and that before the default.
    """
    listing = session.settings().listing()
    records = [
        {"key": each.key, "value": _shown(each.value), "source": each.source} for each in listing
    ]
    emit(records, _rows_shape("Settings", ("key", "value", "source")), session.format, output)


@click.command(epilog=epilog("recsys verify"))
@plain_stage
def verify(session: Session) -> None:
    """Check every byte of every artefact against its checksum, and that they belong together."""
    found = 0
    versions = _format_versions()
    baseline = _Kind("ease", session.workspace.ease, "recsys evaluate")
    for kind in [*_stages(session.workspace), baseline]:
        if storage.existing_folder(kind.path) is None:
            continue
        artefact = storage.open_artefact(
            kind.path, kind.name, versions[kind.name], made_by=kind.made_by, thorough=True
        )
        size = sum(each.n_bytes for each in artefact.manifest.files.values())
        note(f"{kind.path}: {len(artefact.manifest.files)} files, {size:,} bytes, whole")
        found += 1
    if not found:
        raise ArtefactError(
            f"{session.workspace.root} holds no artefact; begin with `recsys ingest`"
        )
    for each in stage_states(session.workspace):
        if each.why == OTHER_MODEL:
            raise ArtefactError(f"{each.artefact} {each.why}; run `recsys index`")
        if each.state == "stale":
            note(f"{each.artefact} {each.why}")


def stage_states(workspace: Workspace) -> list[StageState]:
    """Describe each stage's artefact by its manifest alone; nothing is loaded."""
    manifests: dict[str, storage.Manifest] = {}
    states = []
    for kind in _stages(workspace):
        folder, path = storage.existing_folder(kind.path), str(kind.path)
        stage_name = kind.made_by.removeprefix("recsys ")
        if folder is None:
            why = f"run `{kind.made_by}`"
            states.append(StageState(stage_name, path, "missing", "", "", why))
            continue
        try:
            manifest = storage.read_manifest(folder)
        except ArtefactError as error:
            states.append(StageState(stage_name, path, "damaged", "", "", str(error)))
            continue
        manifests[kind.name] = manifest
        why = _staleness(kind.name, manifests)
        state = "stale" if why else "fresh"
        age = _age(manifest.created_at)
        states.append(StageState(stage_name, path, state, age, _content(manifest), why))
    return states


@dataclass(frozen=True)
class _Kind:
    """One kind of artefact: its name, where it is, what makes it."""

    name: str
    path: Path
    made_by: str


def _stages(workspace: Workspace) -> list[_Kind]:
    return [
        _Kind("interactions", workspace.interactions, "recsys ingest"),
        _Kind("model", workspace.model, "recsys train"),
        _Kind("index", workspace.index, "recsys index"),
    ]


def _format_versions() -> dict[str, int]:
    """The newest format of each kind that we read."""
    from recsys.data import artefact as interactions
    from recsys.index import artefact as index
    from recsys.vae import artefact as model

    from .evaluate import EASE_FORMAT_VERSION

    versions = {each.KIND: each.FORMAT_VERSION for each in (interactions, model, index)}
    return {**versions, "ease": EASE_FORMAT_VERSION}


def _staleness(kind: str, manifests: dict[str, storage.Manifest]) -> str:
    own, data = manifests[kind], manifests.get("interactions")
    model = manifests.get("model")
    if kind == "index" and model and own.fingerprints["model"] != model.fingerprint:
        return OTHER_MODEL
    if (
        data
        and kind != "interactions"
        and own.fingerprints["events"] != data.fingerprints["events"]
    ):
        return "was made from other interactions than those now in the workspace"
    return ""


def _content(manifest: storage.Manifest) -> str:
    measured = manifest.metrics
    if manifest.kind == "interactions":
        return (
            f"{measured['n_events']:,} interactions, {measured['n_users']:,} users, "
            f"{measured['n_items']:,} items"
        )
    if manifest.kind == "model":
        vae = manifest.config["vae"]
        score = measured["best_validation"]
        best = "not validated" if score is None else f"best validation {score:.4f}"
        return (
            f"{vae['likelihood']} VAE, {vae['latent_dim']} latents, "
            f"split {manifest.config['split']['kind']}, {best}"
        )
    return f"{measured['n_items']:,} items, {measured['n_users']:,} users, exact"


def _age(moment: datetime.datetime) -> str:
    seconds = (datetime.datetime.now(datetime.timezone.utc) - moment).total_seconds()
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "under a minute"


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _rows_shape(title: str, columns: tuple[str, ...]) -> Shape:
    """Records that are rows of a table already; one table holds them all."""

    def cells(record: Record) -> list[str]:
        return ["" if record[name] is None else str(record[name]) for name in columns]

    def tables(records: Iterable[Record]) -> Iterator[RenderableType]:
        table = titled_table(title, *columns)
        for record in records:
            table.add_row(*cells(record))
        yield table

    return Shape(
        columns=[(name, pa.string()) for name in columns],
        rows=lambda record: [cells(record)],
        tables=tables,
    )
