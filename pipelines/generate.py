"""recsys generate: poems in six forms, with what judges them: tones, rhyme, the nearest line."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
import pyarrow as pa
from rich.console import RenderableType

from recsys.errors import ConfigError
from recsys.verse.prosody import VerseForm

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

if TYPE_CHECKING:
    from recsys.verse.composing import WrittenPoem
    from recsys.verse.desk import Desk
    from recsys.verse.scripts import Script


@click.command(
    short_help="Write poems in six forms.",
    epilog=epilog('recsys generate --form 5-jueju --theme "明月 故鄉" -n 4'),
)
@click.option("--form", type=click.Choice(get_args(VerseForm)), default="5-jueju", help="[5-jueju]")
@click.option("--theme", metavar="WORDS", help="Characters or words that it shall be about.")
@click.option("--like", metavar="ID|TITLE", help="A poem of the workspace as the theme.")
@click.option("--acrostic", default="", metavar="TEXT", help="The lines' first characters.")
@click.option("--first-line", default="", metavar="TEXT", help="The first line itself.")
@click.option("--free", is_flag=True, help="Without tone pattern and rhyme.")
@click.option("--temperature", type=float, default=0.85, metavar="T", help="Lower is tamer  [0.85]")
@click.option(
    "--candidates", type=int, default=6, metavar="N", help="Couplets drawn for one kept  [6]"
)
@click.option("--seed", type=int, default=0, metavar="N", help="Same seed, same poems  [0]")
@click.option("-n", "n", type=int, default=1, metavar="N", help="How many poems  [1]")
@script_option
@threads_option
@output_option
@stage
def generate(
    session: Session,
    form: VerseForm,
    theme: str | None,
    like: str | None,
    acrostic: str,
    first_line: str,
    free: bool,
    temperature: float,
    candidates: int,
    seed: int,
    n: int,
    script: "Script | None",
    threads: int | None,
    output: Path | None,
) -> None:
    """Write poems: regulated verse, unless --free, of which every tone and rhyme is checked.

    Each couplet is the best of several by its mean log-likelihood, its closeness to the theme and
    its distance from existing lines. The nearest existing line is shown beside every line. What
    --acrostic and --first-line give may repeat a character, and nothing else does.
    """
    from recsys.verse.answers import written_record
    from recsys.verse.composing import Sampling
    from recsys.verse.desk import Desk
    from recsys.verse.requests import Request

    if theme is not None and like is not None:
        raise ConfigError("give --theme or --like, not both")
    sampling = Sampling(temperature, candidates, seed)
    settings = session.settings(machine__threads=threads).settings
    desk = Desk.open(session.workspace.root, use_machine(settings.machine))
    to_source = desk.scripts.to_source
    request = Request(form, to_source(acrostic), to_source(first_line), free)
    about = ""
    if theme is not None:
        about = _theme(desk, theme)
    elif like is not None:
        about = desk.poem(like).text
    poems = desk.composer.compose(request, n, sampling, about)
    records = [
        written_record(number, form, each, desk, script) for number, each in enumerate(poems, 1)
    ]
    if not free:
        _note_ambiguous(poems)
    emit(records, SHAPE, session.format, output)


def _theme(desk: "Desk", words: str) -> str:
    """The theme's characters that the model knows; the others are named."""
    theme = desk.theme(words)
    if theme.unknown:
        counted = clause(len(theme.unknown), "character", "is", "are")
        note(f"{counted} not in the model and counted for nothing: {', '.join(theme.unknown[:5])}")
    return theme.text


def _note_ambiguous(poems: "list[WrittenPoem]") -> None:
    from recsys.verse.answers import EITHER

    n_characters = sum(len(line) for poem in poems for line in poem.lines)
    verdicts = [poem.verdict for poem in poems if poem.verdict is not None]
    n_ambiguous = sum(len(each.ambiguous) for each in verdicts)
    if n_ambiguous:
        note(
            f"{n_ambiguous} of {n_characters} characters, marked {EITHER}, have a level and an "
            "oblique reading: the one that the pattern wants is taken"
        )


def _rows(record: Record) -> Iterator[tuple[object, ...]]:
    for at, each in enumerate(record["lines"], 1):
        nearest = each["nearest"] or {"line": "", "author": "", "closeness": 0.0}
        yield (
            *(record["poem"], at, each["line"], each["tones"], each["pattern"], each["rhymes"]),
            record["rhyme"] or "",
            *(nearest["line"], nearest["author"], nearest["closeness"], record["score"]),
        )


SHAPE = Shape(
    columns=[
        ("poem", pa.int32()),
        ("number", pa.int32()),
        ("line", pa.string()),
        ("tones", pa.string()),
        ("pattern", pa.string()),
        ("rhymes", pa.bool_()),
        ("rhyme", pa.string()),
        ("nearest_line", pa.string()),
        ("nearest_author", pa.string()),
        ("closeness", pa.float32()),
        ("score", pa.float32()),
    ],
    rows=_rows,
    tables=lambda records: (_table(each) for each in records),
)


def _table(record: Record) -> RenderableType:
    rhyme = f", rhyme {record['rhyme']}" if record["rhyme"] else ""
    title = f"{record['poem']}. {record['form']}{rhyme}, score {record['score']:.2f}"
    names = ("line", "tones", "rhyme", "nearest line", "author", "shared")
    table = titled_table(title, *names, right=("shared",))
    for column in table.columns:
        column.no_wrap = True
    for each in record["lines"]:
        nearest = each["nearest"]
        shown = (
            ("", "", "")
            if nearest is None
            else (nearest["line"], nearest["author"], f"{nearest['closeness']:.0%}")
        )
        rhyme = record["rhyme"] if each["rhymes"] else ""
        table.add_row(each["line"], each["tones"], rhyme, *shown)
    return table
