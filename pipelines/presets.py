"""Settings that poems have instead of the defaults: held-out poems chose them."""

from pathlib import Path
from typing import Any

from recsys import storage
from recsys.errors import ArtefactError

FOR_POEMS = "default for poems"
"""The source of these settings, as `recsys config` names it."""

POEMS: dict[str, Any] = {
    "model.kind": "vae",
    "vae.values": "weighted",
    "vae.prior": "standard",
    "vae.kl_scale": "constant",
    "vae.kl_weight": 1.0,
    "vae.anneal_epochs": 3.0,
    "vae.latent_dim": 50,
    "vae.hidden_dim": 400,
    "vae.encoder_layers": 1,
    "vae.dropout": 0.5,
    "vae.members": 1,
    "training.epochs": 40,
    "training.batch_size": 250,
    "training.learning_rate": 4e-3,
    "training.start": "random",
    # The last epoch is kept: ndcg is level from epoch 20 on, and the codes still get better.
    "training.validate_every": 40,
}


ENOUGH_POEMS = 5_000
"""With fewer a code under the whole KL divergence does not come alive: the defaults serve them."""


def presets_of(interactions: Path) -> dict[str, Any]:
    """Give the settings that what was ingested has instead of the defaults: none, but for poems.

    Parameters
    ----------
    interactions : Path
        The artefact, which may be missing or damaged: then there are none.
    """
    try:
        manifest = storage.read_manifest(interactions)
    except ArtefactError:  # the stage that needs it will say so
        return {}
    are_poems = "unit" in manifest.config
    return POEMS if are_poems and manifest.metrics["n_users"] >= ENOUGH_POEMS else {}
