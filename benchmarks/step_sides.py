"""The sides of benchmarks/train_step.py: one training step each, on the same made-up users."""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np
import torch
from made_workspace import Size, make_events
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding_bag, log_softmax, normalize, tanh

from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.devices import fast_products
from recsys.vae.encoder import Batch
from recsys.vae.member import Member
from recsys.vae.model import VAEModule
from recsys.vae.multinomial import CACHED_BYTES, multinomial_nll
from recsys.vae.objective import standard_kl

CPU = torch.device("cpu")
PUBLISHED_HIDDEN, PUBLISHED_LATENTS, PUBLISHED_DROPOUT, PUBLISHED_KL_WEIGHT = 600, 200, 0.5, 0.2
LEARNING_RATE = 1e-3
LOGITS_BYTES = TrainingConfig().logits_mb * 2**20
SGEMM_WIDTH = 2048
LATENTS, HIDDEN = (50, 200, 400), (200, 600)

Step = Callable[[NDArray[np.int64]], None]


@dataclass(frozen=True)
class Side:
    """A training step, and its matrix products in floating-point operations."""

    name: str
    step: Step
    operations: float


def make_sides(options: argparse.Namespace, pool: Executor | None) -> tuple[list[Side], csr_array]:
    """Give square products, the published layers twice, our VAE, its widths, pairs, its products.

    Ours multiply as `recsys train` does, the published layout as torch comes. The pairs need a
    pool of a thread for each member.
    """
    torch.manual_seed(0)
    histories = _make_histories(options.users, options.items, options.history)
    ours = [
        VAEConfig(values="binary", prior="standard"),
        VAEConfig(values="binary", prior="composite"),
        *_widths(),
    ]
    pairs = []
    if pool is not None:
        pairs = [_pair_side(histories, options.batch, each, pool) for each in ours[1:]]
    own_means = [
        _published_layers_side(histories, options.batch),
        *(_our_side(histories, options.batch, each) for each in ours),
        *pairs,
        *(_products_side(options.items, options.batch, each) for each in LATENTS),
    ]
    return [
        _sgemm_side("sgemm"),
        _as_trained(_sgemm_side("sgemm as in training")),
        _published_side(histories, options.batch),
        *map(_as_trained, own_means),
    ], histories


def describe(options: argparse.Namespace, histories: csr_array) -> str:
    """Name the sizes, in a line."""
    return (
        f"{options.items:,} items, batch {options.batch}, histories of "
        f"{histories.nnz / options.users:.0f} items on average, {torch.get_num_threads()} threads"
    )


def _as_trained(side: Side) -> Side:
    """Give the side with the products of `recsys train`."""

    def step(rows: NDArray[np.int64]) -> None:
        with fast_products(CPU, same_shapes=True):
            side.step(rows)

    return replace(side, step=step)


def _widths() -> list[VAEConfig]:
    """Widths beside the default one."""
    usual = VAEConfig()
    return [
        VAEConfig(values="binary", prior="standard", latent_dim=latents, hidden_dim=hidden)
        for hidden in HIDDEN
        for latents in LATENTS
        if (latents, hidden) != (usual.latent_dim, usual.hidden_dim)
    ]


def timed(step: Step, rows: NDArray[np.int64]) -> tuple[float, float]:
    """Give the seconds by the clock and of CPU, all threads together, that a step takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    step(rows)
    return time.perf_counter() - wall, time.process_time() - cpu


def _make_histories(n_users: int, n_items: int, mean_history: int) -> csr_array:
    """Draw binary histories of log-normal lengths and Zipf items."""
    size = Size(n_users, n_items, latents=0, mean_history=mean_history)
    return make_events(size, np.random.default_rng(0)).interactions().matrix


def _published_side(histories: csr_array, batch_size: int) -> Side:
    """Mult-VAE as it is published (Liang et al. 2018), in the plainest PyTorch.

    Dense input, dense target, log_softmax and Adam as they come; 600-200-600, tanh.
    """
    n_items = histories.shape[1]
    encoder = nn.Sequential(
        nn.Linear(n_items, PUBLISHED_HIDDEN),
        nn.Tanh(),
        nn.Linear(PUBLISHED_HIDDEN, 2 * PUBLISHED_LATENTS),
    )
    decoder = nn.Sequential(
        nn.Linear(PUBLISHED_LATENTS, PUBLISHED_HIDDEN),
        nn.Tanh(),
        nn.Linear(PUBLISHED_HIDDEN, n_items),
    )
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], LEARNING_RATE)

    def step(rows: NDArray[np.int64]) -> None:
        x = torch.from_numpy(histories[rows].toarray())
        mean, log_variance = encoder(dropout(normalize(x), PUBLISHED_DROPOUT)).chunk(2, dim=1)
        latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        reconstruction = -(log_softmax(decoder(latents), dim=1) * x).sum(dim=1).mean()
        kl = standard_kl(mean, log_variance).mean()
        optimiser.zero_grad()
        (reconstruction + PUBLISHED_KL_WEIGHT * kl).backward()
        optimiser.step()

    # The encoder's first layer sees the dense input: forward, and the gradient of its weights.
    dense_input = 4 * batch_size * n_items * PUBLISHED_HIDDEN
    return Side("published layout", step, dense_input + _published_operations(n_items, batch_size))


def _published_layers_side(histories: csr_array, batch_size: int) -> Side:
    """The same layers by our means: sparse input, likelihood in blocks, fused Adam."""
    n_items = histories.shape[1]
    layers = _PublishedLayers(n_items)
    optimiser = torch.optim.Adam(layers.parameters(), LEARNING_RATE, fused=True)

    def step(rows: NDArray[np.int64]) -> None:
        batch = Batch.of(histories, rows, CPU)
        optimiser.zero_grad()
        (layers(batch) / len(rows)).backward()
        optimiser.step()

    return Side("its layers, by our means", step, _published_operations(n_items, batch_size))


class _PublishedLayers(nn.Module):
    """600-200-600 with tanh, from histories to the loss summed over users."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(torch.randn(n_items, PUBLISHED_HIDDEN) * n_items**-0.5)
        self.first_bias = nn.Parameter(torch.zeros(PUBLISHED_HIDDEN))
        self.posterior = nn.Linear(PUBLISHED_HIDDEN, 2 * PUBLISHED_LATENTS)
        self.hidden = nn.Linear(PUBLISHED_LATENTS, PUBLISHED_HIDDEN)
        self.output = nn.Linear(PUBLISHED_HIDDEN, n_items)

    def forward(self, batch: Batch) -> Tensor:
        norms = batch.lengths.to(torch.float32).sqrt().repeat_interleave(batch.lengths)
        hidden = embedding_bag(
            batch.items,
            self.embeddings,
            batch.starts,
            mode="sum",
            per_sample_weights=dropout(batch.values / norms, PUBLISHED_DROPOUT),
        )
        mean, log_variance = self.posterior(tanh(hidden + self.first_bias)).chunk(2, dim=1)
        latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        reconstruction = multinomial_nll(
            tanh(self.hidden(latents)), self.output.weight, self.output.bias, batch, LOGITS_BYTES
        )
        return reconstruction + PUBLISHED_KL_WEIGHT * standard_kl(mean, log_variance).sum()


def _published_operations(n_items: int, batch_size: int) -> float:
    output = n_items * PUBLISHED_HIDDEN
    inner = 3 * PUBLISHED_HIDDEN * PUBLISHED_LATENTS
    return 6 * batch_size * (output + inner)


def _our_side(histories: csr_array, batch_size: int, config: VAEConfig) -> Side:
    """One of our VAEs in training, on all cores."""
    member = _make_member(histories, config, seed=0)
    optimiser = torch.optim.Adam(member.module.parameters(), LEARNING_RATE, fused=True)

    def step(rows: NDArray[np.int64]) -> None:
        batch = Batch.of(histories, rows, CPU)
        optimiser.zero_grad(set_to_none=True)
        member.add_gradient(batch, config.kl_weight)
        optimiser.step()

    operations = _our_operations(histories.shape[1], batch_size, config)
    return Side(f"our VAE, {_widths_named(config)}", step, operations)


def _pair_side(histories: csr_array, batch_size: int, config: VAEConfig, pool: Executor) -> Side:
    """Two of our VAEs side by side, as `recsys train` steps them when it is not told otherwise."""
    members = [_make_member(histories, config, seed) for seed in range(2)]
    parameters = [each for member in members for each in member.module.parameters()]
    optimiser = torch.optim.Adam(parameters, LEARNING_RATE, fused=True)

    def step(rows: NDArray[np.int64]) -> None:
        others = np.random.default_rng(rows).choice(histories.shape[0], len(rows), replace=False)
        optimiser.zero_grad(set_to_none=True)
        batches = [Batch.of(histories, own, CPU) for own in (rows, others)]
        list(pool.map(Member.add_gradient, members, batches, repeat(config.kl_weight)))
        optimiser.step()

    operations = 2 * _our_operations(histories.shape[1], batch_size, config)
    return Side(f"our pair, {_widths_named(config)}", step, operations)


def _make_member(histories: csr_array, config: VAEConfig, seed: int) -> Member:
    n_users, n_items = histories.shape
    member = Member(VAEModule(n_items, config), config, n_users, LOGITS_BYTES)
    member.begin_epoch(seed)
    return member


def _widths_named(config: VAEConfig) -> str:
    return f"{config.prior}, {config.latent_dim} latents, {config.hidden_dim} wide"


def _our_operations(n_items: int, batch_size: int, config: VAEConfig) -> float:
    """Three products a layer."""
    layers = (config.encoder_layers - 1) * config.hidden_dim**2
    encoder = layers + 2 * config.hidden_dim * config.latent_dim
    return 6 * batch_size * (encoder + n_items * config.latent_dim)


def _products_side(n_items: int, batch_size: int, latents: int) -> Side:
    """The likelihood's products in blocks as large as its own, with nothing between them.

    Narrow products do not reach the rate of a square one: no step can be nearer to it than they.
    """
    codes, weight = torch.randn(batch_size, latents), torch.randn(n_items, latents)
    of_codes, of_weight = torch.zeros_like(codes), torch.empty_like(weight)
    size = CACHED_BYTES * torch.get_num_threads() // (4 * batch_size)

    def step(_: NDArray[np.int64]) -> None:
        for start in range(0, n_items, size):
            rows = weight[start : start + size]
            scores = codes @ rows.t()
            of_codes.addmm_(scores, rows)
            torch.mm(scores.t(), codes, out=of_weight[start : start + size])

    return Side(
        f"the three products alone, {latents} latents", step, 6 * batch_size * n_items * latents
    )


def _sgemm_side(name: str) -> Side:
    """One large square product: the rate that everything is measured against."""
    left, right = torch.randn(2, SGEMM_WIDTH, SGEMM_WIDTH)
    product = torch.empty_like(left)

    def step(_: NDArray[np.int64]) -> None:
        torch.mm(left, right, out=product)

    return Side(name, step, 2 * SGEMM_WIDTH**3)
