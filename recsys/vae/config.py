"""What a VAE is and how it is trained, as two frozen records (without torch: they load fast)."""

from dataclasses import dataclass, replace
from typing import Literal

from recsys.errors import ConfigError
from recsys.settings import LARGEST_SEED, check_one_of, check_range

Likelihood = Literal["multinomial", "gaussian"]
Prior = Literal["standard", "composite"]
KLScale = Literal["per_click", "constant"]
Values = Literal["auto", "binary", "weighted"]
Softmax = Literal["auto", "exact", "sampled"]
Start = Literal["spectral", "random"]

EXACT_SOFTMAX_ITEMS = 100_000
"""Catalogue up to which the softmax is exact when not told otherwise."""


USUAL_DROPOUT, DROPOUT_OF_RARE_ITEMS = 0.5, 0.7
RARE_ITEMS = 30
"""Interactions an item, on average, below which items are rare: see docs/experiments.md."""

WIDE_CATALOGUE = 30_000
"""Items from which on a step is mostly the update of the items' weights."""


@dataclass(frozen=True)
class VAEConfig:
    """Architecture and objective.

    Parameters
    ----------
    likelihood : {"multinomial", "gaussian"}
        Multinomial: minus the sum over clicks of log softmax (Liang et al. 2018, eq. 2).
        Gaussian: `reconstruction_weight` * ||x - f(z)||^2.
    values : {"auto", "binary", "weighted"}
        What x holds: 1 for every interaction, or the values of the data. Weighted gaussian means
        ratings: item-centred, and only the observed entries count. Auto is weighted for gaussian
        on data that have ratings or weights, else binary.
    reconstruction_weight : float
        C of the gaussian likelihood.
    autoencoder : bool
        No sampling and no KL: the plain denoising autoencoder.
    prior : {"standard", "composite"}
        N(0, I), or RecVAE's mixture (Shenbin et al. 2020, section 3.2) with the posterior that
        the user had last, which takes 800 bytes a user and member in training.
    kl_scale : {"per_click", "constant"}
        `kl_weight` times the number of the user's clicks, or `kl_weight` alone.
    kl_weight : float
        gamma (per click) or beta (constant).
    anneal_epochs : float
        The KL's weight grows linearly from 0 to its full value over so many epochs.
    latent_dim, hidden_dim : int
        Widths of the latent code and of the encoder's layers.
    encoder_layers : int
        1 is a shallow encoder; more are added densely (each sees the sum of all before it).
    dropout : float or None
        Share of a history's items that are hidden in training. None: .5, and .7 where items have
        fewer than 30 interactions on average.
    members : int or None
        VAEs of different initial weights and noise whose scores are averaged. None: 2, and 1
        where the softmax is sampled: the items of a large catalogue are held once.
    softmax : {"auto", "exact", "sampled"}
        The multinomial likelihood's sum over the catalogue: exact, or estimated from the batch's
        items and `negatives` more. Auto is exact up to 100,000 items.
    negatives : int
        Draws by popularity that a sampled softmax adds to a batch's own items.
    label_weight : float or None
        Of the cross-entropy of a user's label beside that user's loss; or, where items bear
        labels, of the mean over items beside each user's loss. None: 100 and 1.
    """

    likelihood: Likelihood = "multinomial"
    values: Values = "auto"
    reconstruction_weight: float = 1.0
    autoencoder: bool = False
    prior: Prior = "composite"
    kl_scale: KLScale = "per_click"
    kl_weight: float = 0.003
    anneal_epochs: float = 0.0
    latent_dim: int = 200
    hidden_dim: int = 600
    encoder_layers: int = 5
    dropout: float | None = None
    members: int | None = None
    softmax: Softmax = "auto"
    negatives: int = 8192
    label_weight: float | None = None

    def __post_init__(self) -> None:
        check_one_of("vae.likelihood", self.likelihood, Likelihood)
        check_one_of("vae.values", self.values, Values)
        check_one_of("vae.prior", self.prior, Prior)
        check_one_of("vae.kl_scale", self.kl_scale, KLScale)
        check_range("vae.reconstruction_weight", self.reconstruction_weight, above=0)
        check_range("vae.kl_weight", self.kl_weight, at_least=0)
        check_range("vae.anneal_epochs", self.anneal_epochs, at_least=0)
        check_range("vae.latent_dim", self.latent_dim, at_least=1)
        check_range("vae.hidden_dim", self.hidden_dim, at_least=1)
        check_range("vae.encoder_layers", self.encoder_layers, at_least=1)
        check_one_of("vae.softmax", self.softmax, Softmax)
        check_range("vae.negatives", self.negatives, at_least=1)
        if self.label_weight is not None:
            check_range("vae.label_weight", self.label_weight, at_least=0)
        if self.members is not None:
            check_range("vae.members", self.members, at_least=1)
        if self.softmax == "sampled" and self.likelihood != "multinomial":
            raise ConfigError(
                f"vae.softmax is 'sampled', but the {self.likelihood} likelihood has none; "
                "use vae.softmax=auto"
            )
        if self.dropout is not None:
            check_range("vae.dropout", self.dropout, at_least=0, below=1)

    def sized_for(self, n_items: int, n_interactions: int) -> "VAEConfig":
        """Decide what is left to the size of the data: `softmax`, `members` and `dropout`.

        Examples
        --------
        >>> dense, sparse = (VAEConfig().sized_for(10_000, n) for n in (500_000, 200_000))
        >>> dense.dropout, sparse.dropout, sparse.members
        (0.5, 0.7, 2)
        """
        softmax = self.softmax
        if softmax == "auto":
            large = n_items > EXACT_SOFTMAX_ITEMS and self.likelihood == "multinomial"
            softmax = "sampled" if large else "exact"
        members = self.members
        if members is None:
            members = 2 if softmax == "exact" else 1
        dropout = self.dropout
        if dropout is None:
            is_rare = n_interactions < RARE_ITEMS * n_items
            dropout = DROPOUT_OF_RARE_ITEMS if is_rare else USUAL_DROPOUT
        return replace(self, softmax=softmax, members=members, dropout=dropout)

    @property
    def predicts_ratings(self) -> bool:
        """Whether scores are in the unit of the ratings, so that RMSE and MAE mean something."""
        return self.likelihood == "gaussian" and self.values == "weighted"


STEPS_WANTED, FEWEST_EPOCHS, MOST_EPOCHS = 700, 20, 60
"""How long a training is when not told otherwise: see docs/experiments.md."""


@dataclass(frozen=True)
class TrainingConfig:
    """How the weights are found.

    Parameters
    ----------
    epochs : int or None
        Always all of them: the learning rate falls to 0 on a cosine over exactly so many. None:
        as many as make 700 steps, from 20 to 60.
    batch_size : int or None
        Users a step. None: 250, 500 from 30,000 items on (each step updates every item), and
        1,000 where the softmax is sampled.
    learning_rate : float
        Adam's, at the start of the cosine.
    validate_every : int
        Epochs between validations; the last epoch is always validated.
    patience : int
        Stop after so many validations without a new best; 0 is off, since an early stop
        never reaches the small learning rates.
    seed : int
        Order of users, dropout, sampling and initial weights.
    start : {"spectral", "random"}
        What the items' weights are at first: the spectrum of who has what (see
        `recsys.vae.spectrum`), or small random numbers.
    logits_mb : int
        Memory of the users x items scores of a step, all members together; above it they are
        made block by block.
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 1e-3
    validate_every: int = 5
    patience: int = 0
    seed: int = 42
    start: Start = "spectral"
    logits_mb: int = 512

    def __post_init__(self) -> None:
        check_range("training.logits_mb", self.logits_mb, at_least=1)
        check_one_of("training.start", self.start, Start)
        if self.epochs is not None:
            check_range("training.epochs", self.epochs, at_least=1)
        if self.batch_size is not None:
            check_range("training.batch_size", self.batch_size, at_least=1)
        check_range("training.learning_rate", self.learning_rate, above=0)
        check_range("training.validate_every", self.validate_every, at_least=1)
        check_range("training.patience", self.patience, at_least=0)
        check_range("training.seed", self.seed, at_least=0, at_most=LARGEST_SEED)

    def sized_for(self, n_users: int, n_items: int, *, sampled: bool) -> "TrainingConfig":
        """Decide what is left to the size of the data: `batch_size` and `epochs`.

        Examples
        --------
        >>> small = TrainingConfig().sized_for(4_000, 3_500, sampled=False)
        >>> small.batch_size, small.epochs
        (250, 44)
        >>> large = TrainingConfig().sized_for(30_000, 40_000, sampled=False)
        >>> large.batch_size, large.epochs
        (500, 20)
        """
        batch_size = self.batch_size
        if batch_size is None:
            batch_size = 1000 if sampled else 250 if n_items < WIDE_CATALOGUE else 500
        epochs = self.epochs
        if epochs is None:
            wanted = round(STEPS_WANTED * batch_size / n_users)
            epochs = min(max(wanted, FEWEST_EPOCHS), MOST_EPOCHS)
        return replace(self, batch_size=batch_size, epochs=epochs)
