"""Events folded into the rows of a file: as if they had stood at its end."""

import numpy as np
import pytest

from recsys.data.event_store import Event, EventStore
from recsys.data.folding import (
    EVENTS_STORE,
    EVENTS_THROUGH,
    folded_through,
    waiting,
    with_events,
)
from recsys.data.readers import read_events


@pytest.fixture
def read(tmp_path):
    """Give a function that reads rows of a CSV file."""

    def call(text):
        path = tmp_path / "rows.csv"
        path.write_text(text)
        return read_events(path)[0]

    return call


def rows_of(events):
    times = np.zeros(len(events)) if events.timestamps is None else events.timestamps
    return [
        (events.users.ids[user], events.items.ids[item], float(value), float(time))
        for user, item, value, time in zip(
            events.user_positions, events.item_positions, events.values, times, strict=True
        )
    ]


def test_no_events_change_nothing(read):
    rows = read("user_id,item_id\na,1\n")
    assert with_events(rows, []) == (rows, 0)


def test_new_users_and_items_are_joined(read):
    rows = read("user_id,item_id\n10,x\n9,y\n")
    found, n_replaced = with_events(rows, [Event("9", "x", 5.0, 7.0), Event("100", "a", 1, 8.0)])
    assert n_replaced == 0
    assert list(found.users.ids) == ["9", "10", "100"]
    assert rows_of(found) == [
        ("10", "x", 1, 0),
        ("9", "y", 1, 0),
        ("9", "x", 1, 0),
        ("100", "a", 1, 0),
    ]


def test_it_is_as_if_they_had_stood_in_the_file(read):
    text = "user_id,item_id,rating,timestamp\nann,1,4,100\nbob,2,3,200\n"
    arrived = [Event("ann", "2", 5.0, 300.0), Event("cat", "1", 2.0, 50.0)]
    found, _ = with_events(read(text), arrived)
    whole = read(text + "ann,2,5,300\ncat,1,2,50\n")
    assert found.fingerprint == whole.fingerprint


def test_the_latest_rating_of_a_pair_stays(read):
    rows = read("user_id,item_id,rating,timestamp\nann,1,4,100\nann,2,3,100\n")
    found, n_replaced = with_events(
        rows, [Event("ann", "1", 1.0, 200.0), Event("ann", "2", 5.0, 50.0)]
    )
    assert n_replaced == 2
    assert sorted(rows_of(found)) == [("ann", "1", 1, 200), ("ann", "2", 3, 100)]


def test_weights_are_summed(read):
    rows = read("user_id,item_id,count\nann,1,2\n")
    assert rows.value_kind == "weight"
    found, _ = with_events(rows, [Event("ann", "1", 3.0, 1.0)])
    assert rows_of(found) == [("ann", "1", 5, 0)]


def test_times_follow_the_unit_of_the_file(read):
    rows = read("user_id,item_id,timestamp\nann,1,1700000000000\nann,3,1700000000001\n")
    found, _ = with_events(rows, [Event("ann", "2", 1.0, 1_700_000_100.0)])
    assert rows_of(found)[-1] == ("ann", "2", 1, 1_700_000_100_000)


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
def test_events_take_the_unit_of_the_rows(read, per_second):
    row = f"u,a,1,{1_704_067_200 * per_second}\nu,b,2,{1_717_200_000 * per_second}\n"
    rows = read("user_id,item_id,rating,timestamp\n" + row)
    found, n_replaced = with_events(rows, [Event("u", "a", 5.0, 1_767_225_600.0)])
    assert n_replaced == 1
    latest = max(rows_of(found), key=lambda each: each[3])
    assert latest == ("u", "a", 5.0, 1_767_225_600.0 * per_second)


@pytest.fixture
def store(tmp_path):
    """A store of three events."""
    found = EventStore(tmp_path / "events.sqlite")
    arrived = [Event("ann", "x", 1, 1), Event("bob", "x", 1, 2), Event("ann", "new", 1, 3)]
    found.append([*arrived, Event("ann", "y", 1, 4)])
    yield found
    found.close()


def test_a_position_counts_of_its_own_store_alone(store, tmp_path):
    config = {EVENTS_THROUGH: 2, EVENTS_STORE: store.identity}
    assert folded_through(config, store) == 2
    other = EventStore(tmp_path / "other.sqlite")
    assert folded_through(config, other) == 0
    other.append([Event("zoe", "x", 1, 1)] * 5)
    assert folded_through(config, other) == 0
    other.close()


def test_older_data_do_not_say_which_store_they_hold(store):
    assert [folded_through({EVENTS_THROUGH: n}, store) for n in (0, 4, 5)] == [0, 4, 0]
    assert folded_through({}, store) == 0


def test_what_the_filters_left_out_waits_with_what_came_since(read, store):
    rows = read("user_id,item_id\nann,x\nann,y\n")
    said = [(each.user, each.item) for each in waiting(rows, 3, store.between(0, 4))]
    assert said == [("bob", "x"), ("ann", "new"), ("ann", "y")]
    assert waiting(rows, 4, store.between(0, 1)) == []
