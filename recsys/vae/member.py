"""One VAE of a training: its loss on a batch of users, and the gradient of that."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys.vae.config import VAEConfig
from recsys.vae.encoder import Batch
from recsys.vae.labels import LabelLoss, Labels
from recsys.vae.model import VAEModule
from recsys.vae.multinomial import multinomial_nll
from recsys.vae.objective import composite_kl, gaussian_nll, standard_kl
from recsys.vae.past import PastPosteriors
from recsys.vae.row_adam import RowAdam


@dataclass(frozen=True, eq=False)
class Terms:
    """What a step adds to the epoch's report.

    Parameters
    ----------
    reconstruction, kl, labels : Tensor
        Scalars, nats summed over the batch's users; KL and labels with their weights.
    mean : Tensor, shape (n_users, latent_dim)
    """

    reconstruction: Tensor
    kl: Tensor
    labels: Tensor
    mean: Tensor


class Member:
    """A module under training, with its own noise and its own past.

    Parameters
    ----------
    module : VAEModule
    config : VAEConfig
    n_users : int
        Who is trained on.
    logits_bytes : int
        Memory of the users x items scores of a step.
    labels : Labels or None
        To learn from; the module has a head for them.
    """

    def __init__(
        self,
        module: VAEModule,
        config: VAEConfig,
        n_users: int,
        logits_bytes: int,
        labels: Labels | None = None,
    ) -> None:
        self.module, self.config, self.logits_bytes = module, config, logits_bytes
        self.label_loss = None
        if labels is not None:
            assert module.labels is not None
            self.label_loss = LabelLoss(module.labels, labels, config.label_weight)
        self.device = module.decoder.weight.device
        self.generator = torch.Generator(self.device)
        self.past = None
        if config.prior == "composite" and not config.autoencoder:
            self.past = PastPosteriors(n_users, config.latent_dim, self.device)

    def begin_epoch(self, seed: int) -> None:
        """Seed the noise."""
        self.generator.manual_seed(seed)
        self.module.train()

    def add_gradient(self, batch: Batch, kl_weight: float | Tensor) -> Terms:
        """Leave the gradient of the mean loss of the batch's users in the module."""
        mean, log_variance = self._encode(batch)
        latents = mean
        if not self.config.autoencoder:
            noise = torch.empty_like(mean).normal_(generator=self.generator)
            latents = mean + noise * (0.5 * log_variance).exp()
        reconstruction = self._reconstruction(latents, batch)
        kl = self._weighted_kl(latents, mean, log_variance, batch, kl_weight)
        labels = self._labels(latents, batch)
        loss = (reconstruction + kl + labels) / len(batch.lengths)
        loss.backward()  # type: ignore[no-untyped-call]
        return Terms(reconstruction.detach(), kl.detach(), labels.detach(), mean.detach())

    def dense_parameters(self) -> list[nn.Parameter]:
        """Those whose gradient is dense, for the optimiser that all members share."""
        return list(self.module.parameters())

    def update_rows(self, learning_rate: float) -> None:
        """Update what `dense_parameters` leaves out."""

    def row_moments(self) -> dict[str, RowAdam]:
        """The optimisers behind `update_rows`, by the names of their tables."""
        return {}

    def _encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.module.encoder(batch, self.generator)
        return mean, log_variance

    def _reconstruction(self, latents: Tensor, batch: Batch) -> Tensor:
        decoder = self.module.decoder
        if self.config.likelihood == "multinomial":
            return multinomial_nll(latents, decoder.weight, decoder.bias, batch, self.logits_bytes)
        return gaussian_nll(
            latents,
            decoder.weight,
            decoder.bias,
            batch,
            scale=self.config.reconstruction_weight,
            observed=self.config.predicts_ratings,
        )

    def _labels(self, latents: Tensor, batch: Batch) -> Tensor:
        if self.label_loss is None:
            return torch.zeros((), device=self.device)
        if batch.labels is not None:
            return self.label_loss.of_users(latents, batch.labels)
        return self._item_labels(self.label_loss, len(batch.lengths))

    def _item_labels(self, label_loss: LabelLoss, n_users: int) -> Tensor:
        return label_loss.of_items(self.module.decoder.weight, None, n_users)

    def _weighted_kl(
        self,
        latents: Tensor,
        mean: Tensor,
        log_variance: Tensor,
        batch: Batch,
        kl_weight: float | Tensor,
    ) -> Tensor:
        if self.config.autoencoder:
            return torch.zeros((), device=self.device)
        if self.past is None:
            kl = standard_kl(mean, log_variance)
        else:
            assert batch.rows is not None
            kl = composite_kl(latents, mean, log_variance, *self.past.of(batch.rows))
            self.past.remember(batch.rows, mean.detach(), log_variance.detach())
        if self.config.kl_scale == "per_click":
            kl = kl * self._clicks(batch)
        return kl_weight * kl.sum()

    def _clicks(self, batch: Batch) -> Tensor:
        if self.config.predicts_ratings:  # centred values cancel: count the ratings instead
            return batch.lengths.to(torch.float32)
        return batch.sum_by_user(batch.values)


@contextlib.contextmanager
def threads_for(n_members: int) -> Iterator[Executor]:
    """One thread a member, each with its share of the cores.

    Small matrices keep one core busy and not two, so members side by side take hardly longer
    than one of them alone.
    """
    share = max(1, torch.get_num_threads() // n_members)
    with ThreadPoolExecutor(
        n_members, initializer=torch.set_num_threads, initargs=(share,)
    ) as pool:
        yield pool
