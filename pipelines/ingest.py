"""recsys ingest: a file of interactions -> the interactions artefact."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import pandas as pd

from recsys import storage
from recsys.data.formats import InputFormat
from recsys.data.holdout import counted
from recsys.errors import ArtefactError

from .config import IngestSettings
from .options import Session, as_json, epilog, stage
from .output import clause, note
from .reading import read_file

if TYPE_CHECKING:
    from recsys.data.filters import Dropped, FilterConfig
    from recsys.data.interactions import Events
    from recsys.data.readers import ReadReport


@click.command(
    short_help="Read interactions, from a file, a folder or stdin.",
    epilog=epilog("recsys ingest clicks.csv --items titles.csv --min-rating 4"),
)
@click.argument("source", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--items",
    "items_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Titles and attributes of the items, joined by id.",
)
@click.option(
    "--input-format",
    type=click.Choice(get_args(InputFormat)),
    help="Of SOURCE  [found out]",
)
@click.option("--columns", metavar="A,B,..", help="Names for the columns of a headerless file.")
@click.option("--user-column", metavar="NAME", help="Which column holds the user  [usual names]")
@click.option("--item-column", metavar="NAME", help="Which column holds the item  [usual names]")
@click.option("--rating-column", metavar="NAME", help="Which column holds the rating.")
@click.option("--weight-column", metavar="NAME", help="Which column holds a weight or count.")
@click.option("--timestamp-column", metavar="NAME", help="Which column holds the time.")
@click.option("--items-id-column", metavar="NAME", help="Of the items file: which holds the id.")
@click.option("--items-title-column", metavar="NAME", help="Of the items file: which is the title.")
@click.option("--skip-bad-rows", type=int, metavar="N", help="Tolerate up to N bad rows  [0]")
@click.option("--min-rating", type=float, metavar="R", help="Keep ratings >= R  [every row]")
@click.option("--min-user-interactions", type=int, metavar="N", help="Keep users with >= N rows.")
@click.option("--min-item-interactions", type=int, metavar="N", help="Keep items with >= N rows.")
@click.option("--k-core/--no-k-core", default=None, help="Repeat both until nothing changes.")
@click.option("--since", metavar="TIME", help="Keep times >= TIME: a date, or the file's unit.")
@click.option("--until", metavar="TIME", help="Keep times < TIME.")
@stage
def ingest(session: Session, source: Path, items_path: Path | None, **flags: Any) -> None:
    """Read the interactions in SOURCE: a file, a GroupLens folder, or - for stdin.

    CSV, TSV, ::-separated, RecBole .inter, Parquet, JSON lines, or adjacency lists (user item
    item ...), each also as .gz. Ids stay as they are written. Of several rows with the same user
    and item the latest stays; weights are summed.
    """
    from recsys.data.artefact import save_interactions
    from recsys.data.filters import filter_events
    from recsys.data.items import read_items
    from recsys.data.readers import locate

    chosen = session.settings(**{f"ingest__{key}": value for key, value in flags.items()})
    settings: IngestSettings = chosen.settings.ingest
    with session.workspace.locked():
        if items_path is None and str(source) != "-":
            items_path = locate(source).items
        replaced = _replaced(session.workspace.interactions, items_path)
        events, report = read_file(source, settings, to_train=True)
        read_users, read_items_ = len(events.users), len(events.items)
        events, dropped = filter_events(events, _filters(settings))
        table = None
        if items_path is not None:
            table = read_items(
                items_path,
                item=settings.items_id_column,
                title=settings.items_title_column,
                same_as=report.columns.get("item"),
            )
        save_interactions(
            events,
            table,
            session.workspace.interactions,
            config={
                "source": str(source if str(source) == "-" else source.resolve()),
                "items": None if items_path is None else str(items_path.resolve()),
                "settings": as_json(asdict(settings)),
            },
            metrics={
                "n_rows_read": report.n_rows,
                "n_users": len(events.users),
                "n_items": len(events.items),
                "n_events": len(events),
            },
        )
    note(f"read {counted(report.n_rows, 'row')} of {report.source} ({_columns(report)})")
    for count, reason in _losses(report, dropped):
        note(f"  dropped {count:,}: {reason}")
    for bad in report.bad_rows:
        note(f"    {bad}")
    before = f"{counted(read_users, 'user')} and {counted(read_items_, 'item')}"
    note(f"  {before} before the filters")
    note(f"kept {_size(events)} in {session.workspace.interactions}")
    for line in replaced:
        note(f"  {line}")
    if not dropped:
        note("  every row that was read is kept: no filter was set (--min-rating and others)")
    if table is not None:
        missing = clause(_missing_titles(events, table), "item", "has", "have")
        note(f"  of these, {missing} no title in {items_path}")


def _replaced(path: Path, items_path: Path | None) -> list[str]:
    """Tell what the workspace holds already and is about to lose."""
    folder = storage.existing_folder(path)
    if folder is None:
        return []
    try:
        old = storage.read_manifest(folder)
    except ArtefactError as error:
        return [f"replaces what could not be read: {error}"]
    n_events, n_users = old.metrics["n_events"], old.metrics["n_users"]
    lines = [f"replaces {counted(n_events, 'interaction')} of {counted(n_users, 'user')}"]
    if old.config["items"] is not None and items_path is None:
        lines.append(
            "the titles of the old interactions are dropped: give --items again to keep titles"
        )
    return lines


def _filters(settings: IngestSettings) -> "FilterConfig":
    from recsys.data.filters import FilterConfig, parse_time

    return FilterConfig(
        min_rating=settings.min_rating,
        min_user_interactions=settings.min_user_interactions,
        min_item_interactions=settings.min_item_interactions,
        k_core=settings.k_core,
        since=None if settings.since is None else parse_time(settings.since),
        until=None if settings.until is None else parse_time(settings.until),
    )


def _columns(report: "ReadReport") -> str:
    found = ", ".join(f"{role} = {column}" for role, column in report.columns.items())
    return f"{report.input_format}; {found}" if found else report.input_format


def _losses(report: "ReadReport", dropped: "tuple[Dropped, ...]") -> list[tuple[int, str]]:
    losses = [
        (report.n_bad_rows, "bad rows, tolerated by --skip-bad-rows"),
        (report.n_duplicates, "earlier rows of a user and item that came again"),
        *((each.n_rows, each.reason) for each in dropped),
    ]
    return [(count, reason) for count, reason in losses if count]


def _size(events: "Events") -> str:
    return (
        f"{counted(len(events), 'interaction')} of {counted(len(events.users), 'user')} x "
        f"{counted(len(events.items), 'item')}"
    )


def _missing_titles(events: "Events", table: pd.DataFrame) -> int:
    titled = set(table["item_id"][table["title"] != ""])
    return sum(each not in titled for each in events.items.ids)
