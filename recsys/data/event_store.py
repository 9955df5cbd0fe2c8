"""Interactions that arrive one by one, kept durably beside the workspace: SQLite in WAL mode.

The store only grows. A data set that folded events in says up to which position it did, so that
nothing is counted twice and nothing that was acknowledged is ever lost.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from recsys.errors import ArtefactError

WAIT_SECONDS = 30.0
"""How long a writer waits for another process's transaction."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    user TEXT NOT NULL,
    item TEXT NOT NULL,
    value REAL NOT NULL,
    time REAL NOT NULL,
    key TEXT UNIQUE
);
CREATE INDEX IF NOT EXISTS events_of_user ON events (user, position);
CREATE TABLE IF NOT EXISTS store (id TEXT NOT NULL);
"""

_NAME = "INSERT INTO store SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT * FROM store)"


class Event(NamedTuple):
    """One interaction.

    Parameters
    ----------
    user, item : str
    value : float
        A rating or a weight; 1 where the data have neither.
    time : float
        Seconds since 1970.
    key : str or None
        The sender's own name of the event: one that comes again is kept once.
    """

    user: str
    item: str
    value: float
    time: float
    key: str | None = None


class EventStore:
    """An append-only table of events; any number of threads and processes may use it at once.

    Parameters
    ----------
    path : Path
        The file; made when it is first written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = EventStore(Path(folder) / "events.sqlite")
    ...     store.append([Event("ann", "007", 1.0, 0.0), Event("bob", "x", 1.0, 0.0)])
    ...     [(position, event.item) for position, event in store.of_users(["ann", "eve"])["ann"]]
    ...     store.close()
    2
    [(1, '007')]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_there = False
        self._connections: list[sqlite3.Connection] = []
        self._local = threading.local()

    def append(self, events: Sequence[Event]) -> int:
        """Write events in one transaction; on return they survive a crash of the machine.

        Returns
        -------
        int
            How many were new: those whose key was there already are passed over.

        Raises
        ------
        ArtefactError
            The disk is full, or the file is no store of events. None of them was written.
        """
        return self.append_each([events])[0]

    def append_each(self, batches: Sequence[Sequence[Event]]) -> list[int]:
        """Write several batches in one transaction, which the disk is waited for once.

        Returns
        -------
        list of int
            How many of each batch were new.

        Raises
        ------
        ArtefactError
            As of `append`; of no batch anything was written.
        """
        with self._answering():
            connection = self._connection()
            counts = [connection.total_changes]
            with connection:
                for events in batches:
                    connection.executemany(
                        "INSERT INTO events (user, item, value, time, key) VALUES (?, ?, ?, ?, ?) "
                        "ON CONFLICT (key) DO NOTHING",
                        events,
                    )
                    counts.append(connection.total_changes)
            return [after - before for before, after in pairwise(counts)]

    def of_users(self, users: Collection[str]) -> dict[str, list[tuple[int, Event]]]:
        """Give the events of some users with their positions, each user's oldest first.

        Parameters
        ----------
        users : collection of str
            A few hundred at most.

        Returns
        -------
        dict of str to list of (int, Event)
            Without those who have none.
        """
        found: dict[str, list[tuple[int, Event]]] = {}
        if not users:
            return found
        asked = ", ".join("?" * len(users))
        for position, event in self._select(f"user IN ({asked})", tuple(users)):
            found.setdefault(event.user, []).append((position, event))
        return found

    def between(self, after: int, last: int) -> Iterator[tuple[int, Event]]:
        """Give everybody's events with a position above `after` and up to `last`, oldest first."""
        return self._select("position > ? AND position <= ?", (after, last))

    @property
    def identity(self) -> str | None:
        """What tells this store from any other that is put in its place; None where it is none."""
        if not self._exists():
            return None
        with self._answering():
            (found,) = self._connection().execute("SELECT id FROM store").fetchone()
            return str(found)

    @property
    def last_position(self) -> int:
        """Position of the newest event; 0 where there is none."""
        if not self._exists():
            return 0
        with self._answering():
            (last,) = self._connection().execute("SELECT MAX(position) FROM events").fetchone()
            return int(last or 0)

    def close(self) -> None:
        """Close every thread's connection."""
        while self._connections:
            self._connections.pop().close()
        self._local = threading.local()

    def _select(self, condition: str, values: tuple[object, ...]) -> Iterator[tuple[int, Event]]:
        if not self._exists():
            return
        with self._answering():
            rows = self._connection().execute(
                "SELECT position, user, item, value, time, key FROM events "
                f"WHERE {condition} ORDER BY position",
                values,
            )
            for position, *event in rows:
                yield position, Event(*event)

    def _exists(self) -> bool:
        """Whether anything was ever written; once it is there it stays."""
        self._is_there = self._is_there or self.path.exists()
        return self._is_there

    def _connection(self) -> sqlite3.Connection:
        """Open a connection for this thread, or give the one that it has."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, WAIT_SECONDS, check_same_thread=False)
            self._connections.append(connection)
            # SQLite does not wait for another that turns a new file to WAL: it fails at once.
            with FileLock(f"{self.path}.lock").acquire(WAIT_SECONDS, poll_interval=0.002):
                connection.execute("PRAGMA journal_mode = WAL")
                # Every commit reaches the disk before it is acknowledged.
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
                # Only who writes waits for other writers.
                if connection.execute("SELECT id FROM store").fetchone() is None:
                    with connection:
                        connection.execute(_NAME)
            self._local.connection = connection
        return connection

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ArtefactError(f"the events in {self.path} cannot be used: {error}") from error
