"""recsys info, config and verify: what is in the workspace, and whether it fits together."""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from rich.console import RenderableType

from recsys import storage
from recsys.data.holdout import counted
from recsys.errors import ArtefactError

from .options import Session, epilog, output_option, plain_stage, stage
from .output import Record, Shape, emit, note, titled_table
from .runs import interrupted_folder, progress_of
from .workspace import Workspace

OTHER_MODEL = "was built from another model"


@dataclass(frozen=True)
class StageState:
    """One stage's artefact: `state` is missing, fresh, stale or damaged, and `why` says more.

    `artefact` is its folder's name in the workspace; `created` its moment of writing in UTC
    (ISO 8601), empty where that is not known.
    """

    stage: str
    artefact: str
    state: str
    created: str
    age: str
    content: str
    why: str


@click.command(
    short_help="Show what is in the workspace, and what is stale.", epilog=epilog("recsys info")
)
@output_option
@plain_stage
def info(session: Session, output: Path | None) -> None:
    """Show what is in the workspace, how old it is, and which stage is stale."""
    workspace = session.workspace
    states = [
        _with_events(_with_interrupted(each, workspace), workspace)
        for each in stage_states(workspace)
    ]
    columns = tuple(each.name for each in fields(StageState))
    shown = tuple(name for name in columns if name != "created")  # its age is there
    shape = _rows_shape(f"Workspace {workspace.root}", columns, shown)
    emit([vars(each) for each in states], shape, session.format, output)


@click.command(
    short_help="Show every setting, its value and its source.",
    epilog=epilog("recsys config -S training.epochs=20"),
)
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


@click.command(short_help="Check every byte of every artefact.", epilog=epilog("recsys verify"))
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
        files = counted(len(artefact.manifest.files), "file")
        note(f"{kind.path}: {files}, {counted(size, 'byte')}, whole")
        found += 1
    if not found:
        raise ArtefactError(
            f"{session.workspace.root} holds no artefact; begin with `recsys ingest`"
        )
    for each in stage_states(session.workspace):
        path = session.workspace.root / each.artefact
        if each.why == OTHER_MODEL:
            raise ArtefactError(f"{path} {each.why}; run `recsys {each.stage}`")
        if each.state == "stale":
            note(f"{path} {each.why}")


def stage_states(workspace: Workspace) -> list[StageState]:
    """Describe each stage's artefact by its manifest and its files' sizes; nothing is loaded."""
    manifests: dict[str, storage.Manifest] = {}
    states = []
    for kind in _stages(workspace):
        folder = storage.existing_folder(kind.path)
        name = str(kind.path.relative_to(workspace.root))
        stage_name = kind.made_by.removeprefix("recsys ")
        if folder is None:
            why = f"run `{kind.made_by}`"
            states.append(StageState(stage_name, name, "missing", "", "", "", why))
            continue
        try:
            manifest = storage.read_manifest(folder)
        except ArtefactError as error:
            states.append(StageState(stage_name, name, "damaged", "", "", "", str(error)))
            continue
        manifests[kind.name] = manifest
        damage, staleness = _damage(folder, kind, manifest), _staleness(kind.name, manifests)
        state = "damaged" if damage else "stale" if staleness else "fresh"
        described = (manifest.created, _age(manifest.created_at), _content(manifest))
        states.append(StageState(stage_name, name, state, *described, damage or staleness))
    return states


def _with_interrupted(state: StageState, workspace: Workspace) -> StageState:
    """Tell in train's row of a training that can go on."""
    folder = interrupted_folder(workspace) if state.stage == "train" else None
    if folder is None:
        return state
    unfinished = (
        f"{folder.relative_to(workspace.root)} ended {progress_of(folder)} and was interrupted, or "
        "runs still: `recsys train --resume` goes on with it"
    )
    return replace(state, why="; ".join(filter(None, [state.why, unfinished])))


def _with_events(state: StageState, workspace: Workspace) -> StageState:
    """Tell in ingest's row how many events `recsys serve` was told that are no rows yet."""
    if state.stage != "ingest" or state.state == "damaged" or not workspace.events.exists():
        return state
    from recsys.data.event_store import EventStore
    from recsys.data.folding import folded_through

    folder = storage.existing_folder(workspace.interactions)
    config = {} if folder is None else storage.read_manifest(folder).config
    store = EventStore(workspace.events)
    n_waiting = store.last_position - folded_through(config, store)
    store.close()
    if n_waiting <= 0:
        return state
    waiting = f"{counted(n_waiting, 'event')} since: `recsys ingest --from-events` folds them in"
    return replace(state, why="; ".join(filter(None, [state.why, waiting])))


@dataclass(frozen=True)
class _Kind:
    """One kind of artefact: its name, where it is, what makes it."""

    name: str
    path: Path
    made_by: str


def _stages(workspace: Workspace) -> list[_Kind]:
    """Those that every workspace has, and those of poems that are there."""
    of_poems = [
        _Kind("lookup", workspace.lookup, "recsys similar --poem"),
        _Kind("verse", workspace.verse, "recsys train --verse"),
    ]
    return [
        _Kind("interactions", workspace.interactions, "recsys ingest"),
        _Kind("model", workspace.model, "recsys train"),
        _Kind("index", workspace.index, "recsys index"),
        *(each for each in of_poems if storage.existing_folder(each.path) is not None),
    ]


def _format_versions() -> dict[str, int]:
    """The newest format of each kind that we read."""
    from recsys.data import artefact as interactions
    from recsys.index import artefact as index
    from recsys.vae import artefact as model
    from recsys.verse import couplet_artefact as verse
    from recsys.verse import lookup_artefact as lookup

    from .evaluate import EASE_FORMAT_VERSION

    kinds = (interactions, model, index, lookup, verse)
    versions = {each.KIND: each.FORMAT_VERSION for each in kinds}
    return {**versions, "ease": EASE_FORMAT_VERSION}


def _damage(folder: Path, kind: _Kind, manifest: storage.Manifest) -> str:
    """Name the first file that is missing or of another size; no file is read."""
    for name, record in manifest.files.items():
        path = folder / name
        if not path.exists():
            return f"{name} is missing; run `{kind.made_by}`"
        size = path.stat().st_size
        if size != record.n_bytes:
            found = counted(size, "byte")
            return f"{name} has {found}, expected {record.n_bytes:,}; run `{kind.made_by}`"
    return ""


def _staleness(kind: str, manifests: dict[str, storage.Manifest]) -> str:
    own, data = manifests[kind], manifests.get("interactions")
    model = manifests.get("model")
    built_from_model = kind in ("index", "lookup", "verse")
    if built_from_model and model and own.fingerprints["model"] != model.fingerprint:
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
            f"{counted(measured['n_events'], 'interaction')}, "
            f"{counted(measured['n_users'], 'user')}, {counted(measured['n_items'], 'item')}"
        )
    if manifest.kind == "model":
        score = measured["best_validation"]
        best = "not validated" if score is None else f"best validation {score:.4f}"
        return f"{_paths(manifest.config)}, split {manifest.config['split']['kind']}, {best}"
    if manifest.kind == "lookup":
        names = ("poems", "couplets", "lines")
        return ", ".join(f"{measured[f'n_{name}']:,} {name}" for name in names)
    if manifest.kind == "verse":
        verse = manifest.config["verse"]
        return f"{verse['model']}, {measured['latent_dim']} latents, epoch {measured['best_epoch']}"
    search = manifest.config["kind"]
    if search != "exact":
        found = measured["search"]
        search += f", recall@{found['k']} {found['recall']:.3f} in {found['median_ms']:.1f} ms"
    return (
        f"{counted(measured['n_items'], 'item')}, {counted(measured['n_users'], 'user')}, {search}"
    )


def _paths(config: Mapping[str, Any]) -> str:
    paths = []
    if config.get("kind") != "neighbours":
        vae = config["vae"]
        paths.append(f"{vae['likelihood']} VAE, {vae['latent_dim']} latents")
    if config.get("tau"):
        paths.append("item-item path")
    return " + ".join(paths)


def _age(moment: datetime.datetime) -> str:
    seconds = (datetime.datetime.now(datetime.timezone.utc) - moment).total_seconds()
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return counted(count, name)
    return "under a minute"


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _rows_shape(
    title: str, columns: tuple[str, ...], shown: tuple[str, ...] | None = None
) -> Shape:
    """Records that are rows of a table already; one table holds them all."""
    shown = columns if shown is None else shown

    def cells(record: Record, names: tuple[str, ...]) -> list[str]:
        return ["" if record[name] is None else str(record[name]) for name in names]

    def tables(records: Iterable[Record]) -> Iterator[RenderableType]:
        table = titled_table(title, *shown)
        for record in records:
            table.add_row(*cells(record, shown))
        yield table

    return Shape(
        columns=[(name, pa.string()) for name in columns],
        rows=lambda record: [cells(record, columns)],
        tables=tables,
    )
