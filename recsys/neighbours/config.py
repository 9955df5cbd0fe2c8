"""What the item-item path is, as one frozen record."""

from dataclasses import dataclass, replace

from recsys.errors import ConfigError

FIT_WORK = 6.5e11
"""Multiplications that a fit may cost when not told otherwise, counted as items x neighbours^3."""

FEWEST, MOST = 20, 500
"""Bounds of the neighbours when not told otherwise."""


@dataclass(frozen=True)
class NeighboursConfig:
    """Neighbour-restricted EDLAE (Steck 2020, section 3).

    Parameters
    ----------
    n_neighbours : int or None
        Items that may explain an item; the cost grows with its cube, the memory linearly. None:
        500, and from 5,000 items on as many as keep the cost of all items at that.
    ridge : float
        lambda: added to every diagonal entry, in squared interactions.
    dropout : float
        p: each item is explained as if a share p of every history were hidden.
    user_exponent : float
        beta: a user of n items weighs n^-beta, so that long histories do not rule.
    memory_mb : int
        The linear systems held at once, all threads together.
    gram_mb : int
        The matrix of co-occurrence is made in parts, in memory linear in the data, where it
        would take more than so much, or where most of it is zero.
    """

    n_neighbours: int | None = None
    ridge: float = 50.0
    dropout: float = 0.5
    user_exponent: float = 0.6
    memory_mb: int = 512
    gram_mb: int = 4096

    def __post_init__(self) -> None:
        for key, value, good, expected in (
            (
                "n_neighbours",
                self.n_neighbours,
                self.n_neighbours is None or self.n_neighbours >= 1,
                "at least 1",
            ),
            ("ridge", self.ridge, 0 < self.ridge < float("inf"), "above 0"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "at least 0 and below 1"),
            ("user_exponent", self.user_exponent, 0 <= self.user_exponent <= 2, "from 0 to 2"),
            ("gram_mb", self.gram_mb, self.gram_mb >= 0, "at least 0"),
            ("memory_mb", self.memory_mb, self.memory_mb >= 1, "at least 1"),
        ):
            if not good:
                raise ConfigError(f"neighbours.{key} is {value}, expected {expected}")

    def sized_for(self, n_items: int) -> "NeighboursConfig":
        """Decide `n_neighbours` where it is left to the size of the catalogue.

        Examples
        --------
        >>> [NeighboursConfig().sized_for(n).n_neighbours for n in (3_500, 10_000, 40_000, 10**6)]
        [500, 402, 253, 86]
        """
        if self.n_neighbours is not None:
            return self
        affordable = int((FIT_WORK / n_items) ** (1 / 3))
        others = max(1, n_items - 1)
        return replace(self, n_neighbours=min(max(affordable, FEWEST), MOST, others))
