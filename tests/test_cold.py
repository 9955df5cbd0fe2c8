"""New items: placed by what is known of them, marked, and under the same rules."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from recsys.cold import ColdItems, _ending
from recsys.data.event_store import Event, EventStore
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.recommendation import GroupLimit, record_of
from recsys.rules import Manner, Rules
from recsys.serving.generation import Asked, Generation

SAMPLE = Path(__file__).parents[1] / "data" / "sample"


def table_of(rows):
    return pd.DataFrame(rows, columns=["item_id", "title", "genre"], dtype=str)


def made_up(n=120, seed=0):
    """Items whose vector is their genre's, and a little chance."""
    rng = np.random.default_rng(seed)
    genres = ["crime", "space", "love"]
    centres = 3 * rng.standard_normal((3, 8)).astype(np.float32)
    rows, vectors = [], []
    for number in range(n):
        genre = number % 3
        rows.append((f"i{number}", f"A tale of {genres[genre]} {number}", genres[genre]))
        vectors.append(centres[genre] + 0.1 * rng.standard_normal(8).astype(np.float32))
    return table_of(rows), np.array(vectors, dtype=np.float32), centres


def test_a_new_item_lands_among_its_like():
    known, vectors, centres = made_up()
    new = table_of([("n0", "", "crime"), ("n1", "A tale of space 7", ""), ("n2", "x", "love")])
    placed = ColdItems.place(known, vectors, np.full(len(known), 9), new)
    distances = np.linalg.norm(placed.vectors[:, None] - centres, axis=2)
    assert distances.argmin(axis=1).tolist() == [0, 1, 2]


def test_what_says_nothing_lands_in_the_middle():
    known, vectors, _ = made_up()
    new = table_of([("n0", "", "")])
    placed = ColdItems.place(known, vectors, np.full(len(known), 9), new)
    assert np.linalg.norm(placed.vectors[0] - vectors.mean(axis=0)) < 2


def test_the_same_table_gives_the_same_vectors():
    known, vectors, _ = made_up()
    new = table_of([("n0", "A tale of love", "love")])
    one, other = (
        ColdItems.place(known, vectors, np.full(len(known), 9), new).vectors for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_where_nothing_is_known_it_says_what_to_do():
    known = pd.DataFrame({"item_id": ["a"], "title": [""]}, dtype=str)
    with pytest.raises(ConfigError, match="run `recsys ingest` with --items"):
        ColdItems.place(known, np.ones((1, 2), np.float32), np.ones(1, np.int64), known)


@pytest.fixture
def with_new_items(copy_of_workspace, events, tmp_path):
    """The sample, whose items file names three films that nobody has seen."""
    from recsys.data.artefact import open_interactions, save_interactions
    from recsys.data.items import read_items
    from recsys.recommender import Recommender

    root = copy_of_workspace()
    with open(SAMPLE / "items.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    rows += [
        ["new-1", "The Clue Nobody Saw", "Detective", "2001"],
        ["new-2", "Far", "Space", "2002"],
    ]
    rows += [["new-3", "A Kiss in Spring", "Romance", "2003"]]
    with open(tmp_path / "items.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    manifest = open_interactions(root / "interactions").artefact.manifest
    titles = read_items(tmp_path / "items.csv")
    save_interactions(
        events, titles, root / "interactions", config=manifest.config, metrics=manifest.metrics
    )
    return Recommender.load(root)


def test_new_items_take_the_last_places_and_are_marked(with_new_items):
    user = str(with_new_items.users.ids[0])
    (plain,) = with_new_items.recommend([user], k=8)
    (found,) = with_new_items.recommend([user], k=8, n_new=2)
    assert [each.item for each in found.items[:6]] == [each.item for each in plain.items[:6]]
    assert [each.reason for each in found.items] == ["history"] * 6 + ["attributes"] * 2
    assert {each.item for each in found.items[6:]} < {"new-1", "new-2", "new-3"}
    assert [each.rank for each in found.items] == list(range(1, 9))
    assert found.items[6].score >= found.items[7].score


def test_somebody_who_likes_a_genre_is_given_its_new_film_first(with_new_items, sample):
    liked = [item for item, genre in sample.genre_of.items() if genre == "Detective"][:8]
    (found,) = with_new_items.recommend(items=liked, k=5, n_new=1)
    assert found.items[-1].item == "new-1"


def test_fewer_new_items_leave_the_places_to_others(with_new_items):
    (found,) = with_new_items.recommend(items=["001"], k=9, n_new=9)
    assert [each.reason for each in found.items].count("attributes") == 3
    assert len(found.items) == 9


def test_rules_hold_for_new_items_too(with_new_items):
    rules = Rules(where="genre = 'Space'", deny=["new-2"])
    (found,) = with_new_items.recommend(items=["001"], k=4, n_new=2, rules=rules)
    assert all(each.reason != "attributes" for each in found.items)
    (found,) = with_new_items.recommend(
        items=["001"], k=4, n_new=2, rules=Rules(where="genre = 'Space'")
    )
    assert found.items[-1].item == "new-2"


def test_at_most_so_many_of_a_group_holds_for_known_and_new_items_together(with_new_items):
    rules = Rules(at_most=("genre", 1))
    liked = ["001", "002", "003"]
    (known,) = with_new_items.recommend(items=liked, k=3, rules=rules)
    (found,) = with_new_items.recommend(items=liked, k=3, n_new=2, rules=rules)
    table = with_new_items.store.item_table.set_index("item_id")
    genres = table.loc[[each.item for each in found.items], "genre"]
    assert genres.is_unique
    assert len(found.items) == 3
    assert [each.reason for each in found.items].count("attributes") == 2
    assert found.items[0] == known.items[0]


def test_a_new_item_that_the_limit_leaves_no_room_for_leaves_its_place(with_new_items):
    only = Rules(at_most=("genre", 1), where="genre = 'Space'")
    (found,) = with_new_items.recommend(items=["001"], k=2, n_new=1, rules=only)
    assert [each.reason for each in found.items] == ["history"]  # the one of its genre is known
    two = Rules(at_most=("genre", 2), where="genre = 'Space'")
    (known,) = with_new_items.recommend(items=["001"], k=2, rules=two)
    (found,) = with_new_items.recommend(items=["001"], k=2, n_new=1, rules=two)
    assert [each.item for each in found.items] == [known.items[0].item, "new-2"]


@pytest.mark.parametrize(
    ("known", "k", "n_new", "most", "expected"),
    [
        ("abc", 3, 2, 9, (1, ["d", "e"])),
        ("abc", 3, 0, 9, (3, [])),
        ("abc", 3, 2, 1, (2, ["e"])),  # d shares with a; e, whose cell is empty, with nobody
        ("abc", 3, 2, 2, (1, ["d", "e"])),
        ("bc", 5, 2, 1, (2, ["d", "e"])),  # a list that is short of k keeps all that it has
        ("", 1, 1, 1, (0, ["d"])),
        ("abc", 3, 3, 1, (2, ["e"])),
    ],
)
def test_a_list_ends_in_as_many_new_items_as_the_limit_has_room_for(
    known, k, n_new, most, expected
):
    cells = {"a": "x", "b": "y", "c": "z", "d": "x", "f": "x"}
    assert _ending(list(known), iter("def"), k, n_new, GroupLimit(cells, most)) == expected


def test_a_new_item_that_was_met_since_is_not_given_again(with_new_items, tmp_path):
    events = EventStore(tmp_path / "events.sqlite")
    generation = Generation(tmp_path, with_new_items, events)
    user = str(with_new_items.users.ids[0])

    def last_item():
        (answer,) = generation.answers([Asked(Manner(k=8, n_new=1), user)])
        return answer["items"][-1]["item"]

    given = last_item()
    events.append([Event(user, given, 5.0, 0.0)])
    assert last_item() in {"new-1", "new-2", "new-3"} - {given}
    events.close()


def test_what_a_history_from_outside_holds_is_not_given_again(with_new_items):
    user = str(with_new_items.users.ids[0])
    ids = IdMap.of(["001", "new-1", "new-3"], "item")
    matrix = csr_array(np.array([[1, 1, 0], [1, 0, 1]], dtype=np.float32))
    histories = Interactions(IdMap.of(["q", user], "user"), ids, matrix)
    names = list(histories.users.ids)
    found = with_new_items.recommend(histories=histories, k=8, n_new=3)
    new = {
        name: {each.item for each in one.items if each.reason == "attributes"}
        for name, one in zip(names, found, strict=True)
    }
    assert new == {
        names[0]: {"new-2", "new-3"},
        names[1]: {"new-1", "new-2"},
    }
    again = with_new_items.recommend(histories=histories, k=8, n_new=3, exclude_seen=False)
    assert [sum(each.reason == "attributes" for each in one.items) for one in again] == [3, 3]


def test_numbers_that_only_known_items_have_keep_new_ones_out(with_new_items):
    table = with_new_items.store.item_table
    years = table["year"].where(~table["item_id"].str.startswith("new"), "")
    store = replace(with_new_items.store, item_table=table.assign(year=years))
    recommender = replace(with_new_items, store=store)
    (found,) = recommender.recommend(items=["001"], k=4, n_new=2, rules=Rules(where="year > 1"))
    assert [each.reason for each in found.items] == ["history"] * 4


@pytest.mark.parametrize("n", [3, 120])
def test_items_of_which_the_same_is_known_all_lie_in_the_middle(n):
    known = table_of([(f"i{number}", "", "Book") for number in range(n)])
    vectors = np.random.default_rng(0).standard_normal((n, 8)).astype(np.float32)
    placed = ColdItems.place(known, vectors, np.full(n, 9), table_of([("new", "", "Book")]))
    np.testing.assert_allclose(placed.vectors[0], vectors.mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("n_new", [-1, 6])
def test_places_that_are_none_are_refused(with_new_items, n_new):
    with pytest.raises(ConfigError, match="places for new items"):
        with_new_items.recommend(items=["001"], k=5, n_new=n_new)


def test_the_record_says_that_an_item_is_cold(with_new_items):
    (found,) = with_new_items.recommend(items=["001"], k=3, n_new=1)
    items = record_of(found)["items"]
    assert [each.get("cold") for each in items] == [None, None, True]
