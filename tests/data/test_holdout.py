"""What is shown and what is held out of the same users."""

import numpy as np

from recsys.data.holdout import Holdout


def test_a_whole_history_is_what_is_shown_and_what_is_held_out(interactions_of):
    shown, held_out = (
        interactions_of([[2, 0, 1], [0, 1, 0]]),
        interactions_of([[0, 1, 0], [1, 0, 0]]),
    )
    whole = Holdout(shown, held_out).whole()
    np.testing.assert_array_equal(whole.toarray(), [[2, 1, 1], [1, 1, 0]])
    assert whole.has_sorted_indices


def test_an_explicit_zero_of_either_part_stays_an_interaction(interactions_of):
    shown, held_out = interactions_of([[2, 0, 1]]), interactions_of([[0, 3, 0]])
    shown.matrix.data[0] = held_out.matrix.data[0] = 0
    whole = Holdout(shown, held_out).whole()
    assert whole.indices.tolist() == [0, 1, 2]
    assert whole.data.tolist() == [0, 0, 1]
