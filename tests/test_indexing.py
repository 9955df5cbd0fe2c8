import numpy as np

from recsys.indexing import blocks_of, score_directions


def test_cosines_of_score_directions_are_the_correlations_of_the_scores():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)) + rng.normal(size=4)
    rows = rng.normal(size=(9, 4)).astype(np.float32)
    directions = score_directions(rows, np.cov(codes.T, ddof=0))
    scores = codes @ rows.T.astype(float) + rng.normal(size=9)
    np.testing.assert_allclose(directions @ directions.T, np.corrcoef(scores.T), atol=1e-5)
    assert directions.dtype == np.float32


def test_latents_that_do_not_vary_count_for_nothing():
    rows = np.array([[1, 7], [1, -7], [0, 1]], dtype=np.float32)
    directions = score_directions(rows, np.diag([2.0, 0.0]))
    np.testing.assert_allclose(directions @ directions.T, [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_blocks_cover_everything_once():
    for n, size in ((0, 3), (1, 3), (3, 3), (10, 3)):
        blocks = list(blocks_of(n, size))
        assert [each for block in blocks for each in block] == list(range(n))
        assert all(1 <= len(block) <= size for block in blocks)
