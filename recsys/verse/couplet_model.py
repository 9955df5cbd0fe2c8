"""What a model has to offer so that poems can be composed with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.verse.decoding import Begin

PoemForm = Literal["jueju", "lvshi"]


@dataclass(frozen=True, eq=False)
class Setting:
    """What the couplets of a batch are written under; one entry a couplet.

    Parameters
    ----------
    patterns : sequence of (str, str)
        Tones of both lines, as `Plan.lines` has them.
    rhymes : sequence of str or None
        Pingshui groups; None in free verse.
    theme : float32, shape (n, latent_dim), or None
        Codes from the bag-of-characters VAE.
    form : str or None
        What the poem is: jueju or lvshi; None for a couplet alone.
    """

    patterns: Sequence[tuple[str, str]]
    rhymes: Sequence[str | None]
    theme: NDArray[np.float32] | None
    form: PoemForm | None = None


DrawCodes = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Rows of a batch -> latent codes to begin their couplets from, shape (n_rows, latent_dim)."""


class CoupletModel(Protocol):
    """Writes couplets from latent codes of their own."""

    @property
    def characters(self) -> Sequence[str]:
        """The vocabulary by position."""
        ...

    @property
    def latent_dim(self) -> int:
        """Width of a couplet's code."""
        ...

    def writing(self, setting: Setting, codes: DrawCodes) -> Begin:
        """Prepare to write under a setting; each beginning asks for the codes of its rows."""
        ...

    def codes(self, couplets: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Means of the couplets' posteriors, shape (n_couplets, latent_dim)."""
        ...
