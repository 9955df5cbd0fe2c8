"""Training of the couplet VAE: every epoch ends with its measures and one sampled couplet."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.errors import DataError, TrainingError
from recsys.vae.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from recsys.vae.devices import fast_products, full_device_explained, random_state_kept
from recsys.vae.objective import standard_kl
from recsys.vae.schedule import cosine_rate
from recsys.verse.config import VerseConfig
from recsys.verse.corpus import ByWidth
from recsys.verse.couplet_module import CoupletModule, Told, make_module
from recsys.verse.couplet_vae import CoupletVAE
from recsys.verse.couplets import Couplets, Vocabulary, Width
from recsys.verse.measures import code_use, importance_weighted_nll, negative_elbo, told_of

LONGEST_GRADIENT = 5.0
WEIGHED_COUPLETS, WEIGHED_SAMPLES = 500, 20
"""Validation couplets, and codes of each, for the importance-weighted figure of every epoch."""

LEAST_INFORMATION = 0.5
"""Nats between couplet and code below which the code is not used."""

STEPS_TO_COME_ALIVE = 500
"""Steps of the optimiser that a code may take before it has to be used."""

SETTLED_BY = 8192
"""Training couplets of a width, evenly taken, that the spread of the means is measured on."""

SAMPLE_TEMPERATURE = 0.8


@dataclass(frozen=True)
class VerseReport:
    """What an epoch brought; likelihoods in nats a couplet, on the validation couplets.

    Parameters
    ----------
    epoch, n_epochs : int
    loss : float
        Negative ELBO while training, with what was told.
    elbo : mapping of str to float
        Negative ELBO by width, with nothing told but the width.
    weighted : float
        Importance-weighted negative log-likelihood of the narrowest couplets.
    kl, mutual_information, active_units, latent_dim
        As `recsys.verse.measures.CodeUse` has them, of the narrowest couplets.
    sample : str
        A couplet written under a code drawn from N(0, I), without prosody.
    best_epoch : int
    seconds, seconds_left : float
    """

    epoch: int
    n_epochs: int
    loss: float
    elbo: Mapping[str, float]
    weighted: float
    kl: float
    mutual_information: float
    active_units: int
    latent_dim: int
    sample: str
    best_epoch: int
    seconds: float
    seconds_left: float


@full_device_explained("verse")
def train_couplets(
    train: ByWidth,
    validation: ByWidth,
    vocabulary: Vocabulary,
    config: VerseConfig,
    *,
    on_epoch: Callable[[VerseReport], None] | None = None,
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> CoupletVAE:
    """Train a couplet VAE; the epoch with the best ELBO on the validation couplets is kept.

    Parameters
    ----------
    train, validation : mapping of int to Couplets
        By width; of different poems.
    vocabulary : Vocabulary
    config : VerseConfig
    on_epoch : callable or None
        Receives a report after each epoch.
    checkpoint : Path or None
        Written after every epoch; when it is there, training goes on from it.
    device : str

    Raises
    ------
    DataError
        A part has fewer than two couplets.
    TrainingError
        The device is full, the loss is no longer finite, or the code tells nothing of the couplet.
    ArtefactError
        The checkpoint is damaged, or of other data or settings.
    """
    run = _Run(train, validation, vocabulary, config, torch.device(device))
    if checkpoint is not None and checkpoint.exists():
        run.restore(load_checkpoint(checkpoint, run.identity, run.device))
    while run.epoch < config.epochs:
        report = run.run_epoch()
        if on_epoch is not None:
            on_epoch(report)
        if report.mutual_information < LEAST_INFORMATION and run.is_to_use_its_code:
            raise TrainingError(
                f"the latent code has collapsed: after epoch {report.epoch} it tells "
                f"{report.mutual_information:.2f} nats of a couplet; "
                "raise verse.mean_scale (model gru holds it up), or lower verse.learning_rate"
            )
        if checkpoint is not None:
            save_checkpoint(checkpoint, run.snapshot())
    return run.best_model()


class _Run:
    """The mutable state of one training."""

    def __init__(
        self,
        train: ByWidth,
        validation: ByWidth,
        vocabulary: Vocabulary,
        config: VerseConfig,
        device: torch.device,
    ) -> None:
        self.vocabulary, self.config, self.device = vocabulary, config, device
        with random_state_kept(self.device):
            torch.manual_seed(config.seed)
            poem_dim = next(iter(train.values())).codes.shape[1]
            module = make_module(len(vocabulary), len(vocabulary.rhymes), poem_dim, config)
        self.module: CoupletModule = module.to(device)
        self.train = {width: train[width] for width in module.widths if len(train.get(width, ()))}
        self.validation = {
            width: validation[width].untold()
            for width in self.train
            if len(validation.get(width, ()))
        }
        for name, part in (("train", self.train), ("validation", self.validation)):
            if sum(map(len, part.values())) < 2:
                raise DataError(f"the {name} poems hold fewer than two couplets to learn from")
        self.optimiser = torch.optim.Adam(
            self.module.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), fused=True
        )
        self.epoch, self.best_epoch = 0, 0
        self.best_elbo = math.inf
        self.best_weights: dict[str, Tensor] | None = None
        self.seconds, self.epochs_timed = 0.0, 0

    @property
    def identity(self) -> str:
        """Hash of settings and data."""
        digest = hashlib.sha256(repr((self.config, self.vocabulary)).encode())
        for couplets in (*self.train.values(), *self.validation.values()):
            for array in (couplets.rows, couplets.told, couplets.codes):
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def is_to_use_its_code(self) -> bool:
        """Whether the code has had its time to come alive; the talk's network is left as it is."""
        return (
            self.config.model != "seed" and self.epoch * self.steps_per_epoch >= STEPS_TO_COME_ALIVE
        )

    @property
    def steps_per_epoch(self) -> int:
        """Batches of all widths."""
        sizes = map(len, self.train.values())
        return sum(math.ceil(each / self.config.batch_size) for each in sizes)

    def run_epoch(self) -> VerseReport:
        """Learn from every couplet once, then measure."""
        started = time.perf_counter()
        loss = self._learn()
        self.epoch += 1
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is no longer finite after epoch {self.epoch}: lower "
                f"verse.learning_rate (now {self.config.learning_rate:g})"
            )
        elbo = {
            width: float(negative_elbo(self.module, couplets).mean())
            for width, couplets in self.validation.items()
        }
        self._remember(sum(elbo[width] * len(self.validation[width]) for width in elbo))
        narrow = self.validation[min(self.validation)]
        weighed = narrow.select(np.arange(min(WEIGHED_COUPLETS, len(narrow))))
        use = code_use(self.module, narrow)
        weighted = importance_weighted_nll(self.module, weighed, WEIGHED_SAMPLES)
        seconds = time.perf_counter() - started
        self.seconds += seconds
        self.epochs_timed += 1
        left = self.config.epochs - self.epoch
        return VerseReport(
            epoch=self.epoch,
            n_epochs=self.config.epochs,
            loss=loss,
            elbo={str(width): value for width, value in elbo.items()},
            weighted=float(weighted.mean()),
            kl=use.kl,
            mutual_information=use.mutual_information,
            active_units=use.active_units,
            latent_dim=self.module.latent_dim,
            sample=self._sample(),
            best_epoch=self.best_epoch,
            seconds=seconds,
            seconds_left=self.seconds / self.epochs_timed * left,
        )

    def _learn(self) -> float:
        rng = np.random.default_rng([self.config.seed, self.epoch])
        generator = torch.Generator(self.device)
        generator.manual_seed(int(rng.integers(2**62)))
        batches = shuffled_batches(self.train, self.config.batch_size, rng)
        total, n = 0.0, 0
        self.module.train()
        faster = fast_products(self.device, same_shapes=True)
        with faster, random_state_kept(self.device):  # of the dropout
            torch.manual_seed(int(rng.integers(2**62)))
            for number, (width, rows) in enumerate(batches):
                progress = (self.epoch + number / len(batches)) / self.config.epochs
                total += self._step(self.train[width].select(rows), progress, rng, generator)
                n += len(rows)
        self.module.eval()
        self._settle()
        return total / n

    def _settle(self) -> None:
        for couplets in self.train.values():
            every = -(-len(couplets) // SETTLED_BY)
            rows = torch.from_numpy(couplets.rows[::every]).to(self.device)
            self.module.settle(torch.split(rows, self.config.batch_size))

    def _step(
        self,
        couplets: Couplets,
        progress: float,
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> float:
        """Take a step down the negative ELBO; return its sum over the couplets, in nats."""
        for group in self.optimiser.param_groups:
            group["lr"] = cosine_rate(self.config.learning_rate, progress)
        rows = torch.from_numpy(couplets.rows).to(self.device)
        mean, log_variance = self.module.encode(rows)
        noise = torch.randn(mean.shape, generator=generator, device=self.device)
        latents = mean + noise * (0.5 * log_variance).exp()
        told = _partly(told_of(couplets, self.device), self.config.untold, rng)
        likelihood = self.module.log_likelihood(rows, latents, told)
        loss = (standard_kl(mean, log_variance) - likelihood).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), LONGEST_GRADIENT)
        self.optimiser.step()
        return float(loss.detach()) * len(rows)

    def _remember(self, elbo: float) -> None:
        if elbo < self.best_elbo:
            self.best_elbo, self.best_epoch = elbo, self.epoch
            is_last = self.epoch == self.config.epochs
            self.best_weights = None if is_last else _weights(self.module)

    def _sample(self) -> str:
        rng = np.random.default_rng([self.config.seed, self.epoch])
        width = min(self.train)
        return "，".join(self._model().sample(width, 1, SAMPLE_TEMPERATURE, rng)[0])

    def best_model(self) -> CoupletVAE:
        if self.best_weights is not None:
            self.module.load_state_dict(self.best_weights)
        return self._model()

    def _model(self) -> CoupletVAE:
        return CoupletVAE(self.config, self.vocabulary, self.module)

    def snapshot(self) -> Checkpoint:
        """Everything that the next epoch depends on."""
        state = self.optimiser.state_dict()["state"]
        return Checkpoint(
            identity=self.identity,
            epoch=self.epoch,
            best_epoch=self.best_epoch,
            best_validation=self.best_elbo,
            weights=self.module.state_dict(),
            best_weights=None if self.best_epoch == self.epoch else self.best_weights,
            moments={str(place): moments for place, moments in state.items()},
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become the run that `checkpoint` was taken of."""
        self.module.load_state_dict(checkpoint.weights)
        groups = self.optimiser.state_dict()["param_groups"]
        moments = {int(place): each for place, each in checkpoint.moments.items()}
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        assert checkpoint.best_validation is not None
        self.epoch, self.best_epoch = checkpoint.epoch, checkpoint.best_epoch
        self.best_elbo, self.best_weights = checkpoint.best_validation, checkpoint.best_weights
        if self.best_epoch == self.epoch:
            self.best_weights = _weights(self.module)
        self.module.eval()


def shuffled_batches(
    train: ByWidth, size: int, rng: np.random.Generator
) -> list[tuple[Width, NDArray[np.int64]]]:
    """Deal all couplets out once, each batch of one width; a rest of one couplet is left out.

    Parameters
    ----------
    train : mapping of int to Couplets
    size : int
        Couplets of a batch.
    rng : numpy.random.Generator

    Returns
    -------
    list of (int, int64 array)
        Width, and which of its couplets.
    """
    batches = [
        (width, order[first : first + size])
        for width, couplets in train.items()
        for order in [rng.permutation(len(couplets))]
        for first in range(0, len(order), size)
    ]
    batches = [each for each in batches if len(each[1]) > 1]
    return [batches[each] for each in rng.permutation(len(batches))]


def _partly(told: Told, untold: float, rng: np.random.Generator) -> Told:
    """Leave out all that is told of some couplets, and every piece of it half of the time."""
    n = len(told.classes)
    some = rng.random((n, 1)) >= untold
    pieces = torch.from_numpy(some & (rng.random((n, 4)) < 0.5)).to(told.classes.device)
    return Told(told.classes * pieces[:, :3], told.poem_codes * pieces[:, 3:])


def _weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}
