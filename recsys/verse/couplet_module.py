"""The networks of the couplet VAE: the product's, and that of the talk as its baseline."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, pad

from recsys.errors import ConfigError
from recsys.verse.config import VerseConfig
from recsys.verse.couplets import FORMS, N_TONE_CLASSES, WIDTHS, Width
from recsys.verse.decoding import RUN
from recsys.verse.next_character import next_character_nll

LOG_VARIANCES = (-8.0, 4.0)
"""Bounds of the codes' log-variance, beyond which nothing is gained and much is lost."""


@dataclass(frozen=True)
class Told:
    """What is told of some couplets besides their codes.

    Parameters
    ----------
    classes : int64, shape (n, 3)
        Form, tone class and rhyme, as `recsys.verse.couplets.Couplets` has them.
    poem_codes : float32, shape (n, poem_dim)
        Codes of the poems; a row of zeros tells nothing.
    """

    classes: Tensor
    poem_codes: Tensor


NextLogits = Callable[[Tensor | None], Tensor]
"""Takes the characters just written (None at the beginning), gives the next ones' logits."""


class CoupletModule(nn.Module, ABC):
    """Weights of a couplet VAE: couplets in, codes and likelihoods out."""

    latent_dim: int
    poem_dim: int
    widths: tuple[Width, ...] = WIDTHS

    @abstractmethod
    def encode(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the codes of couplets.

        Parameters
        ----------
        rows : int64, shape (n, 2 * width)

        Returns
        -------
        float32, both of shape (n, latent_dim)
        """

    @abstractmethod
    def log_likelihood(self, rows: Tensor, latents: Tensor, told: Told) -> Tensor:
        """Log p(couplet | code, what is told); nats, shape (n,)."""

    @abstractmethod
    def settle(self, batches: Iterable[Tensor]) -> None:
        """Measure on couplets what `encode` needs to know of them all; to be called after training.

        Parameters
        ----------
        batches : iterable of int64, each of shape (n, 2 * width)
            Of training couplets, of one width.
        """

    @abstractmethod
    def writing(self, width: Width, latents: Tensor, told: Told) -> NextLogits:
        """Begin couplets from their codes; each call gives logits of the next characters.

        They are of shape (n, n_characters), and may be filled up to whole runs of columns by -inf.
        """


class GatedConvolution(nn.Module):
    """x + a * sigmoid(b), where a and b are convolutions over three characters.

    Source: Dauphin et al. 2017, with a residual connection.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, 2 * width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, width, n_places) in and out."""
        value, gate = self.convolution(x).chunk(2, dim=1)
        gated: Tensor = x + value * gate.sigmoid()
        return gated


class GRUModule(CoupletModule):
    """Two gated convolutions read a couplet into a code; a GRU writes one from it.

    The code and what is told stand beside every character that the GRU reads, and beside its
    state where the next one is foretold. The characters' vectors serve both ends.
    """

    def __init__(self, n_characters: int, n_rhymes: int, poem_dim: int, config: VerseConfig):
        super().__init__()
        self.latent_dim, self.poem_dim = config.latent_dim, poem_dim
        self.mean_scale = config.mean_scale
        self.dropout, width, hidden = config.dropout, config.embedding_dim, config.hidden_dim
        self.characters = nn.Embedding(n_characters, width)
        nn.init.normal_(self.characters.weight, std=0.1)
        self.places = nn.Parameter(torch.zeros(2 * max(WIDTHS), width))
        self.read = nn.Sequential(GatedConvolution(width), GatedConvolution(width))
        self.summary = nn.Sequential(nn.Linear(2 * max(WIDTHS) * width, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, config.latent_dim, bias=False)
        self.log_variance = nn.Linear(hidden, config.latent_dim)
        # With a usual epsilon the means could shrink below it, and the code would collapse.
        self.spread = nn.ModuleList(
            nn.BatchNorm1d(config.latent_dim, eps=1e-12, affine=False) for _ in WIDTHS
        )
        self.of_width = nn.Embedding(len(WIDTHS), config.told_dim)
        self.of_classes = nn.ModuleList(
            nn.Embedding(n + 1, config.told_dim, padding_idx=0)
            for n in (len(FORMS), N_TONE_CLASSES, n_rhymes)
        )
        self.of_poem = nn.Linear(poem_dim, config.told_dim) if poem_dim else None
        beside = config.latent_dim + config.told_dim
        self.first_state = nn.Linear(beside, hidden)
        self.write = nn.GRU(width + beside, hidden, batch_first=True)
        self.features = nn.Linear(hidden + beside, width)
        self.bias = nn.Parameter(torch.zeros(n_characters))

    def encode(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """See `CoupletModule`."""
        hidden = self._summary(rows)
        spread = self.spread[_of_width(rows.shape[1])]
        log_variance = self.log_variance(hidden).clamp(*LOG_VARIANCES)
        return spread(self.mean(hidden)) * self.mean_scale, log_variance

    @torch.no_grad()
    def settle(self, batches: Iterable[Tensor]) -> None:
        """Measure mean and spread of the codes' means; see `CoupletModule`."""
        batches = list(batches)
        spread = self.spread[_of_width(batches[0].shape[1])]
        means = self.mean(torch.cat([self._summary(rows) for rows in batches]))
        spread.running_mean, spread.running_var = means.mean(dim=0), means.var(dim=0)

    def log_likelihood(self, rows: Tensor, latents: Tensor, told: Told) -> Tensor:
        """See `CoupletModule`."""
        beside = self._beside(rows.shape[1], latents, told)
        before = torch.cat([torch.zeros_like(rows[:, :1]), rows[:, :-1]], dim=1)
        features, _ = self._features(before, beside, self._first_state(beside))
        weight, targets = self.characters.weight, rows.flatten()
        nats = next_character_nll(
            features.flatten(0, 1), weight, self.bias, targets, sampled=self.training
        )
        return -nats.view(rows.shape).sum(1)

    def writing(self, width: Width, latents: Tensor, told: Told) -> NextLogits:
        """See `CoupletModule`."""
        beside = self._beside(2 * width, latents, told)
        state = self._first_state(beside)
        n_beyond = -len(self.bias) % RUN
        weight = pad(self.characters.weight, (0, 0, 0, n_beyond))
        bias = pad(self.bias, (0, n_beyond), value=-math.inf)

        def next_logits(before: Tensor | None) -> Tensor:
            nonlocal state
            if before is None:
                before = torch.zeros(len(latents), dtype=torch.int64, device=latents.device)
            features, state = self._features(before[:, None], beside, state)
            return torch.addmm(bias, features[:, 0], weight.t())

        return next_logits

    def _summary(self, rows: Tensor) -> Tensor:
        n_places = rows.shape[1]
        read = self.read((self.characters(rows) + self.places[:n_places]).mT)
        summary: Tensor = self.summary(pad(read, (0, 2 * max(WIDTHS) - n_places)).flatten(1))
        return summary

    def _beside(self, n_places: int, latents: Tensor, told: Told) -> Tensor:
        known = self.of_width.weight[_of_width(n_places)].expand(len(latents), -1)
        for classes, embedding in zip(told.classes.unbind(1), self.of_classes, strict=True):
            known = known + embedding(classes)
        if self.of_poem is not None:
            is_told = told.poem_codes.any(dim=1, keepdim=True)
            known = known + is_told * self.of_poem(told.poem_codes)
        return torch.cat([latents, known], dim=1)

    def _first_state(self, beside: Tensor) -> Tensor:
        return torch.tanh(self.first_state(beside))[None]

    def _features(self, before: Tensor, beside: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        at_every_place = beside[:, None].expand(-1, before.shape[1], -1)
        inputs = torch.cat([self.characters(before), at_every_place], dim=2)
        hidden, state = self.write(inputs, state.contiguous())
        features = self.features(torch.cat([hidden, at_every_place], dim=2))
        return dropout(features, self.dropout, self.training), state


class SeedModule(CoupletModule):
    """The talk's network: every place is foretold from the code alone, at once.

    Embedding of 64, two gated convolutions, average pooling, a code of 64; back through a dense
    layer and two gated convolutions to a softmax a place. Couplets of five characters a line.
    """

    widths = (5,)

    def __init__(self, n_characters: int, poem_dim: int) -> None:
        super().__init__()
        self.poem_dim = poem_dim
        self.latent_dim = width = 64
        self.characters = nn.Embedding(n_characters, width)
        self.read = nn.Sequential(GatedConvolution(width), GatedConvolution(width))
        self.mean = nn.Linear(width, width)
        self.log_variance = nn.Linear(width, width)
        self.spread_out = nn.Linear(width, 2 * 5 * width)
        self.write = nn.Sequential(GatedConvolution(width), GatedConvolution(width))
        self.foretell = nn.Linear(width, n_characters)

    def encode(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """See `CoupletModule`."""
        pooled = self.read(self.characters(rows).mT).mean(dim=2)
        return self.mean(pooled), self.log_variance(pooled).clamp(*LOG_VARIANCES)

    def settle(self, batches: Iterable[Tensor]) -> None:
        """See `CoupletModule`; there is nothing to measure."""

    def log_likelihood(self, rows: Tensor, latents: Tensor, told: Told) -> Tensor:
        """See `CoupletModule`; nothing can be told."""
        nats = cross_entropy(self._logits(latents).mT, rows, reduction="none")
        return -nats.sum(1)

    def writing(self, width: Width, latents: Tensor, told: Told) -> NextLogits:
        """See `CoupletModule`.

        Raises
        ------
        ConfigError
            The width is not 5.
        """
        if width not in self.widths:
            raise ConfigError(
                f"the seed model writes lines of five characters, not {width}; "
                "train with -S verse.model=gru"
            )
        at_places = iter(self._logits(latents).unbind(1))
        return lambda before: next(at_places)

    def _logits(self, latents: Tensor) -> Tensor:
        places = self.spread_out(latents).view(len(latents), 10, -1)
        logits: Tensor = self.foretell(self.write(places.mT).mT)
        return logits


def make_module(
    n_characters: int, n_rhymes: int, poem_dim: int, config: VerseConfig
) -> CoupletModule:
    """Make the network that is asked for, with new weights.

    Parameters
    ----------
    n_characters : int
        Numbers in use.
    n_rhymes : int
    poem_dim : int
        Width of the poems' codes.
    config : VerseConfig
    """
    if config.model == "seed":
        return SeedModule(n_characters, poem_dim)
    return GRUModule(n_characters, n_rhymes, poem_dim, config)


def standard_log_density(latents: Tensor) -> Tensor:
    """Log N(0, I); nats, shape (..., )."""
    return -0.5 * (latents.square() + math.log(2 * math.pi)).sum(-1)


def log_density(latents: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log N(mean, variance); nats, shape (..., )."""
    scaled = (latents - mean).square() * (-log_variance).exp()
    return -0.5 * (scaled + log_variance + math.log(2 * math.pi)).sum(-1)


def _of_width(n_places: int) -> int:
    return WIDTHS.index(5 if n_places == 10 else 7)
