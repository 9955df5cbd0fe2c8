"""A VAE of a training over a large catalogue: a step touches some items and no others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.vae.candidates import CandidateSampler
from recsys.vae.config import VAEConfig
from recsys.vae.encoder import Batch
from recsys.vae.labels import LabelLoss, Labels
from recsys.vae.member import Member
from recsys.vae.model import VAEModule
from recsys.vae.multinomial import multinomial_nll
from recsys.vae.row_adam import RowAdam


@dataclass(frozen=True, eq=False)
class _Rows:
    """Some rows of a table, taken out for a step so that their gradient is as small as they."""

    adam: RowAdam
    rows: Tensor
    values: Tensor

    @classmethod
    def taken_from(cls, adam: RowAdam, rows: Tensor) -> "_Rows":
        return cls(adam, rows, adam.table[rows].requires_grad_())

    def update(self, learning_rate: float) -> None:
        assert self.values.grad is not None
        self.adam.step(self.rows, self.values.grad, learning_rate)


class SampledMember(Member):
    """Estimates the softmax's sum over the catalogue from candidates; see `CandidateSampler`.

    The item tables of encoder and decoder are trained by row-sparse Adam: no gradient of their
    size is ever made.

    Parameters
    ----------
    module, config, n_users, logits_bytes, labels
        As in `Member`.
    sampler : CandidateSampler
    """

    def __init__(
        self,
        module: VAEModule,
        config: VAEConfig,
        n_users: int,
        logits_bytes: int,
        sampler: CandidateSampler,
        labels: Labels | None = None,
    ) -> None:
        super().__init__(module, config, n_users, logits_bytes, labels)
        self.sampler = sampler
        self.embeddings = RowAdam(module.encoder.item_embeddings)
        self.weight = RowAdam(module.decoder.weight)
        self.bias = RowAdam(module.decoder.bias)
        self._touched: list[_Rows] = []

    def dense_parameters(self) -> list[nn.Parameter]:
        """The encoder's layers."""
        tables = {
            id(table)
            for table in (
                self.module.encoder.item_embeddings,
                self.module.decoder.weight,
                self.module.decoder.bias,
            )
        }
        return [each for each in self.module.parameters() if id(each) not in tables]

    def row_moments(self) -> dict[str, RowAdam]:
        """Of both item tables and the item biases."""
        return {"embeddings": self.embeddings, "weight": self.weight, "bias": self.bias}

    def update_rows(self, learning_rate: float) -> None:
        """Update the rows that the last gradient is of."""
        for each in self._touched:
            each.update(learning_rate)
        self._touched = []

    def _encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        items, places = torch.unique(batch.items, return_inverse=True)
        rows = self._take(self.embeddings, items)
        mean, log_variance = self.module.encoder(replace(batch, items=places), self.generator, rows)
        return mean, log_variance

    def _reconstruction(self, latents: Tensor, batch: Batch) -> Tensor:
        candidates = self.sampler.draw(batch, self.generator)
        places = candidates.places_of(batch.items)
        weight = self._take(self.weight, candidates.items)
        self._candidates = (candidates.items, weight)
        # A user's own items are there for certain: their correction is taken back.
        return multinomial_nll(
            latents,
            weight,
            self._take(self.bias, candidates.items) - candidates.log_inclusion,
            replace(batch, items=places),
            self.logits_bytes,
            at_clicks=candidates.log_inclusion[places],
        )

    def _item_labels(self, label_loss: LabelLoss, n_users: int) -> Tensor:
        """Of the items that the step touches anyway."""
        items, rows = self._candidates
        return label_loss.of_items(rows, items, n_users)

    def _take(self, adam: RowAdam, items: Tensor) -> Tensor:
        rows = _Rows.taken_from(adam, items)
        self._touched.append(rows)
        return rows.values


def members_of(
    modules: Sequence[VAEModule],
    interactions: Interactions,
    config: VAEConfig,
    logits_bytes: int,
    labels: Labels | None,
) -> list[Member]:
    """Give each module what trains it, as `config.softmax` says; see `Member`."""
    n_users = interactions.n_users
    if config.softmax == "exact":
        return [Member(each, config, n_users, logits_bytes, labels) for each in modules]
    counts = torch.from_numpy(interactions.item_counts()).to(modules[0].decoder.weight.device)
    sampler = CandidateSampler(counts, n_users, config.negatives)
    return [SampledMember(each, config, n_users, logits_bytes, sampler, labels) for each in modules]
