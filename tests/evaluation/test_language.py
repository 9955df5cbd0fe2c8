"""Perplexities of poems agree with slow obvious versions of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array
from scipy.special import log_softmax

from recsys.evaluation.language import (
    halve,
    measure_unigram,
    measure_vae,
    perplexity,
)
from recsys.vae.elbo import elbo

POEMS = np.array([[2, 0, 1, 1], [0, 5, 0, 0], [0, 0, 1, 0]], dtype=np.float32)


@given(arrays(np.float32, (4, 5), elements=st.integers(0, 6)), st.integers(0, 9))
def test_halves_share_every_character_out(dense, seed):
    halves = halve(csr_array(dense), seed)
    kept = dense[dense.sum(axis=1) > 1]
    np.testing.assert_array_equal((halves.shown + halves.hidden).toarray(), kept)
    n_shown, n_hidden = halves.shown.sum(axis=1), halves.hidden.sum(axis=1)
    assert ((n_hidden - n_shown == 0) | (n_hidden - n_shown == 1)).all()


def test_every_character_may_be_hidden():
    seen = sum(halve(csr_array(POEMS[:1]), seed).hidden.toarray() > 0 for seed in range(40))
    np.testing.assert_array_equal(seen[0] > 0, POEMS[0] > 0)


def test_the_unigram_is_as_uncertain_as_its_shares_say(interactions_of, matrix_of):
    train = interactions_of([[3, 1, 0, 0], [0, 1, 2, 1]])
    log_shares = np.log(np.array([3, 2, 2, 1]) / 8)
    found = measure_unigram(train, matrix_of(POEMS))
    assert found.whole == pytest.approx(np.exp(-(POEMS @ log_shares).sum() / POEMS.sum()))
    hidden = halve(matrix_of(POEMS)).hidden.toarray()
    assert found.completion == pytest.approx(np.exp(-(hidden @ log_shares).sum() / hidden.sum()))


def test_equal_shares_are_as_many_as_there_are_characters(interactions_of, matrix_of):
    found = measure_unigram(interactions_of(np.ones((2, 4))), matrix_of(POEMS))
    assert (found.whole, found.completion) == pytest.approx((4, 4))


def test_the_vae_is_measured_by_its_bound_and_by_its_scores(trained, split):
    poems = split.test.whole()
    found = measure_vae(trained, poems, seed=5)
    assert found.whole == pytest.approx(perplexity(elbo(trained, poems, seed=5).sum(), poems))
    halves = halve(poems, 5)
    log_likelihood = log_softmax(trained.score(halves.shown).astype(np.float64), axis=1)
    hidden = halves.hidden.toarray()
    slow = np.exp(-(hidden * log_likelihood).sum() / hidden.sum())
    assert found.completion == pytest.approx(slow, rel=1e-5)


def test_a_trained_model_completes_better_than_the_unigram(trained, split):
    poems = split.test.whole()
    assert measure_vae(trained, poems).completion < measure_unigram(split.train, poems).completion
