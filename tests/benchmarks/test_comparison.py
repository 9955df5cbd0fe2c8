import numpy as np
import pytest
from comparison import best_peer, measure, pool, seed_name, to_markdown, verdict

from recsys.evaluation.report import Difference, Estimate, Evaluation


def fold(**values):
    by_user = {
        name.replace("_", ", seed "): {"ndcg@100": np.array(v)} for name, v in values.items()
    }
    return Evaluation("test", 2, by_user, {})


@pytest.fixture
def pooled():
    folds = [
        fold(recsys_1=[0.2, 0.4], recsys_2=[0.4, 0.8], ease=[0.1, 0.5], als=[0.3, 0.3]),
        fold(recsys_1=[0.6, 0.0], recsys_2=[0.6, 0.2], ease=[0.5, 0.1], als=[0.0, 0.0]),
    ]
    return pool(folds, [1, 2])


def test_models_of_two_seeds_are_measured_beside_a_peer_on_the_same_users(workspace, split):
    found = measure({1: workspace, 2: workspace}, ["popularity"], ["recall@5", "ndcg@10"])
    assert found.evaluation.n_users == split.test.fold_in.n_users
    values = {name: found.evaluation.mean(name, "ndcg@10") for name in found.evaluation.models()}
    assert list(values) == ["recsys, seed 1", "recsys, seed 2", "popularity"]
    assert values["recsys, seed 1"] == values["recsys, seed 2"] > values["popularity"]
    assert [each.peer for each in found.fits] == ["popularity"]


def test_folds_are_pooled_and_seeds_averaged_user_by_user(pooled):
    assert pooled.models() == ["recsys", "recsys, seed 1", "recsys, seed 2", "ease", "als"]
    assert pooled.n_users == 4
    values = pooled.by_user["recsys"]["ndcg@100"]
    np.testing.assert_allclose(values, [0.3, 0.6, 0.6, 0.1])
    assert pooled.difference("recsys", "ease", "ndcg@100").estimate.mean == pytest.approx(0.1)


def test_one_seed_is_the_product_itself():
    pooled = pool([fold(recsys_7=[0.2, 0.4], ease=[0.1, 0.1])], [7])
    assert pooled.models() == ["recsys", "ease"]
    assert seed_name(7) == "recsys, seed 7"


def test_the_best_peer_is_named(pooled):
    assert best_peer(pooled, ["als", "ease"], "ndcg@100") == "ease"


def test_the_table_has_a_row_a_model_and_a_row_a_difference(pooled):
    lines = to_markdown(pooled, ["ease", "als"]).splitlines()
    assert lines[:2] == ["| model | ndcg@100 |", "| --- | --- |"]
    assert len(lines) == 2 + 5 + 2
    assert lines[-2].startswith("| recsys - ease | +0.1000 [-0.0")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.03, "+0.0200 [+0.0100, +0.0300]: above 0 with"),
        (-0.01, 0.05, "the upper bound is above 0"),
        (-0.05, -0.01, "BELOW 0"),
    ],
)
def test_the_verdict_is_what_the_interval_allows(low, high, said):
    estimate = Estimate((low + high) / 2, low, high)
    assert said in verdict(Difference("recsys", "ease", "ndcg@100", estimate))
