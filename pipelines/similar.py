"""recsys similar: the nearest items to an item, or users to a user, in the latent space."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from rich.console import RenderableType

from recsys.errors import ConfigError

from .options import (
    Session,
    epilog,
    output_option,
    stage,
    threads_option,
    use_machine,
)
from .output import Record, Shape, emit, note, titled_table
from .recommend import note_unknown_items


def _once(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Refuse a repeated option, of which click would keep the last alone."""
    if len(values) > 1:
        raise ConfigError(
            f"--{option.name} was given {len(values)} times ({', '.join(map(repr, values))}); "
            "similar answers for one: run it once for each"
        )
    return values[0] if values else None


@click.command(
    short_help="Find the items or users most like one.",
    epilog=epilog("recsys similar --item 50 -k 5"),
)
@click.option("--item", multiple=True, callback=_once, metavar="ID", help="An item of the model.")
@click.option("--user", multiple=True, callback=_once, metavar="ID", help="A user with a history.")
@click.option("-k", "k", type=int, metavar="N", help="How many  [10]")
@threads_option
@output_option
@stage
def similar(
    session: Session,
    item: str | None,
    user: str | None,
    k: int | None,
    threads: int | None,
    output: Path | None,
) -> None:
    """Find the items most like --item, or the users most like --user, in the latent space."""
    from recsys.recommender import Recommender

    settings = session.settings(recommend__k=k, machine__threads=threads).settings
    k = settings.recommend.k
    if (item is None) == (user is None):
        raise ConfigError("give one of --item and --user")
    recommender = Recommender.load(session.workspace.root, device=use_machine(settings.machine))
    if item is not None:
        query, neighbours, noun = item, recommender.similar_items(item, k), "item"
    else:
        assert user is not None
        query, neighbours, noun = user, recommender.similar_users(user, k), "user"
        note_unknown_items(recommender)
        if recommender.index_is_older:
            note(
                "the index is older than the data: the neighbours are as of "
                f"{recommender.index.artefact.manifest.created}; run `recsys index`"
            )
    found = [
        {noun: each.id, **{key: value for key, value in asdict(each).items() if key != "id"}}
        for each in neighbours
    ]
    for each in found:
        if each["title"] is None:
            del each["title"]
    title = recommender.titles.get(query, "") if noun == "item" else ""
    emit([{"query": query, "items": found}], _shape(noun, title), session.format, output)


def _shape(noun: str, title: str) -> Shape:
    return Shape(
        columns=[
            ("query", pa.string()),
            (noun, pa.string()),
            ("rank", pa.int32()),
            ("score", pa.float32()),
        ],
        rows=lambda record: (
            (record["query"], one[noun], one["rank"], one["score"]) for one in record["items"]
        ),
        tables=lambda records: (each for one in records for each in _tables(one, noun, title)),
        single=True,
    )


def _tables(record: Record, noun: str, title: str) -> Iterator[RenderableType]:
    named = f" ({title})" if title else ""
    columns: list[Any] = ["rank", noun, *(["title"] if noun == "item" else []), "similarity"]
    heading = f"Most like {noun} {record['query']}{named}"
    table = titled_table(heading, *columns, right=("rank", "similarity"))
    for one in record["items"]:
        shown = [one.get("title", "")] if noun == "item" else []
        table.add_row(str(one["rank"]), one[noun], *shown, f"{one['score']:.3f}")
    yield table
