import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG
from scipy.sparse import csr_array

from recsys.errors import ConfigError
from recsys.metrics import (
    DEFAULT_METRICS,
    HIT_METRICS,
    METRIC_NAMES,
    Metric,
    average_precision,
    coverage,
    find_hits,
    full_recall,
    hit_rate,
    mae,
    ndcg,
    novelty,
    precision,
    recall,
    reciprocal_rank,
    rmse,
)

ORACLES = {"ndcg": nDCG, "precision": P, "map": AP, "full_recall": R, "hit_rate": Success}


def random_case(seed: int, n_users: int = 30, n_items: int = 40, depth: int = 25):
    """Rank random items, fewer than depth for some users, and hold random ones out."""
    rng = np.random.default_rng(seed)
    positions = np.stack([rng.permutation(n_items)[:depth] for _ in range(n_users)])
    for user in range(0, n_users, 3):
        positions[user, rng.integers(0, depth) :] = -1
    dense = rng.random((n_users, n_items)) < rng.uniform(0.02, 0.8, size=(n_users, 1))
    dense[np.arange(n_users), rng.integers(0, n_items, n_users)] = True
    return positions, csr_array(dense.astype(np.float32))


def measure(name: str, positions, held_out, k: int):
    n_held_out = np.diff(held_out.indptr).astype(np.int64)
    return Metric(name, k).of_hits(find_hits(positions, held_out), n_held_out)


def ir_values(measure, positions, held_out, depth: int):
    """Ask ir-measures; scores fall with rank, so that there are no ties."""
    users = range(len(positions))
    qrels = {str(u): {str(i): 1 for i in held_out[[u]].indices} for u in users}
    run = {
        str(u): {str(i): float(-rank) for rank, i in enumerate(positions[u][:depth]) if i >= 0}
        for u in users
    }
    found = {each.query_id: each.value for each in ir_measures.iter_calc([measure], qrels, run)}
    return np.array([found.get(str(u), 0.0) for u in users])


@pytest.mark.parametrize("k", [1, 2, 5, 25])
@pytest.mark.parametrize("name", ORACLES)
def test_metrics_agree_with_ir_measures(name, k):
    for seed in range(4):
        positions, held_out = random_case(seed)
        expected = ir_values(ORACLES[name] @ k, positions, held_out, depth=25)
        np.testing.assert_allclose(
            measure(name, positions, held_out, k), expected, rtol=0, atol=1e-9
        )


@pytest.mark.parametrize("k", [1, 2, 5, 25])
def test_reciprocal_rank_agrees_with_ir_measures_on_the_first_k(k):
    for seed in range(4):
        positions, held_out = random_case(seed)
        expected = ir_values(RR, positions, held_out, depth=k)
        np.testing.assert_allclose(
            measure("mrr", positions, held_out, k), expected, rtol=0, atol=1e-9
        )


@pytest.mark.parametrize("k", [1, 5, 25])
def test_capped_recall_is_its_formula(k):
    positions, held_out = random_case(7)
    expected = []
    for user, listed in enumerate(positions):
        wanted = set(held_out[[user]].indices.tolist())
        expected.append(len(wanted & set(listed[:k].tolist())) / min(k, len(wanted)))
    np.testing.assert_allclose(measure("recall", positions, held_out, k), expected, atol=1e-15)


def test_known_answers():
    hits = np.array([[True, False, True], [False, False, False], [False, True, False]])
    n_held_out = np.array([2, 1, 5])
    third = 1 / np.log2(4)
    ideal = {2: 1 + 1 / np.log2(3), 3: 1 + 1 / np.log2(3) + third}
    expected = {
        recall: [1, 0, 1 / 3],
        full_recall: [1, 0, 1 / 5],
        precision: [2 / 3, 0, 1 / 3],
        ndcg: [(1 + third) / ideal[2], 0, (1 / np.log2(3)) / ideal[3]],
        average_precision: [(1 + 2 / 3) / 2, 0, 0.5 / 5],
        hit_rate: [1, 0, 1],
        reciprocal_rank: [1, 0, 0.5],
    }
    for function, values in expected.items():
        found = function(hits, n_held_out, 3)
        np.testing.assert_allclose(found, values, atol=1e-15, err_msg=function.__name__)
        assert found.dtype == np.float64


def test_an_empty_place_is_never_a_hit():
    held_out = csr_array(np.array([[0, 1], [1, 1]], dtype=np.float32))
    positions = np.array([[-1, -1], [-1, 1]])
    assert find_hits(positions, held_out).tolist() == [[False, False], [False, True]]


def test_a_held_out_rating_of_zero_is_a_hit():
    held_out = csr_array((np.zeros(1, dtype=np.float32), np.array([2]), np.array([0, 1])), (1, 3))
    assert find_hits(np.array([[2, 0]]), held_out).tolist() == [[True, False]]


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_hits_are_membership_of_the_held_out_set(seed):
    positions, held_out = random_case(seed, n_users=6, n_items=9, depth=8)
    expected = [
        [item in held_out[[user]].indices for item in listed]
        for user, listed in enumerate(positions)
    ]
    np.testing.assert_array_equal(find_hits(positions, held_out), expected)


@st.composite
def ranked_lists(draw):
    hits = np.array([draw(st.lists(st.booleans(), min_size=1, max_size=30))])
    n_held_out = np.array([hits.sum() + draw(st.integers(int(hits.sum() == 0), 10))])
    return hits, n_held_out, draw(st.integers(1, 40))


@given(case=ranked_lists())
@pytest.mark.parametrize("name", HIT_METRICS)
def test_metrics_lie_between_zero_and_one(name, case):
    assert 0.0 <= HIT_METRICS[name](*case)[0] <= 1.0


@given(k=st.integers(1, 60), n_held_out=st.integers(1, 60))
def test_a_perfect_ranking_scores_exactly_one(k, n_held_out):
    hits = np.array([np.arange(60) < n_held_out])
    for name in ("recall", "ndcg", "hit_rate", "mrr"):
        assert HIT_METRICS[name](hits, np.array([n_held_out]), k)[0] == 1.0
    assert average_precision(hits, np.array([n_held_out]), 60)[0] == 1.0
    assert full_recall(hits, np.array([n_held_out]), 60)[0] == 1.0


@given(case=ranked_lists(), data=st.data())
@pytest.mark.parametrize("name", HIT_METRICS)
def test_moving_a_hit_up_never_lowers_a_metric(name, case, data):
    hits, n_held_out, k = case
    lower = data.draw(st.integers(0, hits.shape[1] - 1))
    upper = data.draw(st.integers(0, lower))
    moved = hits.copy()
    if hits[0, lower] and not hits[0, upper]:
        moved[0, [upper, lower]] = True, False
    before, after = (HIT_METRICS[name](each, n_held_out, k)[0] for each in (hits, moved))
    assert after >= before - 1e-12


@given(case=ranked_lists())
@pytest.mark.parametrize("name", HIT_METRICS)
def test_what_lies_beyond_k_changes_nothing(name, case):
    hits, n_held_out, k = case
    function = HIT_METRICS[name]
    assert function(hits, n_held_out, k)[0] == function(hits[:, :k], n_held_out, k)[0]


@pytest.mark.parametrize("name", HIT_METRICS)
def test_no_users_give_no_values(name):
    hits = np.zeros((0, 5), dtype=bool)
    assert HIT_METRICS[name](hits, np.zeros(0, dtype=np.int64), 5).shape == (0,)


def test_coverage_counts_each_listed_item_once():
    assert coverage(np.array([[0, 1], [1, -1]]), n_items=8) == 0.25
    assert coverage(np.array([[-1, -1]]), n_items=8) == 0.0


def test_novelty_is_bits_per_listed_item():
    counts = np.array([16, 8, 1, 0])
    lists = np.array([[0, 1, -1], [2, 2, 2], [3, -1, -1], [-1, -1, -1]])
    assert novelty(lists, counts, n_users=16).tolist() == [0.5, 4.0, 4.0, 0.0]


def test_rating_errors_are_their_formulas():
    predicted = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    observed = np.array([1.0, 4.0, 2.0], dtype=np.float32)
    assert rmse(predicted, observed) == np.sqrt(5 / 3)
    assert mae(predicted, observed) == 1.0


def test_every_metric_is_parsed_from_what_it_writes():
    for name in METRIC_NAMES:
        assert Metric.parse(f"{name}@17") == Metric(name, 17)
    for metric in DEFAULT_METRICS:
        assert Metric.parse(str(metric)) == metric
    assert str(Metric.parse("ndcg@100")) == "ndcg@100"


@pytest.mark.parametrize(
    ("text", "near"),
    [("ndgc@10", "ndcg"), ("NDCG@10", "ndcg"), ("hitrate@5", "hit_rate"), ("recal@5", "recall")],
)
def test_an_unknown_metric_is_refused_with_the_nearest_known(text, near):
    name = text.partition("@")[0]
    with pytest.raises(ConfigError, match=f"unknown metric '{name}'; the nearest known: {near};"):
        Metric.parse(text)


def test_a_name_like_no_other_is_refused_with_all_known():
    with pytest.raises(ConfigError, match="unknown metric 'xyzzy'; known are recall, full_recall"):
        Metric.parse("xyzzy@10")


@pytest.mark.parametrize(
    "text", ["ndcg", "ndcg@", "ndcg@0", "ndcg@-1", "ndcg@1.5", "@5", "", "a=b"]
)
def test_what_is_not_name_at_k_is_refused(text):
    with pytest.raises(ConfigError, match="is not a metric: expected NAME@K") as refusal:
        Metric.parse(text)
    assert repr(text) in str(refusal.value)


def test_a_list_length_below_one_is_refused():
    with pytest.raises(ConfigError, match="ndcg@0: the list length must be at least 1"):
        Metric("ndcg", 0)


@pytest.mark.parametrize("name", ["coverage", "novelty"])
def test_metrics_that_ignore_hits_cannot_choose_a_model(name):
    with pytest.raises(ConfigError, match=f"{name}@5 cannot choose between models"):
        Metric(name, 5).of_hits_only()
