"""What users would pick instead: each peer is a module with `fit(train, validation) -> Fitted`."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.data.interactions import Interactions
    from recsys.data.splits import Holdout

    from .fitted import Fitted

PEERS = ("popularity", "ease", "edlae", "als", "recvae")


def fit_peer(name: str, train: "Interactions", validation: "Holdout") -> "Fitted":
    """Fit one of PEERS; only its own libraries are imported.

    Parameters
    ----------
    name : str
    train : Interactions
        Which pairs are there counts, not their values.
    validation : Holdout
        The users that choose hyperparameters or the epoch, over the items of `train`.
    """
    # By name, because `implicit` is needed by one peer only and is no dependency of ours.
    module = importlib.import_module(f"{__name__}.{name}")
    fitted: Fitted = module.fit(train, validation)
    return fitted
