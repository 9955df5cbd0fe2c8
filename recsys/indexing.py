"""The index stage: from a model and everybody's histories to what look-ups need."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.data.artefact import InteractionStore
from recsys.data.histories import Histories, blocks_of
from recsys.data.interactions import Interactions
from recsys.index.artefact import save_index
from recsys.index.item_index import ItemIndex, unit_vectors
from recsys.index.kinds import IndexKind
from recsys.index.quick import MEASURED_QUERIES, Measured, choose_index
from recsys.storage import Artefact
from recsys.vae.model import VAE


def build_index(
    vae: VAE,
    store: InteractionStore,
    model: Artefact,
    path: Path,
    *,
    kind: IndexKind = "auto",
    recall: float = 0.99,
    block_size: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Build everything that look-ups need, whole or not at all.

    Parameters
    ----------
    vae : VAE
    store : InteractionStore
        Users of today, over any catalogue: joined by item id.
    model : Artefact
        Where `vae` was loaded from; the index is stamped with its fingerprint.
    path : Path
        Replaced whole.
    kind, recall
        Of the items' index, see `choose_index`.
    block_size : int
        Users encoded at a time.
    progress : callable or None
        Receives users done and users in all.

    Returns
    -------
    Measured
        What searches the items, and how well.
    """
    histories = Histories(store.interactions, vae.items)
    latent_dim = vae.latent_dim
    user_directions = ItemIndex.of(np.empty((0, latent_dim), dtype=np.float32))
    user_lengths = np.empty(len(histories.users), dtype=np.float32)
    moments = _Moments(latent_dim)
    for rows in blocks_of(len(histories.users), block_size):
        codes = vae.encode(histories.rows(rows))
        user_directions.add(unit_vectors(codes))
        user_lengths[rows] = np.linalg.norm(codes, axis=1)
        moments.add(codes)
        if progress is not None:
            progress(int(rows[-1]) + 1, len(histories.users))
    vectors = vae.item_vectors()
    quick, measured = choose_index(vectors, _queries(vae, histories), kind, recall)
    save_index(
        path,
        items=replace(ItemIndex.of(vectors), quick=quick),
        item_directions=ItemIndex.of(score_directions(vectors[:, :-1], moments.covariance)),
        user_directions=user_directions,
        user_lengths=user_lengths,
        users=histories.users,
        model=model,
        data=store.artefact,
        measured=measured,
    )
    return measured


def _queries(vae: VAE, histories: Histories) -> NDArray[np.float32]:
    """Vectors of users who are drawn by chance, the same ones every time."""
    n_users = len(histories.users)
    n_drawn = min(n_users, 2 * MEASURED_QUERIES)
    drawn = np.random.default_rng(0).choice(n_users, n_drawn, replace=False)
    return vae.user_vectors(histories.rows(np.sort(drawn)))


def directions_of(vae: VAE, users: Interactions, block_size: int = 4096) -> NDArray[np.float32]:
    """Give the items' directions as `build_index` does, of users over the model's catalogue."""
    moments = _Moments(vae.latent_dim)
    for rows in blocks_of(users.n_users, block_size):
        moments.add(vae.encode(users.select_users(rows).matrix))
    return score_directions(vae.item_vectors()[:, :-1], moments.covariance)


class _Moments:
    """Mean and covariance of codes that come in blocks."""

    def __init__(self, dim: int) -> None:
        self.n, self.total, self.squares = 0, np.zeros(dim), np.zeros((dim, dim))

    def add(self, codes: NDArray[np.float32]) -> None:
        """Count codes in; shape (n, dim)."""
        self.n += len(codes)
        self.total += codes.sum(axis=0, dtype=np.float64)
        self.squares += codes.T.astype(np.float64) @ codes

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Of the codes so far; shape (dim, dim)."""
        mean = self.total / self.n
        return np.asarray(self.squares / self.n - np.outer(mean, mean))


def score_directions(
    decoder_rows: NDArray[np.float32], code_covariance: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Give each item a unit vector whose cosines are the correlations of the items' scores.

    With scores w_i . z + b_i over users whose codes z have covariance C, the covariance of two
    items' scores is w_i' C w_j: the inner product of the rows of W C^(1/2).

    Parameters
    ----------
    decoder_rows : float32, shape (n_items, latent_dim)
    code_covariance : float64, shape (latent_dim, latent_dim)

    Returns
    -------
    float32, shape (n_items, latent_dim)

    Examples
    --------
    >>> rows = np.array([[1, 0], [1, 5], [0, 1]], dtype=np.float32)
    >>> only_first_varies = np.diag([4.0, 0.0])
    >>> directions = score_directions(rows, only_first_varies)
    >>> float(directions[0] @ directions[1]), float(directions[0] @ directions[2])
    (1.0, 0.0)
    """
    variances, axes = np.linalg.eigh(code_covariance)
    # Rounding makes tiny variances negative.
    half = axes * np.sqrt(np.maximum(variances, 0))
    return unit_vectors((decoder_rows @ half).astype(np.float32))
