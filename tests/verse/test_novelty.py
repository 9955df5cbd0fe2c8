"""The nearest existing line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.poems import Poem
from recsys.verse.novelty import ExistingLines, distinct_pairs

POEMS = (
    Poem("1", "登鸛雀樓", "王之渙", ("白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。")),
    Poem("2", "重", "某", ("白日依山盡，山山山山山。", "千里目依山。")),
)
EXISTING = ExistingLines.of(POEMS)
LETTERS = "甲乙丙丁"


@pytest.mark.parametrize(
    ("line", "nearest", "closeness"),
    [
        ("白日依山盡", "白日依山盡", 1),
        ("白日依人盡", "白日依山盡", 2 / 4),
        ("黃河千里目", "欲窮千里目", 2 / 4),  # as near as the last line, but at the same places
        ("山山山山山", "山山山山山", 1),  # a pair that a line has four times counts once
    ],
)
def test_the_nearest_line_shares_the_most_pairs(line, nearest, closeness):
    (found,) = EXISTING.nearest([line])
    assert (found.line, found.closeness) == (nearest, pytest.approx(closeness))


def test_a_line_belongs_to_the_first_poem_that_has_it():
    (found,) = EXISTING.nearest(["白日依山盡"])
    assert found.poem.author == "王之渙"


def test_a_line_of_no_known_pair_is_near_to_nothing():
    assert EXISTING.nearest(["明月照高臺"]) == [None]
    assert EXISTING.closeness(["明月照高臺"]) == 0


def test_only_the_very_line_exists():
    assert EXISTING.has("白日依山盡")
    assert not EXISTING.has("白日依山")


def test_without_poems_everything_is_new():
    nothing = ExistingLines.of([])
    assert nothing.nearest(["白日依山盡"]) == [None]
    assert nothing.closeness(["白日依山盡"]).tolist() == [0]


lines = st.lists(st.text(LETTERS, min_size=1, max_size=5), min_size=1, max_size=8)


@given(lines, lines)
def test_closeness_is_that_of_the_slow_obvious_way(existing, written):
    def pairs(line):
        return {line[at : at + 2] for at in range(len(line) - 1)}

    index = ExistingLines.of([Poem("1", "", "", tuple(existing))])
    expected = [
        max(len(pairs(line) & pairs(each)) for each in existing) / max(1, len(pairs(line)))
        for line in written
    ]
    assert index.closeness(written).tolist() == pytest.approx(expected)
    found = index.nearest(written)
    assert [0 if each is None else each.closeness for each in found] == pytest.approx(expected)


def test_distinct_pairs_are_the_new_ones_within_lines():
    assert distinct_pairs([("甲乙丙", "甲乙丁")]) == pytest.approx(3 / 4)
    assert distinct_pairs([("甲乙", "丙丁"), ("乙丙", "丁甲")]) == 1
    assert distinct_pairs([]) == 0


def test_closeness_is_float32_of_the_shape_of_the_lines():
    closeness = EXISTING.closeness(["白日依山盡", "明月照高臺", "更上一層樓"])
    assert (closeness.dtype, closeness.shape) == (np.float32, (3,))
