"""The product beside its peers: the same users, every difference paired, folds and seeds pooled."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from peers import fit_peer

from recsys.baselines import rank_unseen
from recsys.data.splits import Split
from recsys.evaluation.protocols import evaluate
from recsys.evaluation.report import Difference, Estimate, Evaluation
from recsys.metrics import Metric
from recsys.ranking import Ranker
from recsys.recommender import Recommender
from recsys.vae.artefact import load_model_split, open_model

PRODUCT = "recsys"


@dataclass(frozen=True)
class Fit:
    """How a peer was fitted: what was chosen, from how many fits, in how many seconds."""

    peer: str
    chosen: str
    n_fits: int
    seconds: float

    def __str__(self) -> str:
        fits = f"best of {self.n_fits} fits" if self.n_fits > 1 else "one fit"
        chosen = f": {self.chosen}" if self.chosen else ""
        return f"{self.peer}, {self.seconds:.1f} s, {fits}{chosen}"


@dataclass(frozen=True, eq=False)
class Measured:
    """One split's figures: the product once for each seed, then the peers."""

    evaluation: Evaluation
    fits: tuple[Fit, ...]


def measure(
    workspaces: Mapping[int, Path], peers: Sequence[str], metrics: Sequence[str]
) -> Measured:
    """Fit the peers on the split of the models, and measure all on its test users.

    Parameters
    ----------
    workspaces : mapping of seed -> Path
        Trained and indexed, all on the same split, which has validation and test users.
    peers : sequence of str
        Of PEERS.
    metrics : sequence of str
    """
    split = _shared_split(list(workspaces.values()))
    assert split.validation is not None
    assert split.test is not None
    rankers: dict[str, Ranker] = {
        seed_name(seed): Recommender.load(path).ranker for seed, path in workspaces.items()
    }
    fits = []
    for peer in peers:
        print(f"\nfitting {peer}", flush=True)
        start = time.perf_counter()
        fitted = fit_peer(peer, split.train, split.validation)
        fits.append(Fit(peer, fitted.chosen, fitted.n_fits, time.perf_counter() - start))
        rankers[peer] = partial(rank_unseen, fitted.score)
    wanted = [Metric.parse(each) for each in metrics]
    return Measured(evaluate(rankers, split.test, split.train, wanted), tuple(fits))


def _shared_split(workspaces: Sequence[Path]) -> Split:
    splits = [load_model_split(open_model(each / "model")) for each in workspaces]
    fingerprints = {each.fingerprint for each in splits}
    assert len(fingerprints) == 1, f"{workspaces} were trained on different splits"
    return splits[0]


def seed_name(seed: int) -> str:
    """Name the product's model of one seed."""
    return f"{PRODUCT}, seed {seed}"


def pool(folds: Sequence[Evaluation], seeds: Sequence[int]) -> Evaluation:
    """Put the users of all folds side by side, and average the product over its seeds.

    Parameters
    ----------
    folds : sequence of Evaluation
        Of the same models and metrics; no user is in two.
    seeds : sequence of int
        The product's models in `folds`, by `seed_name`.

    Returns
    -------
    Evaluation
        First PRODUCT, whose value for a user is the mean over the seeds; then each seed, where
        there are several; then the peers.
    """
    by_user = {
        model: {
            metric: np.concatenate([fold.by_user[model][metric] for fold in folds])
            for metric in folds[0].by_user[model]
        }
        for model in folds[0].models()
    }
    of_seeds = [by_user[seed_name(seed)] for seed in seeds]
    mean = {
        metric: np.mean([values[metric] for values in of_seeds], axis=0) for metric in of_seeds[0]
    }
    if len(seeds) == 1:
        del by_user[seed_name(seeds[0])]
    n_users = sum(fold.n_users for fold in folds)
    return Evaluation(folds[0].on, n_users, {PRODUCT: mean, **by_user}, {})


def best_peer(pooled: Evaluation, peers: Sequence[str], metric: str) -> str:
    """Name the peer with the highest mean; of equals the first."""
    return max(peers, key=lambda peer: pooled.mean(peer, metric))


def to_markdown(pooled: Evaluation, peers: Sequence[str]) -> str:
    """Lay out means with intervals, then the paired differences PRODUCT - peer with theirs."""
    metrics = pooled.metrics(PRODUCT)
    rows = [
        [model, *(str(pooled.estimate(model, metric)) for metric in metrics)]
        for model in pooled.models()
    ]
    for peer in peers:
        differences = [pooled.difference(PRODUCT, peer, metric) for metric in metrics]
        rows.append([f"{PRODUCT} - {peer}", *(_interval(each.estimate) for each in differences)])
    lines = [["model", *metrics], ["---"] * (1 + len(metrics)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdict(difference: Difference) -> str:
    """Say what the 95 % interval of a difference allows to say."""
    found = difference.estimate
    assert found.low is not None
    assert found.high is not None
    if found.low > 0:
        said = "above 0 with 95 % confidence"
    elif found.high > 0:
        said = "not told apart with 95 % confidence; the upper bound is above 0"
    else:
        said = "BELOW 0 with 95 % confidence"
    pair = f"{difference.a} - {difference.b}"
    return f"{difference.metric}, {pair}: {_interval(found)}: {said}"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:+.4f}"
    return f"{estimate.mean:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}]"
