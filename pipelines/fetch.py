"""recsys fetch: a public data set, verified, into the workspace's raw folder."""

from pathlib import Path

import click

from .options import Session, epilog, plain_stage
from .output import note


@click.command(
    short_help="Fetch a public data set into WORKSPACE/raw.",
    epilog=epilog("recsys --workspace data/ml-100k fetch ml-100k"),
)
@click.argument("name")
@click.option(
    "--from",
    "from_path",
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="An archive or folder that you fetched by hand; it is verified all the same.",
)
@plain_stage
def fetch(session: Session, name: str, from_path: Path | None) -> None:
    """Fetch the public data set NAME, with its licence, into WORKSPACE/raw.

    Known: ml-100k, ml-1m, ml-20m, ml-latest-small, goodbooks-10k, tang-poems.
    """
    from recsys.datasets import fetch as fetch_dataset

    with session.workspace.locked(may_be_new=True):
        fetched = fetch_dataset(
            name, session.workspace.raw, from_path=from_path, on_event=note, progressbar=True
        )
    state = "already there and whole" if fetched.reused else f"from {fetched.source}"
    note(f"{fetched.folder}: {state}")
    if fetched.interactions is not None:
        note(f"next: recsys ingest {fetched.interactions}")
