"""Themes as codes of the bag-of-characters VAE: how near a text is, and what a theme speaks of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from recsys.data.poems import Poem
from recsys.index.item_index import unit_vectors
from recsys.vae.model import VAE
from recsys.verse.lookup import histories_of

COMPARED = 1000
"""Poems, evenly taken, that stand for verse in general."""


@dataclass(frozen=True, eq=False)
class Themes:
    """Texts -> codes, and codes -> characters.

    Parameters
    ----------
    vae : VAE
    columns : int64, shape (n_characters,)
        Of the couplet model's characters among the VAE's; -1 where it has none.
    centre : float32, shape (latent_dim,)
        Mean code of poems: what all verse shares tells nothing.
    usual : float32, shape (n_items,)
        Log of the mean probability of the VAE's characters under the codes of poems.
    """

    vae: VAE
    columns: NDArray[np.int64]
    centre: NDArray[np.float32]
    usual: NDArray[np.float32]

    @classmethod
    def of(cls, vae: VAE, characters: Sequence[str], poems: Sequence[Poem]) -> "Themes":
        """Measure what is usual on some of the poems.

        Parameters
        ----------
        vae : VAE
        characters : sequence of str
            The couplet model's.
        poems : sequence of Poem
        """
        texts = [each.text for each in poems[:: -(-len(poems) // COMPARED)]]
        codes = vae.encode(histories_of(texts, "character", vae.items))
        foretold = logsumexp(_log_probabilities(vae, codes), axis=0) - np.log(len(codes))
        return cls(vae, vae.items.find(list(characters)), codes.mean(axis=0), foretold)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Code of each text; float32, shape (n_texts, latent_dim)."""
        return self.vae.encode(histories_of(texts, "character", self.vae.items))

    def closeness(self, texts: Sequence[str], codes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosine of each text's code with another, both seen from the centre; from -1 to 1.

        Parameters
        ----------
        texts : sequence of str
        codes : float32, shape (n_texts, latent_dim)
        """
        own = unit_vectors(self.encode(texts) - self.centre)
        return np.asarray((own * unit_vectors(codes - self.centre)).sum(axis=1), dtype=np.float32)

    def lift(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        """How much likelier than usual each character is where a code is given.

        Returns
        -------
        float32, shape (n_codes, n_characters)
            log p(character | code) - log p(character), in nats; 0 for those that the VAE has not.
        """
        foretold = _log_probabilities(self.vae, codes) - self.usual
        return np.where(self.columns >= 0, foretold[:, self.columns], 0).astype(np.float32)


def _log_probabilities(vae: VAE, codes: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = vae.item_vectors()
    return np.asarray(log_softmax(codes @ rows[:, :-1].T + rows[:, -1], axis=1), dtype=np.float32)
