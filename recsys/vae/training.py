"""The training loop: a fixed number of epochs, the best validated weights, resumable to the bit.

Every random number of an epoch comes from (seed, epoch), so a checkpoint holds no random state.
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import cached_property
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.errors import TrainingError
from recsys.ranking import Scorer
from recsys.vae.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.devices import fast_products, full_device_explained, random_state_kept
from recsys.vae.encoder import Batch
from recsys.vae.graphed import GraphedSteps, can_be_graphed
from recsys.vae.health import check_alive, check_data, check_finite, check_scores
from recsys.vae.labels import Labels
from recsys.vae.member import Member, Terms, threads_for
from recsys.vae.model import VAE, VAEModule, model_input
from recsys.vae.past import PastPosteriors
from recsys.vae.row_adam import RowAdam
from recsys.vae.sampled import members_of
from recsys.vae.schedule import annealed, cosine_rate
from recsys.vae.spectrum import factors_of_members, start_members
from recsys.vae.tally import EpochReport, Tally

CHECKPOINT_HOLDS = "weights, moments, past"
"""An older version's checkpoint, which holds less, is of another identity."""

CHECKPOINT_SHARE = 0.05
"""Of the time goes into checkpoints: redoing short epochs costs less than keeping each."""


@full_device_explained("training")
def train(
    interactions: Interactions,
    config: VAEConfig,
    training: TrainingConfig,
    *,
    validate: Callable[[Scorer], float] | None = None,
    labels: Labels | None = None,
    label_accuracy: Callable[[VAE], float] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> VAE:
    """Train a VAE on every user's row.

    Parameters
    ----------
    interactions : Interactions
        At least two users and two items.
    config : VAEConfig
        With `values` decided: "binary" or "weighted". What it leaves to the size of the data is
        decided here.
    training : TrainingConfig
        The same.
    validate : callable or None
        Scores a model on users it was not trained on; higher is better. Without it the last
        epoch's weights are kept.
    labels : Labels or None
        Of these users, or of these items: what is known of them is learned beside.
    label_accuracy : callable or None
        Judges a model by labels that it was not trained on, when it is validated; reported, and
        not what the best weights are chosen by.
    on_epoch : callable or None
        Receives a report after each epoch, before its checkpoint is written.
    checkpoint : Path or None
        Written after the first and the last epoch, and in between as often as CHECKPOINT_SHARE
        allows; when it is there, training goes on from it and ends with the weights that an
        uninterrupted run would have had, to the bit, on the same machine.
    device : str
        "cpu" or "cuda".

    Raises
    ------
    DataError
        Fewer than two users or items, or negative weights under the multinomial likelihood.
    TrainingError
        The device is full, the loss is no longer finite, or no latent unit is active.
    ArtefactError
        The checkpoint is damaged, or of other data or settings.
    """
    check_data(interactions, config)
    config = config.sized_for(interactions.n_items, interactions.matrix.nnz)
    training = training.sized_for(
        interactions.n_users, interactions.n_items, sampled=config.softmax == "sampled"
    )
    goes_on = checkpoint is not None and checkpoint.exists()
    place = torch.device(device)
    with random_state_kept(place):
        factors: list[Tensor] = []
        if training.start == "spectral" and not goes_on:
            # Before the run has its tables: a large decomposition takes as much room as they do.
            factors = factors_of_members(interactions.matrix, config, training.seed, place)
        run = _Run(interactions, config, training, place, labels)
        start_members([each.module for each in run.members], factors, training.seed)
        del factors
    if checkpoint is not None and goes_on:
        run.restore(load_checkpoint(checkpoint, run.identity, run.device))
    seconds = 0.0
    with threads_for(len(run.members)) as pool:
        while run.epoch < run.n_epochs and not run.out_of_patience():
            report = run.run_epoch(pool, validate, label_accuracy)
            # Reported first: a kill repeats epochs, and never loses their reports.
            if on_epoch is not None:
                on_epoch(report)
            check_alive(report, config, run.steps_per_epoch)
            is_due = run.epoch == run.n_epochs or seconds <= CHECKPOINT_SHARE * run.seconds
            if checkpoint is not None and is_due:
                started = time.perf_counter()
                save_checkpoint(checkpoint, run.snapshot())
                seconds += time.perf_counter() - started
    return run.best_model()


class _Run:
    """The mutable state of one training."""

    def __init__(
        self,
        interactions: Interactions,
        config: VAEConfig,
        training: TrainingConfig,
        device: torch.device,
        labels: Labels | None,
    ) -> None:
        assert training.epochs is not None
        assert training.batch_size is not None
        assert config.members is not None
        self.config, self.training, self.device = config, training, device
        self.n_epochs, self.batch_size = training.epochs, training.batch_size
        self.latent_dim = config.members * config.latent_dim
        self.interactions, self.labels = interactions, labels
        # What is taken from x: the items' mean ratings, or nothing.
        self.item_means = np.zeros(interactions.n_items, dtype=np.float32)
        if config.predicts_ratings:
            self.item_means = interactions.item_means()
        self.inputs = model_input(interactions.matrix, config, self.item_means)
        with random_state_kept(device):
            torch.manual_seed(training.seed)
            n_labels = 0 if labels is None else len(labels.kind)
            modules = [
                VAEModule(interactions.n_items, config, n_labels).to(device)
                for _ in range(config.members)
            ]
        logits_bytes = training.logits_mb * 2**20 // len(modules)
        self.members = members_of(modules, interactions, config, logits_bytes, labels)
        self.module = torch.nn.ModuleList(modules)
        on_device = device.type == "cuda"  # there a graph reads the rate from its memory
        self.optimiser = torch.optim.Adam(
            [each for member in self.members for each in member.dense_parameters()],
            lr=torch.tensor(training.learning_rate, device=device) if on_device else 0.0,
            fused=True,
            capturable=on_device,
        )
        self.graphed = None
        if can_be_graphed(self.members, config, self.batch_size):
            self.graphed = GraphedSteps(self.members, self.optimiser, self.inputs, self.batch_size)
        self.epochs_timed, self.seconds = 0, 0.0
        self.epoch = 0
        self.best_epoch = 0
        self.best_validation: float | None = None
        # None: the weights as they are.
        self.best_weights: dict[str, Tensor] | None = None

    @cached_property
    def identity(self) -> str:
        """Hash of settings and data: a checkpoint goes on with these and no others."""
        digest = hashlib.sha256(repr((CHECKPOINT_HOLDS, self.config, self.training)).encode())
        digest.update(self.interactions.items.fingerprint.encode())
        matrix = self.interactions.matrix
        for array in (matrix.indptr, matrix.indices, matrix.data):
            digest.update(np.ascontiguousarray(array).data)
        if self.labels is not None:
            digest.update(self.labels.fingerprint.encode())
        return digest.hexdigest()

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.interactions.n_users / self.batch_size)

    def run_epoch(
        self,
        pool: Executor,
        validate: Callable[[Scorer], float] | None,
        label_accuracy: Callable[[VAE], float] | None,
    ) -> EpochReport:
        """Train over every user once, then validate when it is due."""
        started = time.perf_counter()
        # A sampled step has as many candidates as it happens to draw.
        same_shapes = self.config.softmax == "exact"
        with fast_products(self.device, same_shapes=same_shapes):
            tally = self._train_epoch(pool)
        self.epoch += 1
        check_finite(tally.loss, self.module, self.epoch, self.training.learning_rate)
        users_per_second = self.interactions.n_users / (time.perf_counter() - started)
        validation = self._validate(validate)
        told = label_accuracy(self._model()) if label_accuracy and self._is_due() else None
        self.epochs_timed += 1
        self.seconds += time.perf_counter() - started
        n_users = self.interactions.n_users
        return EpochReport(
            epoch=self.epoch,
            n_epochs=self.n_epochs,
            loss=tally.loss / n_users,
            reconstruction=tally.reconstruction / n_users,
            kl=tally.kl / n_users,
            labels=tally.labels / n_users,
            active_units=tally.active_units(n_users),
            latent_dim=self.latent_dim,
            validation=validation,
            best_validation=self.best_validation,
            best_epoch=self.best_epoch,
            label_accuracy=told,
            users_per_second=users_per_second,
            seconds_left=self.seconds / self.epochs_timed * (self.n_epochs - self.epoch),
        )

    def _train_epoch(self, pool: Executor) -> Tally:
        """Every member over every user, in an order of its own."""
        seeds = np.random.SeedSequence([self.training.seed, self.epoch])
        orders = []
        for member, seed in zip(self.members, seeds.spawn(len(self.members)), strict=True):
            rng = np.random.default_rng(seed)
            orders.append(rng.permutation(self.interactions.n_users))
            member.begin_epoch(int(rng.integers(2**32)))
        tally = Tally(self.latent_dim, self.device)
        if self.graphed is not None:
            self.graphed.begin_epoch(orders)
        for step in range(self.steps_per_epoch):
            first = step * self.batch_size
            progress = self.epoch + step / self.steps_per_epoch
            rate = cosine_rate(self.training.learning_rate, progress / self.n_epochs)
            self._set_rate(rate)
            kl_weight = annealed(self.config, progress)
            if self.graphed is not None and first + self.batch_size <= self.interactions.n_users:
                tally.add(self.graphed.step(first, kl_weight))
            else:
                rows = [order[first : first + self.batch_size] for order in orders]
                tally.add(self._step(rows, rate, kl_weight, pool))
        self.module.eval()
        return tally

    def _batch(self, rows: NDArray[np.int64]) -> Batch:
        batch = Batch.of(self.inputs, rows, self.device)
        if self.labels is None or self.labels.kind.on != "users":
            return batch
        return replace(batch, labels=torch.from_numpy(self.labels.positions[rows]).to(self.device))

    def _set_rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def _step(
        self, rows: Sequence[NDArray[np.int64]], rate: float, kl_weight: float, pool: Executor
    ) -> list[Terms]:
        """Every member's gradient of its users, side by side; then one step of them all."""
        self.optimiser.zero_grad(set_to_none=True)
        batches = [self._batch(own) for own in rows]
        terms = list(pool.map(Member.add_gradient, self.members, batches, repeat(kl_weight)))
        self.optimiser.step()
        for member in self.members:
            member.update_rows(rate)
        return terms

    def _validate(self, validate: Callable[[Scorer], float] | None) -> float | None:
        """Score the current weights when due, and remember them if they are the best."""
        last = self.epoch == self.n_epochs
        if validate is None:
            if last:
                self.best_epoch = self.epoch
            return None
        if not self._is_due():
            return None
        model = self._model()

        def score(histories: csr_array) -> NDArray[np.float32]:
            scores = model.score(histories)
            check_scores(scores, self.epoch, self.training.learning_rate)
            return scores

        value = validate(score)
        if math.isnan(value):
            raise TrainingError(
                f"the validation figure is not a number after epoch {self.epoch}: the validation "
                "users hold values that the model cannot score"
            )
        if self.best_validation is None or value > self.best_validation:
            self.best_validation, self.best_epoch = value, self.epoch
            self.best_weights = None if last else _weights(self.module)
        return value

    def _is_due(self) -> bool:
        """Whether this epoch is one to validate after."""
        return self.epoch == self.n_epochs or self.epoch % self.training.validate_every == 0

    def out_of_patience(self) -> bool:
        """Whether `patience` validations have passed without a new best."""
        patience = self.training.patience * self.training.validate_every
        return 0 < patience <= self.epoch - self.best_epoch and self.best_validation is not None

    def best_model(self) -> VAE:
        """The model with the best weights."""
        if self.best_weights is not None:
            self.module.load_state_dict(self.best_weights)
        return self._model()

    def _model(self) -> VAE:
        return VAE(
            config=self.config,
            items=self.interactions.items,
            members=tuple(each.module for each in self.members),
            item_means=self.item_means,
            item_counts=self.interactions.item_counts(),
            n_train_users=self.interactions.n_users,
            liked_value=self._liked_value(),
            labels=None if self.labels is None else self.labels.kind,
        )

    def _liked_value(self) -> float:
        if not self.config.predicts_ratings:
            return 1.0
        return float(self.interactions.matrix.data.max(initial=1.0))

    def snapshot(self) -> Checkpoint:
        """Everything that the next epoch depends on."""
        is_best = self.best_epoch == self.epoch
        return Checkpoint(
            identity=self.identity,
            epoch=self.epoch,
            best_epoch=self.best_epoch,
            best_validation=self.best_validation,
            weights=self.module.state_dict(),
            best_weights=None if is_best else self.best_weights,
            moments=self._moments(),
            past={place: past.state() for place, past in self._past().items()},
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become the run that `checkpoint` was taken of."""
        self.module.load_state_dict(checkpoint.weights)
        groups = self.optimiser.state_dict()["param_groups"]
        dense = {int(k): each for k, each in checkpoint.moments.items() if k.isdecimal()}
        self.optimiser.load_state_dict({"state": dense, "param_groups": groups})
        for name, table in self._tables().items():
            table.load_state(checkpoint.moments[name])
        for place, past in self._past().items():
            past.load_state(checkpoint.past[place])
        self.epoch, self.best_epoch = checkpoint.epoch, checkpoint.best_epoch
        self.best_validation = checkpoint.best_validation
        self.best_weights = checkpoint.best_weights
        if self.best_validation is not None and self.best_epoch == self.epoch:
            self.best_weights = _weights(self.module)

    def _moments(self) -> dict[str, dict[str, Tensor]]:
        dense = {str(k): each for k, each in self.optimiser.state_dict()["state"].items()}
        return dense | {name: table.state() for name, table in self._tables().items()}

    def _past(self) -> dict[str, PastPosteriors]:
        return {str(at): each.past for at, each in enumerate(self.members) if each.past is not None}

    def _tables(self) -> dict[str, RowAdam]:
        return {
            f"{place}.{name}": table
            for place, member in enumerate(self.members)
            for name, table in member.row_moments().items()
        }


def _weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
