"""recsys cluster: what it prints, and the table of everybody's cluster."""

import csv

import pyarrow.parquet as pq
import pytest


def test_a_clustering_has_the_fixed_shape(cli, made):
    (record,) = cli("cluster", "--on", "users", "-k", "4", workspace=made).records
    assert list(record) == ["on", "n", "k", "seed", "quality", "clusters"]
    assert [each["cluster"] for each in record["clusters"]] == [1, 2, 3, 4]
    assert sum(each["size"] for each in record["clusters"]) == record["n"]
    first = record["clusters"][0]
    assert list(first) == ["cluster", "size", "telling", "nearest"]
    assert all(isinstance(each["id"], str) for each in first["nearest"])
    assert list(record["quality"]) == ["vae", "lsa-50"]


def test_items_are_compared_with_the_columns_of_their_table(cli, made):
    (record,) = cli("cluster", "--on", "items", "-k", "4", workspace=made).records
    for each in record["quality"].values():
        assert -1 <= each["silhouette"] <= 1
        assert 0 <= each["nmi"]["genre"] <= 1


def test_the_same_seed_prints_the_same(cli, made):
    words = ("cluster", "--on", "users", "-k", "5", "--seed", "7")
    assert cli(*words, workspace=made).out == cli(*words, workspace=made).out


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_everybody_is_in_the_table(cli, made, tmp_path, suffix):
    path = tmp_path / f"clusters.{suffix}"
    result = cli("cluster", "--on", "items", "-k", "3", "--output", path, workspace=made)
    (record,) = result.records
    if suffix == "csv":
        with open(path, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    else:
        rows = pq.read_table(path).to_pylist()
    assert list(rows[0])[:4] == ["item", "title", "cluster", "distance"]
    assert "genre" in rows[0]
    assert len(rows) == record["n"] == len({each["item"] for each in rows})
    sizes = [sum(int(each["cluster"]) == number for each in rows) for number in (1, 2, 3)]
    assert sizes == [each["size"] for each in record["clusters"]]


def test_the_table_on_a_terminal_names_both_codes(cli, made):
    out = cli("cluster", "--on", "items", "-k", "3", "--format", "table", workspace=made).out
    assert "in 3 clusters" in out
    assert "NMI genre" in out
    assert "lsa-50" in out


def test_csv_has_a_row_a_cluster(cli, made):
    out = cli("cluster", "--on", "users", "-k", "3", "--format", "csv", workspace=made).out
    assert out.startswith("cluster,size,telling,nearest\n1,")
    assert len(out.splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--on", "poems"), 2, "no poems: read some with `recsys ingest --poems`"),
        (("--on", "users", "-k", "0"), 2, "k is 0, expected from 1 to"),
        (("--on", "users", "--output", "x.txt"), 2, "the suffix names no format"),
    ],
)
def test_what_cannot_be_clustered_is_refused_in_one_line(cli, made, words, code, said):
    result = cli("cluster", *words, workspace=made)
    assert result.code == code
    assert said in result.complaint


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_range_is_a_usage_error(cli, made, seed):
    result = cli("cluster", "--on", "items", "--seed", seed, workspace=made)
    assert result.code == 2
    assert "Invalid value for '--seed'" in result.err
    assert "Traceback" not in result.err
