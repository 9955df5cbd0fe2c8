"""What a catalogue of a million items costs to train, and what a sampled softmax loses.

python benchmarks/large_catalogue.py million    one epoch of made-up clicks, default settings
python benchmarks/large_catalogue.py gowalla    exact v sampled, same seed (--datasets DIR)
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from accuracy import BESIDE_THE_CHECKOUT
from machine import describe_run
from made_clicks import make_clicks
from neighbours import gowalla_split, peak_gb
from numpy.typing import NDArray
from recsys.pipelines.allocator import keep_large_buffers
from recsys.pipelines.threads import wait_briefly
from scipy.sparse import csr_array
from scipy.special import logsumexp

from recsys.baselines import rank_unseen
from recsys.data.interactions import Interactions, csr_from_pairs
from recsys.evaluation.protocols import evaluate
from recsys.metrics import Metric
from recsys.vae.config import Softmax, TrainingConfig, VAEConfig

if TYPE_CHECKING:
    from recsys.vae.model import VAE
    from recsys.vae.tally import EpochReport

MOST_MINUTES, MOST_GB = 15.0, 20.0
MOST_LOST = 0.03
RECALL = Metric("full_recall", 20)
METRICS = (RECALL, Metric("ndcg", 20))

NEW_USERS = 200
"""Users whom no training sees: half of their clicks are given, the other half guessed."""

USERS_AT_ONCE = 50


@dataclass(frozen=True)
class Trained:
    """A VAE, and the seconds that it took by the clock and of all cores."""

    vae: "VAE"
    wall: float
    cpu: float


def _train(
    data: Interactions,
    config: VAEConfig,
    training: TrainingConfig,
    on_epoch: "Callable[[EpochReport], None] | None" = None,
) -> Trained:
    from recsys.vae.training import train

    wall, cpu = time.perf_counter(), time.process_time()
    vae = train(data, config, training, on_epoch=on_epoch)
    return Trained(vae, time.perf_counter() - wall, time.process_time() - cpu)


def million(options: argparse.Namespace) -> None:
    """Train one epoch on a large made-up catalogue."""
    data = make_clicks(options.users + NEW_USERS, options.items, options.mean_history)
    known = data.select_users(np.arange(options.users))
    print(
        f"{known.n_users:,} users x {known.n_items:,} items, {known.matrix.nnz:,} clicks "
        f"({known.matrix.nnz / known.n_users:.0f} a user, {known.history_lengths().max():,} at "
        f"most); peak before training {peak_gb():.1f} GB",
        flush=True,
    )
    training = TrainingConfig(epochs=1, batch_size=options.batch)
    reports: list[EpochReport] = []
    trained = _train(known, VAEConfig(values="binary"), training, reports.append)
    peak = peak_gb()
    config = trained.vae.config
    sampled = config.softmax == "sampled"
    batch_size = training.sized_for(known.n_users, known.n_items, sampled=sampled).batch_size
    print(
        f"softmax {config.softmax}, {config.negatives:,} negatives, members {config.members}, "
        f"batch {batch_size:,}\n"
        f"one epoch: {trained.wall:.0f} s ({trained.cpu:.0f} s CPU), "
        f"{reports[0].users_per_second:,.0f} users/s, peak {peak:.1f} GB"
    )
    print(_verdict("minutes", trained.wall / 60, MOST_MINUTES))
    print(_verdict("GB", peak, MOST_GB))
    _print_losses(trained.vae, reports[0], known, data.matrix[options.users :])


def _print_losses(vae: "VAE", report: "EpochReport", known: Interactions, new: csr_array) -> None:
    """Print nats a click before, during and after the epoch; lower is better."""
    uniform = np.log(known.n_items)
    during = report.reconstruction * known.n_users / known.matrix.nnz
    given, guessed = _halves(new)
    counts = known.item_counts() + 1
    popular = -np.log(counts / counts.sum())[guessed.indices].mean()
    after = _nats_a_click(vae, given, guessed)
    print(
        f"nats a click: {uniform:.2f} before (all items alike), {during:.2f} on average over the "
        f"epoch (sampled, dropout on)\n"
        f"of {NEW_USERS} new users' hidden clicks, softmax over all items: {after:.2f}; "
        f"by popularity {popular:.2f}"
    )


def _halves(histories: csr_array) -> tuple[csr_array, csr_array]:
    """Deal each user's items out in turn."""
    users = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    even = np.arange(histories.nnz) % 2 == 0
    given, guessed = (
        csr_from_pairs(users[own], histories.indices[own], histories.data[own], histories.shape)
        for own in (even, ~even)
    )
    return given, guessed


def _nats_a_click(vae: "VAE", given: csr_array, guessed: csr_array) -> float:
    """Minus log-likelihood of hidden clicks under the exact softmax."""
    items = vae.item_vectors()
    total = 0.0
    for first in range(0, given.shape[0], USERS_AT_ONCE):
        block = slice(first, first + USERS_AT_ONCE)
        scores = vae.user_vectors(given[block]) @ items.T
        users, columns = guessed[block].nonzero()
        normaliser: NDArray[np.float64] = np.asarray([logsumexp(each) for each in scores])
        total += float((normaliser[users] - scores[users, columns]).sum())
    return total / guessed.nnz


def gowalla(options: argparse.Namespace) -> None:
    """Train with either softmax from the same seed, and find the same users' hidden items."""
    split = gowalla_split(options.datasets / "gowalla")
    print(
        f"{split.train.n_users:,} users x {split.train.n_items:,} items; batch {options.batch}, "
        f"{options.epochs} epochs, one VAE each, not fused with neighbours",
        flush=True,
    )
    assert split.test is not None
    ways: tuple[Softmax, ...] = ("exact", "sampled")
    alone = VAEConfig(values="binary", members=1, negatives=options.negatives)
    training = TrainingConfig(epochs=options.epochs, batch_size=options.batch, seed=options.seed)
    trained = {
        softmax: _train(split.train, replace(alone, softmax=softmax), training) for softmax in ways
    }
    rankers = {softmax: partial(rank_unseen, each.vae.score) for softmax, each in trained.items()}
    report = evaluate(rankers, split.test, split.train, METRICS)
    print(f"{'':10}" + "".join(f"{metric!s:>24}" for metric in METRICS) + "   wall s   CPU s")
    for softmax, each in trained.items():
        figures = "".join(f"{report.estimate(softmax, metric)!s:>24}" for metric in METRICS)
        print(f"{softmax:10}{figures}{each.wall:9.0f}{each.cpu:8.0f}")
    for metric in METRICS:
        print(
            f"exact - sampled, {metric}: {report.difference('exact', 'sampled', metric).estimate}"
        )
    lost = 1 - report.mean("sampled", RECALL) / report.mean("exact", RECALL)
    print(_verdict(f"% of {RECALL} lost", 100 * lost, 100 * MOST_LOST))


def _verdict(unit: str, measured: float, limit: float) -> str:
    word = "kept" if measured < limit else "MISSED"
    return f"limit {limit:g} {unit}, measured {measured:.1f}: {word}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, metavar="N", help="cores to use (default: all)")
    parser.add_argument(
        "--no-tune-malloc", action="store_true", help="leave glibc's allocator as it is"
    )
    commands = parser.add_subparsers(required=True)
    large = commands.add_parser("million")
    large.add_argument("--users", type=int, default=200_000)
    large.add_argument("--items", type=int, default=1_000_000)
    large.add_argument("--mean-history", type=float, default=115, help="repeats included")
    large.add_argument("--batch", type=int, help="users of a step (default: as `train` decides)")
    large.set_defaults(run=million)
    real = commands.add_parser("gowalla")
    real.add_argument("--datasets", type=Path, default=BESIDE_THE_CHECKOUT, metavar="DIR")
    real.add_argument("--batch", type=int, default=500, help="users of a step")
    real.add_argument("--epochs", type=int, default=12)
    real.add_argument("--negatives", type=int, default=VAEConfig.negatives)
    real.add_argument("--seed", type=int, default=TrainingConfig.seed)
    real.set_defaults(run=gowalla)
    return parser


def main() -> None:
    """Run what was asked for, under the allocator's settings of `recsys train`."""
    options = _parser().parse_args()
    if not options.no_tune_malloc:
        keep_large_buffers()
    wait_briefly(os.environ)  # as the command line does
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    print(describe_run())
    options.run(options)


if __name__ == "__main__":
    main()
