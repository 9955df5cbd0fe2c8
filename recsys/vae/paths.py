"""The straight way between two latent codes, and what the model decodes along it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from recsys.vae.model import VAE

PATH_POINTS = 7
COMPARED = 1000


def straight_path(start: NDArray[np.float32], end: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points at equal distances, ends included; float32, shape (PATH_POINTS, dim)."""
    shares = np.linspace(0, 1, PATH_POINTS, dtype=np.float32)[:, None]
    return np.asarray((1 - shares) * start + shares * end, dtype=np.float32)


def decode_path(
    vae: VAE,
    vectors: NDArray[np.float32],
    names: Sequence[str],
    everybody: NDArray[np.float32],
    n: int,
) -> tuple[tuple[str, ...], ...]:
    """Name what the model decodes at codes between users.

    Parameters
    ----------
    vae : VAE
    vectors : float32, shape (n_points, latent_dim)
    names : sequence of str
        Of the catalogue.
    everybody : float32, shape (n_users, latent_dim)
        Codes to compare with; `COMPARED` of them, evenly taken, are decoded.
    n : int
        Names a point.

    Notes
    -----
    Ordered by p(i | z) log(p(i | z) / p(i)), an item's share of the divergence of what is decoded
    from everybody's mean: the most probable items alone would be the popular ones everywhere.
    Predicted ratings are ordered by how far they are above everybody's mean.
    """
    rows = vae.item_vectors()
    others = everybody[:: -(-len(everybody) // COMPARED)]
    here, usual = (codes @ rows[:, :-1].T + rows[:, -1] for codes in (vectors, others))
    if vae.config.likelihood == "multinomial":
        at = log_softmax(here, axis=1)
        worth = np.exp(at) * (at - np.log(softmax(usual, axis=1).mean(axis=0)))
    else:
        worth = here - usual.mean(axis=0)
    best = np.argsort(-worth, axis=1, kind="stable")[:, :n]
    return tuple(tuple(names[place] for place in row) for row in best)
