"""RecVAE (Shenbin et al. 2020) with its published schedule, written from the paper.

Encoder and decoder are trained in turn, on dense users x items batches, each with an Adam of its
own; the validation users choose the outer epoch. Gradients that a phase does not step along are
not computed, which changes nothing but the time, in the peer's favour. So does CUDA, which is
used where it is; and where accuracy alone is measured, the first layer passes over the zeros.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding_bag, log_softmax, normalize, silu

from recsys.baselines import mean_metric
from recsys.data.interactions import Interactions
from recsys.data.splits import Holdout
from recsys.metrics import DEFAULT_VALIDATION_METRIC

from .fitted import Fitted, note

PRIOR_WEIGHTS = (3 / 20, 3 / 4, 1 / 10)
WIDE_LOG_VARIANCE = 10.0


@dataclass(frozen=True)
class Schedule:
    """What the paper fixes (section 4.2, values for MovieLens-20M).

    Parameters
    ----------
    outer_epochs : int
        Each is `encoder_epochs` passes for the encoder, then one for the decoder.
    encoder_epochs : int
    batch_size : int
        Users.
    learning_rate : float
    dropout : float
        Share of a history that the encoder does not see while it is trained; the decoder is
        trained on whole histories.
    kl_weight : float
        gamma: times the length of the history, the weight of KL.
    hidden_dim, latent_dim : int
    seed : int
    dense : bool
        Whether the first layer multiplies the zeros of a history too, as the published code
        does. Without them the figures are the same but for rounding, and come sooner.
    """

    outer_epochs: int = 50
    encoder_epochs: int = 3
    batch_size: int = 500
    learning_rate: float = 5e-4
    dropout: float = 0.5
    kl_weight: float = 0.005
    hidden_dim: int = 600
    latent_dim: int = 200
    seed: int = 42
    dense: bool = True


PUBLISHED = Schedule()

FEW_USERS = 20_000
"""Below so many users, batches as published make so few steps that smaller ones are tried too."""
SMALL_BATCH = 100


class Encoder(nn.Module):
    """Five densely connected layers, then the Gaussian of the latents (section 3.1)."""

    def __init__(self, n_items: int, schedule: Schedule) -> None:
        super().__init__()
        width = schedule.hidden_dim
        self.first = nn.Linear(n_items, width)
        self.dense = schedule.dense
        if not self.dense:  # an item's weights side by side, since some items are looked up
            self.first.weight.data = self.first.weight.data.t().contiguous().t()
        self.others = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=0.1) for _ in range(5))
        self.mean = nn.Linear(width, schedule.latent_dim)
        self.log_variance = nn.Linear(width, schedule.latent_dim)

    def forward(self, x: Tensor, dropped: float = 0.0) -> tuple[Tensor, Tensor]:
        """Encode rows of shape (n_users, n_items); mean and log-variance of the latents."""
        hidden = self.norms[0](silu(self._first(dropout(normalize(x), dropped))))
        above = hidden
        for layer, norm in zip(self.others, self.norms[1:], strict=True):
            hidden = norm(silu(layer(hidden) + above))
            above = above + hidden
        return self.mean(hidden), self.log_variance(hidden)

    def _first(self, x: Tensor) -> Tensor:
        if self.dense:
            return self.first(x)
        users, items = x.nonzero(as_tuple=True)
        lengths = torch.bincount(users, minlength=len(x))
        starts = lengths.cumsum(0) - lengths
        values = x[users, items]
        table = self.first.weight.t()
        bags = embedding_bag(items, table, starts, mode="sum", per_sample_weights=values)
        return bags + self.first.bias


class RecVAE(nn.Module):
    """Encoder, linear decoder, and the encoder of one outer epoch ago, for the prior."""

    def __init__(self, n_items: int, schedule: Schedule) -> None:
        super().__init__()
        self.encoder = Encoder(n_items, schedule)
        self.decoder = nn.Linear(schedule.latent_dim, n_items)
        self.old_encoder = copy.deepcopy(self.encoder).requires_grad_(False)

    def remember_encoder(self) -> None:
        """Make today's encoder the prior's."""
        self.old_encoder.load_state_dict(self.encoder.state_dict())

    def loss(self, x: Tensor, dropped: float, kl_weight: float) -> Tensor:
        """Negative ELBO of a batch in nats per user, with one sample of the latents."""
        mean, log_variance = self.encoder(x, dropped)
        latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        log_likelihood = (log_softmax(self.decoder(latents), dim=1) * x).sum(1)
        kl = log_normal(latents, mean, log_variance) - self._log_prior(x, latents)
        return (kl_weight * x.sum(1) * kl.sum(1) - log_likelihood).mean()

    def _log_prior(self, x: Tensor, latents: Tensor) -> Tensor:
        """Log density of the composite prior (section 3.2), a mixture in each dimension."""
        zero = torch.zeros_like(latents)
        components = (
            log_normal(latents, zero, zero),
            log_normal(latents, *self.old_encoder(x)),
            log_normal(latents, zero, zero + WIDE_LOG_VARIANCE),
        )
        weighted = [
            each + math.log(weight) for each, weight in zip(components, PRIOR_WEIGHTS, strict=True)
        ]
        return torch.logsumexp(torch.stack(weighted), dim=0)

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        """Decode the mean of the latents; float32, shape (n_users, n_items)."""
        with torch.inference_mode():
            mean, _ = self.encoder(self.dense(histories))
            return np.asarray(self.decoder(mean).cpu().numpy())

    def dense(self, histories: csr_array) -> Tensor:
        """Give the rows as ones and zeros; float32, shape (n_users, n_items)."""
        ones = np.ones(len(histories.indices), dtype=np.float32)
        filled = csr_array((ones, histories.indices, histories.indptr), shape=histories.shape)
        return torch.from_numpy(filled.toarray()).to(self.decoder.weight.device)


def log_normal(at: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log density of independent Gaussians, dimension by dimension."""
    squares = (at - mean).square() / log_variance.exp()
    return -0.5 * (math.log(2 * math.pi) + log_variance + squares)


@dataclass(frozen=True, eq=False)
class Trained:
    """A model at the outer epoch that validated best, by ndcg@100; higher is better."""

    model: RecVAE
    epoch: int
    value: float


def fit(train: Interactions, validation: Holdout) -> Fitted:
    """Train as published, and on few users in smaller batches too; keep what validated best."""
    schedules = [replace(PUBLISHED, dense=False)]
    if train.n_users < FEW_USERS:
        schedules.append(replace(schedules[0], batch_size=SMALL_BATCH))
    return fit_best(train, validation, schedules)


def fit_best(
    train: Interactions, validation: Holdout, schedules: Sequence[Schedule] = (PUBLISHED,)
) -> Fitted:
    """Train to the end of each schedule; the validation users choose one, and its outer epoch."""
    fits = [(schedule, train_recvae(train, validation, schedule)) for schedule in schedules]
    schedule, best = max(fits, key=lambda each: each[1].value)
    chosen = f"outer epoch {best.epoch} of {schedule.outer_epochs}, batch {schedule.batch_size}"
    return Fitted(best.model.score, chosen, len(fits))


def train_recvae(train: Interactions, validation: Holdout, schedule: Schedule) -> Trained:
    """Train to the end of one schedule.

    Parameters
    ----------
    train : Interactions
    validation : Holdout
        Measured after every outer epoch.
    schedule : Schedule
    """
    best_epoch, best_value, best = 0, -math.inf, None
    with torch.random.fork_rng():
        torch.manual_seed(schedule.seed)
        model = RecVAE(train.n_items, schedule).to(_device())
        for epoch in _outer_epochs(model, train.matrix, schedule):
            value = mean_metric(model.score, validation, DEFAULT_VALIDATION_METRIC)
            note(f"outer epoch {epoch}: {DEFAULT_VALIDATION_METRIC} {value:.4f}")
            if value > best_value:
                best_epoch, best_value, best = epoch, value, copy.deepcopy(model.state_dict())
    assert best is not None
    model.load_state_dict(best)
    return Trained(model, best_epoch, best_value)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _outer_epochs(model: RecVAE, matrix: csr_array, schedule: Schedule) -> Iterator[int]:
    """Train, and stop after each outer epoch; they count from 1."""
    rng = np.random.default_rng(schedule.seed)
    rate = schedule.learning_rate
    of_encoder = torch.optim.Adam(model.encoder.parameters(), lr=rate)
    of_decoder = torch.optim.Adam(model.decoder.parameters(), lr=rate)

    def train(optimiser: torch.optim.Adam, dropped: float) -> None:
        model.encoder.requires_grad_(optimiser is of_encoder)
        model.decoder.requires_grad_(optimiser is of_decoder)
        for rows in _batches(rng.permutation(matrix.shape[0]), schedule.batch_size):
            optimiser.zero_grad()
            model.loss(model.dense(matrix[rows]), dropped, schedule.kl_weight).backward()
            optimiser.step()

    for epoch in range(1, schedule.outer_epochs + 1):
        model.remember_encoder()
        for _ in range(schedule.encoder_epochs):
            train(of_encoder, schedule.dropout)
        train(of_decoder, 0.0)
        yield epoch


def _batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(order), size):
        yield order[start : start + size]
