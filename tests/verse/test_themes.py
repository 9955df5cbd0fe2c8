"""Themes as codes, with a VAE by hand whose one dimension tells water from war."""

import numpy as np
import pytest

from recsys.data.ids import IdMap
from recsys.data.poems import Poem
from recsys.verse.themes import Themes

WATER, WAR = "舟江潮", "馬沙塞"
POEMS = [Poem("1", "", "", (WATER,)), Poem("2", "", "", (WAR,))]


class ByHand:
    """Its code is the share of water less that of war; beside it a dimension that is always 5."""

    items = IdMap.in_order(WATER + WAR, "character")

    def encode(self, histories):
        counts = histories.toarray()
        shares = (counts[:, :3].sum(axis=1) - counts[:, 3:].sum(axis=1)) / counts.sum(axis=1)
        return np.stack([shares, np.full(len(counts), 5)], axis=1).astype(np.float32)

    def item_vectors(self):
        rows = [(2, 0.1, 0)] * 3 + [(-2, 0.1, 0)] * 3
        return np.array(rows, dtype=np.float32)


@pytest.fixture(scope="module")
def themes():
    return Themes.of(ByHand(), ["<begin>", *WATER, *WAR, "龘"], POEMS)


def test_closeness_is_the_cosine_from_the_centre(themes):
    assert themes.centre.tolist() == [0, 5]
    codes = np.tile(themes.encode(["舟江"]), (3, 1))
    assert themes.closeness(["潮", "馬", "舟馬"], codes).tolist() == [1, -1, 0]


def test_a_theme_lifts_what_it_speaks_of_by_known_sums(themes):
    lift = themes.lift(themes.encode([WATER]))
    total = 3 * (np.exp(2) + np.exp(-2))
    usual = np.log((np.exp(2) + np.exp(-2)) / total / 2)
    expected = [2 - np.log(total) - usual] * 3 + [-2 - np.log(total) - usual] * 3
    assert (lift.dtype, lift.shape) == (np.float32, (1, 8))
    assert lift[0, 1:7] == pytest.approx(expected, abs=1e-5)


def test_what_the_vae_has_not_met_is_neither_lifted_nor_lowered(themes):
    assert themes.lift(themes.encode([WATER]))[:, [0, 7]].tolist() == [[0, 0]]
