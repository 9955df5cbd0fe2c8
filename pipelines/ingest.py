"""recsys ingest: a file of interactions, or poems -> the interactions artefact."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import pandas as pd

from recsys import storage
from recsys.data.formats import InputFormat
from recsys.data.holdout import counted
from recsys.errors import ArtefactError, ConfigError

from .config import IngestSettings
from .ingest_sources import (
    Reading,
    filters_of,
    read_again,
    read_interactions,
    read_poem_files,
    settings_again,
    with_arrived,
)
from .options import Session, as_json, epilog, stage
from .output import clause, note

if TYPE_CHECKING:
    from recsys.data.filters import Dropped
    from recsys.data.interactions import Events
    from recsys.data.poem_units import Unit
    from recsys.data.poems import Poem

NOT_FOR_POEMS = (
    *("input_format", "columns", "user_column", "item_column", "rating_column"),
    *("weight_column", "timestamp_column", "items_id_column", "items_title_column"),
    *("skip_bad_rows", "min_rating", "since", "until"),
)
"""Options that speak of rows and columns."""

FILTERS = ("min_rating", "since", "until")
"""Those of them that speak of rows wherever these come from."""


@click.command(
    short_help="Read interactions, from a file, a folder or stdin; or poems.",
    epilog=epilog("recsys ingest clicks.csv --items titles.csv --min-rating 4"),
)
@click.argument("source", type=click.Path(path_type=Path, allow_dash=True), required=False)
@click.option(
    "--poems",
    "poems_path",
    type=click.Path(path_type=Path),
    metavar="FILE|DIR",
    help="Instead of SOURCE: poems as JSON (chinese-poetry), plain text or CSV.",
)
@click.option(
    "--unit",
    type=click.Choice(["character", "word"]),
    help="Of poems: what an item is  [character where most letters are Chinese, else word]",
)
@click.option(
    "--from-events",
    is_flag=True,
    help="Fold in what `recsys serve` was told: into SOURCE, or without one into what was ingested "
    "before.",
)
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
@click.option("--timestamp-column", metavar="NAME", help='Which column holds the time; "": none.')
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
def ingest(
    session: Session,
    source: Path | None,
    poems_path: Path | None,
    unit: "Unit | None",
    from_events: bool,
    items_path: Path | None,
    **flags: Any,
) -> None:
    """Read the interactions in SOURCE: a file, a GroupLens folder, or - for stdin.

    CSV, TSV, ::-separated, RecBole .inter, Parquet, JSON lines, or adjacency lists (user item
    item ...), each also as .gz. Ids stay as they are written. Of several rows with the same user
    and item the latest stays; weights are summed.

    With --poems a poem is a user, and each of its characters (or words) an item with its count.
    In plain text a poem is a paragraph, with or without a line of title and author, or a line.
    Editors' notes in brackets are left out, and so are poems without letters and poems with
    the same letters as an earlier one.

    With --from-events the interactions that `recsys serve` has kept become rows like any other.
    They stay in WORKSPACE/events.sqlite too: give --from-events again with a new SOURCE. Those of
    users or items that the filters drop are looked at again the next time.
    """
    from recsys.data.artefact import open_interactions, save_interactions
    from recsys.data.filters import filter_events
    from recsys.data.poems import poem_table

    _check_sources(source, poems_path, unit, from_events)
    _check_options(source, poems_path, items_path, flags)
    chosen = session.settings(**{f"ingest__{key}": value for key, value in flags.items()})
    settings: IngestSettings = chosen.settings.ingest
    with session.workspace.locked(may_be_new=True):
        if poems_path is not None:
            reading = read_poem_files(poems_path, unit)
        elif source is not None:
            reading = read_interactions(source, items_path, settings)
        else:
            store = open_interactions(session.workspace.interactions)
            settings, reading = settings_again(store, settings), read_again(store)
        if from_events:
            reading = with_arrived(reading, session.workspace.events, settings)
        replaced = _replaced(session.workspace.interactions, reading.config["items"])
        events, dropped = filter_events(reading.events, filters_of(settings))
        save_interactions(
            events,
            reading.item_table,
            session.workspace.interactions,
            user_table=poem_table(_still_there(reading.poems, events)) if reading.poems else None,
            config={**reading.config, "settings": as_json(asdict(settings))},
            metrics={
                "n_rows_read": reading.n_rows,
                "n_users": len(events.users),
                "n_items": len(events.items),
                "n_events": len(events),
            },
        )
    _tell(reading, dropped)
    n_waiting = _n_waiting(reading, events)
    if n_waiting:
        note(
            f"  {counted(n_waiting, 'event')} of users or items that were dropped: kept in "
            f"{session.workspace.events}, and looked at again by the next --from-events"
        )
    note(f"kept {_size(events, reading)} in {session.workspace.interactions}")
    for line in replaced:
        note(f"  {line}")
    if not dropped:
        note(
            f"  every {reading.rows} that was read is kept: no filter was set "
            f"({reading.filter_options})"
        )
    if reading.item_table is not None:
        missing = clause(_missing_titles(events, reading.item_table), "item", "has", "have")
        note(f"  of these, {missing} no title in {reading.item_source}")


def _n_waiting(reading: Reading, kept: "Events") -> int:
    """How many of the events that arrived belong to nobody, or to no item, that is kept."""
    from recsys.data.folding import has_rows

    return sum(not has_rows(kept, event) for event in reading.arrived)


def _tell(reading: Reading, dropped: "tuple[Dropped, ...]") -> None:
    """Say what was read, and what of it was lost."""
    note(f"read {reading.origin}")
    for count, reason in reading.losses:
        if count:
            note(f"  dropped {count:,}: {reason}")
    for each in dropped:  # what was asked for is told even where it took nothing
        note(f"  dropped {each.n_rows:,}: {each.reason}")
    for bad in reading.bad_rows:
        note(f"    {bad}")
    users = counted(len(reading.events.users), reading.users)
    items = counted(len(reading.events.items), reading.items)
    note(f"  {users} and {items} before the filters")


def _check_sources(
    source: Path | None, poems_path: Path | None, unit: "Unit | None", from_events: bool
) -> None:
    if from_events and poems_path is not None:
        raise ConfigError("--from-events is for rows of interactions, not for --poems")
    n_sources = (source is not None) + (poems_path is not None)
    if n_sources != 1 and not (from_events and n_sources == 0):
        found = "neither" if n_sources == 0 else "both"
        raise ConfigError(f"expected SOURCE or --poems FILE|DIR, found {found}: give one of them")
    if poems_path is None and unit is not None:
        raise ConfigError("--unit is an option of --poems; leave it out")


def _check_options(
    source: Path | None, poems_path: Path | None, items_path: Path | None, flags: dict[str, Any]
) -> None:
    """Refuse options that speak of a file where there is none, or of rows where there are poems."""
    if source is not None:
        return
    given = [name for name in NOT_FOR_POEMS if flags.get(name) is not None]
    if poems_path is None:
        given = [name for name in given if name not in FILTERS]
    if items_path is not None:
        given.append("items")
    if given:
        instead = "--from-events alone" if poems_path is None else "--poems"
        raise ConfigError(
            f"--{given[0].replace('_', '-')} is for rows of interactions, not for {instead}; "
            "leave it out"
        )


def _still_there(poems: "list[Poem]", events: "Events") -> "list[Poem]":
    return [each for each in poems if each.id in events.users]


def _replaced(path: Path, items: str | None) -> list[str]:
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
    if old.config["items"] is not None and items is None:
        lines.append(
            "the titles of the old interactions are dropped: give --items again to keep titles"
        )
    return lines


def _size(events: "Events", reading: Reading) -> str:
    return (
        f"{counted(len(events), 'interaction')} of {counted(len(events.users), reading.users)} x "
        f"{counted(len(events.items), reading.items)}"
    )


def _missing_titles(events: "Events", table: pd.DataFrame) -> int:
    titled = set(table["item_id"][table["title"] != ""])
    return sum(each not in titled for each in events.items.ids)
