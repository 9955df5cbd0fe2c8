"""What an epoch adds up to, and the report that is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from recsys.vae.member import Terms

ACTIVE_VARIANCE = 0.01
"""A latent unit is active when its mean varies more than this over users (Burda et al. 2016)."""


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did; loss and its terms in nats per user, lower is better.

    `loss` is `reconstruction` + `kl` + `labels`, the latter two with their weights; `validation`
    is the value of the caller's function (higher is better) and `label_accuracy` that of its
    other one, None in epochs without validation.
    """

    epoch: int
    n_epochs: int
    loss: float
    reconstruction: float
    kl: float
    labels: float
    active_units: int
    latent_dim: int
    validation: float | None
    best_validation: float | None
    best_epoch: int
    label_accuracy: float | None
    users_per_second: float
    seconds_left: float


class Tally:
    """Sums over an epoch, kept on the device so that no step waits for the host."""

    def __init__(self, latent_dim: int, device: torch.device) -> None:
        self._terms = torch.zeros(3, dtype=torch.float64, device=device)
        self._sums = torch.zeros(2, latent_dim, dtype=torch.float64, device=device)

    def add(self, members: Sequence[Terms]) -> None:
        """Add one step: the mean of the members' terms, and their latent means side by side."""
        terms = torch.stack(
            [torch.stack([each.reconstruction, each.kl, each.labels]) for each in members]
        )
        mean = torch.cat([each.mean for each in members], dim=1)
        self._terms += terms.mean(0)
        self._sums += torch.stack([mean.sum(0), mean.square().sum(0)])

    @property
    def loss(self) -> float:
        """Everything that is minimised; nats, summed over users."""
        return self.reconstruction + self.kl + self.labels

    @property
    def reconstruction(self) -> float:
        """Nats, summed over users."""
        return float(self._terms[0])

    @property
    def kl(self) -> float:
        """Weighted nats, summed over users."""
        return float(self._terms[1])

    @property
    def labels(self) -> float:
        """Weighted nats, summed over users."""
        return float(self._terms[2])

    def active_units(self, n_users: int) -> int:
        """Count the latent dimensions whose mean varies over users."""
        first, second = self._sums / n_users
        return int((second - first.square() > ACTIVE_VARIANCE).sum())
