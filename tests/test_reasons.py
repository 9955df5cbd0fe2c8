"""Reasons against the model asked by hand, intervals against draws, exploring by seed."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.errors import ConfigError
from recsys.reasons import Explainer
from recsys.rules import Rules


def row_of(recommender, user: str) -> csr_array:
    return recommender.histories(recommender.users.positions([user]))


def test_reasons_are_what_the_score_loses_without_the_item(recommender):
    history, positions = row_of(recommender, "u001"), np.array([3, 77])
    explainer = Explainer(recommender.vae, recommender.index.items.vectors)
    found = explainer.contributions(history, positions)
    assert found.shape == (history.nnz, 2)
    whole = recommender.vae.score(history)[0, positions]
    for place in (0, history.nnz // 2, history.nnz - 1):
        kept = np.delete(np.arange(history.nnz), place)
        without = csr_array(
            (history.data[kept], history.indices[kept], [0, len(kept)]), shape=history.shape
        )
        expected = whole - recommender.vae.score(without)[0, positions]
        np.testing.assert_allclose(found[place], expected, atol=1e-4)


def test_long_histories_are_explained_in_parts(recommender, monkeypatch):
    history, positions = row_of(recommender, "u001"), np.array([3, 77])
    explainer = Explainer(recommender.vae, recommender.index.items.vectors)
    whole = explainer.contributions(history, positions)
    monkeypatch.setattr("recsys.reasons.REMOVED_AT_ONCE", 7)
    np.testing.assert_allclose(explainer.contributions(history, positions), whole, atol=1e-5)


def test_reasons_come_with_the_items_best_first(recommender):
    (plain,) = recommender.recommend(["u001"], k=5)
    (each,) = recommender.recommend(["u001"], k=5, n_reasons=2)
    assert [one.item for one in each.items] == [one.item for one in plain.items]
    history = set(recommender.items.ids[row_of(recommender, "u001").indices])
    for one in each.items:
        assert one.low < one.score < one.high
        assert len(one.why) == 2
        assert {because.item for because in one.why} <= history
        assert one.why[0].score >= one.why[1].score > 0
        assert one.why[0].title == recommender.titles[one.why[0].item]


def test_intervals_are_of_the_score_and_not_of_a_draw_of_it(recommender):
    (plain,) = recommender.recommend(["u001"], k=240, n_reasons=1)
    (drawn,) = recommender.recommend(["u001"], k=240, n_reasons=1, explore=1)
    bounds = {one.item: (one.low, one.high) for one in plain.items}
    for one in drawn.items:
        assert (one.low, one.high) == pytest.approx(bounds[one.item], abs=1e-4)


def test_the_dial_moves_score_and_interval_alike(recommender):
    rules = Rules(popularity=-1)
    (each,) = recommender.recommend(["u001"], k=5, n_reasons=1, rules=rules)
    assert [one.score for one in each.items] == pytest.approx(
        [(one.low + one.high) / 2 for one in each.items], abs=1e-4
    )


def test_popularity_has_no_reasons(recommender):
    (each,) = recommender.recommend(items=[], k=3, n_reasons=2)
    assert [(one.why, one.low) for one in each.items] == [((), None)] * 3


def test_one_item_alone_is_the_reason(recommender):
    (each,) = recommender.recommend(items=["001"], k=3, n_reasons=2)
    assert all({because.item for because in one.why} <= {"001"} for one in each.items)


def test_intervals_hold_95_percent_of_drawn_scores(recommender):
    history, positions = row_of(recommender, "u300"), np.array([3, 77, 140])
    explainer = Explainer(recommender.vae, recommender.index.items.vectors)
    low, high = explainer.intervals(history, positions)
    mean = recommender.vae.score(history)[0, positions]
    np.testing.assert_allclose((low + high) / 2, mean, atol=1e-4)
    drawn = np.array(
        [
            recommender.vae.drawn_user_vectors(history, seed)[0] @ explainer.vectors[positions].T
            for seed in range(2000)
        ]
    )
    inside = ((low <= drawn) & (drawn <= high)).mean(axis=0)
    assert inside == pytest.approx(0.95, abs=0.02)


def test_exploring_depends_on_seed_and_history_alone(recommender):
    users = ["u001", "u300", "u599"]

    def lists(users, seed):
        found = recommender.recommend(users, k=10, explore=seed)
        return {each.user: [one.item for one in each.items] for each in found}

    together = lists(users, 1)
    assert {user: lists([user], 1)[user] for user in users} == together
    assert lists(users, 2) != together
    plain = recommender.recommend(users, k=10)
    assert {each.user: [one.item for one in each.items] for each in plain} != together


def test_a_negative_seed_is_refused(recommender):
    with pytest.raises(ConfigError, match="explore is -1, expected a seed of 0 or more"):
        recommender.recommend(["u001"], explore=-1)


def test_terms_of_the_item_item_path_are_exact(recommender, matrix_of):
    from recsys.fusion import SparsePath
    from recsys.neighbours.item_item import ItemItem
    from recsys.vae.model import without_members

    train = recommender.store.interactions
    weights = np.zeros((train.n_items, train.n_items), dtype=np.float32)
    history = recommender.histories(np.array([0]))
    weights[history.indices[:2], 5] = 0.5, -0.25
    sparse = SparsePath(ItemItem(csr_array(weights)), tau=10.0)
    vae = without_members(train)
    found = Explainer(vae, vae.item_vectors(), sparse).contributions(history, np.array([5]))
    assert found[:, 0].tolist() == [5.0, -2.5, *[0.0] * (history.nnz - 2)]
    with pytest.raises(ConfigError, match="what is uncertain is told by latent codes"):
        vae.require_codes("what is uncertain is told")
