"""What the couplet model is, and how it is trained."""

from dataclasses import dataclass
from typing import Literal

from recsys.errors import ConfigError


@dataclass(frozen=True)
class VerseConfig:
    """What the couplet model is and how it is trained; see docs/verse.md.

    Parameters
    ----------
    model : str
        gru, or seed: the network of the talk that this project grew from, for comparison.
    embedding_dim, hidden_dim, latent_dim, told_dim : int
        Widths: of a character, of the GRU, of the code, and of what is told besides it. The seed
        model has its own.
    mean_scale : float
        Spread of the codes' means in every dimension, held by a batch normalisation: the KL
        cannot fall below latent_dim * mean_scale^2 / 2, so the code is used from the first step.
    dropout : float
        Of the features that a character is foretold from.
    untold : float
        Share of the couplets that are learned with nothing told but their width.
    epochs, batch_size : int
        Couplets a step.
    learning_rate : float
        Adam's, at the start of a cosine that ends at 0.
    seed : int
    """

    model: Literal["gru", "seed"] = "gru"
    embedding_dim: int = 128
    hidden_dim: int = 256
    latent_dim: int = 32
    told_dim: int = 64
    mean_scale: float = 0.6
    dropout: float = 0.1
    untold: float = 0.4
    epochs: int = 7
    batch_size: int = 256
    learning_rate: float = 2e-3
    seed: int = 42

    def __post_init__(self) -> None:
        if self.model not in ("gru", "seed"):
            raise ConfigError(f"verse.model is {self.model!r}, expected gru or seed")
        for key in ("embedding_dim", "hidden_dim", "latent_dim", "told_dim", "epochs"):
            if getattr(self, key) < 1:
                raise ConfigError(f"verse.{key} is {getattr(self, key)}, expected at least 1")
        if self.batch_size < 2:
            raise ConfigError(f"verse.batch_size is {self.batch_size}, expected at least 2")
        for key in ("mean_scale", "learning_rate"):
            if not 0 < getattr(self, key) < 1:
                raise ConfigError(
                    f"verse.{key} is {getattr(self, key)}, expected above 0 and below 1"
                )
        for key in ("dropout", "untold"):
            if not 0 <= getattr(self, key) < 1:
                raise ConfigError(
                    f"verse.{key} is {getattr(self, key)}, expected at least 0 and below 1"
                )
        if self.seed < 0:
            raise ConfigError(f"verse.seed is {self.seed}, expected 0 or more")
