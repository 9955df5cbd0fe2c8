"""recsys evaluate: on whom, beside what, and when it refuses."""

import json
import shutil

import pytest


def evaluate(cli, workspace, *words):
    return cli("evaluate", *words, workspace=workspace)


def test_the_report_has_the_fixed_shape(cli, made, tmp_path):
    words = ("--metrics", "ndcg@10,recall@5", "--report", tmp_path / "report.json")
    result = evaluate(cli, made, *words)
    (record,) = result.records
    assert list(record) == ["on", "n_users", "models", "differences"]
    assert (record["on"], record["n_users"]) == ("test", 60)
    assert list(record["models"]) == ["fused", "vae", "neighbours", "popularity", "ease"]
    for measured in record["models"].values():
        assert set(measured) == {"ndcg@10", "recall@5"}
        for value in measured.values():
            assert set(value) == {"mean", "low", "high"}
            assert value["low"] <= value["mean"] <= value["high"]
    first = record["differences"][0]
    assert set(first) == {"a", "b", "metric", "mean", "low", "high"}
    means = {name: each["ndcg@10"]["mean"] for name, each in record["models"].items()}
    assert first["mean"] == pytest.approx(means[first["a"]] - means[first["b"]], abs=1e-12)
    assert json.loads((tmp_path / "report.json").read_text()) == record


def test_what_rules_cost_and_buy_stands_beside_the_model(cli, made):
    rules = ("--at-most", "1:genre", "--diversity", "0.5")
    (record,) = evaluate(cli, made, "--metrics", "ndcg@10", *rules).records
    assert list(record["models"])[:3] == ["fused", "fused under rules", "vae"]
    plain, ruled = (record["models"][each] for each in ("fused", "fused under rules"))
    assert ruled["ndcg@10"]["mean"] < plain["ndcg@10"]["mean"]
    assert set(plain) == {"ndcg@10", "coverage@10"}
    cost = record["differences"][0]
    assert (cost["a"], cost["b"], cost["metric"]) == ("fused", "fused under rules", "ndcg@10")


def test_csv_and_json_tell_the_same(cli, made):
    (record,) = evaluate(cli, made, "--metrics", "ndcg@10").records
    assert json.loads(evaluate(cli, made, "--metrics", "ndcg@10", "--format", "json").out) == record
    header, *rows = evaluate(cli, made, "--metrics", "ndcg@10", "--format", "csv").out.splitlines()
    assert header == "model,metric,mean,low,high"
    assert [row.split(",")[0] for row in rows] == list(record["models"])


def test_every_metric_of_the_default_is_measured(cli, made):
    (record,) = evaluate(cli, made, "--on", "validation").records
    assert (record["on"], record["n_users"]) == ("validation", 30)
    names = {name.split("@")[0] for name in record["models"]["vae"]}
    assert names == {
        *("recall", "full_recall", "precision", "ndcg", "map"),
        *("hit_rate", "mrr", "coverage", "novelty"),
    }


def test_without_test_users_it_says_how_to_get_some(cli, changeable, tiny_flags):
    assert cli("train", *tiny_flags, workspace=changeable).code == 0
    result = evaluate(cli, changeable, "--on", "test")
    assert result.code == 2
    assert "the model's split has no test users; train again with" in result.complaint
    assert "`recsys train --test-size N`" in result.complaint
    (record,) = evaluate(cli, changeable, "--metrics", "ndcg@10").records
    assert record["on"] == "validation"


def test_another_split_than_the_trained_is_refused(cli, made, tmp_path):
    assert evaluate(cli, made, "--split", "strong", "--metrics", "ndcg@5").code == 0
    for asked in ("weak", tmp_path / "split.csv"):
        result = evaluate(cli, made, "--split", asked)
        assert result.code == 2
        assert f"the model was trained with --split strong, not {asked}" in result.complaint


@pytest.mark.parametrize(
    ("threshold", "code", "message"),
    [
        ("ndcg@10=0", 0, "ndcg@10 of fused is 0."),
        ("ndcg@10=0.99", 1, "below 0.99"),
        ("recall@7=-1", 0, "at least -1"),
        ("ndcg@10", 2, "'ndcg@10' is not a threshold: expected METRIC=VALUE"),
        ("ndcg@10=much", 2, "expected a finite number behind the '=', found 'much'"),
        ("ndgc@10=0.4", 2, "ndcg"),
    ],
)
def test_fail_under_passes_fails_or_is_refused(cli, made, threshold, code, message):
    result = evaluate(cli, made, "--metrics", "ndcg@10", "--fail-under", threshold)
    assert result.code == code
    assert message in result.err
    assert bool(result.out) == (code < 2)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [("ndgc@10", "ndcg"), ("ndcg@0", "ndcg@0"), ("ndcg", "ndcg"), ("ndcg@ten", "ndcg@ten")],
)
def test_an_unknown_metric_is_refused_and_the_nearest_named(cli, made, metrics, message):
    result = evaluate(cli, made, "--metrics", metrics)
    assert result.code == 2
    assert message in result.complaint


def test_ease_is_fitted_once_and_left_out_on_request(cli, changeable):
    shutil.rmtree(changeable / "cache", ignore_errors=True)
    first = evaluate(cli, changeable, "--metrics", "ndcg@10")
    second = evaluate(cli, changeable, "--metrics", "ndcg@10")
    assert "fitting EASE" in first.err
    assert second.err == ""
    assert first.out == second.out
    (record,) = evaluate(cli, changeable, "--metrics", "ndcg@10", "--without-ease").records
    assert list(record["models"]) == ["fused", "vae", "neighbours", "popularity"]


def test_ease_is_fitted_again_for_another_split(cli, changeable, tiny_flags):
    evaluate(cli, changeable, "--metrics", "ndcg@10")
    assert cli("train", *tiny_flags, "--split-seed", "1", workspace=changeable).code == 0
    assert "fitting EASE" in evaluate(cli, changeable, "--metrics", "ndcg@10").err


def test_a_large_catalogue_leaves_ease_out_and_says_so(cli, changeable, monkeypatch):
    monkeypatch.setattr("recsys.pipelines.evaluate.EASE_LIMIT", 100)
    result = evaluate(cli, changeable, "--metrics", "ndcg@10")
    assert list(result.records[0]["models"]) == ["fused", "vae", "neighbours", "popularity"]
    left_out = "EASE was left out: 240 items are more than 100 (--with-ease)"
    assert result.records[0]["notes"] == [left_out]
    as_table = evaluate(cli, changeable, "--metrics", "ndcg@10", "--format", "table")
    assert left_out in as_table.out
    result = evaluate(cli, changeable, "--metrics", "ndcg@10", "--with-ease")
    assert "ease" in result.records[0]["models"]


def test_a_damaged_cache_of_ease_is_told_and_made_again(cli, changeable, damage):
    clean = evaluate(cli, changeable, "--metrics", "ndcg@10")
    for name in ("weights.npy", "ease.json", "manifest.json"):
        damage(changeable / "cache" / "ease" / name)
        again = evaluate(cli, changeable, "--metrics", "ndcg@10")
        assert (again.code, again.out) == (0, clean.out)
        assert f"{name} is damaged" in again.err
        assert "EASE is fitted again" in again.err


def test_the_table_holds_models_metrics_and_differences(cli, made):
    out = evaluate(cli, made, "--metrics", "ndcg@10", "--format", "table").out
    models = ("fused", "vae", "neighbours", "popularity", "ease")
    for word in ("Mean over 60 test users", *models, "Paired differences"):
        assert word in out


def test_figures_of_validation_users_say_that_they_flatter(cli, changeable, tiny_flags):
    words = ("--metrics", "ndcg@10", "--without-ease", "--on", "validation")
    said = "chosen on these users, so the figures flatter the model; test users report"
    (record,) = evaluate(cli, changeable, *words).records
    assert record["notes"] == [f"the epoch and tau were {said}"]
    flat = " ".join(evaluate(cli, changeable, *words, "--format", "table").out.split())
    assert f"the epoch and tau were {said}" in flat
    assert cli("train", *tiny_flags, "-S", "model.kind=vae", workspace=changeable).code == 0
    (record,) = evaluate(cli, changeable, *words).records
    assert record["notes"] == [f"the epoch was {said}"]


def test_test_users_carry_no_such_note(cli, made):
    (record,) = evaluate(cli, made, "--metrics", "ndcg@10", "--without-ease").records
    assert "notes" not in record


def test_who_has_no_history_gets_what_is_popular_from_every_model(cli, ingested, tiny_flags):
    rows = [f"u{user},i{user * step % 7},{user}" for user in range(1, 41) for step in (1, 2, 3)]
    late = [f"new{user},i{user % 7},{100 + user}" for user in range(12)]
    root = ingested("user_id,item_id,timestamp\n" + "\n".join([*rows, *late]) + "\n")
    words = ("train", "--split", "time", *tiny_flags, "--validation-size", "0.1")
    result = cli(*words, "--test-size", "0.09", workspace=root)
    assert result.code == 0, result.err
    (record,) = evaluate(cli, root, "--metrics", "ndcg@5").records
    assert record["notes"][0].endswith("have no history: every model ranks by popularity for them")
    figures = {name: each["ndcg@5"]["mean"] for name, each in record["models"].items()}
    assert set(figures) == {"fused", "vae", "neighbours", "popularity", "ease"}
    assert len(set(figures.values())) == 1, figures


def test_fail_under_is_of_the_model_under_the_rules(cli, made):
    words = ("--without-ease", "--metrics", "ndcg@10", "--at-most", "1:genre")
    models = evaluate(cli, made, *words).records[0]["models"]
    plain, ruled = (models[each]["ndcg@10"]["mean"] for each in ("fused", "fused under rules"))
    assert ruled < plain
    between = f"ndcg@10={(plain + ruled) / 2:.12g}"
    result = evaluate(cli, made, *words, "--fail-under", between)
    assert (result.code, "of fused under rules is" in result.err) == (1, True)


def test_a_metrics_name_is_never_broken_in_two(cli, made, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    table = evaluate(cli, made, "--metrics", "full_recall@20,precision@10", "--format", "table").out
    assert "full_recall@20 " in table
    assert "precision@10 " in table
