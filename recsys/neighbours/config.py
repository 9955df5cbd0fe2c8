"""What the item-item path is, as one frozen record."""

from dataclasses import dataclass, replace

from recsys.settings import check_range

FIT_WORK = 1e10
"""What a fit may cost when not told otherwise, counted as items x neighbours^2: to cut the systems
out of the co-occurrences takes longer than to solve them. About four minutes of one core."""

FEWEST, MOST = 20, 500
"""Bounds of the neighbours when not told otherwise."""


@dataclass(frozen=True)
class NeighboursConfig:
    """Neighbour-restricted EDLAE (Steck 2020, section 3).

    Parameters
    ----------
    n_neighbours : int or None
        Items that may explain an item; the cost grows with its square, the memory linearly. None:
        500, and from 40,000 items on as many as keep the cost of all items at that.
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
        if self.n_neighbours is not None:
            check_range("neighbours.n_neighbours", self.n_neighbours, at_least=1)
        check_range("neighbours.ridge", self.ridge, above=0)
        check_range("neighbours.dropout", self.dropout, at_least=0, below=1)
        check_range("neighbours.user_exponent", self.user_exponent, at_least=0, at_most=2)
        check_range("neighbours.gram_mb", self.gram_mb, at_least=0)
        check_range("neighbours.memory_mb", self.memory_mb, at_least=1)

    def sized_for(self, n_items: int) -> "NeighboursConfig":
        """Decide `n_neighbours` where it is left to the size of the catalogue.

        Examples
        --------
        >>> [NeighboursConfig().sized_for(n).n_neighbours for n in (3_500, 40_000, 100_000, 10**6)]
        [500, 500, 316, 100]
        """
        if self.n_neighbours is not None:
            return self
        affordable = int((FIT_WORK / n_items) ** 0.5)
        others = max(1, n_items - 1)
        return replace(self, n_neighbours=min(max(affordable, FEWEST), MOST, others))
