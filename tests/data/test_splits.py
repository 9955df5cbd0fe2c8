"""The five ways to divide by hand-made tables, the published protocol to the letter, refusals."""

from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pytest

from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions
from recsys.data.splits import Split, SplitConfig, split_events
from recsys.errors import DataError

_ML_1M = Path(__file__).parents[3] / "shared" / "datasets" / "ml-1m"


def events_of(rows: pd.DataFrame) -> Events:
    users, items = IdMap.of(rows["user_id"], "user"), IdMap.of(rows["item_id"], "item")
    timed = "time" in rows
    return Events(
        users=users,
        items=items,
        user_positions=users.find(rows["user_id"].to_numpy(object)).astype(np.int32),
        item_positions=items.find(rows["item_id"].to_numpy(object)).astype(np.int32),
        values=rows["value"].to_numpy(np.float32),
        timestamps=rows["time"].to_numpy(np.float64) if timed else None,
        value_kind="rating",
    )


def rows_of(table: str, with_times: bool = False) -> pd.DataFrame:
    """Write a user's items, in the order of the file, on a line: `7: 3 1 20`."""
    pairs = [
        (user.strip(), item)
        for user, items in (line.split(":") for line in table.strip().splitlines())
        for item in items.split()
    ]
    rows = pd.DataFrame(pairs, columns=["user_id", "item_id"]).assign(value=1.0)
    return rows.assign(time=np.arange(len(rows), dtype=float)) if with_times else rows


def pairs(part: Interactions) -> dict[tuple[str, str], float]:
    triples = part.matrix.tocoo()
    users, items = part.users.ids[triples.coords[0]], part.items.ids[triples.coords[1]]
    return {
        (user, item): float(value)
        for user, item, value in zip(users, items, triples.data, strict=True)
    }


def items_of(part: Interactions) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {user: set() for user in part.users.ids}
    for user, item in pairs(part):
        found[user].add(item)
    return found


def named_parts(split: Split) -> dict[str, Interactions]:
    parts = {"train": split.train}
    for name, holdout in (("validation", split.validation), ("test", split.test)):
        if holdout is not None:
            parts |= {f"{name}_fold_in": holdout.fold_in, f"{name}_held_out": holdout.held_out}
    return parts


_HAND_MADE = """
    9: d a c b e
    10: a b c d e f
    2: c a b d e z
    1: e d c b a f g
    3: a b
    30: b e a d c
    4: f a b
    5: g f e d c b a
    6: b a d c
    7: q a c e g b d
"""


def test_strong_generalisation_of_a_hand_made_table_is_as_the_protocol_says() -> None:
    config = SplitConfig("strong", validation=2, test=3)
    split = split_events(events_of(rows_of(_HAND_MADE)), config)
    assert list(split.train.users.ids) == ["1", "2", "3", "9", "10"]
    assert list(split.train.items.ids) == ["a", "b", "c", "d", "e", "f", "g", "z"]
    assert split.validation is not None
    assert split.test is not None
    assert items_of(split.validation.fold_in) == {"7": set("abcde"), "30": set("abcd")}
    assert items_of(split.validation.held_out) == {"7": {"g"}, "30": {"e"}}
    assert items_of(split.test.fold_in) == {"5": set("bcdefg")}
    assert items_of(split.test.held_out) == {"5": {"a"}}
    assert split.left_out == (
        "1 validation row on items that train has not",
        "2 test users with nothing held out, with 7 rows",  # 4 and 6: fewer than five items
    )


Parts: TypeAlias = dict[str, set[tuple[str, str]]]


def slow_strong(rows: pd.DataFrame, n_validation: int, n_test: int, seed: int) -> Parts:
    """Follow RECIPES.md section 1 word by word, with sets and loops."""
    random = np.random.RandomState(seed)
    users = sorted(rows["user_id"].unique(), key=int)
    shuffled = [users[each] for each in random.permutation(len(users))]
    test = shuffled[len(users) - n_test :]
    validation = shuffled[len(users) - n_test - n_validation : len(users) - n_test]
    train = set(users) - set(test) - set(validation)
    items = set(rows["item_id"][rows["user_id"].isin(train)])
    table = list(zip(rows["user_id"], rows["item_id"], strict=True))
    found = {"train": {(user, item) for user, item in table if user in train}}
    for name, group in (("validation", validation), ("test", test)):
        fold_in, held_out = set(), set()
        for user in sorted(group, key=int):
            known = [item for owner, item in table if owner == user and item in items]
            if len(known) >= 5:
                drawn = set(random.choice(len(known), int(0.2 * len(known)), replace=False))
                held_out |= {(user, known[each]) for each in drawn}
                fold_in |= {(user, i) for each, i in enumerate(known) if each not in drawn}
        found |= {f"{name}_fold_in": fold_in, f"{name}_held_out": held_out}
    return found


@pytest.mark.parametrize("seed", range(10))
def test_strong_generalisation_agrees_with_the_slow_reading(seed: int) -> None:
    rows = random_rows(np.random.default_rng(seed), n_users=40, n_items=15)
    split = split_events(events_of(rows), SplitConfig("strong", 6, 9, seed))
    found = {name: set(pairs(part)) for name, part in named_parts(split).items()}
    assert found == slow_strong(rows, 6, 9, seed)


def random_rows(rng: np.random.Generator, n_users: int, n_items: int) -> pd.DataFrame:
    chosen = rng.permutation(np.flatnonzero(rng.random(n_users * n_items) < 0.5))
    return pd.DataFrame(
        {
            "user_id": (chosen // n_items + 5).astype(str),
            "item_id": (chosen % n_items + 5).astype(str),
            "value": rng.integers(0, 6, len(chosen)).astype(float),
            "time": rng.integers(0, 100, len(chosen)).astype(float),
        }
    )


@pytest.mark.datasets
def test_the_published_split_of_ml_1m_is_reproduced_row_for_row() -> None:
    if not _ML_1M.is_dir():
        pytest.skip(f"{_ML_1M} is absent: the public data sets are not part of the project")
    text = {"user_id": str, "item_id": str}
    rows = pd.read_csv(_ML_1M / "ratings.csv.gz", dtype=text).query("rating >= 4")
    rows = rows[rows.groupby("user_id")["item_id"].transform("size") >= 5]
    split = split_events(
        events_of(rows.rename(columns={"rating": "value"})[["user_id", "item_id", "value"]]),
        SplitConfig("strong", validation=1000, test=1000, seed=98765),
    )
    published = pd.read_csv(_ML_1M / "strong-generalization.csv.gz", dtype=text)
    found = {pair: name for name, part in named_parts(split).items() for pair in pairs(part)}
    expected = published.set_index(["user_id", "item_id"])["part"].to_dict()
    assert len(expected) == len(published)
    assert found == expected


def test_strong_users_are_ordered_as_numbers_even_where_a_filter_took_the_last_name_away() -> None:
    rows = rows_of(_HAND_MADE)
    named = pd.concat([rows, rows_of("x9: a b c d e")])
    filtered = events_of(named).select(named["user_id"].to_numpy() != "x9")
    assert list(filtered.users.ids) != list(events_of(rows).users.ids)
    config = SplitConfig("strong", 2, 3)
    ours, expected = split_events(filtered, config), split_events(events_of(rows), config)
    assert {name: pairs(part) for name, part in named_parts(ours).items()} == {
        name: pairs(part) for name, part in named_parts(expected).items()
    }


@pytest.mark.parametrize(
    ("n_users", "size", "expected"),
    [(40, None, 2), (12, None, 1), (40, 3, 3), (40, 0.1, 4), (40, 0.001, 1), (24000, None, 1000)],
)
def test_validation_takes_as_many_users_as_asked(
    n_users: int, size: float | None, expected: int
) -> None:
    users, items = np.divmod(np.arange(n_users * 5), 5)
    rows = pd.DataFrame({"user_id": users.astype(str), "item_id": items.astype(str), "value": 1.0})
    split = split_events(events_of(rows), SplitConfig("strong", size))
    assert split.validation is not None
    assert split.validation.held_out.n_users == expected
    assert split.train.n_users == n_users - expected
    assert split.test is None


def test_weak_generalisation_holds_out_its_share_of_each_long_enough_history() -> None:
    twenty = " ".join(map(str, range(20)))
    table = "1: 0 1 2 3 4\n2: 0 1 2 3\n" + "".join(f"{n}: {twenty}\n" for n in range(3, 20))
    split = split_events(events_of(rows_of(table)), SplitConfig("weak"))
    assert split.validation is not None
    assert split.test is not None
    assert list(split.validation.held_out.history_lengths()) == [1] + [2] * 17
    assert list(split.test.held_out.history_lengths()) == [1] + [4] * 17
    assert items_of(split.train)["2"] == {"0", "1", "2", "3"}
    assert split.left_out == ("1 user with fewer than 5 items, in train only",)


def test_weak_generalisation_always_leaves_an_item_in_train() -> None:
    short, long = ": a b c d e\n", ": a b c d e f g h i j k l m n o p q r s t\n"
    table = "".join(f"{user}{short if user % 2 else long}" for user in range(40))
    split = split_events(events_of(rows_of(table)), SplitConfig("weak", 0.05, 0.9))
    # Of 20 items 18 and 1; of 5 items 4, and none is left for validation.
    assert list(split.train.history_lengths()) == [1] * 40


def test_last_holds_out_each_users_latest_items() -> None:
    table = "u: a b c d\nv: d c b a\nw: a b"
    split = split_events(events_of(rows_of(table, with_times=True)), SplitConfig("last"))
    assert split.validation is not None
    assert split.test is not None
    assert items_of(split.train) == {"u": {"a", "b"}, "v": {"d", "c"}, "w": {"a", "b"}}
    assert items_of(split.validation.fold_in) == {"u": {"a", "b"}, "v": {"d", "c"}}
    assert items_of(split.validation.held_out) == {"u": {"c"}, "v": {"b"}}
    assert items_of(split.test.fold_in) == {"u": {"a", "b", "c"}, "v": {"d", "c", "b"}}
    assert items_of(split.test.held_out) == {"u": {"d"}, "v": {"a"}}
    assert split.left_out == ("1 user with fewer than 3 items, in train only",)


def test_equal_times_go_by_the_order_of_the_file_in_last() -> None:
    rows = rows_of("u: c a b\nv: a b c").assign(time=7.0)
    split = split_events(events_of(rows), SplitConfig("last", validation=0))
    assert split.test is not None
    assert items_of(split.test.held_out) == {"u": {"b"}, "v": {"c"}}


def test_time_cuts_everybody_at_the_same_moments() -> None:
    rows = rows_of("u: a b c d e\nv: a b c\nw: a b").assign(time=[1.0, 2, 3, 8, 9, 4, 5, 6, 7, 10])
    split = split_events(events_of(rows), SplitConfig("time", 0.2, 0.2))
    assert split.validation is not None
    assert split.test is not None
    assert items_of(split.train) == {"u": {"a", "b", "c"}, "v": {"a", "b", "c"}}
    # w comes after the cut, so that nothing is shown of it; train has neither d nor e.
    assert items_of(split.validation.fold_in) == {"w": set()}
    assert items_of(split.validation.held_out) == {"w": {"a"}}
    assert items_of(split.test.fold_in) == {"w": {"a"}}
    assert items_of(split.test.held_out) == {"w": {"b"}}
    assert split.left_out == (
        "1 validation row on items that train has not",
        "1 validation user with nothing held out",
        "1 test row on items that train has not",
        "1 test user with nothing held out",
    )


def test_equal_times_are_never_parted_by_a_cut() -> None:
    rows = rows_of("u: a b c d e\nv: a b c d e").assign(time=[1.0, 1, 1, 2, 3, 1, 1, 2, 2, 3])
    split = split_events(events_of(rows), SplitConfig("time", validation=0, test=0.3))
    assert split.test is not None
    # Three rows were asked for; the third has the time of two more.
    assert split.train.matrix.nnz == 5
    assert items_of(split.test.held_out) == {"v": {"c"}}
    assert split.left_out == (
        "4 test rows on items that train has not",
        "1 test user with nothing held out",
    )


def test_none_trains_on_everything() -> None:
    events = events_of(rows_of(_HAND_MADE))
    split = split_events(events, SplitConfig("none"))
    assert pairs(split.train) == pairs(events.interactions())
    assert (split.validation, split.test, split.left_out) == (None, None, ())


# ---- refusals ------------------------------------------------------------------------------


def refusal(rows: pd.DataFrame, config: SplitConfig) -> str:
    with pytest.raises(DataError) as caught:
        split_events(events_of(rows), config)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", ["strong", "weak", "last", "time", "none"])
def test_one_user_or_one_item_is_refused(kind: str) -> None:
    one_user = rows_of("7: a b c d e f", with_times=True)
    assert refusal(one_user, SplitConfig(kind)) == (
        "at least two users are needed to learn from, found one, '7'; give more data, or check"
        " the user column and the filters"
    )
    one_item = rows_of("1: a\n2: a\n3: a", with_times=True)
    assert "at least two items are needed to learn from, found one, 'a'" in refusal(
        one_item, SplitConfig(kind)
    )


def test_no_row_at_all_is_refused() -> None:
    empty = events_of(rows_of("1: a\n2: b")).select(np.zeros(2, dtype=bool))
    with pytest.raises(DataError, match=r"at least two users are needed .* found none; give"):
        split_events(empty, SplitConfig())


def test_holding_out_all_users_is_refused() -> None:
    assert refusal(rows_of(_HAND_MADE), SplitConfig("strong", 4, 6)) == (
        "4 validation and 6 test users of 10: nobody is left to train on; expected fewer than all"
        " users held out, so ask for smaller parts"
    )


@pytest.mark.parametrize("kind", ["last", "time"])
def test_a_split_by_time_needs_timestamps(kind: str) -> None:
    assert refusal(rows_of(_HAND_MADE), SplitConfig(kind)) == (
        f"split {kind} needs timestamps and the data have none: expected a time in every row;"
        " name the column of the times or choose split strong or weak"
    )


def test_nothing_left_to_train_on_is_refused() -> None:
    rows = rows_of("1: a b\n2: a b").assign(time=5.0)
    assert refusal(rows, SplitConfig("time")) == (
        "no row is left to train on: all 4 are held out or named for another part; hold out less"
    )


def test_a_group_with_nothing_held_out_is_refused() -> None:
    table = "1: a b c\n2: a b c\n3: a b c"
    assert refusal(rows_of(table), SplitConfig("strong", 1)) == (
        "nothing is held out for validation (1 validation user with nothing held out, with 3"
        " rows); expected at least one row: give more data, hold out more for validation, or"
        " nothing"
    )
    assert "nothing is held out for test (3 users with fewer than 5 items, in train only)" in (
        refusal(rows_of(table), SplitConfig("weak", 0))
    )
