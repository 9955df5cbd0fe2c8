"""recsys index: model + histories -> everything that look-ups need."""

from typing import get_args

import click

from recsys.data.holdout import counted
from recsys.index.kinds import IndexKind

from .options import Session, epilog, stage, threads_option, use_machine
from .output import note, progress_bar

HOW = {"exact": "exactly", "float16": "in float16", "cells": "by cells"}


@click.command(
    short_help="Build what recommend, similar and score look up.",
    epilog=epilog("recsys index"),
)
@click.option(
    "--kind",
    type=click.Choice(get_args(IndexKind)),
    help="How items are searched: exact looks at every one, float16 and cells at fewer bits and "
    "then again at the best  [auto: exact up to 200,000 items, then cells, or float16 where they "
    "miss R]",
)
@click.option(
    "--recall",
    type=float,
    metavar="R",
    help="Of the exact best, the share that must be found; else every item is searched  [0.99]",
)
@threads_option
@stage
def index(
    session: Session, kind: "IndexKind | None", recall: float | None, threads: int | None
) -> None:
    """Build the search index of items, and of users by their latent codes.

    Built whole or not at all; stamped with the model, so that another model refuses it. What
    share of the exact best a search finds, and how long it takes, is measured on real users and
    written down with the index.
    """
    from recsys.data.artefact import open_interactions
    from recsys.indexing import build_index
    from recsys.vae.artefact import load_model, open_model

    settings = session.settings(
        machine__threads=threads, index__kind=kind, index__recall=recall
    ).settings
    with session.workspace.locked():
        device = use_machine(settings.machine)
        model = open_model(session.workspace.model)
        store = open_interactions(session.workspace.interactions)
        vae = load_model(model, device)
        with progress_bar() as bar:
            task = bar.add_task("encoding users", total=store.interactions.n_users)
            measured = build_index(
                vae,
                store,
                model,
                session.workspace.index,
                kind=settings.index.kind,
                recall=settings.index.recall,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    if measured.n_queries:
        note(
            f"items are searched {HOW[measured.kind]}: {measured.reason}; recall@{measured.k} "
            f"{measured.recall:.3f}, {measured.median_ms:.1f} ms (95 %: {measured.p95_ms:.1f} ms)"
        )
    note(
        f"indexed {counted(vae.n_items, 'item')} and "
        f"{counted(store.interactions.n_users, 'user')} in "
        f"{session.workspace.index}; next: recsys recommend --user ID, recsys evaluate"
    )
