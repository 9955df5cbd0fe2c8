"""recsys similar: the nearest items to an item, users to a user, poems to a poem or a text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import click
import pyarrow as pa
from rich.console import RenderableType

from recsys.data.poems import Form
from recsys.errors import ConfigError

from .options import (
    Session,
    epilog,
    output_option,
    script_option,
    stage,
    threads_option,
    use_machine,
)
from .output import Record, Shape, clause, emit, note, titled_table
from .recommend import note_unknown_items
from .similar_poems import SHAPE, PoemQuery, similar_poems


def _once(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Refuse a repeated option, of which click would keep the last alone."""
    if len(values) > 1:
        raise ConfigError(
            f"--{option.name} was given {len(values)} times ({', '.join(map(repr, values))}); "
            "similar answers for one: run it once for each"
        )
    return values[0] if values else None


@click.command(
    short_help="Find the items, users or poems most like one.",
    epilog=epilog("recsys similar --item 50 -k 5"),
)
@click.option("--item", multiple=True, callback=_once, metavar="ID", help="An item of the model.")
@click.option("--user", multiple=True, callback=_once, metavar="ID", help="A user with a history.")
@click.option(
    "--poem", multiple=True, callback=_once, metavar="ID|TITLE", help="A poem of the workspace."
)
@click.option("--text", multiple=True, callback=_once, help="Any verse: a line is enough.")
@click.option("--author", metavar="NAME", help="With --poem or --text: poems of this author alone.")
@click.option(
    "--form",
    type=click.Choice(get_args(Form)),
    help="With --poem or --text: poems of this form alone.",
)
@script_option
@click.option("-k", "k", type=int, metavar="N", help="How many  [10]")
@threads_option
@output_option
@stage
def similar(
    session: Session,
    item: str | None,
    user: str | None,
    poem: str | None,
    text: str | None,
    author: str | None,
    form: str | None,
    script: Any,
    k: int | None,
    threads: int | None,
    output: Path | None,
) -> None:
    """Find the items most like --item, or the users most like --user, in the latent space.

    Of poems, --poem ID or TITLE finds the most similar ones, each with the line that is closest,
    and so does --text for any verse, simplified or traditional. What that looks up is built when
    it is first asked for.
    """
    from recsys.recommendation import neighbours_record
    from recsys.recommender import Recommender
    from recsys.verse.answers import Among

    settings = session.settings(recommend__k=k, machine__threads=threads).settings
    k = settings.recommend.k
    if sum(given is not None for given in (item, user, poem, text)) != 1:
        raise ConfigError("give one of --item, --user, --poem and --text")
    if poem is not None or text is not None:
        asked = PoemQuery(poem, text, Among(author, form, script))
        record = similar_poems(session, asked, k, settings.machine)
        emit([record], SHAPE, session.format, output)
        return
    if any(given is not None for given in (author, form, script)):
        raise ConfigError(
            "--author, --form and --script are of poems: give --poem or --text with them"
        )
    recommender = Recommender.load(session.workspace.root, device=use_machine(settings.machine))
    noun: Literal["item", "user"]
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
    record = neighbours_record(query, neighbours, noun, k)
    if "requested" in record:
        note(f"{clause(len(neighbours), noun, 'is', 'are')} all there is, {k} were asked for")
    title = recommender.titles.get(query, "") if noun == "item" else ""
    emit([record], _shape(noun, title), session.format, output)


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
