"""How likely whole histories are under a trained VAE: the evidence lower bound of each."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.data.histories import blocks_of
from recsys.vae.encoder import Batch
from recsys.vae.model import VAE, VAEModule, model_input
from recsys.vae.objective import standard_kl

LOGITS_AT_ONCE = 2**23
"""Users times items of a block: 32 MB."""


def elbo(
    vae: VAE, histories: csr_array, *, n_samples: int = 8, seed: int = 0
) -> NDArray[np.float64]:
    """Bound the log-likelihood of each history given its own code, under the prior N(0, I).

    Parameters
    ----------
    vae : VAE
        With the multinomial likelihood and at least one member.
    histories : csr_array of float32, shape (n_users, n_items)
        Counts, whatever the model was trained on.
    n_samples : int
        Codes drawn for each history; the reconstruction is their mean.
    seed : int

    Returns
    -------
    float64, shape (n_users,)
        Nats; higher is better.

    Notes
    -----
    E_q[sum of count * log softmax(W z + b)] - KL(q || N(0, I)), without the multinomial
    coefficient: the likelihood of the characters in their order, given their code (Liang et al.
    2018, equations 2 and 5). Several members are a mixture of equal parts, whose likelihood is
    at least the mean of exp(bound).
    """
    assert vae.members, "a model of neighbours alone has no likelihood"
    assert vae.config.likelihood == "multinomial"
    inputs = model_input(histories, vae.config, vae.item_means)
    n_users = histories.shape[0]
    bounds = np.empty((len(vae.members), n_users))
    generator = torch.Generator().manual_seed(seed)
    for rows in blocks_of(n_users, max(1, LOGITS_AT_ONCE // vae.n_items)):
        for place, member in enumerate(vae.members):
            device = member.decoder.weight.device
            encoded = Batch.of(inputs, rows, device)
            counted = Batch.of(histories, rows, device)
            with torch.inference_mode():
                found = _bound(member, encoded, counted, n_samples, generator)
            bounds[place, rows] = found.cpu().numpy()
    return np.asarray(np.logaddexp.reduce(bounds, axis=0) - np.log(len(bounds)))


def _bound(
    member: VAEModule,
    encoded: Batch,
    counted: Batch,
    n_samples: int,
    generator: torch.Generator,
) -> Tensor:
    mean, log_variance = member.encoder(encoded)
    deviation = (0.5 * log_variance).exp()
    total = torch.zeros(len(mean), dtype=torch.float64, device=mean.device)
    for _ in range(n_samples):
        noise = torch.randn(mean.shape, generator=generator).to(mean.device)
        log_softmax = torch.log_softmax(member.decoder(mean + noise * deviation), dim=1)
        of_click = counted.values * log_softmax[counted.users, counted.items]
        total += counted.sum_by_user(of_click.double())
    return total / n_samples - standard_kl(mean, log_variance).double()
