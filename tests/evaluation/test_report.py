import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsys.errors import ConfigError
from recsys.evaluation.report import (
    Estimate,
    Evaluation,
    Threshold,
    check_threshold,
    estimate_mean,
)
from recsys.metrics import Metric

VAE = np.array([0.5, 0.25, 0.75, 0.5])
POPULARITY = np.array([0.25, 0.25, 0.25, 0.5])


@pytest.fixture
def report() -> Evaluation:
    return Evaluation(
        on="test",
        n_users=4,
        by_user={"vae": {"ndcg@100": VAE}, "popularity": {"ndcg@100": POPULARITY}},
        overall={"vae": {"coverage@20": 0.75}, "popularity": {"coverage@20": 0.25}},
    )


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_intervals_are_student_t_of_the_mean(values):
    found = estimate_mean(np.array(values))
    error = stats.sem(values)
    low, high = stats.t.interval(0.95, len(values) - 1) * np.array(error) + np.mean(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_intervals_hold_the_true_mean_19_times_in_20():
    rng = np.random.default_rng(0)
    estimates = [estimate_mean(rng.normal(size=8)) for _ in range(2000)]
    assert np.mean([each.low < 0 < each.high for each in estimates]) == pytest.approx(
        0.95, abs=0.02
    )


def test_one_user_has_no_interval():
    assert estimate_mean(np.array([0.25])) == Estimate(0.25, None, None)


def test_equal_users_have_an_interval_of_no_width():
    assert estimate_mean(np.full(5, 0.25)) == Estimate(0.25, 0.25, 0.25)


def test_differences_are_paired_user_by_user(report):
    [ndcg, coverage] = report.differences()
    assert (ndcg.a, ndcg.b, ndcg.metric) == ("vae", "popularity", "ndcg@100")
    assert ndcg.estimate == estimate_mean(VAE - POPULARITY)
    assert coverage.estimate == Estimate(0.5, None, None)


def test_a_constant_gain_is_certain_however_much_users_differ():
    rng = np.random.default_rng(0)
    base = rng.random(100)
    report = Evaluation(
        "test", 100, {"a": {"ndcg@5": base + 0.125}, "b": {"ndcg@5": base}}, {"a": {}, "b": {}}
    )
    [difference] = report.differences()
    assert difference.estimate.low == pytest.approx(0.125)
    assert difference.estimate.high == pytest.approx(0.125)


def test_the_first_model_is_compared_with_each_other_one():
    values = {"ndcg@5": np.array([0.5, 1.0])}
    report = Evaluation("test", 2, {"a": values, "b": values, "c": values}, {})
    assert [(each.a, each.b) for each in report.differences()] == [("a", "b"), ("a", "c")]


def test_json_has_exactly_the_promised_shape(report):
    written = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert list(written) == ["on", "n_users", "models", "differences"]
    assert (written["on"], written["n_users"]) == ("test", 4)
    assert list(written["models"]) == ["vae", "popularity"]
    vae = written["models"]["vae"]
    assert list(vae) == ["ndcg@100", "coverage@20"]
    assert list(vae["ndcg@100"]) == ["mean", "low", "high"]
    assert vae["ndcg@100"]["mean"] == 0.5
    assert vae["ndcg@100"]["low"] < 0.5 < vae["ndcg@100"]["high"]
    assert vae["coverage@20"] == {"mean": 0.75, "low": None, "high": None}
    assert list(written["differences"][0]) == ["a", "b", "metric", "mean", "low", "high"]
    assert written["differences"][1] == {
        "a": "vae",
        "b": "popularity",
        "metric": "coverage@20",
        "mean": 0.5,
        "low": None,
        "high": None,
    }


def test_means_are_found_by_metric_or_by_its_name(report):
    assert report.mean("vae", "ndcg@100") == report.mean("vae", Metric("ndcg", 100)) == 0.5
    assert report.mean("vae", "coverage@20") == 0.75


def test_an_unmeasured_metric_is_refused(report):
    message = "ndcg@5 of vae is not in this report; it has ndcg@100, coverage@20: ask for it among"
    with pytest.raises(ConfigError, match=re.escape(message)):
        report.mean("vae", "ndcg@5")


def test_an_unmeasured_model_is_refused(report):
    with pytest.raises(ConfigError, match="model 'ease' is not in this report; it has vae, popul"):
        report.mean("ease", "ndcg@100")


def test_the_table_has_a_row_a_metric_and_a_column_a_model(report):
    table = report.table()
    assert table.header == ("metric", "vae", "popularity")
    half = estimate_mean(VAE).high - 0.5
    assert table.rows[0][:2] == ("ndcg@100", f"0.5000 ±{half:.4f}")
    assert table.rows[1] == ("coverage@20", "0.7500", "0.2500")


def test_the_difference_table_has_a_column_a_comparison(report):
    table = report.difference_table()
    assert table.header == ("metric", "vae - popularity")
    assert table.rows[1] == ("coverage@20", "0.5000")


def test_a_metric_that_one_model_lacks_is_an_empty_cell_and_no_difference():
    by_user = {"a": {"ndcg@5": VAE, "rmse": VAE}, "b": {"ndcg@5": POPULARITY}, "c": {"rmse": VAE}}
    report = Evaluation("test", 4, by_user, {})
    found = [(each.b, each.metric) for each in report.differences()]
    assert found == [("b", "ndcg@5"), ("c", "rmse")]
    assert [row[0] for row in report.table().rows] == ["ndcg@5", "rmse"]
    assert report.table().rows[1][2] == ""
    assert report.difference_table().rows[0][2] == ""


def test_one_model_alone_has_no_differences():
    report = Evaluation("test", 4, {"a": {"ndcg@5": VAE}}, {})
    assert report.differences() == []
    assert report.difference_table().header == ("metric",)
    assert report.difference_table().rows == ()


@pytest.mark.parametrize(("floor", "holds"), [("0.40", True), ("0.5", True), ("0.51", False)])
def test_a_threshold_holds_from_its_floor_on(report, floor, holds):
    check = check_threshold(report, "vae", f"ndcg@100={floor}")
    assert check.holds is holds
    assert check.measured == 0.5


def test_a_threshold_check_says_what_was_measured(report):
    assert str(check_threshold(report, "vae", "ndcg@100=0.6")) == (
        "ndcg@100 of vae is 0.5, below 0.6"
    )
    assert str(check_threshold(report, "vae", Threshold(Metric("ndcg", 100), 0.25))) == (
        "ndcg@100 of vae is 0.5, at least 0.25"
    )


def test_a_threshold_is_parsed_from_what_it_writes():
    threshold = Threshold.parse("ndcg@100=0.40")
    assert threshold == Threshold(Metric("ndcg", 100), 0.4)
    assert Threshold.parse(str(threshold)) == threshold


def test_a_threshold_without_a_value_is_refused():
    with pytest.raises(ConfigError, match="'ndcg@100' is not a threshold: expected METRIC=VALUE"):
        Threshold.parse("ndcg@100")


@pytest.mark.parametrize("value", ["", "high", "nan", "inf", "0.4.1", "0.4=0.5"])
def test_a_threshold_whose_value_is_no_number_is_refused(value):
    message = f"expected a finite number behind the '=', found '{value}'"
    with pytest.raises(ConfigError, match=re.escape(message)):
        Threshold.parse(f"ndcg@100={value}")


def test_a_threshold_of_an_unknown_metric_is_refused():
    with pytest.raises(ConfigError, match="unknown metric 'ndgc'; the nearest known: ndcg"):
        Threshold.parse("ndgc@100=0.4")


def test_a_threshold_of_an_unmeasured_metric_is_refused(report):
    with pytest.raises(ConfigError, match="recall@20 of vae is not in this report"):
        check_threshold(report, "vae", "recall@20=0.4")
