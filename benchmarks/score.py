"""How fast everybody's top k is written, beside the bare arithmetic, and in how much memory.

Makes a workspace with an untrained model of plausible scores, then measures in processes of
their own:

    python benchmarks/score.py --users 48000

The arithmetic is the encoder's pass and the product with all item vectors for the same users in
the same blocks: nothing is excluded, ranked or written. Both sides alternate in one process.
"""

import argparse
import json
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
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsys.batch import ScoreJob, score_everyone
from recsys.data.artefact import open_interactions, save_interactions
from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions, csr_from_pairs
from recsys.data.splits import Split
from recsys.index.item_index import BLOCK_SCORES
from recsys.indexing import build_index
from recsys.recommender import Recommender
from recsys.vae.artefact import load_model, open_model, save_model
from recsys.vae.config import VAEConfig
from recsys.vae.encoder import Batch
from recsys.vae.model import ENCODE_BATCH, VAE, VAEModule

TARGET_USERS_PER_SECOND = 8_000
TOLERANCE = 1e-5
MEAN_HISTORY = 80
# Zipf's law repeats the popular items within a history: draw more than are to be left.
DRAWN_PER_KEPT = 1.33
SCORE_SPREAD = 0.15


@dataclass(frozen=True)
class Size:
    """What is made and asked for."""

    users: int
    items: int
    latents: int
    k: int


@dataclass(frozen=True)
class Speed:
    """One alternation of both sides, seconds for all users."""

    scoring: float
    arithmetic: float


def make_events(size: Size, rng: np.random.Generator) -> Events:
    """Draw log-normal history lengths and Zipf items; every pair once, in random file order."""
    activity = rng.lognormal(sigma=1.0, size=size.users)
    wanted = MEAN_HISTORY * activity / activity.mean()
    lengths = np.maximum(1, DRAWN_PER_KEPT * wanted).astype(np.int64)
    popularity = 1 / np.arange(1, size.items + 1)
    places = np.cumsum(popularity / popularity.sum())
    drawn = np.searchsorted(places, rng.random(lengths.sum())).clip(max=size.items - 1)
    # Popular items lie anywhere in a real catalogue.
    items = rng.permutation(size.items)[drawn]
    users = np.repeat(np.arange(size.users), lengths)
    pairs = rng.permutation(np.unique(users * size.items + items))
    events = Events(
        users=_numbered(size.users, "user"),
        items=_numbered(size.items, "item"),
        user_positions=(pairs // size.items).astype(np.int32),
        item_positions=(pairs % size.items).astype(np.int32),
        values=np.ones(len(pairs), dtype=np.float32),
        timestamps=None,
        value_kind="none",
    )
    return events.select(np.ones(len(pairs), dtype=bool))


def _numbered(n: int, noun: str) -> IdMap:
    return IdMap.in_order(map(str, range(n)), noun)


def make_vae(size: Size, events: Events) -> VAE:
    """Build a model that nobody trained: popularity in the bias, tastes of a like spread."""
    config = VAEConfig(values="binary", latent_dim=size.latents)
    catalogue = _numbered(size.items, "item")
    counts = np.zeros(size.items, dtype=np.int64)
    counts[catalogue.find(events.items.ids)] = events.interactions().item_counts()
    torch.manual_seed(0)
    module = VAEModule(size.items, config).eval()
    with torch.no_grad():
        module.decoder.weight.normal_(std=SCORE_SPREAD)
        module.decoder.bias.copy_(torch.from_numpy(np.log1p(counts).astype(np.float32)))
    return VAE(
        config=config,
        items=catalogue,
        module=module,
        item_means=np.zeros(size.items, dtype=np.float32),
        item_counts=counts,
        n_train_users=size.users,
        liked_value=1.0,
    )


def make_workspace(workspace: Path, size: Size) -> None:
    """Write the three artefacts that `recsys score` reads."""
    events = make_events(size, np.random.default_rng(0))
    save_interactions(events, None, workspace / "interactions", config={}, metrics={})
    vae = make_vae(size, events)
    save_model(
        vae, _tiny_split(vae.items), workspace / "model", training={}, metrics={}, fingerprints={}
    )
    model = open_model(workspace / "model")
    store = open_interactions(workspace / "interactions")
    build_index(load_model(model), store, model, workspace / "index")


def _tiny_split(items: IdMap) -> Split:
    """Give one user everything: scoring never looks at it, but a model has one."""
    columns = np.arange(len(items))
    row = csr_from_pairs(
        np.zeros_like(columns), columns, np.ones(len(items), np.float32), (1, len(items))
    )
    return Split(Interactions(_numbered(1, "user"), items, row), None, None, ())


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
    """Time both sides alternately, the first of a round changing with it; then compare lists."""
    recommender = Recommender.load(workspace)
    first = recommender.users.ids[: min(200, len(recommender.users))]
    recommender.recommend(list(first), k=job.k)  # threads started, pages read
    speeds, n_rows = [], 0
    for number in range(n_rounds):
        output = outputs / f"round-{number}"
        if number % 2:
            arithmetic = _time_arithmetic(recommender, job)
        start = time.perf_counter()
        n_rows = score_everyone(recommender, output, job).n_rows
        scoring = time.perf_counter() - start
        if number % 2 == 0:
            arithmetic = _time_arithmetic(recommender, job)
        speeds.append(Speed(scoring, arithmetic))
    compared = compare_with_recommend(recommender, outputs / "round-0", job.k, n_compared)
    return {
        "users": len(recommender.users),
        "clicks": int(recommender.store.interactions.matrix.nnz),
        "rows": n_rows,
        "rounds": [asdict(each) for each in speeds],
        **compared,
    }


def _time_arithmetic(recommender: Recommender, job: ScoreJob) -> float:
    """Time the encoder and the product; gathering the histories is left out of the time."""
    vae, vectors = recommender.vae, recommender.index.items.vectors
    n_together = max(1, BLOCK_SCORES // len(vectors))
    seconds = 0.0
    for batch in _batches(recommender, job.block_size):
        start = time.perf_counter()
        with torch.inference_mode():
            codes = vae.module.encoder(batch)[0].numpy()
        queries = np.concatenate([codes, np.ones((len(codes), 1), dtype=np.float32)], axis=1)
        for row in range(0, len(queries), n_together):
            _ = queries[row : row + n_together] @ vectors.T
        seconds += time.perf_counter() - start
    return seconds


def _batches(recommender: Recommender, block_size: int) -> Iterator[Batch]:
    n_users = len(recommender.users)
    for first in range(0, n_users, block_size):
        histories = recommender.histories(np.arange(first, min(first + block_size, n_users)))
        histories.data[:] = 1
        for row in range(0, histories.shape[0], ENCODE_BATCH):
            rows = np.arange(row, min(row + ENCODE_BATCH, histories.shape[0]))
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
        n_swapped += gap > 0
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
    parser.add_argument("-k", type=int, default=100)
    parser.add_argument("--block-size", type=int, default=4096, help="users of one file")
    parser.add_argument("--rounds", type=int, default=3, help="alternations of both sides")
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
        make_workspace(workspace, Size(options.users, options.items, options.latents, options.k))
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
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


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
