"""What training minimises: reconstruction + weight * KL, in nats per user; lower is better."""

import math

import torch
from torch import Tensor

from recsys.vae.encoder import Batch

COMPOSITE_WEIGHTS = (3 / 20, 3 / 4, 1 / 10)
"""RecVAE's mixture: N(0, I), the posterior that the user had last, N(0, e^10)."""

WIDE_LOG_VARIANCE = 10.0
"""Of the mixture's last part."""


def gaussian_nll(
    latents: Tensor, weight: Tensor, bias: Tensor, batch: Batch, *, scale: float, observed: bool
) -> Tensor:
    """`scale` * ||x - f(z)||^2, summed over users; over all entries or only the observed ones."""
    prediction = torch.addmm(bias, latents, weight.t())
    at_clicks = prediction[batch.users, batch.items]
    squares = (batch.values - at_clicks).square().sum()
    if not observed:
        squares = squares + prediction.square().sum() - at_clicks.square().sum()
    return scale * squares


def standard_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) in closed form; nats, shape (n_users,)."""
    return 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(1)


def composite_kl(
    latents: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    old_mean: Tensor,
    old_log_variance: Tensor,
) -> Tensor:
    """One-sample estimate of KL(q || composite prior), a mixture in each dimension.

    Source: Shenbin et al. 2020, section 3.2, but for what the old posterior is of: see
    `recsys.vae.past`. Nats, shape (n_users,).
    """
    standard, previous, wide = map(math.log, COMPOSITE_WEIGHTS)
    squares = latents.square()
    log_prior = torch.logaddexp(
        torch.logaddexp(
            standard - 0.5 * squares,
            previous + _log_normal(latents, old_mean, old_log_variance),
        ),
        wide - 0.5 * (WIDE_LOG_VARIANCE + squares * math.exp(-WIDE_LOG_VARIANCE)),
    )
    return (_log_normal(latents, mean, log_variance) - log_prior).sum(1)


def _log_normal(at: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log density, less the constant that every normal has: it cancels in a KL."""
    return -0.5 * (log_variance + (at - mean).square() * (-log_variance).exp())
