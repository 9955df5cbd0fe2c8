"""Rules on lists against brute force, on a made-up catalogue and on the sample."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recsys import model_ranker
from recsys.data.ids import IdMap
from recsys.errors import ConfigError
from recsys.ranking import Ranking
from recsys.rules import AppliedRules, Catalogue, Rules, attributes_of

ITEMS = IdMap.in_order([f"i{n}" for n in range(8)], "item")
ARTISTS = ["a", "a", "a", "b", "b", "", "", "c"]
TABLE = pd.DataFrame({"item_id": list(ITEMS.ids), "title": "", "artist": ARTISTS})


def applied(directions=None, **rules) -> AppliedRules:
    shares = np.array([0.5, 0.25, 0.25, 0.1, 0.1, 0.1, 0.1, 0.0])
    return AppliedRules(Rules(**rules), Catalogue(ITEMS, TABLE, shares, lambda: directions))


def ranking_of(*positions: int) -> Ranking:
    scores = np.arange(len(positions), 0, -1, dtype=np.float32)
    return Ranking(np.array([positions]), scores[None])


def test_at_most_n_of_a_cell_are_given_and_empty_cells_are_nobodys():
    chosen = applied(at_most=("artist", 1)).choose(ranking_of(0, 1, 5, 3, 6, 4, 2, 7), 5)
    assert chosen.positions.tolist() == [[0, 5, 3, 6, 7]]
    assert chosen.scores.tolist() == [[8, 6, 5, 4, 1]]


def test_what_is_missing_is_told_by_minus_one():
    chosen = applied(at_most=("artist", 1)).choose(ranking_of(0, 1, 2, -1), 3)
    assert chosen.positions.tolist() == [[0, -1, -1]]
    assert chosen.scores[0, 1:].tolist() == [-np.inf, -np.inf]


def test_a_diverse_list_is_that_of_maximal_marginal_relevance():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(8, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ranking, diversity = ranking_of(3, 1, 7, 0, 2, 5, 6, 4), 0.6
    (found,) = applied(vectors, diversity=diversity).choose(ranking, 4).positions.tolist()
    relevance = dict(zip(ranking.positions[0], (ranking.scores[0] - 1) / 7, strict=True))
    chosen: list[int] = []
    while len(chosen) < 4:
        worth = {
            item: (1 - diversity) * relevance[item]
            - diversity * max((vectors[item] @ vectors[each] for each in chosen), default=0)
            for item in relevance
            if item not in chosen
        }
        chosen.append(max(worth, key=worth.get))
    assert found == chosen != [3, 1, 7, 0]


def test_diversity_and_groups_hold_together():
    vectors = np.eye(8, dtype=np.float32)
    both = applied(vectors, diversity=0.1, at_most=("artist", 2))
    assert both.choose(ranking_of(0, 1, 2, 3, 4, 5), 5).positions.tolist() == [[0, 1, 3, 4, 5]]


def test_popularity_is_taken_from_scores_or_given_to_them():
    offset = applied(popularity=-1).offset
    assert offset[0] == pytest.approx(np.log(2))
    assert offset[6] == offset[7] == pytest.approx(np.log(10))  # nobody's counts as the rarest
    assert applied().offset is None


def test_the_fingerprint_tells_rules_apart_but_not_the_order_of_ids():
    fingerprint = applied(deny=["i1", "i2"]).fingerprint
    assert fingerprint == applied(deny=["i2", "i1"]).fingerprint
    others = [applied(deny=["i1"]), applied(diversity=0.1, deny=["i1", "i2"])]
    assert fingerprint not in [each.fingerprint for each in others]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"diversity": 1.5}, "diversity is 1.5, expected at least 0 and at most 1"),
        ({"popularity": float("nan")}, "popularity is nan, expected a finite number"),
        ({"popularity": -1e39}, "popularity is -1e\\+39, expected at least -100"),
        ({"at_most": "artist"}, "at_most is 'artist', expected a column and a whole number"),
        ({"at_most": ("artist", 1.5)}, "expected a column and a whole number"),
        ({"at_most": ("artist", True)}, "expected a column and a whole number"),
        ({"where": 3}, "where is 3, expected a text"),
        ({"diversity": "0.5"}, "diversity is '0.5', expected a number"),
        ({"at_most": ("artist", 0)}, "at most 0 of artist: expected 1 or more"),
        ({"where": "artist"}, "expected = == !="),
    ],
)
def test_rules_out_of_their_range_are_refused(rules, message):
    with pytest.raises(ConfigError, match=message):
        Rules(**rules)


def test_attributes_are_joined_by_id_and_empty_where_nothing_is_known():
    table = attributes_of(IdMap.in_order(["i7", "new"], "item"), TABLE)
    assert table.to_dict("list") == {
        "item_id": ["i7", "new"],
        "title": ["", ""],
        "artist": ["c", ""],
    }
    with pytest.raises(ConfigError, match="nothing is known of the items"):
        attributes_of(ITEMS, TABLE.iloc[:0])


# --- through the recommender


def genres_of(one_list, sample) -> list[str]:
    return [sample.genre_of[each.item] for each in one_list.items]


def test_where_holds_inside_the_search(recommender, sample):
    genre = sample.genre_of["001"]
    wanted = {item for item, each in sample.genre_of.items() if each == genre}
    (each,) = recommender.recommend(["u001"], k=1000, rules=Rules(where=f"genre = '{genre}'"))
    (row,) = recommender.histories(recommender.users.positions(["u001"]))
    assert {one.item for one in each.items} == wanted - set(recommender.items.ids[row.indices])


def test_at_most_is_exact_however_deep_one_must_look(recommender, sample):
    rules = Rules(at_most=("genre", 1))
    lists = recommender.recommend(["u001", "u300", "u599"], k=20, rules=rules)
    whole = recommender.recommend(["u001", "u300", "u599"], k=1000)
    for each, every in zip(lists, whole, strict=True):
        firsts: dict[str, str] = {}
        for one in every.items:
            firsts.setdefault(sample.genre_of[one.item], one.item)
        assert [one.item for one in each.items] == list(firsts.values())[:20]


def test_a_diverse_list_is_wider_and_holds_the_best_item(recommender):
    def likeness(one_list):
        places = recommender.items.positions([each.item for each in one_list.items])
        vectors = recommender.index.item_directions.vectors[places]
        return float((vectors @ vectors.T).mean())

    users = list(recommender.users.ids[:20])
    plain = recommender.recommend(users, k=10)
    diverse = recommender.recommend(users, k=10, rules=Rules(diversity=0.5))
    assert all(a.items[0].item == b.items[0].item for a, b in zip(plain, diverse, strict=True))
    assert np.mean([*map(likeness, diverse)]) < np.mean([*map(likeness, plain)]) - 0.1


def test_the_dial_moves_lists_towards_popular_items_and_away_from_them(recommender):
    share = dict(zip(recommender.items.ids, recommender.vae.popularity, strict=True))

    def mean_share(dial):
        lists = recommender.recommend(
            list(recommender.users.ids[:50]), k=10, rules=Rules(popularity=dial)
        )
        return np.mean([share[one.item] for each in lists for one in each.items])

    assert mean_share(-1) < mean_share(0) < mean_share(2)


def test_rules_hold_for_popularity_lists_too(recommender):
    (each,) = recommender.recommend(items=[], k=30, rules=Rules(at_most=("genre", 1)))
    assert each.reason == "popularity"
    genres = recommender.store.item_table.set_index("item_id")["genre"]
    assert len({genres[one.item] for one in each.items}) == len(each.items) > 3


def test_the_fingerprint_tells_what_the_groups_are():
    other = TABLE.assign(artist=[*ARTISTS[:-1], "a"])
    limits = [
        AppliedRules(
            Rules(at_most=["artist", 1]), Catalogue(ITEMS, table, np.ones(8), lambda: None)
        )
        for table in (TABLE, other)
    ]
    assert limits[0].fingerprint != limits[1].fingerprint


def test_nobody_is_looked_for_deeper_than_a_list_can_grow():
    rules = applied(at_most=("artist", 2), deny=["i0"])
    assert rules.longest == 2 + 2 + 2 + 1  # a, b, of no artist, c
    assert applied(diversity=0.5).longest == 8


@pytest.mark.parametrize("sparse", [True, False])
def test_lists_are_the_same_however_many_users_are_looked_for_at_once(
    recommender, sparse, monkeypatch
):
    ranker = recommender.ranker if sparse else replace(recommender.ranker, sparse=None)
    histories = recommender.histories(np.arange(300))
    rules = recommender.applied(Rules(at_most=("genre", 1)))
    whole = ranker(histories, 20, rules=rules)
    monkeypatch.setattr(model_ranker, "RANKED_AT_ONCE", 7)
    monkeypatch.setattr(model_ranker, "BLOCK_SCORES", 500)
    parts = ranker(histories, 20, rules=rules)
    np.testing.assert_array_equal(whole.positions, parts.positions)


@pytest.mark.parametrize("manner", [{"k": 2.5}, {"k": True}, {"n_reasons": -1}, {"explore": "7"}])
def test_a_manner_of_another_type_is_refused(recommender, manner):
    with pytest.raises(ConfigError, match=f"{next(iter(manner))} is"):
        recommender.recommend(["u001"], **manner)
