"""recsys index: model + histories -> everything that look-ups need."""

import click

from recsys.data.holdout import counted

from .options import Session, epilog, stage, threads_option, use_machine
from .output import note, progress_bar


@click.command(
    short_help="Build what recommend, similar and score look up.",
    epilog=epilog("recsys index"),
)
@threads_option
@stage
def index(session: Session, threads: int | None) -> None:
    """Build the search index of items, and of users by their latent codes.

    Built whole or not at all; stamped with the model, so that another model refuses it.
    """
    from recsys.data.artefact import open_interactions
    from recsys.indexing import build_index
    from recsys.vae.artefact import load_model, open_model

    settings = session.settings(machine__threads=threads).settings
    with session.workspace.locked():
        device = use_machine(settings.machine)
        model = open_model(session.workspace.model)
        store = open_interactions(session.workspace.interactions)
        vae = load_model(model, device)
        with progress_bar() as bar:
            task = bar.add_task("encoding users", total=store.interactions.n_users)
            build_index(
                vae,
                store,
                model,
                session.workspace.index,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    note(
        f"indexed {counted(vae.n_items, 'item')} and "
        f"{counted(store.interactions.n_users, 'user')} in "
        f"{session.workspace.index}; next: recsys recommend --user ID, recsys evaluate"
    )
