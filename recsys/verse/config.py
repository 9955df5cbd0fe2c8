"""What the couplet model is, and how it is trained."""

from dataclasses import dataclass
from typing import Literal

from recsys.settings import LARGEST_SEED, check_one_of, check_range

Model = Literal["gru", "seed"]


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
    epochs : int
        Passes over the couplets.
    batch_size : int
        Couplets a step.
    learning_rate : float
        Adam's, at the start of a cosine that ends at 0.
    seed : int
    """

    model: Model = "gru"
    embedding_dim: int = 128
    hidden_dim: int = 256
    latent_dim: int = 32
    told_dim: int = 64
    mean_scale: float = 0.57
    dropout: float = 0.1
    untold: float = 0.55
    epochs: int = 7
    batch_size: int = 256
    learning_rate: float = 2e-3
    seed: int = 42

    def __post_init__(self) -> None:
        check_one_of("verse.model", self.model, Model)
        for key in ("embedding_dim", "hidden_dim", "latent_dim", "told_dim", "epochs"):
            check_range(f"verse.{key}", getattr(self, key), at_least=1)
        check_range("verse.batch_size", self.batch_size, at_least=2)
        for key in ("mean_scale", "learning_rate"):
            check_range(f"verse.{key}", getattr(self, key), above=0, below=1)
        for key in ("dropout", "untold"):
            check_range(f"verse.{key}", getattr(self, key), at_least=0, below=1)
        check_range("verse.seed", self.seed, at_least=0, at_most=LARGEST_SEED)
