import dataclasses
import json
import re

import numpy as np
import pytest
from dense_interactions import interactions
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from recsys.baselines import (
    EASE,
    Popularity,
    fit_best_ease,
    load_ease,
    mean_metric,
    rank_unseen,
    save_ease,
)
from recsys.data.interactions import Interactions
from recsys.data.splits import Holdout
from recsys.errors import ArtefactError, ConfigError
from recsys.metrics import Metric


def random_train(seed: int, n_users: int = 40, n_items: int = 12) -> Interactions:
    return interactions(np.random.default_rng(seed).random((n_users, n_items)) < 0.3)


def random_holdout(seed: int, n_users: int = 30, n_items: int = 12) -> Holdout:
    rng = np.random.default_rng(seed)
    part = rng.choice(3, size=(n_users, n_items), p=[0.6, 0.25, 0.15])
    part[np.arange(n_users), rng.integers(0, n_items, n_users)] = 2
    return Holdout(interactions(part == 1), interactions(part == 2))


def weights_by_definition(X: np.ndarray, ridge: float) -> np.ndarray:
    """Regress each item on all others: what EASE's constraint of a zero diagonal means."""
    n_items = X.shape[1]
    weights = np.zeros((n_items, n_items))
    for j in range(n_items):
        others = np.delete(np.arange(n_items), j)
        A = X[:, others]
        left = A.T @ A + ridge * np.eye(n_items - 1)
        weights[others, j] = np.linalg.solve(left, A.T @ X[:, j])
    return weights


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), ridge=st.floats(0.5, 1000))
def test_ease_is_least_squares_without_the_item_itself(seed, ridge):
    train = random_train(seed)
    expected = weights_by_definition(train.matrix.toarray().astype(np.float64), ridge)
    np.testing.assert_allclose(EASE.fit(train, ridge).weights, expected, rtol=1e-5, atol=1e-6)


def test_ease_explains_no_item_by_itself():
    ease = EASE.fit(random_train(0), ridge=2.0)
    assert ease.weights.dtype == np.float32
    assert (np.diagonal(ease.weights) == 0).all()


def test_ease_is_the_same_in_blocks(monkeypatch):
    train = random_train(1)
    whole = EASE.fit(train, ridge=5.0).weights
    monkeypatch.setattr("recsys.baselines._GRAM_COLUMNS", 5)
    np.testing.assert_array_equal(EASE.fit(train, ridge=5.0).weights, whole)


def test_ease_reads_ratings_as_interactions():
    train = random_train(2)
    ratings = train.matrix.copy()
    ratings.data = np.random.default_rng(0).integers(0, 6, len(ratings.data)).astype(np.float32)
    rated = dataclasses.replace(train, matrix=ratings)
    binary, other = EASE.fit(train, 5.0), EASE.fit(rated, 5.0)
    np.testing.assert_array_equal(other.weights, binary.weights)
    np.testing.assert_array_equal(other.score(ratings), binary.score(train.matrix))


def test_ease_scores_are_the_history_times_the_weights():
    ease, train = EASE.fit(random_train(3), 5.0), random_train(4)
    scores = ease.score(train.matrix)
    np.testing.assert_allclose(scores, train.matrix.toarray() @ ease.weights, rtol=1e-5, atol=1e-7)
    assert scores.dtype == np.float32


def test_ease_finds_the_twin():
    # Items 0 and 1 always come together, items 2 and 3 too.
    train = interactions([[1, 1, 0, 0]] * 6 + [[0, 0, 1, 1]] * 5)
    ranking = EASE.fit(train, ridge=1.0).rank(interactions([[1, 0, 0, 0]]).matrix, 1)
    assert ranking.positions.tolist() == [[1]]


def test_popularity_ranks_by_users_and_then_by_position():
    train = interactions([[1, 0, 1, 1], [0, 0, 1, 1], [0, 1, 0, 0]])  # 1, 1, 2, 2 users
    ranking = Popularity.fit(train).rank(interactions([[0, 0, 0, 0]]).matrix, 4)
    assert ranking.positions.tolist() == [[2, 3, 0, 1]]
    assert ranking.scores.tolist() == [[2.0, 2.0, 1.0, 1.0]]


@pytest.mark.parametrize("model", [Popularity, EASE])
def test_seen_items_never_come_back(model):
    histories = random_train(5).matrix
    positions = model.fit(random_train(6)).rank(histories, 12).positions
    for user, listed in enumerate(positions):
        seen = set(histories[[user]].indices.tolist())
        assert set(listed[listed >= 0].tolist()) == set(range(12)) - seen


@pytest.mark.parametrize("model", [Popularity, EASE])
def test_an_empty_history_is_legal(model):
    fitted = model.fit(random_train(7))
    nobody = csr_array((2, 12), dtype=np.float32)
    assert np.isfinite(fitted.score(nobody)).all()
    assert (fitted.rank(nobody, 5).positions >= 0).all()


def test_an_item_that_nobody_met_is_scored_zero_by_ease():
    dense = random_train(8).matrix.toarray()
    dense[:, 3] = 0
    ease = EASE.fit(interactions(dense), 5.0)
    assert not ease.weights[3].any()
    assert not ease.weights[:, 3].any()


@pytest.mark.parametrize("batch_size", [1, 7, 500])
def test_the_mean_metric_does_not_depend_on_batches(batch_size):
    ease, holdout = EASE.fit(random_train(9)), random_holdout(10)
    metric = Metric("ndcg", 5)
    whole = mean_metric(ease.score, holdout, metric, 30)
    assert mean_metric(ease.score, holdout, metric, batch_size) == pytest.approx(whole, abs=1e-12)


def test_the_mean_metric_knows_its_answer():
    holdout = Holdout(interactions([[1, 0, 0], [0, 0, 1]]), interactions([[0, 1, 0], [1, 0, 0]]))

    def score(histories: csr_array) -> np.ndarray:
        return np.tile(np.array([9, 5, 7], dtype=np.float32), (histories.shape[0], 1))

    # User 0 has met item 0 and gets 2, 1: the hit is second. User 1 gets 0 first.
    assert mean_metric(score, holdout, Metric("mrr", 100)) == 0.75


def test_rank_unseen_takes_the_history_out():
    ranking = rank_unseen(
        Popularity(np.array([3, 2, 1])).score, interactions([[1, 0, 0]]).matrix, 2
    )
    assert ranking.positions.tolist() == [[1, 2]]


def test_the_best_ease_is_the_best_of_the_ridges():
    train, holdout, metric = random_train(11), random_holdout(12), Metric("ndcg", 3)
    ridges = (0.01, 5.0, 1000.0)
    by_ridge = {r: mean_metric(EASE.fit(train, r).score, holdout, metric) for r in ridges}
    best = fit_best_ease(train, holdout, ridges, metric)
    assert len(set(by_ridge.values())) > 1
    assert best.ridge == max(ridges, key=by_ridge.__getitem__)
    np.testing.assert_array_equal(best.weights, EASE.fit(train, best.ridge).weights)


def test_without_validation_users_the_ridge_is_the_default():
    empty = Holdout(interactions(np.zeros((0, 12))), interactions(np.zeros((0, 12))))
    assert fit_best_ease(random_train(13), None).ridge == 500.0
    assert fit_best_ease(random_train(13), empty).ridge == 500.0


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ridge_that_is_not_positive_is_refused(ridge):
    message = f"EASE's ridge is {ridge}: expected a positive number, such as 500"
    with pytest.raises(ConfigError, match=re.escape(message)):
        EASE.fit(random_train(0), ridge)
    with pytest.raises(ConfigError, match=re.escape(message)):
        fit_best_ease(random_train(0), random_holdout(0), (500.0, ridge))


def test_no_ridge_at_all_is_refused():
    with pytest.raises(ConfigError, match="no ridge to choose from: name at least one"):
        fit_best_ease(random_train(0), None, ())


def test_a_metric_without_hits_cannot_choose_the_ridge():
    with pytest.raises(ConfigError, match="coverage@5 cannot choose between models"):
        fit_best_ease(random_train(0), None, metric=Metric("coverage", 5))


def test_a_saved_ease_comes_back_whole_and_stays_on_disk(tmp_path):
    ease = EASE.fit(random_train(14), 7.5)
    save_ease(ease, tmp_path)
    loaded = load_ease(tmp_path)
    assert loaded.ridge == 7.5
    assert isinstance(loaded.weights, np.memmap)
    np.testing.assert_array_equal(loaded.weights, ease.weights)
    histories = random_train(15).matrix
    np.testing.assert_array_equal(loaded.score(histories), ease.score(histories))


@pytest.mark.parametrize("missing", ["weights.npy", "ease.json"])
def test_a_missing_file_is_refused(tmp_path, missing):
    save_ease(EASE.fit(random_train(0)), tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ArtefactError, match=f"{re.escape(missing)}: it is missing; delete"):
        load_ease(tmp_path)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"{}", b"\xff", b'{"ridge": null, "n_items": 3}']
)
def test_a_damaged_config_is_refused(tmp_path, raw):
    save_ease(EASE.fit(random_train(0)), tmp_path)
    (tmp_path / "ease.json").write_bytes(raw)
    with pytest.raises(ArtefactError, match=r"ease\.json: expected the numbers ridge and n_items"):
        load_ease(tmp_path)


def test_damaged_weights_are_refused(tmp_path):
    save_ease(EASE.fit(random_train(0)), tmp_path)
    path = tmp_path / "weights.npy"
    whole = path.read_bytes()
    header = whole.replace(b"'<f4'", b"'|O' ")
    for raw in (b"", whole[:5], whole[:50], whole[:-1], b"PK\x03\x04" + whole[4:], header):
        path.write_bytes(raw)
        with pytest.raises(ArtefactError, match=r"it is not a whole \.npy file \(.+\); delete"):
            load_ease(tmp_path)


def test_a_flipped_byte_in_the_header_never_ends_in_a_traceback(tmp_path):
    save_ease(EASE.fit(random_train(0)), tmp_path)
    path = tmp_path / "weights.npy"
    whole = path.read_bytes()
    refused = 0
    for place in range(128):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            load_ease(tmp_path)
        except ArtefactError:
            refused += 1
    assert refused > 60  # the rest of the header is padding


def test_weights_of_another_shape_or_type_are_refused(tmp_path):
    save_ease(EASE.fit(random_train(0)), tmp_path)
    np.save(tmp_path / "weights.npy", np.zeros((3, 4)))
    found = r"expected float32 of shape \(12, 12\), found float64 of shape \(3, 4\)"
    with pytest.raises(ArtefactError, match=found):
        load_ease(tmp_path)


def test_a_saved_ease_names_its_size(tmp_path):
    save_ease(EASE.fit(random_train(0)), tmp_path)
    assert json.loads((tmp_path / "ease.json").read_text()) == {"ridge": 500.0, "n_items": 12}


def test_those_without_a_history_are_served_what_is_popular():
    train = interactions([[1, 0, 1], [0, 0, 1], [0, 1, 1], [1, 0, 0]])
    ease, popularity = EASE.fit(train, 1.0), Popularity.fit(train)
    histories = interactions([[0, 0, 0], [0, 1, 0]]).matrix
    alone = rank_unseen(ease.score, histories, 3)
    ranking = rank_unseen(popularity.standing_in(ease.score), histories, 3)
    assert ranking.positions[0].tolist() == [2, 0, 1]
    assert ranking.positions[1].tolist() == alone.positions[1].tolist()


def test_the_ridge_is_chosen_by_those_with_a_history():
    train, holdout = random_train(11), random_holdout(12)
    empty = np.zeros(holdout.fold_in.matrix.shape)
    nobody_known = Holdout(interactions(empty), holdout.held_out)
    # Where all are served what is popular no ridge is better than another: the first wins.
    for ridges in ((0.01, 1000.0), (1000.0, 0.01)):
        assert fit_best_ease(train, nobody_known, ridges, Metric("ndcg", 3)).ridge == ridges[0]
