"""How good a couplet VAE is: bounds of its likelihood, and whether its code is used."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.data.histories import blocks_of
from recsys.vae.objective import standard_kl
from recsys.verse.couplet_module import (
    CoupletModule,
    Told,
    log_density,
    standard_log_density,
)
from recsys.verse.couplets import Couplets

AT_ONCE = 2048
"""Couplets, or samples of them, that are scored together: 20,480 places and their logits."""

ACTIVE_VARIANCE = 0.01
"""A unit whose mean varies more than this over couplets is active (Burda et al. 2016)."""


@dataclass(frozen=True)
class CodeUse:
    """What the code carries.

    Parameters
    ----------
    kl : float
        Mean KL(q(z | x) || N(0, I)); nats a couplet.
    mutual_information : float
        Between couplets and codes, by `mutual_information`; nats.
    active_units : int
        Dimensions whose mean varies.
    """

    kl: float
    mutual_information: float
    active_units: int


def told_of(couplets: Couplets, device: torch.device) -> Told:
    """What is told of couplets, as tensors."""
    return Told(
        torch.from_numpy(couplets.told).to(device), torch.from_numpy(couplets.codes).to(device)
    )


@torch.inference_mode()
def posteriors(module: CoupletModule, couplets: Couplets) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of each couplet's code; float32, both of shape (n, latent_dim)."""
    device = _device_of(module)
    parts = [
        module.encode(torch.from_numpy(couplets.rows[rows]).to(device))
        for rows in blocks_of(len(couplets), AT_ONCE)
    ]
    means, log_variances = zip(*parts, strict=True)
    return torch.cat(means), torch.cat(log_variances)


@torch.inference_mode()
def log_likelihoods(
    module: CoupletModule, couplets: Couplets, latents: Tensor
) -> NDArray[np.float64]:
    """Log p(couplet | code) of each couplet under a code; nats, shape (n,)."""
    device = _device_of(module)
    parts = []
    for rows in blocks_of(len(couplets), AT_ONCE):
        part = couplets.select(rows)
        tensors = torch.from_numpy(part.rows).to(device), latents[rows], told_of(part, device)
        parts.append(module.log_likelihood(*tensors).double().cpu().numpy())
    return np.concatenate(parts)


def negative_elbo(module: CoupletModule, couplets: Couplets, seed: int = 0) -> NDArray[np.float64]:
    """Minus the evidence lower bound of each couplet, by one code each; nats, shape (n,)."""
    mean, log_variance = posteriors(module, couplets)
    latents = _draw(mean, log_variance, _generator(mean, seed))
    kl = standard_kl(mean, log_variance).double().cpu().numpy()
    return np.asarray(kl - log_likelihoods(module, couplets, latents))


def importance_weighted_nll(
    module: CoupletModule, couplets: Couplets, n_samples: int = 100, seed: int = 0
) -> NDArray[np.float64]:
    """Minus the importance-weighted bound of log p(couplet); nats, shape (n,).

    Parameters
    ----------
    module : CoupletModule
    couplets : Couplets
    n_samples : int
        Codes a couplet: with more the bound comes nearer to log p.
    seed : int

    Notes
    -----
    log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x) with z_k from q(z | x) (Burda et al. 2016).
    """
    mean, log_variance = posteriors(module, couplets)
    generator = _generator(mean, seed)
    log_weights = np.empty((n_samples, len(couplets)), dtype=np.float64)
    for k in range(n_samples):
        latents = _draw(mean, log_variance, generator)
        ratio = standard_log_density(latents) - log_density(latents, mean, log_variance)
        log_weights[k] = log_likelihoods(module, couplets, latents) + ratio.double().cpu().numpy()
    return np.asarray(math.log(n_samples) - np.logaddexp.reduce(log_weights, axis=0))


def nats_lost_by_another_code(
    module: CoupletModule, couplets: Couplets, seed: int = 0
) -> NDArray[np.float64]:
    """How much less likely each couplet is under another couplet's code; nats, shape (n,)."""
    mean, log_variance = posteriors(module, couplets)
    latents = _draw(mean, log_variance, _generator(mean, seed))
    own = log_likelihoods(module, couplets, latents)
    return own - log_likelihoods(module, couplets, latents.roll(1, dims=0))


def code_use(module: CoupletModule, couplets: Couplets, seed: int = 0) -> CodeUse:
    """Measure what the code carries, on couplets that were not trained on."""
    mean, log_variance = posteriors(module, couplets)
    return CodeUse(
        kl=float(standard_kl(mean, log_variance).double().mean()),
        mutual_information=mutual_information(mean, log_variance, seed),
        active_units=int((mean.var(dim=0) > ACTIVE_VARIANCE).sum()),
    )


def mutual_information(mean: Tensor, log_variance: Tensor, seed: int = 0) -> float:
    """Estimate I(x; z) = E log q(z | x) / q(z), q(z) being the mixture of these posteriors.

    Parameters
    ----------
    mean, log_variance : Tensor, shape (n, latent_dim)
    seed : int

    Returns
    -------
    float
        Nats, at most log n (Hoffman and Johnson 2016).
    """
    mean, log_variance = mean.double(), log_variance.double()  # squares of means cancel below
    latents = _draw(mean, log_variance, _generator(mean, seed))
    own = log_density(latents, mean, log_variance)
    # (z - m)^2 / v = z^2 / v - 2 z m / v + m^2 / v: three products instead of n x n x dim.
    precision = (-log_variance).exp()
    constant = (log_variance + mean.square() * precision + math.log(2 * math.pi)).sum(1)
    squares = latents.square() @ precision.t() - 2 * latents @ (mean * precision).t() + constant
    aggregate = (-0.5 * squares).logsumexp(dim=1) - math.log(len(mean))
    return float((own - aggregate).mean())


def _draw(mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + noise * (0.5 * log_variance).exp()


def _generator(like: Tensor, seed: int) -> torch.Generator:
    return torch.Generator(like.device).manual_seed(seed)


def _device_of(module: CoupletModule) -> torch.device:
    return next(module.parameters()).device
