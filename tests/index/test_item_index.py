import tracemalloc

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from recsys.errors import ArtefactError
from recsys.index import item_index as module
from recsys.index import leading
from recsys.index.exact import exact_search
from recsys.index.item_index import ItemIndex, unit_vectors


def slow_search(vectors, queries, k, excluded=None, allowed=None):
    """One query and one vector at a time, in float64; best first, ties by position."""
    rows = []
    for row, query in enumerate(queries):
        scored = []
        for position, vector in enumerate(vectors):
            if excluded is not None and position in set(excluded[[row]].indices):
                continue
            if allowed is not None and not allowed[position]:
                continue
            scored.append((-float(query.astype(float) @ vector.astype(float)), position))
        best = [position for _, position in sorted(scored)][:k]
        rows.append(best + [-1] * (k - len(best)))
    return np.array(rows, dtype=np.int64).reshape(len(queries), k)


def one_by_one(index, queries, k, excluded=None, allowed=None):
    """Search with one query at a time."""
    return [
        index.search(
            queries[row : row + 1],
            k,
            excluded=None if excluded is None else excluded[[row]],
            allowed=allowed,
        )
        for row in range(len(queries))
    ]


def narrow_heads(patch):
    """Look at leading directions first, at few of them, however small and round the data are."""
    patch.setattr(module, "LEAST_FOR_LEADING", 0)
    patch.setattr(module, "MOST_OF_A_LIST", np.inf)
    patch.setattr(leading, "WIDEST_HEAD", 2.0)
    patch.setattr(leading, "HEAD_SHARE", 0.4)


def assert_all_ways_agree(vectors, queries, k, excluded=None, allowed=None):
    index = ItemIndex.of(vectors)
    expected = slow_search(vectors, queries, k, excluded, allowed)
    exact = exact_search(vectors, queries, k, excluded=excluded, allowed=allowed)
    blocks = index.search(queries, k, excluded=excluded, allowed=allowed)
    singles = one_by_one(index, queries, k, excluded, allowed)
    np.testing.assert_array_equal(exact.positions, expected)
    np.testing.assert_array_equal(blocks.positions, expected)
    np.testing.assert_array_equal(np.concatenate([e.positions for e in singles]), expected)
    for found in (blocks.scores, np.concatenate([each.scores for each in singles])):
        np.testing.assert_allclose(found, exact.scores, rtol=1e-5, atol=1e-5)
        assert found.dtype == np.float32
        assert ((found == -np.inf) == (expected == -1)).all()


def random_exclusions(rng, n_queries, n) -> csr_array:
    mask = csr_array((rng.random((n_queries, n)) < rng.random()).astype(np.float32))
    mask.sort_indices()
    return mask


@pytest.mark.parametrize("by_heads", [False, True])
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 40),
    n_queries=st.integers(1, 5),
    k=st.integers(1, 50),
    tied=st.booleans(),
    with_excluded=st.booleans(),
    with_allowed=st.booleans(),
)
def test_every_way_to_search_gives_the_brute_force_answer(
    by_heads, seed, n, n_queries, k, tied, with_excluded, with_allowed
):
    rng = np.random.default_rng(seed)
    # Small whole numbers have exact products, and most of them occur often.
    draw = (lambda shape: rng.integers(-1, 2, shape)) if tied else (lambda s: rng.normal(size=s))
    vectors = draw((n, 4)).astype(np.float32)
    queries = draw((n_queries, 4)).astype(np.float32)
    excluded = random_exclusions(rng, n_queries, n) if with_excluded else None
    allowed = rng.random(n) < rng.random() if with_allowed else None
    with pytest.MonkeyPatch.context() as patch:
        if by_heads:
            narrow_heads(patch)
        assert_all_ways_agree(vectors, queries, k, excluded, allowed)


def two_alike(rng, n, dim):
    """Vectors as two members have them: the second half of the numbers says the first again."""
    half = rng.normal(size=(n, dim // 2))
    noise = 0.1 * rng.normal(size=half.shape)
    return np.hstack([half, half[:, ::-1] + noise]).astype(np.float32)


def test_leading_directions_rule_out_most_vectors():
    rng = np.random.default_rng(0)
    vectors, query = two_alike(rng, 20_000, 20), two_alike(rng, 1, 20)[0]
    heads = leading.LeadingDirections.of(vectors)
    assert heads.heads.shape == (20_000, 10)
    everything = np.ones((1, len(vectors)), dtype=bool)
    ((positions, scores),) = heads.search(vectors, query[None], 10, everything, None)
    assert 10 <= len(positions) < 400
    np.testing.assert_allclose(scores, vectors[positions] @ query, rtol=1e-5)
    best = np.argsort(-(vectors @ query), kind="stable")[:10]
    assert set(best) <= set(positions)


def test_directions_that_all_matter_are_not_turned():
    vectors = np.random.default_rng(0).normal(size=(5_000, 20)).astype(np.float32)
    assert leading.LeadingDirections.of(vectors) is None


@pytest.mark.parametrize("few", [1, 2, 3, 6])
@pytest.mark.parametrize("offset", [False, True])
def test_a_few_queries_by_heads_rank_as_many_do(monkeypatch, offset, few):
    rng = np.random.default_rng(1)
    vectors, queries = two_alike(rng, 3_000, 40), two_alike(rng, 24, 40)
    monkeypatch.setattr(module, "LEAST_FOR_LEADING", 0)
    monkeypatch.setattr(module, "MOST_OF_A_LIST", 0.02)
    monkeypatch.setattr(leading, "FIRST_DIRECTIONS", 8)
    index = ItemIndex.of(vectors)
    added = random_added(rng, 24, 3_000, 0.3, tied=False)
    excluded = random_exclusions(rng, 24, 3_000)
    popular = rng.normal(size=3_000).astype(np.float32) if offset else None
    whole = index.search(queries, 50, added=added, excluded=excluded, offset=popular)
    assert "_leading" not in vars(index)  # many queries have no use for them
    assert index._leading is not None
    for start in range(0, 24, few):
        rows = slice(start, start + few)
        rules = {"added": added[rows], "excluded": excluded[rows], "offset": popular}
        found = index.search(queries[rows], 50, **rules)
        np.testing.assert_array_equal(found.positions, whole.positions[rows])
        np.testing.assert_allclose(found.scores, whole.scores[rows], rtol=1e-5, atol=1e-5)


def test_a_sparse_term_leaves_little_to_the_first_directions(monkeypatch):
    rng = np.random.default_rng(4)
    vectors, queries = two_alike(rng, 2_000, 40), two_alike(rng, 3, 40)
    added = np.zeros((3, 2_000), dtype=np.float32)
    added[0, :30] = added[1, :900:30] = 200  # of the third nothing is told
    permitted = rng.random((3, 2_000)) < 0.9
    monkeypatch.setattr(leading, "FIRST_DIRECTIONS", 4)
    heads = leading.LeadingDirections.of(vectors)
    assert [each.n_directions for each in heads.stages] == [4, 19]
    looked_along = []
    monkeypatch.setattr(
        leading,
        "products",
        lambda some, all_of_them: looked_along.append(some.shape) or some @ all_of_them.T,
    )
    found = heads.search(vectors, queries, 10, permitted, added)
    assert looked_along == [(3, 4), (1, 15)]
    for row, (positions, scores) in enumerate(found):
        exact = np.where(permitted[row], vectors @ queries[row] + added[row], -np.inf)
        np.testing.assert_allclose(scores, exact[positions], rtol=1e-4)
        assert set(np.argsort(-exact)[:10]) <= set(positions)


def test_queries_that_the_directions_say_nothing_of_are_scored_by_one_product(monkeypatch):
    rng = np.random.default_rng(2)
    vectors = two_alike(rng, 2_000, 40)
    # Along what the two members do not share: nearly all of such a query is tail.
    queries = np.hstack([np.ones((3, 20)), -np.ones((3, 20))]).astype(np.float32)
    queries += rng.normal(size=queries.shape).astype(np.float32)
    monkeypatch.setattr(module, "LEAST_FOR_LEADING", 0)
    index = ItemIndex.of(vectors)
    heads = index._leading
    looked_at = heads.search(vectors, queries, 10, np.ones((3, 2_000), dtype=bool), None)
    assert max(len(positions) for positions, _ in looked_at) == 2_000
    few = index.search(queries, 10)
    np.testing.assert_array_equal(few.positions, exact_search(vectors, queries, 10).positions)


def test_a_long_list_is_no_use_of_leading_directions(monkeypatch):
    monkeypatch.setattr(module, "LEAST_FOR_LEADING", 0)
    rng = np.random.default_rng(3)
    index = ItemIndex.of(two_alike(rng, 2_000, 40))
    index.search(two_alike(rng, 1, 40), 11)
    assert "_leading" not in vars(index)
    index.search(two_alike(rng, 1, 40), 10)
    assert "_leading" in vars(index)


def test_ties_at_the_cut_go_to_the_lower_positions():
    vectors = np.ones((500, 3), dtype=np.float32)
    vectors[100] = 2
    index = ItemIndex.of(vectors)
    query = np.ones((1, 3), dtype=np.float32)
    assert index.search(query, 4).positions.tolist() == [[100, 0, 1, 2]]
    both = index.search(np.repeat(query, 2, axis=0), 4).positions
    assert both.tolist() == [[100, 0, 1, 2]] * 2


def test_more_than_there_are_is_filled_with_minus_one():
    index = ItemIndex.of(np.eye(2, dtype=np.float32))
    found = index.search(np.array([[1, 2]], dtype=np.float32), 4)
    assert found.positions.tolist() == [[1, 0, -1, -1]]
    assert found.scores.tolist() == [[2, 1, -np.inf, -np.inf]]


@pytest.mark.parametrize("n_queries", [1, 3])
def test_everything_excluded_leaves_nothing(n_queries):
    index = ItemIndex.of(np.eye(5, dtype=np.float32))
    queries = np.ones((n_queries, 5), dtype=np.float32)
    all_of_them = csr_array(np.ones((n_queries, 5), dtype=np.float32))
    for rules in ({"excluded": all_of_them}, {"allowed": np.zeros(5, dtype=bool)}):
        found = index.search(queries, 3, **rules)
        assert (found.positions == -1).all()
        assert (found.scores == -np.inf).all()


def test_searching_leaves_the_callers_mask_alone():
    allowed = np.ones(4, dtype=bool)
    index = ItemIndex.of(np.eye(4, dtype=np.float32))
    seen = csr_array(np.array([[1, 0, 0, 0]], dtype=np.float32))
    index.search(np.ones((1, 4), dtype=np.float32), 2, excluded=seen, allowed=allowed)
    assert allowed.all()


def test_blocks_of_any_size_give_the_same_answer(monkeypatch):
    rng = np.random.default_rng(0)
    vectors = rng.integers(-3, 4, (50, 6)).astype(np.float32)
    queries = rng.integers(-3, 4, (23, 6)).astype(np.float32)
    excluded = random_exclusions(rng, 23, 50)
    whole = ItemIndex.of(vectors).search(queries, 9, excluded=excluded)
    for n_scores in (1, 100, 500):
        monkeypatch.setattr(module, "BLOCK_SCORES", n_scores)
        found = ItemIndex.of(vectors).search(queries, 9, excluded=excluded)
        np.testing.assert_array_equal(found.positions, whole.positions)
        np.testing.assert_array_equal(found.scores, whole.scores)


@pytest.mark.parametrize("n_queries", [0, 1, 2])
def test_an_empty_index_answers_with_nothing(n_queries):
    index = ItemIndex.of(np.empty((0, 3), dtype=np.float32))
    found = index.search(np.ones((n_queries, 3), dtype=np.float32), 2)
    assert found.positions.tolist() == [[-1, -1]] * n_queries


def test_vectors_are_the_ones_that_were_indexed():
    vectors = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    index = ItemIndex.of(vectors[:4])
    index.add(vectors[4:])
    assert (len(index), index.dim) == (7, 3)
    np.testing.assert_array_equal(index.vectors, vectors)


def test_an_index_is_loaded_as_it_was_saved(tmp_path):
    rng = np.random.default_rng(0)
    vectors, queries = (rng.normal(size=(n, 5)).astype(np.float32) for n in (30, 4))
    index = ItemIndex.of(vectors)
    index.save(tmp_path / "i.faiss")
    loaded = ItemIndex.load(tmp_path / "i.faiss")
    np.testing.assert_array_equal(loaded.vectors, vectors)
    for each in (queries, queries[:1]):
        np.testing.assert_array_equal(
            loaded.search(each, 6).positions, index.search(each, 6).positions
        )


@pytest.mark.parametrize("n_queries", [1, 5])
def test_vectors_of_a_mapped_file_are_never_copied_whole(tmp_path, monkeypatch, n_queries):
    monkeypatch.setattr(module, "MOST_HELD_TWICE", 0)
    rng = np.random.default_rng(0)
    vectors = rng.integers(-9, 10, (20_000, 40)).astype(np.float32)
    queries = rng.integers(-9, 10, (n_queries, 40)).astype(np.float32)
    ItemIndex.of(vectors).save(tmp_path / "i.faiss")
    loaded = ItemIndex.load(tmp_path / "i.faiss")
    loaded.search(queries, 10)
    tracemalloc.start()
    found = loaded.search(queries, 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < vectors.nbytes / 2
    expected = exact_search(vectors, queries, 10)
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_an_empty_index_is_loaded_too(tmp_path):
    ItemIndex.of(np.empty((0, 3), dtype=np.float32)).save(tmp_path / "i.faiss")
    assert len(ItemIndex.load(tmp_path / "i.faiss")) == 0


def test_a_file_that_is_no_index_is_refused(tmp_path, bomb):
    path = tmp_path / "i.faiss"
    ItemIndex.of(np.eye(3, dtype=np.float32)).save(path)
    whole = path.read_bytes()
    for content in (b"", b"x", b"not an index at all", bomb.content, whole[:-1], whole[:20]):
        path.write_bytes(content)
        with pytest.raises(ArtefactError) as caught:
            ItemIndex.load(path)
        assert str(caught.value) == f"{path} is not a FAISS index; run `recsys index`"
    assert not bomb.has_run()


def test_another_kind_of_index_is_refused_naming_it(tmp_path):
    for other in (faiss.IndexFlatL2(3), faiss.IndexHNSWFlat(3, 4)):
        faiss.write_index(other, str(tmp_path / "i.faiss"))
        with pytest.raises(ArtefactError) as caught:
            ItemIndex.load(tmp_path / "i.faiss")
        assert str(caught.value) == (
            f"{tmp_path / 'i.faiss'} holds a {type(other).__name__}, expected an exact "
            "inner-product index; run `recsys index`"
        )


def test_unit_vectors_have_length_one_and_zeros_stay():
    vectors = np.array([[3, 4], [0, 0], [-2, 0]], dtype=np.float32)
    found = unit_vectors(vectors)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [-1, 0]], rtol=1e-6)
    assert found.dtype == np.float32


# --- a sparse term of the scores


def random_added(rng, n_queries, n, share, tied=True) -> csr_array:
    """Positive, negative and (explicit) zero entries."""
    rows, columns = np.nonzero(rng.random((n_queries, n)) < share)
    values = rng.integers(-2, 3, len(rows)) if tied else rng.normal(size=len(rows))
    added = csr_array((values.astype(np.float32), (rows, columns)), shape=(n_queries, n))
    added.sort_indices()
    return added


def slow_fused(vectors, queries, k, added, excluded=None, allowed=None):
    """Every score one by one, in float64, sorted by score and then position."""
    bonus = added.toarray().astype(float)
    taken = np.zeros(bonus.shape, dtype=bool) if excluded is None else excluded.toarray() != 0
    rows = []
    for row, query in enumerate(queries.astype(float)):
        scored = [
            (-(query @ vectors[position] + bonus[row, position]), position)
            for position in range(len(vectors))
            if not taken[row, position] and (allowed is None or allowed[position])
        ]
        rows.append(([position for _, position in sorted(scored)] + [-1] * k)[:k])
    return np.array(rows, dtype=np.int64)


@pytest.mark.parametrize("by_heads", [False, True])
@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    n_queries=st.integers(1, 4),
    k=st.integers(1, 70),
    share=st.sampled_from([0.0, 0.05, 0.4, 1.0]),
    tied=st.booleans(),
    with_excluded=st.booleans(),
    with_allowed=st.booleans(),
)
def test_a_sparse_term_ranks_as_brute_force_does(
    by_heads, seed, n, n_queries, k, share, tied, with_excluded, with_allowed
):
    rng = np.random.default_rng(seed)
    draw = (lambda shape: rng.integers(-1, 2, shape)) if tied else (lambda s: rng.normal(size=s))
    vectors, queries = (draw((each, 3)).astype(np.float32) for each in (n, n_queries))
    added = random_added(rng, n_queries, n, share, tied)
    excluded = random_exclusions(rng, n_queries, n) if with_excluded else None
    allowed = rng.random(n) < rng.random() if with_allowed else None
    expected = slow_fused(vectors, queries, k, added, excluded, allowed)
    index = ItemIndex.of(vectors)
    rules = {"excluded": excluded, "allowed": allowed}
    exact = exact_search(vectors, queries, k, added=added, **rules)
    np.testing.assert_array_equal(exact.positions, expected)
    with pytest.MonkeyPatch.context() as patch:
        if by_heads:
            narrow_heads(patch)
        many = index.search(queries, k, added=added, **rules)
        ones = [
            index.search(
                queries[[row]],
                k,
                added=added[[row]],
                excluded=None if excluded is None else excluded[[row]],
                allowed=allowed,
            )
            for row in range(n_queries)
        ]
    np.testing.assert_array_equal(many.positions, expected)
    np.testing.assert_array_equal(np.concatenate([each.positions for each in ones]), expected)
    for found in (many.scores, np.concatenate([each.scores for each in ones])):
        np.testing.assert_allclose(found, exact.scores, rtol=1e-5, atol=1e-5)
        assert found.dtype == np.float32


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_ties_between_the_support_and_the_rest_go_to_the_lower_positions(k):
    # All score 1: positions 1 and 31 by their own, 7 and 25 only with the sparse term.
    vectors = np.zeros((40, 1), dtype=np.float32)
    vectors[[1, 7, 25, 31], 0] = [1, 0.5, 2, 1]
    added = csr_array(([0.5, -1.0], ([0, 0], [7, 25])), shape=(1, 40), dtype=np.float32)
    found = ItemIndex.of(vectors).search(np.ones((1, 1), dtype=np.float32), k, added=added)
    assert found.positions[0].tolist() == [1, 7, 25, 31, 0, 2][:k]
    assert found.scores[0].tolist() == [1, 1, 1, 1, 0, 0][:k]


def test_a_negative_term_takes_the_best_item_down():
    vectors = np.arange(30, dtype=np.float32)[:, None]
    added = csr_array(([-100.0], ([0], [29])), shape=(1, 30), dtype=np.float32)
    found = ItemIndex.of(vectors).search(np.ones((1, 1), dtype=np.float32), 30, added=added)
    assert found.positions[0].tolist() == [*range(28, -1, -1), 29]
    assert found.scores[0, -1] == -71


def test_a_sparse_term_brings_no_excluded_item_back():
    added = csr_array(([9.0, 9.0], ([0, 0], [3, 5])), shape=(1, 40), dtype=np.float32)
    seen = csr_array(([1.0], ([0], [3])), shape=(1, 40), dtype=np.float32)
    allowed = np.ones(40, dtype=bool)
    allowed[5] = False
    index = ItemIndex.of(np.ones((40, 2), dtype=np.float32))
    query = np.ones((1, 2), dtype=np.float32)
    found = index.search(query, 40, added=added, excluded=seen, allowed=allowed)
    assert found.positions[0].tolist() == [*(set(range(40)) - {3, 5}), -1, -1]
    assert allowed.sum() == 39


def test_blocks_of_any_size_take_their_own_rows_of_the_sparse_term(monkeypatch):
    rng = np.random.default_rng(1)
    vectors = rng.integers(-3, 4, (50, 6)).astype(np.float32)
    queries = rng.integers(-3, 4, (23, 6)).astype(np.float32)
    added = random_added(rng, 23, 50, 0.2)
    expected = slow_fused(vectors, queries, 9, added)
    for n_scores in (1, 100, 500):
        monkeypatch.setattr(module, "BLOCK_SCORES", n_scores)
        found = ItemIndex.of(vectors).search(queries, 9, added=added)
        np.testing.assert_array_equal(found.positions, expected)


def test_no_query_with_a_sparse_term_gets_no_answer():
    index = ItemIndex.of(np.eye(3, dtype=np.float32))
    nobody = csr_array((0, 3), dtype=np.float32)
    found = index.search(np.empty((0, 3), np.float32), 2, added=nobody, excluded=nobody)
    assert found.positions.shape == found.scores.shape == (0, 2)
