from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dense_interactions import interactions
from scipy.sparse import csr_array

from recsys.baselines import EASE, Popularity, mean_metric
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions, csr_from_pairs
from recsys.data.splits import Holdout
from recsys.errors import ConfigError
from recsys.evaluation.protocols import evaluate, ndcg_validator, rating_errors_by_user
from recsys.evaluation.report import estimate_mean
from recsys.metrics import DEFAULT_METRICS, HIT_METRICS, Metric, mae, novelty, rmse
from recsys.ranking import Ranking, top_k

ML_1M = Path(__file__).parents[2].parent / "shared" / "datasets" / "ml-1m"


def random_train(seed: int, n_users: int = 40, n_items: int = 30) -> Interactions:
    return interactions(np.random.default_rng(seed).random((n_users, n_items)) < 0.3)


def random_holdout(seed: int, n_users: int = 25, n_items: int = 30) -> Holdout:
    rng = np.random.default_rng(seed)
    part = rng.choice(3, size=(n_users, n_items), p=[0.6, 0.25, 0.15])
    part[np.arange(n_users), rng.integers(0, n_items, n_users)] = 2
    part[0][part[0] == 1] = 0  # an empty history is legal
    return Holdout(interactions(part == 1), interactions(part == 2))


def oracle(histories: csr_array, k: int) -> Ranking:
    """Know the answer: list items 2 and 1 for everybody."""
    scores = np.tile(np.array([0, 1, 2], dtype=np.float32), (histories.shape[0], 1))
    return top_k(scores, k)


TINY = Holdout(interactions([[1, 0, 0], [0, 0, 0]]), interactions([[0, 0, 1], [0, 1, 0]]))
TINY_TRAIN = interactions([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0]])


def test_evaluation_knows_its_answers():
    metrics = [Metric("recall", 1), Metric("mrr", 2), Metric("coverage", 2), Metric("novelty", 1)]
    report = evaluate({"oracle": oracle}, TINY, TINY_TRAIN, metrics, on="validation")
    assert (report.on, report.n_users) == ("validation", 2)
    assert report.by_user["oracle"]["recall@1"].tolist() == [1.0, 0.0]
    assert report.by_user["oracle"]["mrr@2"].tolist() == [1.0, 0.5]
    assert report.by_user["oracle"]["novelty@1"].tolist() == [2.0, 2.0]  # item 2: 1 of 4 users
    assert report.mean("oracle", "coverage@2") == pytest.approx(2 / 3)


@pytest.mark.parametrize("batch_size", [1, 7, 25, 500])
def test_results_do_not_depend_on_batches(batch_size):
    train, holdout = random_train(0), random_holdout(1)
    rankers = {"ease": EASE.fit(train, 5.0).rank, "popularity": Popularity.fit(train).rank}
    whole = evaluate(rankers, holdout, train, DEFAULT_METRICS, batch_size=1000)
    batched = evaluate(rankers, holdout, train, DEFAULT_METRICS, batch_size=batch_size)
    assert batched.to_json() == whole.to_json()


def test_one_pass_at_the_longest_list_serves_every_shorter_one():
    train, holdout = random_train(2), random_holdout(3)
    asked = []

    def rank(histories: csr_array, k: int) -> Ranking:
        asked.append(k)
        return Popularity.fit(train).rank(histories, k)

    metrics = [Metric(name, k) for name in [*HIT_METRICS, "coverage", "novelty"] for k in (2, 9)]
    together = evaluate({"m": rank}, holdout, train, metrics)
    assert asked == [9]
    for metric in metrics:
        alone = evaluate({"m": rank}, holdout, train, [metric])
        assert alone.mean("m", metric) == together.mean("m", metric)


def test_a_list_longer_than_the_catalogue_still_divides_by_its_length():
    metrics = [Metric("precision", 10), Metric("ndcg", 10)]
    report = evaluate({"oracle": oracle}, TINY, TINY_TRAIN, metrics)
    assert report.by_user["oracle"]["precision@10"].tolist() == [0.1, 0.1]
    assert report.by_user["oracle"]["ndcg@10"][0] == 1.0


def test_novelty_counts_in_the_training_users():
    train, holdout = random_train(4), random_holdout(5)
    rank = Popularity.fit(train).rank
    report = evaluate({"m": rank}, holdout, train, [Metric("novelty", 4)])
    listed = rank(holdout.fold_in.matrix, 4).positions
    expected = novelty(listed, train.item_counts(), train.n_users)
    np.testing.assert_array_equal(report.by_user["m"]["novelty@4"], expected)


def test_popularity_lists_no_item_of_the_history():
    train, holdout = random_train(6), random_holdout(7)
    leaky = Holdout(holdout.held_out, holdout.held_out)  # everything wanted is known already
    report = evaluate({"m": Popularity.fit(train).rank}, leaky, train, [Metric("hit_rate", 30)])
    assert report.mean("m", "hit_rate@30") == 0.0


def test_progress_counts_users_over_all_models():
    train, holdout = random_train(8), random_holdout(9)
    rankers = {"a": Popularity.fit(train).rank, "b": Popularity.fit(train).rank}
    seen = []
    evaluate(
        rankers,
        holdout,
        train,
        [Metric("ndcg", 5)],
        rating_scorers={"a": Popularity.fit(train).score},
        batch_size=20,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 75) for done in (20, 25, 45, 50, 70, 75)]


def test_models_keep_their_order():
    train, holdout = random_train(10), random_holdout(11)
    rank = Popularity.fit(train).rank
    report = evaluate({"z": rank, "a": rank}, holdout, train, [Metric("ndcg", 5)])
    assert report.models() == ["z", "a"]
    assert report.metrics("z") == ["ndcg@5"]


def test_no_users_to_evaluate_on_is_refused():
    empty = Holdout(interactions(np.zeros((0, 30))), interactions(np.zeros((0, 30))))
    train = random_train(12)
    with pytest.raises(ConfigError, match="there are no validation users to evaluate on: the sp"):
        evaluate({}, empty, train, DEFAULT_METRICS, on="validation")
    with pytest.raises(ConfigError, match="there are no validation users to choose the best epo"):
        ndcg_validator(empty)


def test_a_validator_gives_the_mean_metric_of_unseen_items():
    train, holdout = random_train(13), random_holdout(14)
    ease = EASE.fit(train, 5.0)
    expected = evaluate({"e": ease.rank}, holdout, train, [Metric("ndcg", 100)])
    found = ndcg_validator(holdout, batch_size=4)(ease.score)
    assert found == pytest.approx(expected.mean("e", "ndcg@100"), abs=1e-12)
    recall = ndcg_validator(holdout, Metric("recall", 3))(ease.score)
    assert recall == mean_metric(ease.score, holdout, Metric("recall", 3))


def test_a_validator_by_coverage_is_refused():
    with pytest.raises(ConfigError, match="coverage@5 cannot choose between models"):
        ndcg_validator(random_holdout(0), Metric("coverage", 5))


def rated_holdout() -> Holdout:
    rng = np.random.default_rng(15)
    held_out = random_holdout(15).held_out
    matrix = held_out.matrix.copy()
    matrix.data = rng.integers(0, 6, len(matrix.data)).astype(np.float32)  # 0 is a rating too
    return Holdout(random_holdout(15).fold_in, Interactions(held_out.users, held_out.items, matrix))


def constant_scorer(histories: csr_array) -> np.ndarray:
    row = np.linspace(0, 5, histories.shape[1], dtype=np.float32)
    return np.tile(row, (histories.shape[0], 1)) + np.diff(histories.indptr)[:, None] / 10


@pytest.mark.parametrize("batch_size", [3, 500])
def test_rating_errors_are_over_all_held_out_entries(batch_size):
    train, holdout = random_train(16), rated_holdout()
    report = evaluate(
        {"m": Popularity.fit(train).rank},
        holdout,
        train,
        [Metric("ndcg", 5)],
        rating_scorers={"m": constant_scorer},
        batch_size=batch_size,
    )
    wanted = holdout.held_out.matrix.tocoo()
    predicted = constant_scorer(holdout.fold_in.matrix)[wanted.row, wanted.col]
    assert report.metrics("m") == ["ndcg@5", "rmse", "mae"]
    assert report.mean("m", "rmse") == pytest.approx(rmse(predicted, wanted.data), abs=1e-6)
    assert report.mean("m", "mae") == pytest.approx(mae(predicted, wanted.data), abs=1e-6)


def test_rating_intervals_are_those_of_the_bootstrap_over_users():
    rng = np.random.default_rng(17)
    lengths = rng.integers(1, 30, size=400)
    users = np.repeat(np.arange(400), lengths)
    observed = rng.normal(size=len(users)) * rng.gamma(4, 0.25, size=400)[users]
    predicted = np.zeros(len(users))
    squares = np.bincount(users, weights=observed**2)
    drawn = rng.integers(0, 400, size=(4000, 400))
    resampled = np.sqrt(squares[drawn].sum(axis=1) / lengths[drawn].sum(axis=1))
    found = estimate_mean(rating_errors_by_user(predicted, observed, users)["rmse"])
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert found.high - found.low == pytest.approx(high - low, rel=0.06)
    assert found.low == pytest.approx(low, abs=0.1 * (high - low))


def test_perfect_ratings_have_no_error():
    ratings, users = np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1])
    errors = rating_errors_by_user(ratings, ratings, users)
    assert errors["rmse"].tolist() == errors["mae"].tolist() == [0.0, 0.0]


def rows_of(frame: pd.DataFrame, part: str, users: IdMap, items: IdMap) -> Interactions:
    rows = frame[(frame["part"] == part) & frame["item_id"].isin(items.ids)]
    row, column = (
        users.positions(rows["user_id"].tolist()),
        items.positions(rows["item_id"].tolist()),
    )
    ones = np.ones(len(rows), dtype=np.float32)
    return Interactions(users, items, csr_from_pairs(row, column, ones, (len(users), len(items))))


@pytest.mark.datasets
@pytest.mark.skipif(not ML_1M.is_dir(), reason=f"{ML_1M} is absent")
def test_the_baselines_reach_the_known_figures_on_ml_1m():
    frame = pd.read_csv(ML_1M / "strong-generalization.csv.gz", dtype=str)
    train_rows, test_rows = (frame[frame["part"].str.startswith(p)] for p in ("train", "test"))
    items = IdMap.of(train_rows["item_id"], "item")
    train = rows_of(frame, "train", IdMap.of(train_rows["user_id"], "user"), items)
    users = IdMap.of(test_rows["user_id"], "user")
    holdout = Holdout(
        rows_of(frame, "test_fold_in", users, items), rows_of(frame, "test_held_out", users, items)
    )
    rankers = {"ease": EASE.fit(train, 750.0).rank, "popularity": Popularity.fit(train).rank}
    metrics = [Metric("recall", 20), Metric("recall", 50), Metric("ndcg", 100)]
    report = evaluate(rankers, holdout, train, metrics)
    assert report.n_users == 1000
    ease = [report.mean("ease", metric) for metric in metrics]
    assert ease == pytest.approx([0.3488, 0.4597, 0.4176], abs=0.0001)
    # The known figures have three digits, and other orders of ties move them by .0005 more.
    popularity = [report.mean("popularity", metric) for metric in metrics]
    assert popularity == pytest.approx([0.168, 0.233, 0.212], abs=0.001)
    # Ours to the fourth digit, ties by position.
    assert popularity == pytest.approx([0.1685, 0.2324, 0.2122], abs=0.0001)
    difference = report.difference("ease", "popularity", "ndcg@100").estimate
    assert difference.low > 0.19
