"""How long one search takes at any size, and what share of the exact best it finds.

    export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=1000   # as `recsys` has them
    python benchmarks/search.py --workspace DIR --sizes 20000,1000000
    python benchmarks/search.py --workspace DIR --sizes 10000000 --recall 0.95 --peers none

Vectors and queries are of the trained model in DIR. More items than it has are made by a
generator that keeps norms and clusters: an item of the model plus .7 times the difference of two
others of its cluster. Ours is what `recsys index` would choose for so many (k 100, one query at a
time); beside it faiss flat, HNSW (faiss, 32 links, up to 200,000 vectors: its building takes
hours beyond) and a plain torch product with topk. Each is timed twice on the same queries: `in a
row`, its queries one after the other (rounds of all ways by turns), so that a small index stays in
the processor's cache; and `in turns`, where every query follows those of the others, who have put
it out of there.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import torch
from machine import describe_run

from recsys.index.exact import search_blocks
from recsys.index.item_index import ItemIndex
from recsys.index.kmeans import kmeans
from recsys.index.quick import SCORES_HELD, choose_index, rank_again
from recsys.recommender import Recommender

K, QUERIES = 100, 100
ROUNDS = 3
MOST_MILLISECONDS = {20_000: 1.0, 1_000_000: 10.0, 5_000_000: 25.0, 10_000_000: 25.0}
MOST_FOR_HNSW = 200_000
BLOCK = 200_000
ROUNDING = 1e-4
"""Made vectors repeat each other: what ties with the last of the exact best counts as found."""


def scaled_up(vectors: np.ndarray, n: int) -> np.ndarray:
    """Make n vectors like these: float32, shape (n, dim)."""
    rng = np.random.default_rng(0)
    found = kmeans(vectors, min(50, len(vectors)), seed=0)
    order = np.argsort(found.assignments, kind="stable")
    sizes = np.bincount(found.assignments)
    starts = np.cumsum(sizes) - sizes
    made = np.empty((n, vectors.shape[1]), dtype=np.float32)
    for first in range(0, n, BLOCK):
        rows = made[first : first + BLOCK]
        base = rng.integers(len(vectors), size=len(rows))
        cluster = found.assignments[base]
        one, other = (
            order[starts[cluster] + (rng.random(len(rows)) * sizes[cluster]).astype(np.int64)]
            for _ in range(2)
        )
        difference = vectors[one] - vectors[other]
        rows[:] = vectors[base] + np.float32(0.7) * difference
    return made


def peers(vectors: np.ndarray, chosen: str) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Build what is compared with."""
    if chosen == "none":
        return {}
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    tensor = torch.from_numpy(vectors)
    found = {
        "faiss flat": lambda query: flat.search(query[None], K)[1][0],
        "torch matmul, topk": lambda query: (
            (tensor @ torch.from_numpy(query)).topk(K).indices.numpy()
        ),
    }
    if len(vectors) <= MOST_FOR_HNSW:
        graph = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = 100
        graph.add(vectors)
        graph.hnsw.efSearch = 512
        found["HNSW, efSearch 512"] = lambda query: graph.search(query[None], K)[1][0]
    return found


def report(vectors: np.ndarray, queries: np.ndarray, recall: float, chosen: str) -> None:
    """Build, take turns, and print a table of one size."""
    n = len(vectors)
    started = time.perf_counter()
    quick, measured = choose_index(vectors, queries[: -2 * QUERIES], "auto", recall)
    print(f"\n{n:,} vectors of {vectors.shape[1]} dimensions; ours: {measured.kind}", end="")
    if quick is not None:
        cells = faiss.extract_index_ivf(quick.faiss_index)
        print(f", {quick.n_probed} of {cells.nlist:,} cells of {cells.d} dimensions", end="")
        print(f", {quick.depth * K} ranked again", end="")
    print(f"; built and tuned in {time.perf_counter() - started:.0f} s ({measured.reason})")
    index = ItemIndex.of(vectors) if quick is None else None

    def ours(query: np.ndarray) -> np.ndarray:
        if index is not None:
            return index.search(query[None], K).positions[0]
        return rank_again(quick.candidates(query[None], K), vectors, query, K)[0]

    ways = {"recsys": ours, **peers(vectors, chosen)}
    asked = queries[-QUERIES:]
    ours(asked[0])  # what is made once
    best = search_blocks(vectors, asked, K, SCORES_HELD).positions
    found = {name: [] for name in ways}
    turns: dict[str, list[float]] = {name: [] for name in ways}
    for query in asked:
        for name, way in ways.items():
            found[name].append(timed(way, query, turns[name]))
    in_a_row: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            for query in asked:
                timed(way, query, in_a_row[name])
    print("| | in a row: median, 95 % (ms) | in turns: median, 95 % (ms) | recall@100 |")
    print("|---|--:|--:|--:|")
    for name in ways:
        row, turn = (np.percentile(times[name], [50, 95]) for times in (in_a_row, turns))
        share = share_found(vectors, asked, best, found[name])
        cells = [f"{times[0]:.2f}, {times[1]:.2f}" for times in (row, turn)]
        print(f"| {name} | {' | '.join(cells)} | {share:.3f} |", flush=True)
        if name == "recsys" and n in MOST_MILLISECONDS:
            most = MOST_MILLISECONDS[n]
            is_met = [median <= most and share >= recall for median in (row[0], turn[0])]
    if n in MOST_MILLISECONDS:
        verdicts = ["met" if each else "missed" for each in is_met]
        print(f"{most:.0f} ms and {recall} asked: {verdicts[0]} in a row, {verdicts[1]} in turns")


def timed(
    way: Callable[[np.ndarray], np.ndarray], query: np.ndarray, times: list[float]
) -> np.ndarray:
    """Search, and note how many milliseconds it took."""
    started = time.perf_counter()
    positions = way(query)
    times.append(1000 * (time.perf_counter() - started))
    return positions


def share_found(
    vectors: np.ndarray, asked: np.ndarray, best: np.ndarray, found: list[np.ndarray]
) -> float:
    """Recall@K: what scores as much as the last of the exact best counts as found."""
    n_found = 0
    for query, exact, positions in zip(asked, best, found, strict=True):
        last = float(vectors[exact[-1]] @ query)
        scores = vectors[positions[positions >= 0]] @ query
        n_found += int((scores >= last - ROUNDING * max(1.0, abs(last))).sum())
    return n_found / (K * len(asked))


def main() -> None:
    """Measure every size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspace", type=Path, required=True, metavar="DIR")
    parser.add_argument("--sizes", default="20000,1000000", metavar="N,N,..")
    parser.add_argument("--recall", type=float, default=0.99, metavar="R")
    parser.add_argument("--peers", choices=["all", "none"], default="all")
    options = parser.parse_args()
    print(describe_run())
    recommender = Recommender.load(options.workspace)
    n_users = len(recommender.users)
    drawn = np.random.default_rng(1).permutation(n_users)[:700]
    queries = recommender.vae.user_vectors(recommender.histories(drawn))
    base = recommender.vae.item_vectors()
    for size in map(int, options.sizes.split(",")):
        report(scaled_up(base, size), queries, options.recall, options.peers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\npeak resident size {peak:.1f} GiB")


if __name__ == "__main__":
    main()
