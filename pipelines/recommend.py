"""recsys recommend: top-N for known users, for a list of items, for histories from a file."""

import csv
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import pyarrow as pa
from rich.console import RenderableType

from recsys.data.holdout import counted
from recsys.errors import ConfigError, UnknownIdError

from .config import IngestSettings
from .options import (
    Session,
    epilog,
    output_option,
    stage,
    threads_option,
    use_machine,
)
from .output import Record, Shape, emit, format_of, note, titled_table
from .reading import read_file, read_lines
from .rules import RuleFlags, rule_options

if TYPE_CHECKING:
    from recsys.recommendation import RecommendationList
    from recsys.recommender import Recommender

    Answer = Callable[..., list[RecommendationList]]

BLOCK = 1000
"""Users answered at a time, so that a long --users-from streams."""

SHOWN_HISTORY = 10

ROWS_ONLY = ("csv", "parquet")
"""Formats that hold the fixed columns and nothing else."""

N_REASONS = 3
"""Items of the history that --why tells of each recommendation."""


@click.command(
    short_help="Recommend for users, lists of items or histories.",
    epilog=epilog("recsys recommend --user 196 --user 22 -k 5 --format table"),
)
@click.option("--user", "users", multiple=True, metavar="ID", help="A known user (repeatable).")
@click.option(
    "--users-from",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE|-",
    help="Known users, one id a line.",
)
@click.option("--item", "items", multiple=True, metavar="ID", help="An item liked (repeatable).")
@click.option("--items", "items_record", metavar="ID,ID,..", help="The same as one CSV record.")
@click.option(
    "--history",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Histories of any users, in any format that ingest reads: the whole history of each "
    "user in it, instead of what the workspace knows of that user.",
)
@click.option("-k", "k", type=int, metavar="N", help="How many  [10]")
@click.option("--exclude-seen/--include-seen", default=None, help="Leave out the history  [yes]")
@rule_options
@click.option(
    "--why",
    is_flag=True,
    help="Tell what of the history adds most to each score, and how sure the score is.",
)
@click.option(
    "--explore",
    type=click.IntRange(min=0),
    metavar="SEED",
    help="Rank by a code drawn from what is known of the user instead of its mean: what is "
    "uncertain gets its chance. Another SEED, another draw.",
)
@click.option(
    "--new",
    "n_new",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Give N of the places to items that nobody has met yet, placed by their attributes  [0]",
)
@click.option(
    "--skip-unknown", is_flag=True, help="Pass over unknown users: named on stderr, exit code 0."
)
@threads_option
@output_option
@stage
def recommend(
    session: Session,
    users: tuple[str, ...],
    users_from: Path | None,
    items: tuple[str, ...],
    items_record: str | None,
    history: Path | None,
    k: int | None,
    exclude_seen: bool | None,
    rules: RuleFlags,
    why: bool,
    explore: int | None,
    n_new: int,
    skip_unknown: bool,
    threads: int | None,
    output: Path | None,
) -> int:
    """Recommend items for known users, for somebody who liked these items, or for histories.

    Rules are applied inside the search: N asked is N given wherever N exist under them. What
    `recsys serve` was told since counts once `recsys ingest --from-events` has read it.
    """
    from recsys.recommender import Recommender

    settings = session.settings(
        recommend__k=k, recommend__exclude_seen=exclude_seen, machine__threads=threads
    ).settings
    k = settings.recommend.k
    liked = [*items, *_record(items_record)]
    _one_kind_of_query(bool(users or users_from), bool(liked), history is not None)
    device = use_machine(settings.machine)
    recommender = Recommender.load(session.workspace.root, device=device)
    answer = partial(
        recommender.recommend,
        k=k,
        exclude_seen=settings.recommend.exclude_seen,
        rules=rules.read(recommender.items),
        n_reasons=N_REASONS if why else 0,
        explore=explore,
        n_new=n_new,
    )
    unknown: list[str] = []
    if liked:
        lists: Iterable[RecommendationList] = answer(items=liked)
    elif history is not None:
        lists = _for_histories(recommender, history, settings.ingest, answer)
    else:
        if not skip_unknown:
            recommender.users.positions(users)  # one unknown --user: nothing is printed
        listed = [] if users_from is None else read_lines(users_from)
        wanted, unknown = _known_users(recommender, [*users, *listed])
        lists = _for_users(wanted, answer)
        note_unknown_items(recommender)
    shape = _shape(recommender, with_history=history is None)
    if (why or n_new) and (session.format if output is None else format_of(output)) in ROWS_ONLY:
        note("rows of user, item, rank and score tell no reasons, nor what is new: json does")
    emit(_records(lists, n_new), shape, session.format, output)
    if unknown:
        note(f"recsys: {recommender.users.unknown_message(unknown)}")
    return 0 if skip_unknown or not unknown else UnknownIdError.exit_code


def _one_kind_of_query(*given: bool) -> None:
    if sum(given) != 1:
        raise ConfigError(
            "give one of --user/--users-from, --item/--items and --history: "
            f"{'none' if not any(given) else 'more than one'} was given"
        )


def _record(text: str | None) -> list[str]:
    """Read one CSV record: commas between ids, quotes around an id that has one."""
    if text is None:
        return []
    try:
        (record,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise ConfigError(f"--items {text!r} is not one CSV record ({error})") from error
    return record


def note_unknown_items(recommender: "Recommender") -> None:
    """Say how many items of the workspace's histories the model has not met."""
    if recommender.n_unknown_items:
        note(
            f"not in the model: {counted(recommender.n_unknown_items, 'item')} of the data (new, "
            "or only its held-out users had them): counted for nothing"
        )


def _known_users(recommender: "Recommender", users: list[str]) -> tuple[list[str], list[str]]:
    found = recommender.users.find(users)
    known = [each for each, position in zip(users, found, strict=True) if position >= 0]
    unknown = [each for each, position in zip(users, found, strict=True) if position < 0]
    return known, unknown


def _for_users(users: list[str], answer: "Answer") -> "Iterator[RecommendationList]":
    for start in range(0, len(users), BLOCK):
        yield from answer(users[start : start + BLOCK])


def _for_histories(
    recommender: "Recommender", path: Path, settings: IngestSettings, answer: "Answer"
) -> "Iterator[RecommendationList]":
    from recsys.data.histories import blocks_of

    events, _ = read_file(path, settings, to_train=False)
    recommender.check_values(events.value_kind, str(path))
    histories = events.interactions()
    unknown = int((recommender.items.find(histories.items.ids) < 0).sum())
    if unknown:
        note(f"{path}: not in the model: {unknown:,} of {counted(histories.n_items, 'item')}")
    for rows in blocks_of(histories.n_users, BLOCK):
        yield from answer(histories=histories.select_users(rows))


def _records(lists: "Iterable[RecommendationList]", n_new: int) -> Iterator[Record]:
    """Shape each list as DESIGN.md fixes it; say on stderr what is unusual about it."""
    from recsys.recommendation import record_of

    for each in lists:
        name = "the list of items" if each.user is None else f"user {each.user}"
        if each.reason == "popularity":
            note(f"{name} has no history that the model knows: ranked by popularity")
        record = record_of(each)
        if "requested" in record:
            n_items = len(each.items)
            exist = "exists" if n_items == 1 else "exist"
            note(f"{name}: only {n_items} of {each.requested} {exist} under these rules")
        n_cold = sum(one.reason == "attributes" for one in each.items)
        if n_cold < min(n_new, each.requested):
            note(f"{name}: only {n_cold} of {n_new} new items exist under these rules")
        yield record


def _shape(recommender: "Recommender", with_history: bool) -> Shape:
    return Shape(
        columns=[
            ("user", pa.string()),
            ("item", pa.string()),
            ("rank", pa.int32()),
            ("score", pa.float32()),
        ],
        rows=lambda record: (
            (record["user"], one["item"], one["rank"], one["score"]) for one in record["items"]
        ),
        tables=lambda records: (
            each for one in records for each in _tables(one, recommender, with_history)
        ),
    )


def _tables(
    record: Record, recommender: "Recommender", with_history: bool
) -> Iterator[RenderableType]:
    user = record["user"]
    if with_history and user is not None:
        yield _history_table(user, recommender)
    whom = "these items" if user is None else f"user {user}"
    table = titled_table(
        f"Recommended for {whom}", "rank", "item", "title", "score", right=("rank", "score")
    )
    for one in record["items"]:
        title = one.get("title", "") + (" (new)" if one.get("cold") else "")
        table.add_row(str(one["rank"]), one["item"], title, f"{one['score']:.3f}")
    yield table
    yield ""
    explained = [one for one in record["items"] if "low" in one]
    if explained:
        yield _reasons_table(explained)
        yield ""


def _reasons_table(items: list[Record]) -> RenderableType:
    """In words: what each item is recommended for, by how much each adds to its score."""
    table = titled_table("Why", "rank", "95 % of scores", "because of", right=("rank",))
    for one in items:
        reasons = (
            f"{each.get('title', each['item'])} (+{each['score']:.2f})"
            for each in one.get("why", ())
        )
        interval = f"{one['low']:.2f} to {one['high']:.2f}"
        table.add_row(str(one["rank"]), interval, ", ".join(reasons) or "nothing in particular")
    return table


def _history_table(user: str, recommender: "Recommender") -> RenderableType:
    """What the user liked: the highest values first, then the latest."""
    store = recommender.store
    (position,) = store.interactions.users.positions([user])
    row = store.interactions.matrix[[position]]
    times = store.timestamps_of(position)
    times = np.zeros(len(row.data)) if times is None else times
    best = np.lexsort((row.indices, -times, -row.data))[:SHOWN_HISTORY]
    title = f"User {user} liked ({len(best)} of {len(row.data)})"
    valued = store.value_kind != "none"
    columns = ["item", "title", *([store.value_kind] if valued else [])]
    table = titled_table(title, *columns, right=(store.value_kind,))
    for place in best:
        item = store.interactions.items.ids[row.indices[place]]
        value = [f"{row.data[place]:g}"] if valued else []
        table.add_row(item, recommender.titles.get(item, ""), *value)
    return table
