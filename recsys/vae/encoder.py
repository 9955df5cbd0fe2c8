"""Histories in, the posterior's mean and log-variance out; sparse on a processor."""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, silu

from recsys.vae.config import USUAL_DROPOUT, VAEConfig

MOST_DENSE = 2**26
"""Users x items up to which a CUDA device multiplies the histories with their zeros, 256 MB of
them: twice as fast as gathering rows, and always in the same order."""


@dataclass(frozen=True)
class Batch:
    """Some users' histories in the layout of `embedding_bag`.

    Parameters
    ----------
    items : int64, shape (n_clicks,)
        Item positions, user after user.
    starts : int64, shape (n_users,)
        Where each user's items begin.
    values : float32, shape (n_clicks,)
        What x holds at these items.
    lengths : int64, shape (n_users,)
        Number of items of each user; 0 is legal.
    rows : int64 or None, shape (n_users,)
        Where the users stand among the histories that they were gathered from.
    labels : int64 or None, shape (n_users,)
        Where users bear labels to learn from: see `recsys.vae.labels.Labels`.
    """

    items: Tensor
    starts: Tensor
    values: Tensor
    lengths: Tensor
    rows: Tensor | None = None
    labels: Tensor | None = None

    @classmethod
    def of(cls, histories: csr_array, rows: NDArray[np.int64], device: torch.device) -> "Batch":
        """Gather `rows` of a CSR matrix of float32, shape (n_users, n_items)."""
        starts = histories.indptr[rows].astype(np.int64)
        lengths = histories.indptr[rows + 1].astype(np.int64) - starts
        new_starts = np.cumsum(lengths) - lengths
        gather = np.arange(lengths.sum()) + np.repeat(starts - new_starts, lengths)
        return cls(
            items=torch.from_numpy(histories.indices[gather].astype(np.int64)).to(device),
            starts=torch.from_numpy(new_starts).to(device),
            values=torch.from_numpy(histories.data[gather]).to(device),
            lengths=torch.from_numpy(lengths).to(device),
            rows=torch.from_numpy(rows).to(device),
        )

    @cached_property
    def users(self) -> Tensor:
        """The user of each click, 0 .. n_users-1; int64, shape (n_clicks,)."""
        users = torch.arange(len(self.lengths), device=self.items.device)
        return users.repeat_interleave(self.lengths, output_size=len(self.items))

    @cached_property
    def normalised(self) -> Tensor:
        """The values divided by the L2 norm of their history; float32, shape (n_clicks,)."""
        norms = self.sum_by_user(self.values.square()).sqrt()
        return self.values / norms.clamp_min(1e-12)[self.users]

    def sum_by_user(self, per_click: Tensor) -> Tensor:
        """Add up a value of each click within its user; shape (n_users,)."""
        total = torch.zeros(len(self.lengths), dtype=per_click.dtype, device=per_click.device)
        return total.index_add_(0, self.users, per_click)


class Encoder(nn.Module):
    """x -> (mean, log-variance), after RecVAE (Shenbin et al. 2020, figure 2).

    h_1 = LN(silu(W_1 x)), then h_k = LN(silu(W_k h_{k-1} + h_1 + ... + h_{k-1})).
    x is the history divided by its L2 norm; an empty history is the zero vector.
    """

    def __init__(self, n_items: int, config: VAEConfig) -> None:
        super().__init__()
        self.dropout = USUAL_DROPOUT if config.dropout is None else config.dropout
        width = config.hidden_dim
        bound = 1 / max(1, n_items) ** 0.5
        self.item_embeddings = nn.Parameter(torch.empty(n_items, width).uniform_(-bound, bound))
        self.first_bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.layers = nn.ModuleList(
            nn.Linear(width, width) for _ in range(config.encoder_layers - 1)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, eps=0.1) for _ in range(config.encoder_layers)
        )
        self.mean = nn.Linear(width, config.latent_dim)
        self.log_variance = nn.Linear(width, config.latent_dim)

    def forward(
        self,
        batch: Batch,
        generator: torch.Generator | None = None,
        embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode a batch; with a generator items are dropped at random, as in training.

        Parameters
        ----------
        batch : Batch
        generator : torch.Generator or None
        embeddings : Tensor or None
            Stands for the item embeddings, where the batch's items are rows of a part of them.

        Returns
        -------
        mean, log_variance : float32, shape (n_users, latent_dim)
        """
        hidden = self.last_hidden(batch, generator, embeddings)
        return self.mean(hidden), self.log_variance(hidden)

    def last_hidden(
        self,
        batch: Batch,
        generator: torch.Generator | None = None,
        embeddings: Tensor | None = None,
    ) -> Tensor:
        """Give what both heads are linear in; float32, shape (n_users, hidden_dim)."""
        items, starts, values = batch.items, batch.starts, batch.normalised
        if generator is not None and self.dropout > 0:
            items, starts, values = self._some_of(batch, generator)
        table = self.item_embeddings if embeddings is None else embeddings
        if _is_dense(batch, table):
            hidden = _with_zeros(batch, values, len(table)) @ table
        else:
            hidden = embedding_bag(items, table, starts, mode="sum", per_sample_weights=values)
        first_norm, *norms = self.norms
        hidden = first_norm(silu(hidden + self.first_bias))
        total = hidden
        for layer, norm in zip(self.layers, norms, strict=True):
            hidden = norm(silu(layer(hidden) + total))
            total = total + hidden
        return cast(Tensor, hidden)

    def _some_of(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Drop items at random, so that no time goes into them, and scale up the others' values.

        Returns
        -------
        items, starts, values
            As `Batch` has them; the values normalised before.
        """
        chances = torch.empty_like(batch.values).bernoulli_(1 - self.dropout, generator=generator)
        if chances.device.type == "cuda":
            # How many are left is not known here: to ask would be to wait for the device.
            return batch.items, batch.starts, batch.normalised * chances / (1 - self.dropout)
        kept = chances.nonzero()[:, 0]
        lengths = batch.sum_by_user(chances).to(torch.int64)
        values = batch.normalised[kept] / (1 - self.dropout)
        return batch.items[kept], lengths.cumsum(0) - lengths, values


def _is_dense(batch: Batch, table: Tensor) -> bool:
    return table.device.type == "cuda" and len(batch.lengths) * len(table) <= MOST_DENSE


def _with_zeros(batch: Batch, values: Tensor, n_items: int) -> Tensor:
    """Write values of a batch's clicks into a dense matrix; shape (n_users, n_items)."""
    dense = values.new_zeros(len(batch.lengths), n_items)
    dense.view(-1).index_add_(0, batch.users * n_items + batch.items, values)
    return dense
