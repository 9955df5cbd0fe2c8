"""An encoder of bags of characters, trained so that half of a poem finds its other half.

Each character has a vector; a text is the sum of its characters' vectors, corrected by a layer that
sees the whole of it.
The loss is InfoNCE in both directions (van den Oord et al. 2018, eq. 4): of all other halves of
the batch each half should be nearest to its own. Where poems have authors, each half should be
nearest to its own author's vector, too: poems of one hand are alike in more than their subject.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding_bag, normalize, relu

from recsys.errors import DataError
from recsys.settings import check_range

NAMELESS = frozenset({"", "無名氏", "无名氏", "不詳", "不详", "佚名"})
"""What stands where nobody knows the author: one word for many hands."""

UNTOLD = -1


@dataclass(frozen=True)
class PairsConfig:
    """How the characters' vectors are found.

    Parameters
    ----------
    dim, hidden_dim : int
    epochs, batch_size : int
        A batch holds so many poems, or all where there are fewer.
    learning_rate : float
        Adam's, falling to 0 on a cosine.
    dropout : float
        Share of the characters that are hidden in training.
    temperature : float
        At the start: it is learnt.
    author_weight : float
        What telling the author is worth beside finding the other half; 0 leaves it out.
    fewest_poems : int
        Authors of fewer poems, and the nameless, are not told.
    seed : int
    """

    dim: int = 128
    hidden_dim: int = 512
    epochs: int = 20
    batch_size: int = 512
    learning_rate: float = 3e-3
    dropout: float = 0.3
    temperature: float = 0.1
    author_weight: float = 1.2
    fewest_poems: int = 20
    seed: int = 42

    def __post_init__(self) -> None:
        for key in ("dim", "hidden_dim", "epochs"):
            check_range(f"pairs.{key}", getattr(self, key), at_least=1)
        check_range("pairs.batch_size", self.batch_size, at_least=2)
        check_range("pairs.learning_rate", self.learning_rate, above=0)
        check_range("pairs.dropout", self.dropout, at_least=0, below=1)
        check_range("pairs.temperature", self.temperature, above=0)
        check_range("pairs.author_weight", self.author_weight, at_least=0)
        check_range("pairs.fewest_poems", self.fewest_poems, at_least=1)


@dataclass(frozen=True)
class PairsReport:
    """One epoch of training; the loss is in nats a half, its author included; lower is better."""

    epoch: int
    n_epochs: int
    loss: float


class PairNetwork(nn.Module):
    """Weights of the encoder.

    With x the unit vector of the sum of a text's weighted characters' vectors, its code is the
    unit vector of x + W2 relu(W1 x + b1) + b2: which characters stand together counts as well.
    """

    def __init__(self, n_items: int, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(n_items, dim) / math.sqrt(dim))
        self.log_weights = nn.Parameter(torch.zeros(n_items))
        self.hidden = nn.Linear(dim, hidden_dim)
        self.correction = nn.Linear(hidden_dim, dim)
        nn.init.zeros_(self.correction.weight)

    def forward(self, bags: csr_array, kept: Tensor | None = None) -> Tensor:
        """Encode bags of characters.

        Parameters
        ----------
        bags : csr_array, shape (n_texts, n_items)
            Only which characters occur counts.
        kept : float32 or None, shape (nnz,)
            0 for an entry that is hidden, 1 for the others.

        Returns
        -------
        float32, shape (n_texts, dim)
        """
        items = torch.from_numpy(bags.indices.astype(np.int64))
        weights = self.log_weights.exp()[items]
        sums = embedding_bag(
            items,
            self.vectors,
            torch.from_numpy(bags.indptr[:-1].astype(np.int64)),
            mode="sum",
            per_sample_weights=weights if kept is None else kept * weights,
        )
        plain = normalize(sums, dim=1)
        # Numbers of unit size going in, as layers are made for.
        hidden = relu(self.hidden(plain * math.sqrt(plain.shape[1])))
        return normalize(plain + self.correction(hidden), dim=1)


class AuthorTeller(nn.Module):
    """Tells the author of a code, for training alone: a vector each, compared by cosine.

    Parameters
    ----------
    authors : sequence of str
        Of each poem.
    config : PairsConfig
    """

    def __init__(self, authors: Sequence[str], config: PairsConfig) -> None:
        super().__init__()
        counts = Counter(each for each in authors if each not in NAMELESS)
        names = [name for name, count in counts.items() if count >= config.fewest_poems]
        number_of = {name: number for number, name in enumerate(names)}
        self.number_of_poem = torch.tensor([number_of.get(each, UNTOLD) for each in authors])
        self.vectors = nn.Parameter(torch.randn(len(names), config.dim) / math.sqrt(config.dim))
        self.log_sharpness = nn.Parameter(torch.tensor(-math.log(config.temperature)))

    def loss(self, codes: Tensor, poems: NDArray[np.int64]) -> Tensor:
        """Mean nats of the authors of these poems; 0 where none of them is told.

        Parameters
        ----------
        codes : float32, shape (n, dim)
        poems : int64, shape (n,)
        """
        numbers = self.number_of_poem[torch.from_numpy(poems)]
        if not (numbers != UNTOLD).any():
            return torch.zeros(())
        logits = self.log_sharpness.exp() * codes @ normalize(self.vectors, dim=1).T
        return cross_entropy(logits, numbers, ignore_index=UNTOLD)


@dataclass(frozen=True, eq=False)
class PairEncoder:
    """The trained encoder.

    Parameters
    ----------
    network : PairNetwork
    """

    network: PairNetwork

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self.network.vectors.shape[1]

    @torch.inference_mode()
    def encode(self, histories: csr_array) -> NDArray[np.float32]:
        """Map histories to vectors of length 1; zeros where a history is empty.

        Parameters
        ----------
        histories : csr_array of float32, shape (n_texts, n_items)
            Only which characters occur counts.

        Returns
        -------
        float32, shape (n_texts, dim)
        """
        codes = np.asarray(self.network(histories).numpy())
        codes[np.diff(histories.indptr) == 0] = 0
        return codes

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """The weights by name, to be saved."""
        return {name: each.numpy() for name, each in self.network.state_dict().items()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, NDArray[np.float32]]) -> "PairEncoder":
        """Bring back what `tensors` gave.

        Raises
        ------
        KeyError, RuntimeError
            The tensors are other ones, or do not fit together.
        """
        n_items, dim = tensors["vectors"].shape
        network = PairNetwork(n_items, dim, len(tensors["hidden.bias"]))
        network.load_state_dict({name: torch.from_numpy(each) for name, each in tensors.items()})
        return cls(network.eval())


def train_pairs(
    couplets: csr_array,
    poem_of: NDArray[np.int64],
    authors: Sequence[str],
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
    authors : sequence of str
        Of each poem; "" where it is not known.
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
            f"expected at least two poems of two couplets or more, whose halves are compared; "
            f"found {len(starts)}"
        )
    rng = np.random.default_rng(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = PairNetwork(couplets.shape[1], config.dim, config.hidden_dim)
        teller = AuthorTeller(authors, config)
    with torch.no_grad():
        network.log_weights.copy_(torch.from_numpy(_first_weights(couplets)).log())
    sharpness = torch.tensor(-math.log(config.temperature), requires_grad=True)
    optimiser = torch.optim.Adam(
        [*network.parameters(), *teller.parameters(), sharpness],
        lr=config.learning_rate,
        fused=True,
    )
    batch_size = min(config.batch_size, len(starts))
    n_steps = len(starts) // batch_size
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs * n_steps)
    for epoch in range(1, config.epochs + 1):
        order = rng.permutation(len(starts))[: n_steps * batch_size].reshape(n_steps, batch_size)
        total = 0.0
        for poems in order:
            sides = _halves(couplets, starts[poems], counts[poems], rng)
            codes = [network(side, _kept(side.nnz, config.dropout, rng)) for side in sides]
            logits = sharpness.exp() * codes[0] @ codes[1].T
            own = torch.arange(batch_size)
            loss = (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
            if config.author_weight:
                told = [teller.loss(each, poem_of[starts[poems]]) for each in codes]
                loss = loss + config.author_weight * (told[0] + told[1]) / 2
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        if on_epoch is not None:
            on_epoch(PairsReport(epoch, config.epochs, total / n_steps))
    return PairEncoder(network.eval())


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


def _kept(n: int, dropout: float, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy((rng.random(n) >= dropout).astype(np.float32))
