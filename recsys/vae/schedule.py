"""How the learning rate falls and the KL's weight rises over a training."""

import math

from recsys.vae.config import VAEConfig


def cosine_rate(start: float, progress: float) -> float:
    """Learning rate after a share `progress` of training, falling from `start` to 0.

    Examples
    --------
    >>> [round(cosine_rate(1.0, share), 3) for share in (0, 0.25, 0.5, 1)]
    [1.0, 0.854, 0.5, 0.0]
    """
    return start * 0.5 * (1 + math.cos(math.pi * progress))


def annealed(config: VAEConfig, epochs_done: float) -> float:
    """Weight of the KL after so many (fractional) epochs.

    Examples
    --------
    >>> [annealed(VAEConfig(kl_weight=0.2, anneal_epochs=10), done) for done in (0, 5, 20)]
    [0.0, 0.1, 0.2]
    """
    if config.anneal_epochs == 0:
        return config.kl_weight
    return config.kl_weight * min(1.0, epochs_done / config.anneal_epochs)
