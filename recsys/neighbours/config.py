"""What the item-item path is, as one frozen record."""

from dataclasses import dataclass

from recsys.errors import ConfigError


@dataclass(frozen=True)
class NeighboursConfig:
    """Neighbour-restricted EDLAE (Steck 2020, section 3).

    Parameters
    ----------
    n_neighbours : int
        Items that may explain an item; the cost grows with its cube, the memory linearly.
    ridge : float
        lambda: added to every diagonal entry, in squared interactions.
    dropout : float
        p: each item is explained as if a share p of every history were hidden.
    user_exponent : float
        beta: a user of n items weighs n^-beta, so that long histories do not rule.
    memory_mb : int
        The linear systems held at once, all threads together.
    """

    n_neighbours: int = 250
    ridge: float = 50.0
    dropout: float = 0.5
    user_exponent: float = 0.6
    memory_mb: int = 512

    def __post_init__(self) -> None:
        for key, value, good, expected in (
            ("n_neighbours", self.n_neighbours, self.n_neighbours >= 1, "at least 1"),
            ("ridge", self.ridge, 0 < self.ridge < float("inf"), "above 0"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "at least 0 and below 1"),
            ("user_exponent", self.user_exponent, 0 <= self.user_exponent <= 2, "from 0 to 2"),
            ("memory_mb", self.memory_mb, self.memory_mb >= 1, "at least 1"),
        ):
            if not good:
                raise ConfigError(f"neighbours.{key} is {value}, expected {expected}")
