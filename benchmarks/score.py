"""How fast everybody's top k is written, beside the bare arithmetic, and in how much memory.

Makes a workspace with an untrained model of plausible scores, then measures in processes of
their own:

    python benchmarks/score.py --users 48000

The arithmetic is the encoder's pass and the product with all item vectors for the same users in
the same blocks: nothing is excluded, ranked or written. Both sides alternate block by block.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from machine import describe_run
from made_workspace import Size, make_workspace
from numpy.typing import NDArray
from recsys.pipelines.threads import wait_briefly
from threadpoolctl import threadpool_limits

from recsys.batch import ScoreJob, score_everyone
from recsys.index.item_index import BLOCK_SCORES
from recsys.recommender import Recommender
from recsys.vae.encoder import Batch
from recsys.vae.model import ENCODE_BATCH

TARGET_USERS_PER_SECOND = 8_000
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Speed:
    """What both sides took for all users, in seconds."""

    scoring: float
    arithmetic: float


def measure_memory(workspace: Path, output: Path, job: ScoreJob) -> dict[str, Any]:
    """Score everybody once; peaks in bytes, of this process."""
    recommender = Recommender.load(workspace)
    loaded = _peak_rss()
    report = score_everyone(recommender, output, job)
    return {"users": report.n_users, "loaded": loaded, "peak": _peak_rss()}


def _peak_rss() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure_speed(
    workspace: Path, outputs: Path, job: ScoreJob, n_rounds: int, n_compared: int
) -> dict[str, Any]:
    """Time both sides block by block in turn, then compare lists with `recommend`'s."""
    recommender = Recommender.load(workspace)
    recommender.recommend(list(recommender.users.ids[:200]), k=job.k)  # threads start, pages load
    speeds, n_rows = [], 0
    for number in range(n_rounds):
        clock = _Alternation(recommender)
        n_rows = score_everyone(recommender, outputs / f"round-{number}", job, clock).n_rows
        speeds.append(clock.speed())
    compared = compare_with_recommend(recommender, outputs / "round-0", job.k, n_compared)
    return {
        "users": len(recommender.users),
        "clicks": int(recommender.store.interactions.matrix.nnz),
        "rows": n_rows,
        "rounds": [asdict(each) for each in speeds],
        **compared,
    }


class _Alternation:
    """A progress callback that times the arithmetic of each block as soon as it is scored.

    Both sides then see the same machine, however busy others make it.
    """

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender
        self.done = 0
        self.scoring = self.arithmetic = 0.0
        self.resumed = time.perf_counter()

    def __call__(self, done: int, total: int) -> None:
        self.scoring += time.perf_counter() - self.resumed
        self.arithmetic += _time_arithmetic(self.recommender, np.arange(self.done, done))
        self.done = done
        self.resumed = time.perf_counter()

    def speed(self) -> Speed:
        # What follows the last block (the manifest) is scoring too.
        return Speed(self.scoring + time.perf_counter() - self.resumed, self.arithmetic)


def _time_arithmetic(recommender: Recommender, users: NDArray[np.int64]) -> float:
    """Time the encoder and the product; gathering the histories is left out of the time."""
    vae, vectors = recommender.vae, recommender.index.items.vectors
    n_together = max(1, BLOCK_SCORES // len(vectors))
    seconds = 0.0
    for batch in _batches(recommender, users):
        start = time.perf_counter()
        with torch.inference_mode():
            codes = vae.members[0].encoder(batch)[0].numpy()
        queries = np.concatenate([codes, np.ones((len(codes), 1), dtype=np.float32)], axis=1)
        for row in range(0, len(queries), n_together):
            _ = queries[row : row + n_together] @ vectors.T
        seconds += time.perf_counter() - start
    return seconds


def _batches(recommender: Recommender, users: NDArray[np.int64]) -> Iterator[Batch]:
    histories = recommender.histories(users)
    histories.data[:] = 1
    for row in range(0, len(users), ENCODE_BATCH):
        rows = np.arange(row, min(row + ENCODE_BATCH, len(users)))
        yield Batch.of(histories, rows, torch.device("cpu"))


def compare_with_recommend(
    recommender: Recommender, output: Path, k: int, n_compared: int
) -> dict[str, Any]:
    """Compare the written lists of some users with what `recommend` gives them one at a time."""
    parts = sorted(output.glob("part-*.parquet"))
    table = pa.concat_tables([pq.read_table(each) for each in parts], promote_options="default")
    frame = table.unify_dictionaries().to_pandas()
    written = dict(iter(frame.astype({"user": str, "item": str}).groupby("user")))
    some = np.random.default_rng(1).permutation(recommender.users.ids)[:n_compared]
    n_swapped, worst, wrong = 0, 0.0, []
    for user in map(str, some):
        rows = written[user].sort_values("rank")
        (asked,) = recommender.recommend([user], k=k)
        items = np.array([each.item for each in asked.items], dtype=object)
        scores = np.array([each.score for each in asked.items])
        gap = _widest_swap(rows["item"].to_numpy(dtype=object), rows["score"], items, scores)
        n_swapped += list(items) != list(rows["item"])
        worst = max(worst, gap)
        if gap > TOLERANCE:
            wrong.append(user)
    return {"compared": len(some), "swapped": n_swapped, "widest_swap": worst, "wrong": wrong[:5]}


def _widest_swap(
    items: NDArray[np.object_],
    scores: Any,
    asked_items: NDArray[np.object_],
    asked_scores: NDArray[np.float64],
) -> float:
    """Give the widest gap in score between items that stand in each other's place; 0 for none."""
    if len(items) != len(asked_items):
        return float("inf")
    own = dict(zip(items, map(float, scores), strict=True))
    others = dict(zip(asked_items, asked_scores, strict=True))
    gaps = [
        # What only the other list has came in at its end: nothing below the last is known.
        max(
            abs(own[ours] - own.get(theirs, min(own.values()))),
            abs(others[theirs] - others.get(ours, min(others.values()))),
            abs(own[ours] - others[theirs]),
        )
        for ours, theirs in zip(items, asked_items, strict=True)
        if ours != theirs
    ]
    return float(max(gaps, default=0.0))


def report_memory(small: dict[str, Any], large: dict[str, Any]) -> None:
    """Print the peaks of both sizes."""
    for each in (small, large):
        print(
            f"peak RSS, {each['users']:,} users: {each['peak'] / 1e6:,.0f} MB "
            f"({each['loaded'] / 1e6:,.0f} MB when loaded)"
        )
    growth = (large["peak"] - small["peak"]) / (large["users"] - small["users"])
    print(f"each further user: {growth / 1e3:,.2f} kB (histories, ids and user vectors)")


def report_speed(result: dict[str, Any]) -> None:
    """Print both sides' median, the ratio and what the comparison found."""
    n_users = result["users"]
    scoring = np.array([each["scoring"] for each in result["rounds"]])
    arithmetic = np.array([each["arithmetic"] for each in result["rounds"]])
    rate = n_users / np.median(scoring)
    print(f"histories: {result['clicks'] / n_users:.0f} items on average")
    for name, seconds in (("score_everyone", scoring), ("bare arithmetic", arithmetic)):
        rates = ", ".join(f"{n_users / each:,.0f}" for each in seconds)
        print(f"{name:16} {n_users / np.median(seconds):8,.0f} users/s  (rounds: {rates})")
    print(f"ratio of times   {np.median(scoring / arithmetic):8.2f}")
    print(f"rows             {result['rows'] / np.median(scoring):8,.0f} rows/s")
    verdict = "reached" if rate >= TARGET_USERS_PER_SECOND else "MISSED"
    print(f"target           {TARGET_USERS_PER_SECOND:8,} users/s on two free cores: {verdict}")
    print(
        f"same lists as recommend for {result['compared']} users: {result['swapped']} with items "
        f"swapped, the widest gap {result['widest_swap']:.1e} (allowed {TOLERANCE:g})"
    )
    if result["wrong"]:
        raise SystemExit(f"lists differ from recommend's: users {', '.join(result['wrong'])}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=48_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--latents", type=int, default=200)
    parser.add_argument("--neighbours", type=int, default=0, help="0: a VAE alone, not fused")
    parser.add_argument("-k", type=int, default=100)
    parser.add_argument("--block-size", type=int, default=4096, help="users of one file")
    parser.add_argument("--rounds", type=int, default=3, help="times that everybody is scored")
    parser.add_argument("--compared", type=int, default=200, help="users compared with recommend")
    parser.add_argument("--threads", type=int, help="cores to use (default: all)")
    parser.add_argument("--stage", choices=["make", "memory", "speed"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def run_stage(options: argparse.Namespace) -> None:
    """Do one stage in this process and print what it found as JSON."""
    if options.threads is not None:
        threadpool_limits(options.threads)
        torch.set_num_threads(options.threads)
    workspace, job = options.folder, ScoreJob(k=options.k, block_size=options.block_size)
    if options.stage == "make":
        make_workspace(
            workspace, Size(options.users, options.items, options.latents, options.neighbours)
        )
        print("null")
    elif options.stage == "memory":
        print(json.dumps(measure_memory(workspace, workspace / "memory", job)))
    else:
        result = measure_speed(
            workspace, workspace / "speed", job, options.rounds, options.compared
        )
        print(json.dumps(result))


def run_child(stage: str, folder: Path, users: int) -> Any:
    """Run one stage in a process of its own, with this command's options."""
    command = [sys.executable, __file__, *sys.argv[1:]]
    command += ["--stage", stage, "--folder", str(folder), "--users", str(users)]
    environment = dict(os.environ)
    wait_briefly(environment)  # as the command line does
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(done.stdout)


def main() -> None:
    """Make both workspaces, then measure memory and speed."""
    options = _parser().parse_args()
    if options.stage:
        run_stage(options)
        return
    print(describe_run())
    print(f"{options.items:,} items, {options.latents} latents, k {options.k}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        small, large = Path(directory) / "small", Path(directory) / "large"
        run_child("make", small, options.users)
        run_child("make", large, 2 * options.users)
        report_speed(run_child("speed", small, options.users))
        memory = [
            run_child("memory", small, options.users),
            run_child("memory", large, 2 * options.users),
        ]
        report_memory(*memory)


if __name__ == "__main__":
    main()
