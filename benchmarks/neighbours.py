"""What the item-item path costs, and what wider neighbourhoods buy.

python benchmarks/neighbours.py million    1,000,000 made-up items, 20 neighbours each
python benchmarks/neighbours.py gowalla    40,981 items, 20 to 250 neighbours (--datasets DIR)
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from accuracy import BESIDE_THE_CHECKOUT
from machine import describe_run
from made_clicks import make_clicks

from recsys.baselines import rank_unseen
from recsys.data.readers import ReadOptions, read_events
from recsys.data.splits import Split, SplitConfig, split_events
from recsys.evaluation.protocols import evaluate
from recsys.metrics import Metric
from recsys.neighbours.config import NeighboursConfig
from recsys.neighbours.item_item import fit_item_item
from recsys.ranking import Scorer

MILLION_LIMITS = "limits: 600 s, 8.0 GB"
GOWALLA_LIMIT = "limit at 250 neighbours: 60 s"
WIDTHS = (20, 50, 100, 250)
METRICS = (Metric("full_recall", 20), Metric("ndcg", 20))


@dataclass
class Timing:
    """Seconds by the clock and of all cores."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def timed() -> Iterator[Timing]:
    """Time what is done inside."""
    timing = Timing()
    wall, before = time.perf_counter(), os.times()
    yield timing
    after = os.times()
    timing.wall = time.perf_counter() - wall
    timing.cpu = after.user + after.system - before.user - before.system


def million(options: argparse.Namespace) -> None:
    """Fit a large made-up catalogue."""
    train = make_clicks(options.users, options.items, options.mean_history)
    longest = int(train.history_lengths().max())
    print(
        f"{train.n_users:,} users x {train.n_items:,} items, {train.matrix.nnz:,} clicks, "
        f"longest history {longest:,}; peak before the fit {peak_gb():.1f} GB"
    )
    with timed() as timing:
        fitted = fit_item_item(train, NeighboursConfig(n_neighbours=20), n_threads=options.threads)
    print(
        f"20 neighbours: {timing.wall:.0f} s ({timing.cpu:.0f} s CPU), peak {peak_gb():.1f} GB, "
        f"{fitted.weights.nnz:,} weights; {MILLION_LIMITS}"
    )


def gowalla(options: argparse.Namespace) -> None:
    """Fit and measure at several widths, LightGCN's split and convention."""
    split = gowalla_split(options.datasets / "gowalla")
    print(f"{split.train.n_users:,} users x {split.train.n_items:,} items; {GOWALLA_LIMIT}")
    print(f"{'neighbours':>10}{'wall s':>9}{'CPU s':>8}{'recall@20':>11}{'ndcg@20':>10}")
    for width in WIDTHS:
        config = replace(NeighboursConfig(), n_neighbours=width)
        with timed() as timing:
            fitted = fit_item_item(split.train, config, n_threads=options.threads)
        means = measured(fitted.score, split)
        figures = "".join(f"{value:>10.4f} " for value in means)
        print(f"{width:>10}{timing.wall:>9.1f}{timing.cpu:>8.1f} {figures}", flush=True)


def gowalla_split(folder: Path) -> Split:
    """Divide the check-ins as their publishers did; nobody is held out for validation."""
    train, _ = read_events(folder / "train.txt.gz", ReadOptions())
    test, _ = read_events(folder / "test.txt.gz", ReadOptions(), to_train=False)
    return split_events(train, SplitConfig(kind="none"), test)


def measured(score: Scorer, split: Split) -> list[float]:
    """Give the means of METRICS over the test users."""
    assert split.test is not None
    rankers = {"model": partial(rank_unseen, score)}
    result = evaluate(rankers, split.test, split.train, METRICS).to_json()
    return [result["models"]["model"][str(metric)]["mean"] for metric in METRICS]


def peak_gb() -> float:
    """Give the largest resident size so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N")
    commands = parser.add_subparsers(required=True)
    large = commands.add_parser("million")
    large.add_argument("--users", type=int, default=500_000)
    large.add_argument("--items", type=int, default=1_000_000)
    large.add_argument("--mean-history", type=float, default=40)
    large.set_defaults(run=million)
    real = commands.add_parser("gowalla")
    real.add_argument("--datasets", type=Path, default=BESIDE_THE_CHECKOUT, metavar="DIR")
    real.set_defaults(run=gowalla)
    options = parser.parse_args()
    print(describe_run())
    options.run(options)


if __name__ == "__main__":
    main()
