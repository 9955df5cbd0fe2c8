"""What a training is refused for, or stopped: in words that say what to change."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.data.interactions import Interactions
from recsys.errors import DataError, TrainingError
from recsys.vae.config import VAEConfig
from recsys.vae.tally import EpochReport

STEPS_TO_COME_ALIVE = 200
"""Steps of the optimiser that a latent space may take before no active unit is a collapse."""


def check_data(interactions: Interactions, config: VAEConfig) -> None:
    """Refuse data that a VAE of these settings cannot be trained on.

    Raises
    ------
    DataError
        Fewer than two users or items, or negative weights under the multinomial likelihood.
    """
    assert config.values != "auto", "decide between binary and weighted before training"
    for count, noun in (
        (interactions.n_users, interactions.users.noun),
        (interactions.n_items, interactions.items.noun),
    ):
        if count < 2:
            raise DataError(
                f"training needs at least two {noun}s, found {count}: there is nothing to compare"
            )
    multinomial = config.likelihood == "multinomial" and config.values == "weighted"
    if multinomial and interactions.matrix.data.min(initial=0) < 0:
        raise DataError(
            "the multinomial likelihood needs weights of at least 0, found "
            f"{interactions.matrix.data.min():g}; set vae.likelihood=gaussian or vae.values=binary"
        )


def check_finite(loss: float, module: torch.nn.Module, epoch: int, learning_rate: float) -> None:
    """Stop before broken weights are validated or written to the checkpoint.

    Raises
    ------
    TrainingError
        The loss or a weight is no longer finite.
    """
    # By the smallest and the largest: a mask would be as large as the weights.
    bounds = [each for p in module.parameters() for each in torch.aminmax(p.detach())]
    weights_are_finite = all(bool(each.isfinite()) for each in bounds)
    if not (math.isfinite(loss) and weights_are_finite):
        broken = "the weights are" if math.isfinite(loss) else f"the loss ({loss}) is"
        raise _diverged(broken, epoch, learning_rate)


def check_scores(scores: NDArray[np.float32], epoch: int, learning_rate: float) -> None:
    """Stop where weights that are finite give scores that are not.

    Raises
    ------
    TrainingError
        A score is not finite.
    """
    # NaN passes through both; a mask would take a quarter of the scores' memory.
    if not (np.isfinite(scores.min(initial=0)) and np.isfinite(scores.max(initial=0))):
        raise _diverged("the scores are", epoch, learning_rate)


def _diverged(broken: str, epoch: int, learning_rate: float) -> TrainingError:
    return TrainingError(
        f"{broken} no longer finite after epoch {epoch}: lower training.learning_rate "
        f"(now {learning_rate:g}) to a third, say, and train again"
    )


def check_alive(report: EpochReport, config: VAEConfig, steps_per_epoch: int) -> None:
    """Stop where no latent unit is active although the space has had its time to come alive.

    Raises
    ------
    TrainingError
        Says what may help.
    """
    if report.active_units or config.autoencoder:
        return
    steps = (report.epoch - config.anneal_epochs) * steps_per_epoch
    if steps >= STEPS_TO_COME_ALIVE or report.epoch == report.n_epochs:
        raise TrainingError(
            f"the latent space has collapsed: no unit of {report.latent_dim} is active after epoch "
            f"{report.epoch}; lower vae.kl_weight (now {config.kl_weight:g}) or raise "
            "vae.anneal_epochs"
        )
