"""Top-N recommendations from a multinomial-likelihood VAE, served by exact vector search.

The names below are loaded when they are first used, so that `import recsys` costs nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Recommender": "recsys.recommender",
    "Recommendation": "recsys.recommendation",
    "RecommendationList": "recsys.recommendation",
    "Rules": "recsys.rules",
    "to_frame": "recsys.recommendation",
    "Interactions": "recsys.data.interactions",
    "Events": "recsys.data.interactions",
    "IdMap": "recsys.data.ids",
    "VAE": "recsys.vae.model",
    "VAEConfig": "recsys.vae.config",
    "TrainingConfig": "recsys.vae.config",
    "train": "recsys.vae.training",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'recsys' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
