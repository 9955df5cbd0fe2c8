"""What stands against what in parallel couplets."""

import numpy as np
import pytest

from recsys.data.poems import Poem
from recsys.verse.antithesis import Antithesis

COLOURS, PLACES, DEEDS = "白青紅綠黃", "山水江河湖", "飛流行鳴啼"


@pytest.fixture(scope="module")
def antithesis():
    """Of poems whose middle couplets set colour against colour, place against place."""
    rng = np.random.default_rng(0)

    def line():
        drawn = [rng.choice(list(kind)) for kind in (COLOURS, PLACES, DEEDS, COLOURS, PLACES)]
        return "".join(drawn)

    def other():
        return "".join(rng.permutation(list(COLOURS + PLACES + DEEDS))[:5])

    def poem(number):
        lines = [other(), other(), *(line() for _ in range(4)), other(), other()]
        return Poem(str(number), "", "", ("，".join(lines),))

    return Antithesis.of([poem(number) for number in range(300)])


def test_parallel_couplets_are_told_from_others(antithesis):
    lines = ("白山飛青水", "紅江流綠河", "黃湖鳴白山", "青水啼紅江")
    parallel = antithesis.parallelism([(a, b) for a in lines for b in lines if a != b])
    broken = antithesis.parallelism([(a, b[2:] + b[:2]) for a in lines for b in lines if a != b])
    assert parallel.mean() > broken.mean() + 0.1


def test_parallelism_is_the_mean_cosine_of_what_stands_against_each_other(antithesis):
    first, second = (antithesis.directions[antithesis.position[each]] for each in "白紅")
    pair = float(first @ second)
    assert antithesis.parallelism([("白", "紅")]) == pytest.approx([pair], abs=1e-6)
    assert antithesis.parallelism([("白龘", "紅山")]) == pytest.approx([pair / 2], abs=1e-6)


def test_characters_have_directions_of_length_one(antithesis):
    assert set(antithesis.position) == set(COLOURS + PLACES + DEEDS)
    assert np.linalg.norm(antithesis.directions, axis=1) == pytest.approx(np.ones(15))


@pytest.mark.parametrize("poems", [[], [Poem("1", "", "", ("白日依山盡，黃河入海流。",))]])
def test_without_regulated_verse_nothing_is_parallel(poems):
    assert Antithesis.of(poems).parallelism([("白日", "黃河")]).tolist() == [0]


def test_the_same_poems_give_the_same_directions():
    poems = [Poem(str(n), "", "", ("，".join(["白山飛青水"] * 8),)) for n in range(5)]
    first, second = (Antithesis.of(poems).directions for _ in range(2))
    assert (first == second).all()
