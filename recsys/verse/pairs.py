"""An encoder of bags of characters, trained so that half of a poem finds its other half.

Each character has a vector; a text is the sum of its characters' vectors, divided by its length.
The loss is InfoNCE in both directions (van den Oord et al. 2018, eq. 4): of all other halves of
the batch each half should be nearest to its own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch.nn.functional import cross_entropy, embedding_bag, normalize

from recsys.errors import ConfigError, DataError
from recsys.index.item_index import unit_vectors


@dataclass(frozen=True)
class PairsConfig:
    """How the characters' vectors are found.

    Parameters
    ----------
    dim : int
    epochs, batch_size : int
        A batch holds so many poems, or all where there are fewer.
    learning_rate : float
        Adam's, falling to 0 on a cosine.
    dropout : float
        Share of the characters that are hidden in training.
    temperature : float
        At the start: it is learnt.
    seed : int
    """

    dim: int = 128
    epochs: int = 12
    batch_size: int = 512
    learning_rate: float = 3e-3
    dropout: float = 0.3
    temperature: float = 0.1
    seed: int = 42

    def __post_init__(self) -> None:
        for key, value, good, expected in (
            ("dim", self.dim, self.dim >= 1, "at least 1"),
            ("epochs", self.epochs, self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size, self.batch_size >= 2, "at least 2"),
            ("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "at least 0 and below 1"),
            ("temperature", self.temperature, self.temperature > 0, "above 0"),
        ):
            if not good:
                raise ConfigError(f"pairs.{key} is {value}, expected {expected}")


@dataclass(frozen=True)
class PairsReport:
    """One epoch of training; the loss is in nats a half, lower is better."""

    epoch: int
    n_epochs: int
    loss: float


@dataclass(frozen=True, eq=False)
class PairEncoder:
    """The trained encoder.

    Parameters
    ----------
    characters : float32, shape (n_items, dim)
        A character's vector, times its weight.
    """

    characters: NDArray[np.float32]

    def encode(self, histories: csr_array) -> NDArray[np.float32]:
        """Map histories to vectors of length 1; zeros where a history is empty.

        Parameters
        ----------
        histories : csr_array, shape (n_texts, n_items)
            Only which characters occur counts.

        Returns
        -------
        float32, shape (n_texts, dim)
        """
        ones = np.ones(histories.nnz, dtype=np.float32)
        present = csr_array((ones, histories.indices, histories.indptr), shape=histories.shape)
        return unit_vectors(np.asarray(present @ self.characters))


def train_pairs(
    couplets: csr_array,
    poem_of: NDArray[np.int64],
    config: PairsConfig,
    *,
    on_epoch: Callable[[PairsReport], None] | None = None,
) -> PairEncoder:
    """Train on poems of two couplets and more, halved anew in every epoch.

    Parameters
    ----------
    couplets : csr_array of float32, shape (n_couplets, n_items)
    poem_of : int64, shape (n_couplets,)
        Ascending: the poem of each couplet.
    config : PairsConfig
    on_epoch : callable or None

    Raises
    ------
    DataError
        Fewer than two poems have two couplets.
    """
    starts, counts = _poems_with_halves(poem_of)
    if len(starts) < 2:
        raise DataError(
            f"{len(starts)} poems have two couplets or more: expected at least two, since "
            "halves of poems are compared"
        )
    rng = np.random.default_rng(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        vectors = torch.randn(couplets.shape[1], config.dim) / math.sqrt(config.dim)
    log_weights = torch.from_numpy(_first_weights(couplets)).log()
    sharpness = torch.tensor(-math.log(config.temperature))
    parameters = [each.requires_grad_() for each in (vectors, log_weights, sharpness)]
    optimiser = torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)
    batch_size = min(config.batch_size, len(starts))
    n_steps = len(starts) // batch_size
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs * n_steps)
    for epoch in range(1, config.epochs + 1):
        order = rng.permutation(len(starts))[: n_steps * batch_size].reshape(n_steps, batch_size)
        total = 0.0
        for poems in order:
            sides = _halves(couplets, starts[poems], counts[poems], rng)
            codes = [_encode(side, vectors, log_weights, config.dropout, rng) for side in sides]
            logits = sharpness.exp() * codes[0] @ codes[1].T
            own = torch.arange(batch_size)
            loss = (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        if on_epoch is not None:
            on_epoch(PairsReport(epoch, config.epochs, total / n_steps))
    return PairEncoder((vectors * log_weights.exp()[:, None]).detach().numpy())


def _poems_with_halves(poem_of: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First couplet, and number of couplets, of each poem that has two."""
    _, starts, counts = np.unique(poem_of, return_index=True, return_counts=True)
    several = counts >= 2
    return starts[several], counts[several]


def _first_weights(couplets: csr_array) -> NDArray[np.float32]:
    """Rare characters weigh more: half of log(1 / share of the couplets that have one)."""
    counts = np.bincount(couplets.indices, minlength=couplets.shape[1])
    weights = 0.5 * np.log(couplets.shape[0] / (1 + counts))
    return np.maximum(weights, 0.05).astype(np.float32)


def _halves(
    couplets: csr_array,
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[csr_array, csr_array]:
    """Deal each poem's couplets out in turn, in an order of chance, and add each half up."""
    poems = np.repeat(np.arange(len(starts)), counts)
    place = np.arange(len(poems)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = np.lexsort((rng.random(len(poems)), poems))
    rows = couplets[(starts[poems] + place)[order]]
    is_second = place % 2 == int(rng.integers(2))

    def side(chosen: NDArray[np.bool_]) -> csr_array:
        ones = np.ones(int(chosen.sum()), dtype=np.float32)
        pairs = (poems[chosen], np.flatnonzero(chosen))
        return csr_array(csr_array((ones, pairs), shape=(len(starts), len(poems))) @ rows)

    return side(~is_second), side(is_second)


def _encode(
    bags: csr_array,
    vectors: torch.Tensor,
    log_weights: torch.Tensor,
    dropout: float,
    rng: np.random.Generator,
) -> torch.Tensor:
    items = torch.from_numpy(bags.indices.astype(np.int64))
    kept = torch.from_numpy((rng.random(bags.nnz) >= dropout).astype(np.float32))
    sums = embedding_bag(
        items,
        vectors,
        torch.from_numpy(bags.indptr[:-1].astype(np.int64)),
        mode="sum",
        per_sample_weights=kept * log_weights.exp()[items],
    )
    return normalize(sums, dim=1)
