"""recsys demo: every stage in turn on MovieLens-100K, each command shown as it would be typed."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from recsys import storage
from recsys.errors import FetchError

from .inspect import stage_states
from .options import Session, epilog, stage
from .output import note
from .workspace import Workspace


@dataclass(frozen=True)
class _Plan:
    """What the demo runs on, and whom it recommends for."""

    source: Path
    items: Path | None
    user: str
    liked: tuple[str, ...]


@click.command(
    short_help="Run every stage in turn on MovieLens-100K.",
    epilog=epilog("recsys --workspace data/ml-100k demo"),
)
@click.option(
    "--fallback",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="A folder with interactions.csv and items.csv, for when nothing can be fetched.",
)
@stage
@click.pass_context
def demo(context: click.Context, session: Session, fallback: Path | None) -> None:
    """Fetch MovieLens-100K, ingest, train, index, evaluate and recommend, with titles.

    A second run reuses what is there and says so.
    """
    group = context.find_root().command
    assert isinstance(group, click.Group)
    workspace = session.workspace
    plan = _plan(workspace, fallback)

    def run(*words: str) -> None:
        note(f"\n$ recsys --workspace {workspace.root} {shlex.join(words)}")
        before = ["--workspace", str(workspace.root), "--format", session.format or "table"]
        group.main([*before, *words], standalone_mode=False)

    fresh = _fresh_stages(workspace, plan.source)
    if "ingest" not in fresh:
        titles = [] if plan.items is None else ["--items", str(plan.items)]
        filters = ["--min-rating", "4", "--min-user-interactions", "5"]
        run("ingest", str(plan.source), *titles, *filters)
    if "train" not in fresh:
        settings = [word for each in session.assignments for word in ("-S", each)]
        run("train", "--validation-size", "100", "--test-size", "150", *settings)
    if "index" not in fresh:
        run("index")
    run("evaluate", "--on", "test", "--metrics", "recall@20,recall@50,ndcg@100,coverage@20")
    run("recommend", "--user", plan.user)
    run("recommend", *(word for item in plan.liked for word in ("--item", item)))
    run("similar", "--item", plan.liked[0], "-k", "5")


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
            break
        note(f"reusing {workspace.root / each.artefact}: {each.content}, {each.age} old")
        fresh.add(each.stage)
    return fresh
