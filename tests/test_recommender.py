import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

import recsys
from recsys.data.artefact import open_interactions, save_interactions
from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions, csr_from_pairs
from recsys.errors import ArtefactError, ConfigError, UnknownIdError
from recsys.index.artefact import LENGTHS_FILE
from recsys.recommendation import to_frame
from recsys.recommender import Recommender
from recsys.rules import Manner, Rules
from recsys.storage import _write_manifest, read_manifest
from recsys.vae.artefact import save_model

ALL = 10_000
"""More than there are."""


def items_of(one_list) -> list[str]:
    return [each.item for each in one_list.items]


def history_of(recommender, user: str) -> list[str]:
    row = recommender.histories(recommender.users.positions([user]))
    return list(recommender.items.ids[row.indices])


def scores_of(recommender, user: str) -> dict[str, float]:
    """The seam by hand: the decoder's logits for this user's history."""
    row = recommender.histories(recommender.users.positions([user]))
    return dict(zip(recommender.items.ids, recommender.vae.score(row)[0], strict=True))


def from_outside(histories: dict[str, list[str]]) -> Interactions:
    users = IdMap.in_order(histories, "user")
    items = IdMap.of((item for liked in histories.values() for item in liked), "item")
    rows = np.repeat(np.arange(len(users)), [len(liked) for liked in histories.values()])
    columns = items.positions([item for liked in histories.values() for item in liked])
    values = np.ones(len(rows), dtype=np.float32)
    return Interactions(
        users, items, csr_from_pairs(rows, columns, values, (len(users), len(items)))
    )


# --- known users


def test_a_list_is_the_best_of_the_models_scores(recommender):
    users = ["u001", "u300", "u599"]
    for each in recommender.recommend(users, k=20):
        scores = scores_of(recommender, each.user)
        seen = set(history_of(recommender, each.user))
        expected = sorted((i for i in scores if i not in seen), key=lambda i: -scores[i])[:20]
        assert items_of(each) == expected
        assert [one.score for one in each.items] == pytest.approx(
            [scores[item] for item in expected], abs=1e-4
        )
        assert [one.rank for one in each.items] == list(range(1, 21))


def test_seen_items_never_come_back(recommender):
    users = list(recommender.users.ids)
    for each in recommender.recommend(users, k=ALL):
        seen, given = history_of(recommender, each.user), items_of(each)
        assert not set(seen) & set(given)
        assert sorted([*seen, *given]) == sorted(recommender.items.ids)


def test_seen_items_come_back_when_asked_for(recommender):
    (each,) = recommender.recommend(["u001"], k=ALL, exclude_seen=False)
    assert sorted(items_of(each)) == sorted(recommender.items.ids)


def test_one_user_alone_gets_what_it_gets_among_many(recommender):
    users = list(recommender.users.ids[:50])
    for together in recommender.recommend(users, k=10):
        (alone,) = recommender.recommend([together.user], k=10)
        for one, other in zip(together.items, alone.items, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)
            assert one.item == other.item


def test_lists_come_in_the_order_that_was_asked_for(recommender):
    users = ["u300", "u001", "u300"]
    lists = recommender.recommend(users, k=2)
    assert [each.user for each in lists] == users
    # A row's place in a matrix product may change the last bit of its scores.
    for alone, each in zip(users, lists, strict=True):
        (expected,) = recommender.recommend([alone], k=2)
        assert items_of(each) == items_of(expected)
        scores = [one.score for one in expected.items]
        assert [one.score for one in each.items] == pytest.approx(scores, abs=1e-5)
    assert items_of(lists[0]) == items_of(lists[2]) != items_of(lists[1])


def test_titles_come_with_the_items(recommender, workspace):
    titles = open_interactions(workspace / "interactions").titles()
    (each,) = recommender.recommend(["u001"], k=5)
    assert [one.title for one in each.items] == [titles[one.item] for one in each.items]
    assert each.reason == "history"
    assert {one.reason for one in each.items} == {"history"}


def test_nobody_gets_no_lists(recommender):
    assert recommender.recommend([], k=3) == []


# --- rules


@pytest.mark.parametrize("n_allowed", [1, 7, 100])
def test_n_asked_is_n_given_under_rules_whenever_n_exist(recommender, n_allowed):
    rng = np.random.default_rng(n_allowed)
    for user in ["u001", "u300"]:
        allow = list(rng.permutation(recommender.items.ids)[:n_allowed])
        deny = list(rng.permutation(allow)[: n_allowed // 3])
        (each,) = recommender.recommend([user], k=10, rules=Rules(allow, deny))
        (whole,) = recommender.recommend([user], k=ALL)
        permitted = [i for i in items_of(whole) if i in set(allow) - set(deny)]
        assert items_of(each) == permitted[:10]
        assert each.requested == 10


def test_rules_apply_to_many_users_at_once_and_to_popularity(recommender):
    rules = Rules(deny=list(recommender.items.ids[::2]))
    lists = recommender.recommend(list(recommender.users.ids[:9]), k=ALL, rules=rules)
    lists += recommender.recommend(items=[], k=ALL, rules=rules)
    for each in lists:
        assert not set(items_of(each)) & set(rules.deny)
    assert len(lists[-1].items) == 120


def test_rules_may_name_items_that_the_model_has_not_met(recommender):
    rules = Rules(allow=["nowhere", "001"], deny=["nor here"])
    assert items_of(recommender.recommend(items=[], k=3, rules=rules)[0]) == ["001"]


def test_an_empty_allow_list_allows_nothing(recommender):
    (each,) = recommender.recommend(["u001"], k=3, rules=Rules(allow=[]))
    assert each.items == ()
    assert each.requested == 3


# --- a list of items


def test_listed_items_count_as_seen(recommender):
    liked = ["001", "002", "003"]
    (each,) = recommender.recommend(items=liked, k=ALL)
    assert each.user is None
    assert set(items_of(each)) == set(recommender.items.ids) - set(liked)


def test_an_item_listed_twice_counts_once(recommender):
    assert recommender.recommend(items=["001", "002", "001"], k=5) == recommender.recommend(
        items=["002", "001"], k=5
    )


def test_a_users_history_as_a_list_gives_the_users_recommendations(recommender):
    (by_user,) = recommender.recommend(["u300"], k=10)
    (by_items,) = recommender.recommend(items=history_of(recommender, "u300"), k=10)
    assert items_of(by_items) == items_of(by_user)


def test_a_list_of_a_genre_is_answered_with_that_genre(recommender, sample):
    ghosts = [item for item, genre in sample.genre_of.items() if genre == "Ghosts"][:8]
    (each,) = recommender.recommend(items=ghosts, k=10)
    assert sum(sample.genre_of[item] == "Ghosts" for item in items_of(each)) >= 7


# --- an empty history


def test_an_empty_history_is_ranked_by_popularity_and_says_so(recommender):
    (each,) = recommender.recommend(items=[], k=5)
    counts = recommender.vae.item_counts
    order = np.argsort(-counts, kind="stable")[:5]
    assert items_of(each) == list(recommender.items.ids[order])
    assert [one.score for one in each.items] == pytest.approx(list(counts[order] / 480))
    assert each.reason == "popularity"
    assert {one.reason for one in each.items} == {"popularity"}


def test_only_the_users_without_history_are_ranked_by_popularity(recommender):
    histories = from_outside({"with": ["001", "002"], "without": ["unheard of"]})
    with_history, without = recommender.recommend(histories=histories, k=5)
    assert (with_history.reason, without.reason) == ("history", "popularity")
    assert items_of(with_history) == items_of(recommender.recommend(items=["001", "002"], k=5)[0])
    assert items_of(without) == items_of(recommender.recommend(items=[], k=5)[0])


# --- histories from outside


def test_histories_from_outside_are_joined_by_item_id(recommender):
    liked = history_of(recommender, "u300")
    histories = from_outside({"a stranger": [*liked, "unheard of"], "u001": liked[:3]})
    stranger, namesake = recommender.recommend(histories=histories, k=10)
    assert (stranger.user, namesake.user) == ("a stranger", "u001")
    assert items_of(stranger) == items_of(recommender.recommend(["u300"], k=10)[0])
    # The id of a user whom the model knows means nothing: the history is what counts.
    assert items_of(namesake) == items_of(recommender.recommend(items=liked[:3], k=10)[0])


# --- refusals


def test_an_unknown_user_is_refused_naming_the_nearest(recommender):
    with pytest.raises(UnknownIdError) as caught:
        recommender.recommend(["u001", "u0011"])
    message = str(caught.value)
    known = "unknown user 'u0011' (of 600 known); the nearest known: "
    assert message == known + "'u011', 'u001', 'u091'"


def test_an_unknown_item_is_refused_naming_the_nearest(recommender):
    with pytest.raises(UnknownIdError) as caught:
        recommender.recommend(items=["001", "1"])
    assert str(caught.value).startswith("unknown item '1' (of 240 known); the nearest known: ")
    with pytest.raises(UnknownIdError, match="unknown item 'x'"):
        recommender.similar_items("x")
    with pytest.raises(UnknownIdError, match="unknown user 'x'"):
        recommender.similar_users("x")


@pytest.mark.parametrize("asked", [{}, {"users": ["u001"], "items": ["001"]}])
def test_asking_for_nothing_or_for_two_things_is_refused(recommender, asked):
    with pytest.raises(ConfigError, match="give exactly one of users, items and histories"):
        recommender.recommend(**asked)


def test_k_below_one_is_refused(recommender):
    for ask in (
        lambda: recommender.recommend(["u001"], k=0),
        lambda: recommender.similar_items("001", k=0),
        lambda: recommender.similar_users("u001", k=0),
    ):
        with pytest.raises(ConfigError, match="k is 0, expected at least 1"):
            ask()


def test_an_index_of_another_model_is_refused_naming_both(copy_of_workspace, trained, split):
    root = copy_of_workspace()
    save_model(trained, split, root / "model", training={"x": 1}, metrics={}, fingerprints={})
    with pytest.raises(ArtefactError, match=r"was built from model \w{12}, but .* is model \w{12}"):
        Recommender.load(root)


@pytest.mark.parametrize("part", ["model", "index", "interactions"])
def test_a_workspace_that_is_not_whole_is_refused_naming_the_command(tmp_path, workspace, part):
    for other in {"model", "index", "interactions"} - {part}:
        (tmp_path / other).symlink_to(workspace / other)
    with pytest.raises(ArtefactError, match=rf"there is no {part} at .*; make one with `recsys \w"):
        Recommender.load(tmp_path)


# --- codes of users, kept with the index


def turned_around(recommender):
    """The same, but for kept codes that point the other way: who reads them is found out."""
    index = recommender.index
    other = replace(index)
    vars(other)["user_lengths"] = -index.user_lengths
    return replace(recommender, index=other)


def test_the_code_of_a_history_that_was_indexed_is_not_made_again(recommender):
    user = recommender.users.ids[0]
    position = recommender.users.positions([user])
    both = csr_array(np.repeat(recommender.histories(position).toarray(), 2, axis=0))
    names, manner = [user, None], Manner(k=5)
    for each in (recommender, turned_around(recommender)):
        as_indexed, as_changed = each.lists_of(names, both, manner, rows=np.array([*position, -1]))
        same = items_of(as_indexed) == items_of(as_changed)
        assert same == (each is recommender)
        assert items_of(as_changed) == items_of(recommender.recommend([user], k=5)[0])


def test_a_recommender_is_freed_without_the_collector(copy_of_workspace):
    recommender = Recommender.load(copy_of_workspace())
    users = list(recommender.users.ids[:2])
    recommender.recommend(users, k=3, rules=Rules(diversity=0.5, popularity=0.1), n_reasons=1)
    recommender.similar_items("001")
    alive = weakref.ref(recommender)
    gc.collect()
    gc.disable()
    try:
        del recommender
        assert alive() is None
    finally:
        gc.enable()


def test_an_index_without_lengths_of_codes_serves_the_same_lists(recommender, copy_of_workspace):
    root = copy_of_workspace()
    manifest = read_manifest(root / "index")
    del manifest.files[LENGTHS_FILE]
    _write_manifest(root / "index", manifest)
    (root / "index" / LENGTHS_FILE).unlink()
    users = list(recommender.users.ids[:9])
    before = Recommender.load(root)
    assert before.index.user_lengths is None
    expected = recommender.recommend(users, k=5)
    assert [items_of(each) for each in before.recommend(users, k=5)] == list(
        map(items_of, expected)
    )


# --- data that are newer than the model


def newer(events: Events) -> Events:
    """The same rows in another order of users and items, an item renamed, a user added."""
    rng = np.random.default_rng(0)
    new_items = np.array(["!new", *events.items.ids], dtype=object)
    item_ids = np.where(new_items == "002", "renamed", new_items)
    users = IdMap.in_order(rng.permutation([*events.users.ids, "newcomer"]), "user")
    items = IdMap.in_order(rng.permutation(item_ids), "item")
    old = [("renamed" if each == "002" else each) for each in events.items.ids]
    user_positions = users.positions(list(events.users.ids))[events.user_positions]
    item_positions = items.positions(old)[events.item_positions]
    (newcomer,), added = users.positions(["newcomer"]), items.positions(["001", "!new"])
    n_added = len(added)
    return replace(
        events,
        users=users,
        items=items,
        user_positions=np.append(user_positions, [newcomer] * n_added).astype(np.int32),
        item_positions=np.append(item_positions, added).astype(np.int32),
        values=np.append(events.values, np.ones(n_added, dtype=np.float32)),
        timestamps=np.append(events.timestamps, np.zeros(n_added)),
    )


@pytest.fixture
def recommender_of_newer_data(copy_of_workspace, events):
    root = copy_of_workspace()
    save_interactions(newer(events), None, root / "interactions", config={}, metrics={})
    return Recommender.load(root)


def test_data_newer_than_the_model_are_joined_by_id(recommender, recommender_of_newer_data, sample):
    assert recommender_of_newer_data.n_unknown_items == 2
    assert recommender.n_unknown_items == 0
    without_002 = [u for u in recommender.users.ids if "002" not in history_of(recommender, u)]
    for before, after in zip(
        recommender.recommend(without_002, k=10),
        recommender_of_newer_data.recommend(without_002, k=10),
        strict=True,
    ):
        assert after.user == before.user
        assert items_of(after) == items_of(before)


def test_a_user_who_is_new_is_folded_in(recommender, recommender_of_newer_data):
    (each,) = recommender_of_newer_data.recommend(["newcomer"], k=5)
    assert items_of(each) == items_of(recommender.recommend(items=["001"], k=5)[0])
    turned = turned_around(recommender_of_newer_data)
    assert turned.recommend(["newcomer"], k=5) == [each]  # the index was built from other data
    assert recommender_of_newer_data.similar_users("newcomer", k=3)[0].id in recommender.users


# --- similar


def test_similar_items_are_those_whose_scores_correlate_and_never_the_item(recommender):
    everybody = recommender.histories(np.arange(len(recommender.users)))
    correlations = np.corrcoef(recommender.vae.score(everybody).astype(float).T)
    for position in (0, 100, 239):
        expected = [i for i in np.argsort(-correlations[position]) if i != position][:7]
        found = recommender.similar_items(recommender.items.ids[position], k=7)
        assert [each.id for each in found] == list(recommender.items.ids[expected])
        assert [each.rank for each in found] == list(range(1, 8))
        assert [each.score for each in found] == pytest.approx(
            list(correlations[position][expected]), abs=1e-4
        )
        assert found[0].title is not None


def test_similar_items_are_of_the_same_genre(recommender, sample):
    same = [
        sample.genre_of[each.id] == sample.genre_of[item]
        for item in recommender.items.ids
        for each in recommender.similar_items(item, k=5)
    ]
    assert np.mean(same) > 0.7  # an eighth by chance


def test_similar_users_never_contain_the_user_and_share_its_taste(recommender, sample):
    shared = []
    for user in list(recommender.users.ids[:40]):
        found = recommender.similar_users(user, k=5)
        assert user not in [each.id for each in found]
        assert [each.rank for each in found] == [1, 2, 3, 4, 5]
        scores = [each.score for each in found]
        assert scores == sorted(scores, reverse=True)
        tastes = set(sample.tastes_of[user])
        shared += [sample.favourite_of[each.id] in tastes for each in found]
    assert np.mean(shared) > 0.7


def test_more_neighbours_than_there_are_gives_all_of_them(recommender):
    assert len(recommender.similar_items("001", k=ALL)) == len(recommender.items) - 1
    assert len(recommender.similar_users("u001", k=ALL)) == len(recommender.users) - 1


# --- the Python API


def test_ids_come_back_as_they_were_given(recommender):
    (each,) = recommender.recommend(["u001"], k=3)
    assert all(type(one.item) is str for one in each.items)
    assert all(one.item in recommender.items for one in each.items)  # '001', not 1
    assert any(len(item) == 3 and item.startswith("0") for item in recommender.items.ids)


def refusal(call, *arguments, **named) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*arguments, **named)
    return str(caught.value)


def test_a_single_text_is_no_list_of_ids(recommender):
    assert refusal(recommender.recommend, "u001") == (
        "users must be a list of ids, got the single text 'u001': write [\"u001\"]"
    )
    assert refusal(recommender.recommend, items="001") == (
        "items must be a list of ids, got the single text '001': write [\"001\"]"
    )
    for name in ("allow", "deny"):
        assert refusal(Rules, **{name: "149"}) == (
            f"{name} must be a list of ids, got the single text '149': write [\"149\"]"
        )
    assert refusal(recommender.recommend, 196) == (
        "users must be a list of ids, got 196 (int): put one id into [...] as well"
    )


@pytest.mark.parametrize(("key", "kind"), [(196, "int"), (np.int64(196), "int64")])
def test_numbers_are_no_ids(recommender, key, kind):
    expected = f"ids are text: got 196 ({kind}); write str(id)"
    assert refusal(recommender.recommend, ["u001", key]) == expected
    assert refusal(recommender.recommend, items=[key]) == expected
    assert refusal(recommender.similar_items, key) == expected
    assert refusal(recommender.similar_users, key) == expected
    assert refusal(Rules, allow=["001", key]) == expected
    assert refusal(Rules, deny={key}) == expected


def test_numpys_text_is_taken_and_given_back_as_plain_text(recommender):
    ids = np.array(["u001", "u300"])
    lists = recommender.recommend(ids, k=3)
    assert [type(each.user) for each in lists] == [str, str]
    assert lists == recommender.recommend(["u001", "u300"], k=3)
    items = np.array(["001", "002"])
    assert recommender.recommend(items=items) == recommender.recommend(items=["001", "002"])
    assert Rules(deny=items) == Rules(deny=(each for each in ["001", "002"]))


def test_lists_as_a_table_have_a_row_for_each_recommendation(recommender):
    lists = recommender.recommend(["u001", "u300"], k=3)
    frame = to_frame([*lists, *recommender.recommend(items=["001"], k=2)])
    assert list(frame.columns) == ["user", "item", "rank", "score", "title"]
    assert list(frame["user"][:6]) == ["u001"] * 3 + ["u300"] * 3
    assert frame["user"][6:].isna().all()
    assert list(frame["rank"]) == [1, 2, 3, 1, 2, 3, 1, 2]
    assert list(frame["item"][:3]) == items_of(lists[0])


def test_no_lists_as_a_table_keep_its_columns():
    assert list(to_frame([]).columns) == ["user", "item", "rank", "score", "title"]


def test_the_api_is_reached_from_the_package_itself(workspace):
    loaded = recsys.Recommender.load(str(workspace))
    assert isinstance(loaded, Recommender)
    assert len(loaded.recommend(["u001"], k=4)[0].items) == 4
    with pytest.raises(AttributeError, match="module 'recsys' has no attribute 'nothing'"):
        _ = recsys.nothing


def test_the_histories_of_a_recommender_are_those_of_the_data(recommender, events):
    matrix = recommender.histories(np.array([3, 0]))
    expected = events.interactions().matrix[[3, 0]]
    assert isinstance(matrix, csr_array)
    np.testing.assert_array_equal(matrix.toarray(), expected.toarray())
