"""Whether the reasons are the reasons: a deletion test, on a workspace's test users.

Of a workspace that was ingested, trained with test users and indexed:

    python benchmarks/reasons.py --workspace DIR

The first recommendation of each user is scored again without the three items of the history that
it names as its reasons, and without three others drawn at random: the first should lose more.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from machine import describe_run
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.ids import IdMap
from recsys.reasons import Explainer
from recsys.recommender import Recommender
from recsys.vae.artefact import load_model_split, open_model

NAMED = 3
MOST_USERS = 1000
DRAWS = 10


def score_without(
    explainer: Explainer, history: csr_array, removed: NDArray[np.int64], item: int
) -> float:
    """Score an item for a history that lacks some entries."""
    kept = np.setdiff1d(np.arange(len(history.indices)), removed)
    shorter = csr_array(
        (history.data[kept], history.indices[kept], [0, len(kept)]), shape=history.shape
    )
    score = float((explainer.vae.user_vectors(shorter) @ explainer.vectors[item])[0])
    if explainer.sparse is not None:
        score += float(explainer.sparse.scores(shorter).toarray()[0, item])
    return score


def main() -> None:
    """Print what the scores lose."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspace", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    print(describe_run())
    recommender = Recommender.load(options.workspace)
    split = load_model_split(open_model(options.workspace / "model"))
    if split.test is None:
        parser.error(f"{options.workspace}: train with --test-size N, so that there are test users")
    fold_in = split.test.fold_in
    assert isinstance(fold_in.users, IdMap)
    explainer = Explainer(recommender.vae, recommender.index.items.vectors, recommender.sparse)
    rng = np.random.default_rng(0)
    lost: list[tuple[float, float, float]] = []
    seconds = 0.0
    for row in range(min(MOST_USERS, fold_in.n_users)):
        history = fold_in.matrix[row : row + 1]
        n = len(history.indices)
        if n <= 2 * NAMED:
            continue
        item = int(recommender.ranker(history, 1).positions[0, 0])
        started = time.perf_counter()
        added = explainer.contributions(history, np.array([item]))[:, 0]
        seconds += time.perf_counter() - started
        named = np.argsort(-added, kind="stable")[:NAMED]
        whole = score_without(explainer, history, np.empty(0, dtype=np.int64), item)
        others = np.setdiff1d(np.arange(n), named)
        drawn = [
            whole - score_without(explainer, history, rng.choice(others, NAMED, False), item)
            for _ in range(DRAWS)
        ]
        by_named = whole - score_without(explainer, history, named, item)
        lost.append((by_named, float(np.mean(drawn)), float(np.mean(by_named > np.array(drawn)))))
    named_lost, drawn_lost, ahead = np.array(lost).T
    difference = named_lost - drawn_lost
    error = 1.96 * difference.std(ddof=1) / len(lost) ** 0.5
    print(f"{len(lost):,} test users, their first recommendation, {NAMED} items removed")
    print(f"the named ones: the score loses {named_lost.mean():.3f}")
    print(f"others at random: {drawn_lost.mean():.3f} (mean of {DRAWS} draws a user)")
    print(f"difference {difference.mean():.3f} +-{error:.3f}; ahead in {ahead.mean():.1%} of draws")
    print(f"{1000 * seconds / len(lost):.1f} ms to find the reasons of a recommendation")


if __name__ == "__main__":
    main()
