"""recsys similar --poem and --text: the poems most like one, or most like any line of verse."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from rich.console import RenderableType

from recsys.errors import ConfigError, UnknownIdError

from .options import Session, use_machine
from .output import Record, Shape, clause, note, progress_bar, titled_table

if TYPE_CHECKING:
    from recsys.verse.lookup import PoemLookup, SimilarPoem
    from recsys.verse.scripts import Script, Scripts

    from .config import MachineSettings


@dataclass(frozen=True)
class PoemQuery:
    """What is asked: a poem by its id or title, or a text; where to look, and how to show it."""

    poem: str | None
    text: str | None
    author: str | None
    form: str | None
    script: "Script | None" = None


def similar_poems(session: Session, query: PoemQuery, k: int, machine: "MachineSettings") -> Record:
    """Look poems up, and give the one record that the command answers with."""
    lookup = _open_lookup(session, machine)
    scripts = _scripts(lookup, query.script)
    author = query.author if query.author is None else _to_source(scripts, query.author)
    rules = {"author": author, "form": query.form}
    if query.poem is not None:
        position = _find(lookup, query.poem, scripts)
        name = lookup.poems[position].id
        found = lookup.similar_to_poem(position, k, **rules)
    else:
        assert query.text is not None
        name = query.text
        text = _to_source(scripts, query.text)
        unknown = lookup.unknown_units(text)
        found = lookup.similar_to_text(text, k, **rules)
        if unknown:
            shown = ", ".join(unknown[:5]) + (" and more" if len(unknown) > 5 else "")
            counted = clause(len(unknown), lookup.unit, "is", "are")
            hint = _hint(lookup, scripts)
            note(f"{counted} not in the model and counted for nothing: {shown}{hint}")
    record: Record = {
        "query": name,
        "items": [_record_of(each, scripts, query.script) for each in found],
    }
    if len(found) < k:
        record["requested"] = k
        note(f"{clause(len(found), 'poem', 'is', 'are')} all there is, {k} were asked for")
    return record


def _scripts(lookup: "PoemLookup", script: "Script | None") -> "Scripts | None":
    """The way between scripts; None for words, and where OpenCC is neither there nor asked for."""
    from recsys.verse.scripts import Scripts

    if lookup.unit != "character":
        return None
    vae = lookup.directions.vae
    counts = Counter(dict(zip(vae.items.ids.tolist(), vae.item_counts.tolist(), strict=True)))
    for poem in lookup.poems:  # a name may hold what no line does
        counts.update(poem.title + poem.author)
    try:
        return Scripts.of(counts)
    except ConfigError:
        if script is not None:
            raise
        return None


def _to_source(scripts: "Scripts | None", text: str) -> str:
    return text if scripts is None else scripts.to_source(text)


def _hint(lookup: "PoemLookup", scripts: "Scripts | None") -> str:
    if scripts is not None or lookup.unit != "character":
        return ""
    return "; to read simplified verse as traditional, run pip install 'recsys-vae[verse]'"


def _find(lookup: "PoemLookup", key: str, scripts: "Scripts | None") -> int:
    """Find a poem by id or title; as it is written, else in the script of the poems."""
    try:
        return lookup.names.find(key)
    except UnknownIdError:
        in_source = _to_source(scripts, key)
        if in_source == key:
            raise
        return lookup.names.find(in_source)


def _open_lookup(session: Session, machine: "MachineSettings") -> "PoemLookup":
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


def _record_of(found: "SimilarPoem", scripts: "Scripts | None", script: "Script | None") -> Record:
    def shown(text: str) -> str:
        return text if scripts is None else scripts.shown(text, script)

    return {
        "poem": found.poem.id,
        "rank": found.rank,
        "score": found.score,
        "title": shown(found.poem.title),
        "author": shown(found.poem.author),
        "line": shown(found.line),
    }


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
    names = ("rank", "poem", "title", "author", "closest line", "similarity")
    table = titled_table(heading, *names, right=("rank", "similarity"))
    for one in record["items"]:
        table.add_row(
            *(str(one["rank"]), one["poem"], one["title"], one["author"], one["line"]),
            f"{one['score']:.3f}",
        )
    yield table
