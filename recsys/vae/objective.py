"""What training minimises: reconstruction + weight * KL, in nats per user; lower is better."""

import math

import torch
from torch import Tensor

from recsys.vae.encoder import Batch

_LOG_2PI = math.log(2 * math.pi)

COMPOSITE_WEIGHTS = (3 / 20, 3 / 4, 1 / 10)
"""RecVAE's mixture: N(0, I), the previous encoder's posterior, N(0, e^10)."""


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

    Source: Shenbin et al. 2020, section 3.2; nats, shape (n_users,).
    """
    zero = torch.zeros_like(mean)
    components = torch.stack(
        [
            math.log(COMPOSITE_WEIGHTS[0]) + _log_normal(latents, zero, zero),
            math.log(COMPOSITE_WEIGHTS[1]) + _log_normal(latents, old_mean, old_log_variance),
            math.log(COMPOSITE_WEIGHTS[2]) + _log_normal(latents, zero, zero + 10.0),
        ]
    )
    log_prior = torch.logsumexp(components, dim=0)
    return (_log_normal(latents, mean, log_variance) - log_prior).sum(1)


def _log_normal(at: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    return -0.5 * (_LOG_2PI + log_variance + (at - mean).square() / log_variance.exp())
