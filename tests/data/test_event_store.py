"""Events that arrive one by one: kept in order, once a key, whole or not at all."""

import sqlite3
import threading

import pytest

from recsys.data.event_store import Event, EventStore
from recsys.errors import ArtefactError


@pytest.fixture
def store(tmp_path):
    made = EventStore(tmp_path / "events.sqlite")
    yield made
    made.close()


def event(user="ann", item="007", value=1.0, time=0.0, key=None):
    return Event(user, item, value, time, key)


def of_user(store, user, after=0):
    return [event for position, event in store.of_users([user]).get(user, []) if position > after]


def test_nothing_is_there_at_first_and_asking_makes_no_file(store):
    assert of_user(store, "ann") == []
    assert store.last_position == 0
    assert not store.path.exists()


def test_events_come_back_in_their_order(store):
    store.append([event(item="b"), event("bob"), event(item="a")])
    assert [each.item for each in of_user(store, "ann")] == ["b", "a"]
    assert of_user(store, "ann", after=1) == [event(item="a")]
    assert store.last_position == 3
    assert list(store.between(1, 2)) == [(2, event("bob"))]


def test_a_store_is_told_from_another_in_its_place(store, tmp_path):
    assert store.identity is None
    store.append([event()])
    again = EventStore(store.path)
    other = EventStore(tmp_path / "other.sqlite")
    other.append([event()])
    assert store.identity == again.identity != other.identity
    again.close()
    other.close()


def test_who_reads_does_not_wait_for_who_writes(store, monkeypatch):
    store.append([event()])
    monkeypatch.setattr("recsys.data.event_store.WAIT_SECONDS", 0.2)
    writer = sqlite3.connect(store.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    reader = EventStore(store.path)
    assert reader.last_position == 1
    reader.close()
    writer.close()


def test_users_are_looked_up_together_each_with_its_own(store):
    store.append([event(item="b"), event("bob"), event("eve"), event(item="a")])
    found = store.of_users({"ann", "bob", "zoe"})
    assert found == {
        "ann": [(1, event(item="b")), (4, event(item="a"))],
        "bob": [(2, event("bob"))],
    }
    assert store.of_users([]) == {}


def test_ids_come_back_as_they_were_written(store):
    odd = event('O\'Brien, "x"\n', "🦊 \x00 007", key="k; DROP TABLE events")
    store.append([odd])
    assert of_user(store, odd.user) == [odd]


def test_a_key_that_comes_again_is_kept_once(store):
    assert store.append([event(key="a"), event(key="b"), event(key="a")]) == 2
    assert store.append([event(key="b"), event(key=None), event(key=None)]) == 2
    assert len(of_user(store, "ann")) == 4


def test_batches_are_counted_apart(store):
    assert store.append_each([[event(key="a")], [event(key="a"), event(key="b")], []]) == [1, 1, 0]


def test_a_bad_event_takes_the_whole_transaction_with_it(store):
    with pytest.raises(ArtefactError, match="cannot be used: NOT NULL"):
        store.append([event(), event(user=None)])
    assert of_user(store, "ann") == []


def test_what_was_written_is_there_for_another_process(store):
    store.append([event()])
    other = EventStore(store.path)
    assert of_user(other, "ann") == [event()]
    other.close()


def test_the_disk_is_waited_for_at_each_commit(store):
    store.append([event()])
    (level,) = store._connection().execute("PRAGMA synchronous").fetchone()
    (mode,) = store._connection().execute("PRAGMA journal_mode").fetchone()
    assert (level, mode) == (2, "wal")


def in_eight_threads(work):
    """Call `work` with 0 to 7, each in a thread of its own."""
    threads = [threading.Thread(target=work, args=(each,)) for each in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def test_many_threads_write_and_nothing_is_lost(store):
    def write(number):
        for place in range(20):
            store.append([event(f"u{number}", str(place))])

    in_eight_threads(write)
    assert store.last_position == 160
    assert all(len(of_user(store, f"u{each}")) == 20 for each in range(8))


@pytest.mark.parametrize("attempt", range(20))
def test_many_threads_may_open_a_new_store_at_the_same_moment(store, attempt):
    together = threading.Barrier(8)

    def write(number):
        together.wait()
        store.append([event(f"u{number}")])

    in_eight_threads(write)
    assert store.last_position == 8


def test_a_file_that_is_no_store_is_refused_and_left(tmp_path):
    path = tmp_path / "events.sqlite"
    path.write_bytes(b"user,item\n1,2\n" * 100)
    store = EventStore(path)
    with pytest.raises(ArtefactError, match="file is not a database"):
        store.append([event()])
    assert path.read_bytes().startswith(b"user,item")


def test_a_full_disk_is_told_and_nothing_is_half_written(store):
    store.append([event()])
    store._connection().execute("PRAGMA max_page_count = 8")
    with pytest.raises(ArtefactError, match="full"):
        store.append([event(item="x" * 1000) for _ in range(1000)])
    assert of_user(store, "ann") == [event()]


def test_reading_needs_no_right_to_write_elsewhere(store, tmp_path):
    store.append([event()])
    with sqlite3.connect(store.path) as plain:
        assert plain.execute("SELECT COUNT(*) FROM events").fetchone() == (1,)
    plain.close()
