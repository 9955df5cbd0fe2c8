import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.filters import Dropped, FilterConfig, filter_events, parse_time
from recsys.data.ids import IdMap
from recsys.data.interactions import Events
from recsys.errors import ConfigError, DataError


def events_of(pairs, values=None, timestamps=None, value_kind="rating"):
    users = IdMap.of([user for user, _ in pairs], "user")
    items = IdMap.of([item for _, item in pairs], "item")
    return Events(
        users=users,
        items=items,
        user_positions=users.positions([user for user, _ in pairs]).astype(np.int32),
        item_positions=items.positions([item for _, item in pairs]).astype(np.int32),
        values=np.array(values if values else np.ones(len(pairs)), dtype=np.float32),
        timestamps=None if timestamps is None else np.array(timestamps, dtype=np.float64),
        value_kind=value_kind,
    )


def pairs_of(events):
    users = events.users.ids[events.user_positions]
    return list(zip(users, events.items.ids[events.item_positions], strict=True))


def test_every_row_is_kept_by_default():
    events = events_of(["ax", "by"])
    kept, dropped = filter_events(events, FilterConfig())
    assert kept is events
    assert dropped == ()


def test_a_rating_of_exactly_the_least_is_kept():
    kept, dropped = filter_events(
        events_of(["ax", "ay", "bx"], [3.5, 4, 5]), FilterConfig(min_rating=4)
    )
    assert pairs_of(kept) == [("a", "y"), ("b", "x")]
    assert dropped == (Dropped("rating below 4", 1),)


def test_a_window_holds_its_start_and_not_its_end():
    events = events_of(["ax", "ay", "az", "bx"], timestamps=[1, 2, 3, 4])
    kept, dropped = filter_events(events, FilterConfig(since=2, until=4))
    assert kept.timestamps.tolist() == [2.0, 3.0]
    assert dropped == (Dropped("before 2", 1), Dropped("not before 4", 1))


def test_the_reasons_show_the_date_of_plausible_seconds():
    events = events_of(["ax", "ay", "az"], timestamps=[1, 1717200000, 1717203601])
    config = FilterConfig(since=1717200000, until=1717203601)
    assert filter_events(events, config)[1] == (
        Dropped("before 1717200000 (2024-06-01)", 1),
        Dropped("not before 1717203601 (2024-06-01 01:00:01)", 1),
    )
    with pytest.raises(ConfigError) as caught:
        FilterConfig(since=1717200000, until=978307200)
    assert str(caught.value) == (
        "since (1717200000 (2024-06-01)) is not before until (978307200 (2001-01-01)): "
        "no time lies between them"
    )


@pytest.mark.parametrize("bound", ["since", "until"])
def test_seconds_are_no_window_over_milliseconds(bound):
    events = events_of(["ax", "ay", "bx"], timestamps=[5, 978307200000, 978307200001])
    with pytest.raises(DataError) as caught:
        filter_events(events, FilterConfig(**{bound: parse_time("2001-01-01")}))
    assert str(caught.value) == (
        f"the times look like milliseconds (median 978307200000), but {bound} is 978307200 "
        "(2001-01-01), in seconds: give it in the file's unit"
    )


def test_milliseconds_are_a_window_over_milliseconds_and_seconds_over_seconds():
    milliseconds = events_of(["ax", "ay"], timestamps=[978307200000, 978307200001])
    assert len(filter_events(milliseconds, FilterConfig(since=978307200001))[0]) == 1
    # One row with a time of nonsense does not make the others milliseconds.
    seconds = events_of(["ax", "ay", "by"], timestamps=[1, 978307200, 978307200000])
    assert len(filter_events(seconds, FilterConfig(since=978307200))[0]) == 2


def test_items_are_filtered_before_users_and_once():
    # Without item z user b has one item; without user b item y has one user, and stays.
    events = events_of(["ax", "ay", "by", "bz", "cx", "cy"])
    events = events.select(np.array([True, True, True, True, True, False]))
    config = FilterConfig(min_user_interactions=2, min_item_interactions=2)
    kept, dropped = filter_events(events, config)
    assert pairs_of(kept) == [("a", "x"), ("a", "y")]
    assert dropped == (
        Dropped("items with fewer than 2 users", 1),
        Dropped("users with fewer than 2 items", 2),
    )
    with pytest.raises(DataError, match="no row of 5 is left"):
        filter_events(
            events, FilterConfig(min_user_interactions=2, min_item_interactions=2, k_core=True)
        )


def slow_core(pairs, min_user, min_item):
    while True:
        kept = [p for p in pairs if sum(q[1] == p[1] for q in pairs) >= min_item]
        kept = [p for p in kept if sum(q[0] == p[0] for q in kept) >= min_user]
        if kept == pairs:
            return kept
        pairs = kept


@settings(max_examples=80, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.sampled_from("abcde"), st.sampled_from("vwxyz")),
        min_size=1,
        max_size=25,
        unique=True,
    ),
    min_user=st.integers(1, 4),
    min_item=st.integers(1, 4),
)
def test_the_k_core_agrees_with_a_slow_oracle(pairs, min_user, min_item):
    config = FilterConfig(
        min_user_interactions=min_user,
        min_item_interactions=min_item,
        k_core=max(min_user, min_item) > 1,
    )
    expected = slow_core(pairs, min_user, min_item)
    if not expected:
        with pytest.raises(DataError, match="no row of"):
            filter_events(events_of(pairs), config)
        return
    kept, dropped = filter_events(events_of(pairs), config)
    assert pairs_of(kept) == expected
    assert sum(each.n_rows for each in dropped) == len(pairs) - len(kept)


def test_nothing_left_says_which_filter_took_how_many():
    events = events_of(["ax", "ay"], [1, 5])
    with pytest.raises(DataError) as caught:
        filter_events(events, FilterConfig(min_rating=4, min_user_interactions=2))
    assert str(caught.value) == (
        "no row of 2 is left (rating below 4: 1; users with fewer than 2 items: 1): "
        "loosen the filters"
    )


@pytest.mark.parametrize(("kind", "found"), [("none", "no values"), ("weight", "weights")])
def test_a_least_rating_needs_ratings(kind, found):
    with pytest.raises(ConfigError, match=f"min_rating 4 needs ratings and the data hold {found}"):
        filter_events(events_of(["ax"], value_kind=kind), FilterConfig(min_rating=4))


@pytest.mark.parametrize("config", [FilterConfig(since=1), FilterConfig(until=1)])
def test_a_window_needs_times(config):
    with pytest.raises(ConfigError, match="since and until need times and the data hold none"):
        filter_events(events_of(["ax"]), config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_user_interactions": 0}, "min_user_interactions is 0; expected 1 or more"),
        ({"min_item_interactions": -1}, "min_item_interactions is -1; expected 1 or more"),
        ({"min_rating": float("nan")}, "min_rating is nan; expected a finite number"),
        (
            {"k_core": True},
            "k_core needs min_user_interactions or min_item_interactions above 1, and both are 1",
        ),
        ({"since": 2, "until": 2}, r"since \(2\) is not before until \(2\)"),
    ],
)
def test_impossible_filters_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        FilterConfig(**settings)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("978307200", 978307200.0),
        ("-1.5", -1.5),
        ("2001-01-01", 978307200.0),
        ("2001-01-01T01:00:00+01:00", 978307200.0),
        ("2001-01-01 00:00:00.250Z", 978307200.25),
    ],
)
def test_times_are_numbers_or_iso_in_utc(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["yesterday", "", "2001-02-30", "01/02/2001"])
def test_other_times_are_refused(text):
    with pytest.raises(ConfigError, match=r"timestamp .*ISO date"):
        parse_time(text)


@pytest.mark.parametrize("bound", [2022, 202201, 20220101])
def test_a_date_without_hyphens_is_no_bound_of_seconds(bound):
    events = events_of(["ax", "ay"], timestamps=[978307200, 1704067200])
    with pytest.raises(DataError, match=rf"since is {bound}: write a date with its hyphens"):
        filter_events(events, FilterConfig(since=bound))


def test_a_finer_bound_is_refused_too():
    events = events_of(["ax", "ay"], timestamps=[978307200, 1704067200])
    with pytest.raises(DataError, match="until is 1704067200000, in milliseconds: give it in the"):
        filter_events(events, FilterConfig(until=1704067200000))
    counters = events_of(["ax", "ay"], timestamps=[1, 2])
    assert len(filter_events(counters, FilterConfig(until=1704067200000))[0]) == 2


def test_a_bound_before_all_times_is_one():
    events = events_of(["ax", "ay"], timestamps=[978307200, 1704067200])
    assert len(filter_events(events, FilterConfig(since=parse_time("1970-02-01")))[0]) == 2
