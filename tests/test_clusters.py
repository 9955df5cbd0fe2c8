"""Clusters are found again, told by what is theirs, and measured as others measure them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from recsys.clusters import (
    comparable_columns,
    describe,
    item_codes,
    log_odds,
    lsa_vectors,
    quality,
    user_codes,
)
from recsys.data.artefact import open_interactions
from recsys.errors import ConfigError
from recsys.index.kmeans import kmeans, mutual_information, silhouette
from recsys.vae.model import without_members


@pytest.fixture(scope="module")
def store(workspace):
    return open_interactions(workspace / "interactions")


@pytest.fixture(scope="module")
def users(trained, store):
    return user_codes("users", trained, store)


@pytest.fixture(scope="module")
def items(trained, store, recommender):
    return item_codes(trained, store, recommender.index.item_directions.vectors.copy())


@pytest.fixture(scope="module")
def blobs():
    """Three tight groups of 10, 20 and 30 points, and which is whose."""
    rng = np.random.default_rng(3)
    groups = np.repeat([0, 1, 2], [10, 20, 30])
    centres = np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9]])
    return (centres[groups] + rng.normal(0, 0.3, (60, 3))).astype(np.float32), groups


def slow_silhouette(points, groups):
    widths = []
    for i, point in enumerate(points):
        distances = [float(np.linalg.norm(point - other)) for other in points]
        mean_to = {
            g: np.mean([d for j, d in enumerate(distances) if groups[j] == g and j != i] or [0])
            for g in set(groups)
        }
        alone = (groups == groups[i]).sum() == 1
        own, other = mean_to.pop(groups[i]), min(mean_to.values())
        widths.append(0 if alone else (other - own) / max(own, other))
    return np.mean(widths)


def test_groups_that_lie_apart_are_found_the_largest_first(blobs):
    points, groups = blobs
    found = kmeans(points, 3, seed=0)
    assert mutual_information(found.assignments, groups) == pytest.approx(1)
    assert np.bincount(found.assignments).tolist() == [30, 20, 10]
    by_hand = np.linalg.norm(points - found.centres[found.assignments], axis=1)
    np.testing.assert_allclose(found.distances, by_hand, rtol=1e-5)
    mean = points[found.assignments == 0].mean(axis=0)
    np.testing.assert_allclose(found.centres[0], mean, rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_clusters(users):
    first, second = (kmeans(users.vectors, 6, seed=5) for _ in range(2))
    assert np.array_equal(first.assignments, second.assignments)
    assert np.array_equal(first.centres, second.centres)


@pytest.mark.parametrize("k", [0, 61])
def test_more_clusters_than_members_are_refused(blobs, k):
    with pytest.raises(ConfigError, match=f"k is {k}, expected from 1 to 60"):
        kmeans(blobs[0], k, seed=0)


def test_the_silhouette_is_what_its_definition_says(blobs):
    points, _ = blobs
    groups = np.arange(60) % 4
    groups[7] = 9  # alone
    expected = slow_silhouette(points, groups)
    assert silhouette(points, groups, seed=0) == pytest.approx(expected, abs=1e-6)
    assert silhouette(points, np.zeros(60, dtype=np.int64), seed=0) == 0


def test_mutual_information_of_a_known_table():
    # Joint shares 3/8, 1/8, 1/8, 3/8: I = log 2 - H(3/4) nats, and each entropy is log 2.
    a, b = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 0, 1, 0, 1, 1, 1])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert mutual_information(a, b) == pytest.approx(1 - entropy / np.log(2))
    assert mutual_information(a, np.zeros(8, dtype=np.int64)) == 0


def test_what_a_cluster_has_and_others_have_not_tells_it(matrix_of):
    everywhere, first, second = np.ones(40), np.repeat([1, 0], 20), np.repeat([0, 1], 20)
    once = np.eye(40)[0] + np.eye(40)[39]
    features = matrix_of(np.stack([everywhere, first, second, once], axis=1))
    odds = log_odds(features, np.repeat([0, 1], 20), 2)
    assert odds[0, 1] == odds[1, 2] > 2
    assert odds[0, 2] == odds[1, 1] < -2
    np.testing.assert_allclose(odds[:, [0, 3]], 0, atol=1e-9)


def test_clusters_of_the_sample_s_films_are_its_genres(items, sample):
    found = kmeans(items.vectors, 4, seed=0)
    names, genres = np.unique(
        [sample.genre_of.get(each, "") for each in items.ids.ids], return_inverse=True
    )
    assert len(names) > 1
    assert mutual_information(found.assignments, genres) > 0.3
    measured = quality(items.vectors, found, items.attributes, seed=0)
    assert measured.nmi["genre"] > 0.3
    told = describe(items, found)
    assert [each.size for each in told] == sorted((each.size for each in told), reverse=True)
    assert sum(each.size for each in told) == len(items)
    assert any(name.startswith("genre: ") for name, _ in told[0].telling)


def test_the_nearest_members_are_members_in_the_order_of_their_distance(users):
    found = kmeans(users.vectors, 5, seed=0)
    for place, cluster in enumerate(describe(users, found, n=4)):
        assert (found.assignments[list(cluster.nearest)] == place).all()
        distances = found.distances[list(cluster.nearest)]
        assert (np.diff(distances) >= 0).all()
        assert distances[0] == found.distances[found.assignments == place].min()


def test_lsa_keeps_the_inner_products_of_a_matrix_of_low_rank(matrix_of):
    rng = np.random.default_rng(0)
    themes = rng.integers(0, 2, (3, 40))
    rows = matrix_of(themes[rng.integers(0, 3, 30)])
    found = lsa_vectors(rows, seed=0, rank=3)
    assert found.shape == (30, 3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    same = (rows.toarray()[:, None] == rows.toarray()[None]).all(axis=2)
    np.testing.assert_allclose((found @ found.T)[same], 1, rtol=1e-4)


def test_columns_that_group_nobody_are_not_compared_with():
    table = pd.DataFrame(
        {"id": list("abcdef"), "one": [""] * 5 + ["x"], "two": [*list("xxyyy"), ""]}
    )
    assert comparable_columns(table) == ["two"]


def test_codes_that_do_not_exist_are_refused(trained, store, split):
    with pytest.raises(ConfigError, match=r"no poems: read some with `recsys ingest --poems`"):
        user_codes("poems", trained, store)
    with pytest.raises(ConfigError, match="a model of neighbours alone has none"):
        user_codes("users", without_members(split.train), store)


def test_items_of_which_nothing_is_known_are_told_by_nothing(trained, store, recommender):
    bare = dataclasses.replace(store, item_table=store.item_table[["item_id", "title"]])
    codes = item_codes(trained, bare, recommender.index.item_directions.vectors.copy())
    found = kmeans(codes.vectors, 3, seed=0)
    assert all(each.telling == () for each in describe(codes, found))
    assert quality(codes.vectors, found, codes.attributes, seed=0).nmi == {}


def test_what_chance_agrees_on_stands_beside_the_agreement(blobs):
    vectors, _ = blobs
    found = kmeans(vectors, 3, seed=0)
    rng = np.random.default_rng(0)
    names = rng.integers(len(vectors) // 3, size=len(vectors)).astype(str)  # many, and of no use
    measured = quality(vectors, found, pd.DataFrame({"name": names}), seed=0)
    assert measured.nmi["name"] > 0.1
    assert measured.nmi_by_chance["name"] == pytest.approx(measured.nmi["name"], abs=0.03)


def test_one_row_has_its_own_features_for_latent_semantics():
    vectors = lsa_vectors(csr_array(np.array([[1.0, 2.0, 0.0]])), seed=0)
    assert vectors.shape == (1, 3)
    assert np.linalg.norm(vectors) == pytest.approx(1)
