"""Where `recsys ingest` reads from: a file, poems, what was ingested before, and events."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from recsys.data.holdout import counted
from recsys.errors import ConfigError

from .config import IngestSettings
from .output import note, progress_bar
from .reading import read_file

if TYPE_CHECKING:
    from recsys.data.artefact import InteractionStore
    from recsys.data.event_store import Event
    from recsys.data.filters import FilterConfig
    from recsys.data.interactions import Events
    from recsys.data.poem_files import PoemReport
    from recsys.data.poem_units import Unit
    from recsys.data.poems import Poem
    from recsys.data.readers import ReadReport

Losses = list[tuple[int, str]]
"""How many rows, poems or characters went, and why."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read, and what to tell of it.

    Parameters
    ----------
    events : Events
    origin : str
        What was read of what, for the first line.
    config, n_rows : dict, int
        For the manifest.
    losses : list of (int, str)
    users, items, rows : str
        What one is called.
    """

    events: "Events"
    origin: str
    config: dict[str, Any]
    n_rows: int
    losses: Losses
    bad_rows: tuple[str, ...] = ()
    item_table: pd.DataFrame | None = None
    item_source: Path | None = None
    poems: "list[Poem]" = field(default_factory=list)
    arrived: "list[Event]" = field(default_factory=list)
    users: str = "user"
    items: str = "item"
    rows: str = "row"
    filter_options: str = "--min-rating and others"


def read_interactions(source: Path, items_path: Path | None, settings: IngestSettings) -> Reading:
    """Read rows, and the items' table where there is one."""
    from recsys.data.items import read_items
    from recsys.data.readers import locate

    if items_path is None and str(source) != "-":
        items_path = locate(source).items
    events, report = read_file(source, settings, to_train=True)
    table = None
    if items_path is not None:
        table = read_items(
            items_path,
            item=settings.items_id_column,
            title=settings.items_title_column,
            same_as=report.columns.get("item"),
        )
    return Reading(
        events=events,
        origin=f"{counted(report.n_rows, 'row')} of {report.source} ({_columns(report)})",
        config={
            "source": str(source if str(source) == "-" else source.resolve()),
            "items": None if items_path is None else str(items_path.resolve()),
        },
        n_rows=report.n_rows,
        losses=losses_of(report),
        bad_rows=report.bad_rows,
        item_table=table,
        item_source=items_path,
    )


def settings_again(store: "InteractionStore", said: IngestSettings) -> IngestSettings:
    """Give the settings that the data were ingested with, but for what is set otherwise now."""
    before = store.artefact.manifest.config.get("settings", {})
    default = IngestSettings()
    kept = {
        each.name: before[each.name]
        for each in fields(IngestSettings)
        if each.name in before and getattr(said, each.name) == getattr(default, each.name)
    }
    return replace(said, **kept)


def read_again(store: "InteractionStore") -> Reading:
    """Give what was ingested before, as it is."""
    if not store.user_table.empty:
        raise ConfigError("what was ingested are poems: --from-events has no rows to add to them")
    config = {**store.artefact.manifest.config}
    config.pop("settings", None)
    events = store.events()
    return Reading(
        events=events,
        origin=f"{counted(len(events), 'row')} of {store.artefact.path}",
        config=config,
        n_rows=len(events),
        losses=[],
        item_table=None if store.item_table.empty else store.item_table,
        item_source=store.artefact.path,
    )


def filters_of(settings: IngestSettings) -> "FilterConfig":
    """Give the filters that the settings ask for."""
    from recsys.data.filters import FilterConfig, parse_time

    return FilterConfig(
        min_rating=settings.min_rating,
        min_user_interactions=settings.min_user_interactions,
        min_item_interactions=settings.min_item_interactions,
        k_core=settings.k_core,
        since=None if settings.since is None else parse_time(settings.since),
        until=None if settings.until is None else parse_time(settings.until),
    )


def read_test_rows(path: Path, store: "InteractionStore", said: IngestSettings) -> "Events":
    """Read a test set as the data were read that it came with: its columns, ratings and times.

    How often users and items must occur says nothing of held-out rows.
    """
    from recsys.data.filters import filter_events

    settings = settings_again(store, said)
    # What file it is shows by itself: the data may have come in another format.
    settings = replace(settings, input_format=said.input_format, skip_bad_rows=said.skip_bad_rows)
    events, report = read_file(path, settings, to_train=False)
    wanted = filters_of(settings)
    if wanted.min_rating is not None and events.value_kind != "rating":
        note(f"warning: {path} has no ratings: none of its rows is dropped by --min-rating")
        wanted = replace(wanted, min_rating=None)
    if events.timestamps is None and (wanted.since, wanted.until) != (None, None):
        note(f"warning: {path} has no times: none of its rows is dropped by --since or --until")
        wanted = replace(wanted, since=None, until=None)
    kept, dropped = filter_events(
        events,
        replace(wanted, min_user_interactions=1, min_item_interactions=1, k_core=False),
    )
    for count, reason in [*losses_of(report), *((each.n_rows, each.reason) for each in dropped)]:
        if count:
            note(f"{path}: dropped {count:,}: {reason}")
    return kept


def losses_of(report: "ReadReport") -> Losses:
    """Say how many rows of a file went before any filter."""
    return [
        (report.n_bad_rows, "bad rows, tolerated by --skip-bad-rows"),
        (report.n_duplicates, "earlier rows of a user and item that came again"),
    ]


def with_arrived(reading: Reading, path: Path, settings: IngestSettings) -> Reading:
    """Fold in the events that the rows do not hold yet."""
    from recsys.data.event_store import EventStore
    from recsys.data.folding import (
        EVENTS_STORE,
        EVENTS_THROUGH,
        folded_through,
        waiting,
        with_events,
    )

    store = EventStore(path)
    last, identity = store.last_position, store.identity
    through = folded_through(reading.config, store)
    # Without filters that count, none of the older ones can have been left out for being too few.
    wanted = filters_of(settings)
    no_counts = (wanted.min_user_interactions, wanted.min_item_interactions) == (1, 1)
    first = through if no_counts and not wanted.k_core else 0
    arrived = waiting(reading.events, through, store.between(first, last))
    store.close()
    events, n_replaced = with_events(reading.events, arrived)
    return replace(
        reading,
        events=events,
        origin=f"{reading.origin}, and {counted(len(arrived), 'event')} of {path}",
        config={**reading.config, EVENTS_THROUGH: last, EVENTS_STORE: identity},
        n_rows=reading.n_rows + len(arrived),
        arrived=arrived,
        losses=[
            *reading.losses,
            (n_replaced, "rows and events of a user and item that came again"),
        ],
    )


def read_poem_files(path: Path, unit: "Unit | None") -> Reading:
    """Read poems as rows of characters or words."""
    from recsys.data.poem_files import read_poems
    from recsys.data.poem_units import find_unit, poem_events

    with progress_bar() as bar:
        task = bar.add_task("reading", total=None)
        poems, report = read_poems(
            path, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
        found = unit or find_unit(poems)
        events = poem_events(poems, found)
    for line in report.passed_over:
        note(f"passed over {line}")
    if report.n_same_id:
        note(
            f"{counted(report.n_same_id, 'poem')} with the id of an earlier one: #2, #3, ... added"
        )
    files = "" if report.n_files == 1 else f" in {report.n_files:,} files"
    return Reading(
        events=events,
        origin=f"{counted(report.n_read, 'poem')} of {report.source}{files} ({report.layout}; "
        f"an item is a {found})",
        config={"source": str(path.resolve()), "items": None, "unit": found},
        n_rows=int(events.values.sum()),
        losses=_poem_losses(report),
        poems=poems,
        users="poem",
        items=found,
        rows=found,
        filter_options="--min-item-interactions and others",
    )


def _poem_losses(report: "PoemReport") -> Losses:
    return [
        (report.n_empty, "poems without a letter"),
        (report.n_duplicates, "poems with the letters of an earlier one"),
        (report.n_notes, "editors' notes in brackets"),
        (report.n_missing, "missing characters: □ in the text, and no item"),
    ]


def _columns(report: "ReadReport") -> str:
    found = ", ".join(f"{role} = {column}" for role, column in report.columns.items())
    return f"{report.input_format}; {found}" if found else report.input_format
