"""recsys demo: every stage in turn on films or on poems, each command shown as it is typed."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from recsys import storage
from recsys.errors import FetchError

from .inspect import stage_states
from .options import Session, epilog, stage
from .output import note
from .workspace import Workspace

Run = Callable[..., None]
"""Runs a command by its words."""

SMALL_VERSE = (
    *("--epochs", "1", "--learning-rate", "0.004"),
    *("-S", "verse.embedding_dim=64", "-S", "verse.hidden_dim=128"),
)
"""A couplet model that writes passably after a few minutes."""


@dataclass(frozen=True)
class _Plan:
    """What the demo runs on, and whom it recommends for."""

    source: Path
    items: Path | None
    user: str
    liked: tuple[str, ...]


@click.command(
    short_help="Run every stage in turn on MovieLens-100K, or on Tang poems.",
    epilog=epilog("recsys --workspace data/ml-100k demo"),
)
@click.option("--poems", is_flag=True, help="On Tang poems: find, group and write verse.")
@click.option(
    "--fallback",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="A folder with interactions.csv and items.csv, for when nothing can be fetched.",
)
@stage
@click.pass_context
def demo(context: click.Context, session: Session, poems: bool, fallback: Path | None) -> None:
    """Fetch MovieLens-100K, ingest, train, index, evaluate and recommend, with titles.

    With --poems fetch Tang poems, train small models of them, look poems up by a line, group
    them, and write eight. A second run reuses what is there and says so.
    """
    group = context.find_root().command
    assert isinstance(group, click.Group)
    workspace = session.workspace

    def run(*words: str) -> None:
        note(f"\n$ recsys --workspace {workspace.root} {shlex.join(words)}")
        before = ["--workspace", str(workspace.root), "--format", session.format or "table"]
        group.main([*before, *words], standalone_mode=False)

    if poems:
        _show_poems(session, run)
    else:
        _show_films(session, run, fallback)
    note(
        f"\nexplore it on a page: recsys --workspace {workspace.root} serve, then open "
        "http://127.0.0.1:8000 (needs pip install 'recsys-vae[serve]'; in a checkout: make serve)"
    )


def _show_poems(session: Session, run: Run) -> None:
    from recsys.datasets import fetch

    workspace = session.workspace
    fetched = fetch("tang-poems", workspace.raw, on_event=note, progressbar=True)
    if fetched.reused:
        note(f"reusing {fetched.folder}")
    fresh = _fresh_stages(workspace, fetched.folder)
    if "ingest" not in fresh:
        run("ingest", "--poems", str(fetched.folder))
    if "train" not in fresh:
        run("train", "--epochs", "8", *_settings(session))
    if "index" not in fresh:
        run("index")
    run("similar", "--text", "床前明月光", "-k", "5")
    run("cluster", "--on", "poems", "-k", "8")
    if "train --verse" not in fresh:
        run("train", "--verse", *SMALL_VERSE)
    for form in ("5-jueju", "7-jueju", "5-lvshi", "7-lvshi"):
        run("generate", "--form", form, "-n", "2", "--candidates", "32")


def _show_films(session: Session, run: Run, fallback: Path | None) -> None:
    workspace = session.workspace
    plan = _plan(workspace, fallback)
    fresh = _fresh_stages(workspace, plan.source)
    if "ingest" not in fresh:
        titles = [] if plan.items is None else ["--items", str(plan.items)]
        filters = ["--min-rating", "4", "--min-user-interactions", "5"]
        run("ingest", str(plan.source), *titles, *filters)
    if "train" not in fresh:
        run("train", "--validation-size", "100", "--test-size", "150", *_settings(session))
    if "index" not in fresh:
        run("index")
    run("evaluate", "--on", "test", "--metrics", "recall@20,recall@50,ndcg@100,coverage@20")
    run("recommend", "--user", plan.user)
    run("recommend", *(word for item in plan.liked for word in ("--item", item)))
    run("similar", "--item", plan.liked[0], "-k", "5")


def _settings(session: Session) -> list[str]:
    return [word for each in session.assignments for word in ("-S", each)]


def _plan(workspace: Workspace, fallback: Path | None) -> _Plan:
    from recsys.datasets import fetch

    try:
        fetched = fetch("ml-100k", workspace.raw, on_event=note, progressbar=True)
    except FetchError as error:
        if fallback is None:
            raise
        note(f"{error}\nfalling back to the made-up sample in {fallback}")
        items = fallback / "items.csv"
        return _Plan(fallback / "interactions.csv", items, user="u001", liked=("001", "002"))
    if fetched.reused:
        note(f"reusing {fetched.folder}")
    assert fetched.interactions is not None
    return _Plan(fetched.interactions, fetched.items, user="196", liked=("50", "181", "172"))


def _fresh_stages(workspace: Workspace, source: Path) -> set[str]:
    """Stages whose artefact can be reused: made from `source`, and not stale."""
    folder = storage.existing_folder(workspace.interactions)
    if folder is None:
        return set()
    if storage.read_manifest(folder).config["source"] != str(source.resolve()):
        return set()
    fresh = set()
    for each in stage_states(workspace):
        if each.state != "fresh":
            continue
        note(f"reusing {workspace.root / each.artefact}: {each.content}, {each.age} old")
        fresh.add(each.stage)
    return fresh
