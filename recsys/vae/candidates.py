"""Which items stand for the catalogue in a sampled softmax, and how likely each came to."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.vae.encoder import Batch

UNIFORM_SHARE = 0.1
"""Of the draws that ignore popularity, so that every item is drawn now and then."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The items of one step.

    Parameters
    ----------
    items : int64, shape (n_candidates,)
        Ascending; every item of the batch is among them.
    log_inclusion : float32, shape (n_candidates,)
        Logarithm of the probability that the item is here for a user who has not met it.
    """

    items: Tensor
    log_inclusion: Tensor

    def places_of(self, items: Tensor) -> Tensor:
        """Places of items among the candidates; int64."""
        return torch.searchsorted(self.items, items)


class CandidateSampler:
    """Draws candidates: what the batch's users met, and negatives by popularity.

    A score summed over the candidates, each divided by its probability of inclusion (Horvitz &
    Thompson 1952), is an unbiased estimate of the sum over the catalogue; taking log of that
    probability from the logit is the correction of Bengio & Senecal (2008) and Yi et al. (2019).
    For a user who has not met item i, i is a candidate unless none of the batch's other users
    met it and none of the draws gave it. The others are drawn without replacement: of an item that
    c of all n users met, C(n-1-c, b-1) / C(n-1, b-1) of their choices hold nobody who did.

    Parameters
    ----------
    item_counts : int64, shape (n_items,)
        Users of each item in training.
    n_users : int
    n_negatives : int
        Draws with replacement; nine in ten by popularity.
    """

    def __init__(self, item_counts: Tensor, n_users: int, n_negatives: int) -> None:
        counts = item_counts.to(torch.float64)
        popular = counts / counts.sum().clamp_min(1)
        self._chance = (1 - UNIFORM_SHARE) * popular + UNIFORM_SHARE / len(counts)
        self._cumulative = self._chance.cumsum(0)
        self._counts = counts
        self.n_users, self.n_negatives = n_users, n_negatives

    def draw(self, batch: Batch, generator: torch.Generator) -> Candidates:
        """Draw for one batch of users, who were drawn at random themselves."""
        dice = torch.rand(
            self.n_negatives, dtype=torch.float64, device=batch.items.device, generator=generator
        )
        drawn = torch.searchsorted(self._cumulative, dice * self._cumulative[-1])
        drawn.clamp_(max=len(self._chance) - 1)
        items = torch.unique(torch.cat([batch.items, drawn]))
        log_absence = self._log_absence(items, len(batch.lengths) - 1)
        log_absence += self.n_negatives * torch.log1p(-self._chance[items])
        log_inclusion = torch.log(-torch.expm1(log_absence))
        return Candidates(items, log_inclusion.to(torch.float32))

    def _log_absence(self, items: Tensor, n_others: int) -> Tensor:
        """Of each item from all histories of so many other users; float64, shape (n_items,)."""
        strangers = self.n_users - 1 - self._counts[items]
        left = strangers - n_others
        alone = torch.lgamma(strangers + 1) - torch.lgamma(left.clamp_min(0) + 1)
        among = math.lgamma(self.n_users) - math.lgamma(self.n_users - n_others)
        return torch.where(left >= 0, alone - among, -torch.inf).clamp_max(0)
