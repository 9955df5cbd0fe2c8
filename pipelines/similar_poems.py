"""recsys similar --poem and --text: the poems most like one, or most like any line of verse."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from rich.console import RenderableType

from .options import Session, use_machine
from .output import Record, Shape, clause, note, progress_bar, titled_table

if TYPE_CHECKING:
    from recsys.verse.answers import Among, SimilarPoems
    from recsys.verse.lookup import PoemLookup

    from .config import MachineSettings


@dataclass(frozen=True)
class PoemQuery:
    """What is asked: a poem by its id or title, or a text; and among which poems."""

    poem: str | None
    text: str | None
    among: "Among"


def similar_poems(session: Session, query: PoemQuery, k: int, machine: "MachineSettings") -> Record:
    """Look poems up, and give the one record that the command answers with."""
    from recsys.verse.answers import SimilarPoems

    lookup = open_lookup(session, machine)
    similar = SimilarPoems.of(lookup, scripts_needed=query.among.script is not None)
    if query.poem is not None:
        record = similar.to_poem(query.poem, k, query.among)
    else:
        assert query.text is not None
        record = similar.to_text(query.text, k, query.among)
        unknown = similar.unknown_units(query.text)
        if unknown:
            shown = ", ".join(unknown[:5]) + (" and more" if len(unknown) > 5 else "")
            counted = clause(len(unknown), lookup.unit, "is", "are")
            note(f"{counted} not in the model and counted for nothing: {shown}{_hint(similar)}")
    if "requested" in record:
        n_found = clause(len(record["items"]), "poem", "is", "are")
        note(f"{n_found} all there is, {k} were asked for")
    return record


def _hint(similar: "SimilarPoems") -> str:
    if similar.scripts is not None or similar.lookup.unit != "character":
        return ""
    return "; to read simplified verse as traditional, run pip install 'recsys-vae[verse]'"


def open_lookup(session: Session, machine: "MachineSettings") -> "PoemLookup":
    """Load the look-up, after building it where there is none of this model and these poems."""
    from recsys.data.artefact import open_interactions
    from recsys.vae.artefact import load_model, open_model
    from recsys.verse.lookup_artefact import (
        build_lookup,
        is_current,
        load_lookup,
        require_poems,
    )

    workspace = session.workspace
    store = open_interactions(workspace.interactions)
    require_poems(store)
    device = use_machine(machine)
    model = open_model(workspace.model)
    vae = load_model(model, device)
    path = workspace.lookup
    if not is_current(path, model, store):
        note(f"building the look-up of these poems, once, in {path} (a few minutes for 50,000)")
        with workspace.locked(), progress_bar() as bar:
            tasks = {}

            def progress(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=total)
                bar.update(tasks[what], completed=done, total=total)

            build_lookup(vae, store, model, path, progress=progress)
    return load_lookup(path, vae, store)


COLUMNS = ("poem", "rank", "score", "title", "author", "line")

SHAPE = Shape(
    columns=[
        ("query", pa.string()),
        ("poem", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
        ("title", pa.string()),
        ("author", pa.string()),
        ("line", pa.string()),
    ],
    rows=lambda record: (
        (record["query"], *(one[name] for name in COLUMNS)) for one in record["items"]
    ),
    tables=lambda records: (each for record in records for each in _tables(record)),
    single=True,
)


def _tables(record: Record) -> Iterator[RenderableType]:
    heading = f"Most like {record['query']}"
    # The id comes last: a long one is folded over several lines.
    names = ("rank", "title", "author", "closest line", "similarity", "poem")
    table = titled_table(heading, *names, right=("rank", "similarity"))
    for one in record["items"]:
        table.add_row(
            *(str(one["rank"]), one["title"], one["author"], one["line"]),
            *(f"{one['score']:.3f}", one["poem"]),
        )
    yield table
