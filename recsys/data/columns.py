"""Which column holds what: user, item, rating, weight and time, by name or as told."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recsys.data.interactions import ValueKind
from recsys.errors import ConfigError, DataError

Role = Literal["user", "item", "rating", "weight", "timestamp"]

# fmt: off
USUAL_NAMES: dict[Role, frozenset[str]] = {
    "user": frozenset({
        "user_id", "userid", "user", "uid", "u", "user_name", "username", "customer_id",
        "customerid", "customer", "visitor_id", "visitorid", "member_id", "memberid",
        "reviewer_id", "reviewerid", "account_id", "session_id", "sessionid", "poem", "poem_id",
    }),
    "item": frozenset({
        "item_id", "itemid", "item", "iid", "movie_id", "movieid", "book_id", "bookid", "isbn",
        "product_id", "productid", "track_id", "trackid", "artist_id", "artistid", "song_id",
        "songid", "asin", "parent_asin", "sku", "article_id", "articleid", "business_id",
        "game_id", "anime_id", "recipe_id", "joke_id", "news_id", "video_id", "character",
        "character_id",
    }),
    "rating": frozenset({
        "rating", "ratings", "score", "stars", "overall", "book_rating",
    }),
    "weight": frozenset({
        "weight", "count", "plays", "play_count", "playcount", "n", "quantity",
    }),
    "timestamp": frozenset({
        "timestamp", "time", "ts", "date", "datetime", "unix_time", "unixreviewtime", "rated_at",
        "created_at",
    }),
}
# fmt: on
_WORD_GAP = re.compile(r"[\s-]+")
_RECBOLE_TYPE = re.compile(r":(token|token_seq|float|float_seq)$")


@dataclass(frozen=True)
class WantedColumns:
    """Which column the caller says holds what; None = find it by its usual names, "" = none."""

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    weight: str | None = None
    timestamp: str | None = None

    def __post_init__(self) -> None:
        if self.rating and self.weight:
            raise ConfigError(
                f"both --rating-column {self.rating} and --weight-column {self.weight} are given: "
                "interactions have one value; leave one of them out"
            )

    def named(self) -> dict[Role, str]:
        """Give the roles that the caller has decided."""
        pairs: list[tuple[Role, str | None]] = [
            ("user", self.user),
            ("item", self.item),
            ("rating", self.rating),
            ("weight", self.weight),
            ("timestamp", self.timestamp),
        ]
        return {role: name for role, name in pairs if name is not None}


@dataclass(frozen=True)
class Columns:
    """The places of the columns to read, counted from 0; None = the file has none.

    Parameters
    ----------
    header : tuple of str
        All columns of the file, RecBole's types taken off.
    left_out : str or None
        A weight column that gave way to a rating column.
    """

    header: tuple[str, ...]
    user: int
    item: int
    value: int | None
    value_kind: ValueKind
    timestamp: int | None
    left_out: str | None = None

    def names(self) -> dict[str, str]:
        """Give the column name of every role that was found."""
        value = {} if self.value is None else {str(self.value_kind): self.header[self.value]}
        time = {} if self.timestamp is None else {"timestamp": self.header[self.timestamp]}
        return {"user": self.header[self.user], "item": self.header[self.item]} | value | time


def column_name(field: str) -> str:
    """Take RecBole's type and blanks off a header's field.

    Examples
    --------
    >>> column_name("user_id:token")
    'user_id'
    """
    return _RECBOLE_TYPE.sub("", field.strip())


def folded_name(name: str) -> str:
    """Write a column's name as the usual names are written: small letters, words joined by ``_``.

    Examples
    --------
    >>> folded_name("User ID"), folded_name("item-id")
    ('user_id', 'item_id')
    """
    return _WORD_GAP.sub("_", name.strip().lower())


def has_known_name(name: str) -> bool:
    """Tell whether a column of this name would be found without being told."""
    return any(folded_name(name) in known for known in USUAL_NAMES.values())


def usual_names(role: Role) -> str:
    """List the names by which a column of this role is found, for messages."""
    return ", ".join(sorted(USUAL_NAMES[role]))


def find_columns(fields: Sequence[str], wanted: WantedColumns, name: str) -> Columns:
    """Find the columns of a header.

    Parameters
    ----------
    fields : sequence of str
        The header as written.
    wanted : WantedColumns
    name : str
        The file, for messages.

    Raises
    ------
    DataError
        A column that was named, or the user or item column, is not there.
    ConfigError
        Two columns could hold the same thing, or the line is no header at all.

    Examples
    --------
    >>> find_columns(["userId", "movieId", "rating"], WantedColumns(), "ratings.csv").names()
    {'user': 'userId', 'item': 'movieId', 'rating': 'rating'}
    """
    header = tuple(column_name(each) for each in fields)
    told = wanted.named()
    if not told and not any(has_known_name(each) for each in header):
        raise ConfigError(
            f"{name}: the first line {_shown(header)} holds no known column name: name the columns "
            "with --columns user_id,item_id,... when the file has no header, "
            "else with --user-column and --item-column"
        )
    places: dict[Role, int] = {
        role: place_of(header, column, f"--{role}-column", name)
        for role, column in told.items()
        if column
    }
    _refuse_shared_places(places, header, name)
    for role in USUAL_NAMES:
        if role not in told and not (role == "rating" and "weight" in places):
            place = _usual_place(header, role, set(places.values()), name)
            if place is not None:
                places[role] = place
    return _columns_at(header, places, wanted, name)


def undecided_names(columns: Columns, wanted: WantedColumns) -> frozenset[str]:
    """Give the names, as `folded_name` writes them, that one more column could not have in silence.

    A column so called would have been taken for one of `columns`, or been refused beside it.

    Examples
    --------
    >>> wanted = WantedColumns(user="movie_id")
    >>> columns = find_columns(["movie_id", "book_id"], wanted, "a.csv")
    >>> {"userid", "isbn", "stars"} & undecided_names(columns, wanted) == {"isbn", "stars"}
    True
    """
    decided = set(wanted.named())
    if columns.value_kind == "rating":
        decided.add("weight")
    elif wanted.weight is not None:
        decided.add("rating")
    return frozenset().union(*(USUAL_NAMES[role] for role in USUAL_NAMES if role not in decided))


def place_of(header: Sequence[str], column: str, option: str, name: str) -> int:
    """Find a column that the caller has named: as written, else whatever its case."""
    exact = [place for place, each in enumerate(header) if each == column_name(column)]
    folded = [place for place, each in enumerate(header) if each.lower() == column.lower()]
    found = exact or folded
    if not found:
        raise DataError(f"{name}: no column {column!r} ({option}): the header is {_shown(header)}")
    if len(found) > 1:
        raise ConfigError(
            f"{name}: {option} {column} could be any of {len(found)} columns of the header "
            f"{_shown(header)}: rename all but one of them"
        )
    return found[0]


def _usual_place(header: Sequence[str], role: Role, taken: set[int], name: str) -> int | None:
    found = [
        place
        for place, each in enumerate(header)
        if place not in taken and folded_name(each) in USUAL_NAMES[role]
    ]
    if len(found) > 1:
        candidates = " or ".join(repr(header[place]) for place in found)
        raise ConfigError(
            f"{name}: the {role} column could be {candidates}: say which with "
            f"--{role}-column; the header is {_shown(header)}"
        )
    return found[0] if found else None


def _refuse_shared_places(places: dict[Role, int], header: Sequence[str], name: str) -> None:
    by_place: dict[int, Role] = {}
    for role, place in places.items():
        other = by_place.setdefault(place, role)
        if other != role:
            raise ConfigError(
                f"{name}: --{other}-column and --{role}-column both name {header[place]!r}: "
                f"they must differ; the header is {_shown(header)}"
            )


def _columns_at(
    header: tuple[str, ...], places: dict[Role, int], wanted: WantedColumns, name: str
) -> Columns:
    for role in ("user", "item"):
        if role not in places:
            raise DataError(
                f"{name}: no {role} column: the header is {_shown(header)}; expected one of the "
                f"usual names ({usual_names(role)}), or --{role}-column NAME"
            )
    kind: ValueKind = "none"
    if "rating" in places:
        kind = "rating"
    elif "weight" in places:
        kind = "weight"
    # A caller who named the rating column has chosen already: no warning is due.
    gave_way = kind == "rating" and "weight" in places and wanted.rating is None
    return Columns(
        header=header,
        user=places["user"],
        item=places["item"],
        value=None if kind == "none" else places[kind],
        value_kind=kind,
        timestamp=places.get("timestamp"),
        left_out=header[places["weight"]] if gave_way else None,
    )


def _shown(header: Sequence[str]) -> str:
    return repr(",".join(header)[:200])
