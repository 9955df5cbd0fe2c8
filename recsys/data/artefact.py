"""The interactions artefact: every user's history, its file order, items' titles, and poems.

Rows are stored user by user, so that one user's history is read without touching the rest
(the arrays are memory-mapped); `row_order` brings back the order of the file for the splits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys import storage
from recsys.data.id_store import load_ids, save_ids
from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions, ValueKind
from recsys.data.poems import TABLE_COLUMNS, Poem, poems_of
from recsys.errors import ArtefactError

KIND = "interactions"
FORMAT_VERSION = 2
MADE_BY = "recsys ingest"
USER_TABLE = "user_table.parquet"


@dataclass(frozen=True, eq=False)
class InteractionStore:
    """An opened interactions artefact.

    Parameters
    ----------
    interactions : Interactions
        Everybody's history; the matrix's arrays are memory-mapped.
    item_table : DataFrame
        Columns item_id, title and what else the items file had, all str; empty without one.
    user_table : DataFrame
        `TABLE_COLUMNS` of the users that are poems, all str; empty where they are none.
    value_kind : {"none", "rating", "weight"}
    timestamps : float64, shape (n_events,), or None
        When each interaction was, in the order of the matrix's entries, memory-mapped; None where
        the data do not say.
    artefact : storage.Artefact
    """

    interactions: Interactions
    item_table: pd.DataFrame
    user_table: pd.DataFrame
    value_kind: ValueKind
    timestamps: NDArray[np.float64] | None
    artefact: storage.Artefact

    @property
    def fingerprint(self) -> str:
        """Of the events, whenever and wherever they were ingested."""
        return str(self.artefact.manifest.fingerprints["events"])

    def events(self) -> Events:
        """Bring back the rows in the order of their file."""
        matrix = self.interactions.matrix
        order = np.argsort(_load_array(self.artefact.file("row_order.npy")))
        users = np.repeat(
            np.arange(self.interactions.n_users, dtype=np.int32), np.diff(matrix.indptr)
        )
        return Events(
            users=self.interactions.users,
            items=self.interactions.items,
            user_positions=users[order],
            item_positions=matrix.indices[order].astype(np.int32),
            values=matrix.data[order],
            timestamps=None if self.timestamps is None else self.timestamps[order],
            value_kind=self.value_kind,
        )

    def titles(self) -> dict[str, str]:
        """Item id -> title, for the items that have one."""
        table = self.item_table
        titled = table["title"] != ""
        return dict(zip(table["item_id"][titled], table["title"][titled], strict=True))

    def items_of(self, user: str | None) -> set[str]:
        """Give the ids of a user's history; none of an unknown user."""
        position = -1 if user is None else self.interactions.users.position(user)
        if position < 0:
            return set()
        matrix = self.interactions.matrix
        row = slice(*matrix.indptr[position : position + 2])
        return set(self.interactions.items.ids[matrix.indices[row]])

    def poems(self) -> list[Poem]:
        """Give the users as poems, in the order of their files; none where they are no poems."""
        return poems_of(self.user_table)

    def timestamps_of(self, user_position: int) -> NDArray[np.float64] | None:
        """Times of one user's history, in the order of its row; None where the data has none."""
        if self.timestamps is None:
            return None
        row = slice(*self.interactions.matrix.indptr[user_position : user_position + 2])
        return np.array(self.timestamps[row])


def rows_of(table: pd.DataFrame, key: str, ids: IdMap) -> pd.DataFrame:
    """Give the row of each id of a table of text, in their order; "" where nothing is known.

    Parameters
    ----------
    table : DataFrame
        Every cell a str.
    key : str
        Its column of ids, each there once.
    ids : IdMap
    """
    rows = table.set_index(key, drop=False).reindex(pd.Index(ids.ids), fill_value="")
    return rows.assign(**{key: ids.ids}).reset_index(drop=True)


def save_interactions(
    events: Events,
    item_table: pd.DataFrame | None,
    path: Path,
    *,
    user_table: pd.DataFrame | None = None,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> None:
    """Write events and titles as one artefact.

    Parameters
    ----------
    events : Events
    item_table : DataFrame or None
        Columns item_id and title at least, all str.
    path : Path
        Replaced whole; a crash leaves what stood there.
    user_table : DataFrame or None
        What `poem_table` makes of the poems that the users are.
    config, metrics : mapping
        Where the rows came from and what was counted, for `recsys info`.
    """
    order = np.lexsort((events.item_positions, events.user_positions))
    counts = np.bincount(events.user_positions, minlength=len(events.users))
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    with storage.writing(
        path,
        KIND,
        FORMAT_VERSION,
        config={**config, "value_kind": events.value_kind},
        metrics=metrics,
        fingerprints={
            "events": events.fingerprint,
            "users": events.users.fingerprint,
            "items": events.items.fingerprint,
        },
    ) as folder:
        _save_array(folder, "indptr", indptr)
        _save_array(folder, "indices", events.item_positions[order])
        _save_array(folder, "values", events.values[order])
        _save_array(folder, "row_order", order.astype(np.int32))
        if events.timestamps is not None:
            _save_array(folder, "timestamps", events.timestamps[order])
        save_ids(events.users, folder / "users.parquet")
        save_ids(events.items, folder / "items.parquet")
        if item_table is None:
            item_table = pd.DataFrame({"item_id": [], "title": []}, dtype=str)
        _save_table(folder / "item_table.parquet", item_table)
        if user_table is not None:
            _save_table(folder / USER_TABLE, user_table)


def open_interactions(path: Path) -> InteractionStore:
    """Open and verify an interactions artefact.

    Raises
    ------
    ArtefactError
        Missing, damaged or newer than this library.
    """
    artefact = storage.open_artefact(path, KIND, FORMAT_VERSION, made_by=MADE_BY)
    users = load_ids(artefact.file("users.parquet"), "user", MADE_BY)
    items = load_ids(artefact.file("items.parquet"), "item", MADE_BY)
    arrays = [_load_array(artefact.file(f"{name}.npy")) for name in ("values", "indices", "indptr")]
    try:
        matrix = csr_array(tuple(arrays), shape=(len(users), len(items)))
        item_table = _load_table(artefact.file("item_table.parquet"))
        user_table = pd.DataFrame(columns=list(TABLE_COLUMNS), dtype=str)
        if USER_TABLE in artefact.manifest.files:  # since version 2, and for poems alone
            user_table = _load_table(artefact.file(USER_TABLE))[list(TABLE_COLUMNS)]
    except (ValueError, KeyError) as error:  # pyarrow's is a ValueError too
        raise ArtefactError(f"{path} is not whole ({error}); run `{MADE_BY}`") from error
    timestamps = None
    if "timestamps.npy" in artefact.manifest.files:
        timestamps = _load_array(artefact.file("timestamps.npy"))
    return InteractionStore(
        interactions=Interactions(users, items, matrix),
        item_table=item_table,
        user_table=user_table,
        value_kind=artefact.manifest.config["value_kind"],
        timestamps=timestamps,
        artefact=artefact,
    )


def _save_table(path: Path, table: pd.DataFrame) -> None:
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)


def _load_table(path: Path) -> pd.DataFrame:
    return pq.read_table(path).to_pandas()


def _save_array(folder: Path, name: str, array: NDArray[Any]) -> None:
    np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _load_array(path: Path) -> NDArray[Any]:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (ValueError, EOFError) as error:
        raise ArtefactError(f"{path} is not an array of numbers; run `{MADE_BY}`") from error
