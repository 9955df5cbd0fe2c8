"""recsys interpolate: couplets on the straight way between two, in the latent space."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import pyarrow as pa
from rich.console import RenderableType

from .options import (
    Session,
    epilog,
    output_option,
    script_option,
    stage,
    threads_option,
    use_machine,
)
from .output import Record, Shape, emit, titled_table

if TYPE_CHECKING:
    from recsys.verse.scripts import Script


@click.command(
    short_help="Write the couplets between two.",
    epilog=epilog(
        'recsys interpolate --from "白日依山盡，黃河入海流" --to "明月松間照，清泉石上流" --steps 8'
    ),
)
@click.option(
    "--from", "start", required=True, metavar="A", help="A couplet, or a poem's ID|TITLE."
)
@click.option("--to", "end", required=True, metavar="B", help="The other one.")
@click.option("--steps", type=int, default=8, metavar="N", help="Couplets, both ends included  [8]")
@script_option
@threads_option
@output_option
@stage
def interpolate(
    session: Session,
    start: str,
    end: str,
    steps: int,
    script: "Script | None",
    threads: int | None,
    output: Path | None,
) -> None:
    """Decode couplets at equal distances between the latent codes of two, one a step.

    Of a poem the first couplet is taken. Every place gets its likeliest character, without prosody,
    so the ends are what the model makes of the two couplets.
    """
    from recsys.verse.desk import Desk
    from recsys.verse.interpolation import couplet_of
    from recsys.verse.interpolation import interpolate as between

    settings = session.settings(machine__threads=threads).settings
    desk = Desk.open(session.workspace.root, use_machine(settings.machine))
    start_lines, end_lines = (
        couplet_of(each, desk.poem, desk.scripts.to_source) for each in (start, end)
    )
    steps_between = between(desk.composer.model, start_lines, end_lines, steps)
    nearest = desk.composer.judge.existing.nearest(
        [line for each in steps_between for line in each.lines]
    )
    shown = desk.scripts.shown
    record: Record = {
        "from": [shown(line, script) for line in start_lines],
        "to": [shown(line, script) for line in end_lines],
        "steps": [
            {
                "step": number,
                "share": round(each.share, 4),
                "lines": [shown(line, script) for line in each.lines],
                "log_likelihood": round(each.log_likelihood, 4),
                "nearest": [
                    None if found is None else shown(found.line, script)
                    for found in nearest[2 * number : 2 * number + 2]
                ],
            }
            for number, each in enumerate(steps_between)
        ],
    }
    emit([record], SHAPE, session.format, output)


SHAPE = Shape(
    columns=[
        ("step", pa.int32()),
        ("share", pa.float32()),
        ("first", pa.string()),
        ("second", pa.string()),
        ("log_likelihood", pa.float32()),
    ],
    rows=lambda record: (
        (each["step"], each["share"], *each["lines"], each["log_likelihood"])
        for each in record["steps"]
    ),
    tables=lambda records: (_table(each) for each in records),
    single=True,
)


def _table(record: Record) -> RenderableType:
    title = f"From {'，'.join(record['from'])} to {'，'.join(record['to'])}"
    table = titled_table(
        title,
        "way",
        "couplet",
        "nearest existing lines",
        "nats/character",
        right=("nats/character",),
    )
    for each in record["steps"]:
        table.add_row(
            f"{each['share']:.0%}",
            "，".join(each["lines"]),
            " ".join(line or "-" for line in each["nearest"]),
            f"{each['log_likelihood']:.2f}",
        )
    return table
