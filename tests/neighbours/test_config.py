import pytest

from recsys.errors import ConfigError
from recsys.neighbours.config import NeighboursConfig


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("n_neighbours", 0, "neighbours.n_neighbours is 0, expected at least 1"),
        ("ridge", 0.0, "neighbours.ridge is 0.0, expected above 0"),
        ("ridge", -1.0, "neighbours.ridge is -1.0, expected above 0"),
        ("ridge", float("inf"), "neighbours.ridge is inf, expected a finite number and above 0"),
        ("ridge", float("nan"), "neighbours.ridge is nan, expected a finite number and above 0"),
        ("dropout", 1.0, "neighbours.dropout is 1.0, expected at least 0 and below 1"),
        ("dropout", -0.1, "neighbours.dropout is -0.1, expected at least 0 and below 1"),
        (
            "dropout",
            float("nan"),
            "neighbours.dropout is nan, expected a finite number and at least 0 and below 1",
        ),
        (
            "user_exponent",
            -0.5,
            "neighbours.user_exponent is -0.5, expected at least 0 and at most 2",
        ),
        (
            "user_exponent",
            2.5,
            "neighbours.user_exponent is 2.5, expected at least 0 and at most 2",
        ),
        ("memory_mb", 0, "neighbours.memory_mb is 0, expected at least 1"),
        ("gram_mb", -1, "neighbours.gram_mb is -1, expected at least 0"),
    ],
)
def test_a_value_out_of_range_is_refused_naming_key_value_and_range(key, value, message):
    with pytest.raises(ConfigError) as caught:
        NeighboursConfig(**{key: value})
    assert str(caught.value) == message


def test_the_ends_of_the_ranges_are_legal():
    NeighboursConfig(n_neighbours=1, ridge=1e-6, dropout=0, user_exponent=0, memory_mb=1, gram_mb=0)
    NeighboursConfig(dropout=0.99, user_exponent=2)
