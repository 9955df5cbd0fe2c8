"""Quick indexes: what they find is ranked exactly, and what they miss is measured."""

import faiss
import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.errors import ArtefactError
from recsys.index import quick as module
from recsys.index.exact import exact_search
from recsys.index.files import write_index
from recsys.index.item_index import ItemIndex
from recsys.index.quick import QuickIndex, choose_index, rank_again


def clustered(n, dim=16, seed=0):
    """Vectors in 40 clusters, with a popularity-like last dimension, as decoder rows are."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, dim))
    vectors = centres[rng.integers(40, size=n)] + 0.3 * rng.standard_normal((n, dim))
    vectors[:, -1] = rng.exponential(size=n)
    return vectors.astype(np.float32)


@pytest.fixture(scope="module")
def vectors():
    return clustered(6_000)


@pytest.fixture(scope="module")
def queries():
    return clustered(200, seed=1)


@pytest.fixture(scope="module")
def chosen(vectors, queries):
    return choose_index(vectors, queries, "cells", 0.95)


def test_few_vectors_are_all_looked_at(vectors, queries):
    quick, measured = choose_index(vectors, queries)
    assert quick is None
    assert (measured.kind, measured.recall) == ("exact", 1.0)
    assert "6,000 vectors are few enough" in measured.reason
    assert measured.median_ms > 0


def test_cells_are_tuned_to_the_recall_that_is_asked_for(chosen, vectors, queries):
    quick, measured = chosen
    assert measured.kind == "cells"
    assert measured.recall >= 0.95
    assert 0 < quick.n_probed < quick.n_cells
    best = exact_search(vectors, queries[1::2], 100).positions
    index = ItemIndex(ItemIndex.of(vectors).faiss_index, quick)
    found = [index.search(each[None], 100).positions[0] for each in queries[1::2]]
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(best, found, strict=True)])
    assert recall == pytest.approx(measured.recall)


def test_more_recall_looks_into_more_cells(vectors, queries):
    tuned = [choose_index(vectors, queries, "cells", each)[0].n_probed for each in (0.5, 0.99)]
    assert tuned[0] < tuned[1]


def test_where_cells_do_not_reach_the_recall_every_vector_is_looked_at(
    vectors, queries, monkeypatch
):
    monkeypatch.setattr(module, "_probes", lambda index: iter([1]))
    quick, measured = choose_index(vectors, queries, "cells", 0.999)
    assert quick is None
    assert measured.kind == "exact"
    assert "do not reach a recall of 0.999" in measured.reason


def test_not_asked_for_a_kind_float16_is_tried_before_every_vector_is_looked_at(
    vectors, queries, monkeypatch
):
    monkeypatch.setattr(module, "EXACT_UP_TO", 100)
    monkeypatch.setattr(module, "_probes", lambda index: iter([1 if index.n_probed else 0]))
    quick, measured = choose_index(vectors, queries, "auto", 0.97)
    assert (measured.kind, quick.n_cells) == ("float16", 0)
    assert measured.reason == "cells do not reach a recall of 0.97 on these queries"
    monkeypatch.setattr(module, "_measure", lambda *_: (0.5, 1.0, 2.0))
    quick, measured = choose_index(vectors, queries, "auto", 0.97)
    assert (quick, measured.kind) == (None, "exact")
    assert measured.reason.startswith("cells and float16 do not reach a recall of 0.97")


def test_what_other_queries_do_not_confirm_is_not_taken(vectors, queries, monkeypatch):
    tried = []

    def measure(quick, *_):
        tried.append((quick.n_probed, quick.depth))
        return 0.954 if len(tried) < 9 else 0.956, 1.0, 2.0

    monkeypatch.setattr(module, "_measure", measure)
    quick, measured = choose_index(vectors, queries, "cells", 0.95)
    assert tried == sorted(set(tried))
    assert tried[-1] == (quick.n_probed, quick.depth) > tried[0]
    assert (len(tried), measured.recall) == (9, 0.956)


def test_what_other_queries_never_confirm_is_given_up(vectors, queries, monkeypatch):
    monkeypatch.setattr(module, "_measure", lambda *_: (0.954, 1.0, 2.0))
    quick, measured = choose_index(vectors, queries, "cells", 0.95)
    assert quick is None
    assert "do not reach a recall of 0.95" in measured.reason


def test_a_busy_machine_changes_nothing_but_the_times(vectors, queries, monkeypatch):
    monkeypatch.setattr(module, "EXACT_UP_TO", 100)
    idle, _ = choose_index(vectors, queries, "auto", 0.9)
    measure = module._measure
    monkeypatch.setattr(module, "_measure", lambda *args: (measure(*args)[0], 1e9, 1e9))
    busy, measured = choose_index(vectors, queries, "auto", 0.9)
    assert measured.median_ms == 1e9
    assert (busy.n_probed, busy.depth) == (idle.n_probed, idle.depth)


def test_without_users_there_is_nothing_to_tune_by(vectors, monkeypatch):
    monkeypatch.setattr(module, "EXACT_UP_TO", 100)
    quick, measured = choose_index(vectors, vectors[:0])
    assert quick is None
    assert "no users" in measured.reason


def test_half_precision_finds_nearly_all(vectors, queries):
    quick, measured = choose_index(vectors, queries, "float16")
    assert measured.kind == "float16"
    assert measured.recall >= 0.999
    assert quick.n_probed == 0


def test_scores_are_exact_and_ties_go_to_the_lower_position(chosen, vectors, queries):
    twice = np.concatenate([vectors, vectors[:50]])
    quick, _ = choose_index(twice, queries, "cells", 0.99)
    index = ItemIndex(ItemIndex.of(twice).faiss_index, quick)
    for query in queries[:20]:
        found = index.search(query[None], 60)
        np.testing.assert_allclose(found.scores[0], twice[found.positions[0]] @ query, rtol=1e-5)
        pairs = list(zip(-found.scores[0], found.positions[0], strict=True))
        assert pairs == sorted(pairs)


@pytest.mark.parametrize("n_allowed", [1, 30, 59, 61, 500, 5_000])
def test_n_asked_is_n_given_under_any_rule(chosen, vectors, queries, n_allowed):
    index = ItemIndex(ItemIndex.of(vectors).faiss_index, chosen[0])
    allowed = np.zeros(len(vectors), dtype=bool)
    allowed[np.random.default_rng(n_allowed).choice(len(vectors), n_allowed, replace=False)] = True
    for query in queries[:10]:
        found = index.search(query[None], 50, allowed=allowed).positions[0]
        given = found[found >= 0]
        assert len(given) == min(50, n_allowed)
        assert allowed[given].all()
        if n_allowed <= 60:  # a hundredth of the vectors: every one of them is looked at
            expected = exact_search(vectors, query[None], 50, allowed=allowed).positions[0]
            np.testing.assert_array_equal(found, expected)


def test_what_was_seen_is_left_out_and_the_sparse_term_is_exact(chosen, vectors, queries):
    index = ItemIndex(ItemIndex.of(vectors).faiss_index, chosen[0])
    rng = np.random.default_rng(3)
    columns = np.sort(rng.choice(len(vectors), 80, replace=False))
    added = csr_array((np.full(40, 50, np.float32), ([0] * 40, columns[:40])), shape=(1, 6_000))
    seen = csr_array((np.ones(40, np.float32), ([0] * 40, columns[40:])), shape=(1, 6_000))
    found = index.search(queries[:1], 50, added=added, excluded=seen)
    assert set(columns[:40]) <= set(found.positions[0])
    assert not set(columns[40:]) & set(found.positions[0])


@pytest.mark.parametrize(("n_support", "is_quick"), [(600, True), (601, False)])
def test_a_support_above_a_tenth_is_searched_by_brute_force(
    chosen, vectors, queries, monkeypatch, n_support, is_quick
):
    called = []
    original = ItemIndex._search_quick
    monkeypatch.setattr(
        ItemIndex, "_search_quick", lambda *each: called.append(1) or original(*each)
    )
    rng = np.random.default_rng(0)
    columns = np.sort(rng.permutation(6_000)[:n_support])
    values = rng.integers(-3, 4, n_support).astype(np.float32)
    added = csr_array((values, columns, [0, n_support]), shape=(1, 6_000))
    whole, query = np.rint(vectors), np.rint(queries[:1])  # their products have no rounding
    found = ItemIndex(ItemIndex.of(whole).faiss_index, chosen[0]).search(query, 6_000, added=added)
    expected = exact_search(whole, query, 6_000, added=added)
    np.testing.assert_array_equal(found.positions, expected.positions)
    assert bool(called) == is_quick


def test_an_index_comes_back_from_its_file(chosen, vectors, queries, tmp_path):
    quick, _ = chosen
    quick.save(tmp_path / "quick.faiss")
    again = QuickIndex.load(tmp_path / "quick.faiss", quick.n_probed, quick.depth)
    for query in queries[:10]:
        np.testing.assert_array_equal(
            again.candidates(query[None], 20), quick.candidates(query[None], 20)
        )


def spread_out(vectors, dim=48):
    """The same in more dimensions, of which the others hold hardly anything."""
    rotation = np.linalg.qr(np.random.default_rng(5).standard_normal((dim, dim)))[0]
    noise = 0.05 * np.random.default_rng(len(vectors)).standard_normal((len(vectors), dim))
    return (vectors @ rotation[: vectors.shape[1]] + noise).astype(np.float32)


def test_cells_hold_the_directions_that_matter(vectors, queries, tmp_path):
    vectors, queries = spread_out(vectors), spread_out(queries)
    quick, measured = choose_index(vectors, queries, "cells", 0.95)
    assert measured.kind == "cells"
    assert measured.recall >= 0.95
    cells = faiss.extract_index_ivf(quick.faiss_index)
    assert cells.d <= 16 < quick.faiss_index.d == 48
    quick.save(tmp_path / "quick.faiss")
    again = QuickIndex.load(tmp_path / "quick.faiss", quick.n_probed, quick.depth)
    assert again.n_cells == quick.n_cells
    permitted = np.arange(len(vectors)) % 3 == 0
    for query in queries[:10]:
        found = again.candidates(query[None], 20, permitted)
        np.testing.assert_array_equal(found, quick.candidates(query[None], 20, permitted))
        assert permitted[found].all()


def test_a_transform_of_another_index_is_refused(tmp_path):
    transform = faiss.LinearTransform(4, 2, False)
    faiss.copy_array_to_vector(np.zeros(8, dtype=np.float32), transform.A)
    transform.is_trained = True
    flat = faiss.IndexPreTransform(transform, faiss.IndexFlatIP(2))
    write_index(flat, tmp_path / "flat.faiss")
    with pytest.raises(ArtefactError, match="holds a IndexFlatIP, expected a quick index"):
        QuickIndex.load(tmp_path / "flat.faiss", 1, 1)


def test_another_kind_of_file_is_refused(vectors, tmp_path):
    ItemIndex.of(vectors).save(tmp_path / "flat.faiss")
    with pytest.raises(ArtefactError, match="expected a quick index"):
        QuickIndex.load(tmp_path / "flat.faiss", 1, 1)


def test_candidates_are_ranked_by_their_exact_scores():
    vectors = np.array([[1.0], [3.0], [3.0], [2.0]], dtype=np.float32)
    positions, scores = rank_again(np.array([3, 2, 1]), vectors, np.ones(1, np.float32), 2)
    assert (positions.tolist(), scores.tolist()) == ([1, 2], [3.0, 3.0])


@pytest.mark.parametrize("k", [1, 5, 10])
def test_short_lists_have_the_recall_of_long_ones(vectors, queries, k):
    quick, _ = choose_index(vectors, queries, "cells", 0.99)
    index = ItemIndex(ItemIndex.of(vectors).faiss_index, quick)
    best = exact_search(vectors, queries, k).positions
    found = [index.search(each[None], k).positions[0] for each in queries]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(best, found, strict=True)]) >= 0.99
    among = quick.candidates(queries[:1], k)
    assert len(among) == quick.depth * 100
