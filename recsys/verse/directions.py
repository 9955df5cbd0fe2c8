"""Texts -> vectors of length 1 whose inner products say how alike the texts are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.index.item_index import unit_vectors
from recsys.vae.model import VAE
from recsys.verse.pairs import PairEncoder

VAE_SHARE = 0.2
"""Of the similarity; the rest is the pair encoder's: benchmarks/poem_lookup.py has all three."""


@dataclass(frozen=True, eq=False)
class Directions:
    """The VAE's mean beside the pair encoder's vector, one inner product for both.

    similarity(a, b) = share * cos(vae(a) - centre, vae(b) - centre) + (1 - share) * cos(pairs)

    Parameters
    ----------
    vae : VAE
    pairs : PairEncoder
    centre : float32, shape (latent_dim,)
        The mean code of the texts that are looked among: what all verse shares tells nothing.
    """

    vae: VAE
    pairs: PairEncoder
    centre: NDArray[np.float32]

    @classmethod
    def around(cls, vae: VAE, pairs: PairEncoder, histories: csr_array) -> "Directions":
        """Centre the codes on these texts."""
        return cls(vae, pairs, vae.encode(histories).mean(axis=0))

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self.vae.latent_dim + self.pairs.dim

    def of(self, histories: csr_array) -> NDArray[np.float32]:
        """Give one vector a text.

        Parameters
        ----------
        histories : csr_array of float32, shape (n_texts, n_items)

        Returns
        -------
        float32, shape (n_texts, dim)
            Of length 1; zeros where a text has no character that the model knows.
        """
        codes = unit_vectors(self.vae.encode(histories) - self.centre)
        both = np.concatenate(
            [
                np.float32(VAE_SHARE**0.5) * codes,
                np.float32((1 - VAE_SHARE) ** 0.5) * self.pairs.encode(histories),
            ],
            axis=1,
        )
        both[np.diff(histories.indptr) == 0] = 0
        return both
