"""From MovieLens-1M's CSV to an evaluated model: what ours and its peers cost, and how good.

    python benchmarks/end_to_end.py
    python benchmarks/end_to_end.py --recvae-epochs 1 -S training.epochs=2   # a quick look

Ours is `recsys ingest`, `train` and `evaluate`. A peer is one process that reads the same files
with our readers, chooses its values on the validation users (RecVAE, at its published values: the
outer epoch) and is measured on the test users. They run one after the other.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cost import Cost, print_costs, run_measured, run_stage, together
from data_sets import BESIDE_THE_CHECKOUT, DATA_SETS, folder_of
from machine import describe_run

DATA_SET = "ml-1m"
METRIC = "ndcg@100"
OURS = "recsys"
PEERS = ("ease", "edlae", "als", "recvae")
PUBLISHED_EPOCHS = 50
MOST_OF_RECVAE = 0.5
"""Of the time of RecVAE's published schedule, ours may take so much."""


@dataclass(frozen=True)
class Run:
    """One model from the CSV file to its mean METRIC over test users; higher is better."""

    cost: Cost
    value: float
    chosen: str


def run_ours(options: argparse.Namespace, folder: Path) -> Run:
    """Run the stages in a workspace in `folder`; the report's first model is what is served."""
    data_set, source = DATA_SETS[DATA_SET], folder_of(DATA_SET, options.datasets)
    workspace, report = folder / "workspace", folder / f"{OURS}.json"
    threads = [] if options.threads is None else ["--threads", str(options.threads)]
    settings = [word for each in options.settings for word in ("-S", each)]
    measured = ["--on", "test", "--metrics", METRIC, "--without-ease", "--format", "table"]
    costs = [
        run_stage("ingest", data_set.ingest_arguments(source), workspace),
        run_stage("train", [*data_set.train_arguments(source), *settings, *threads], workspace),
        run_stage("evaluate", [*measured, "--report", str(report), *threads], workspace),
    ]
    print_costs(costs)
    name, figures = next(iter(json.loads(report.read_bytes())["models"].items()))
    return Run(together(OURS, costs), float(figures[METRIC]["mean"]), f"{name}, with its search")


def run_peer(peer: str, folder: Path) -> Run:
    """Run this script once more, as the process of one peer."""
    result = folder / f"{peer}.json"
    print(f"\n{peer}", flush=True)
    command = [sys.executable, __file__, *sys.argv[1:], "--peer", peer, "--result", str(result)]
    cost = run_measured(peer, command)
    found = json.loads(result.read_bytes())
    return Run(cost, found["value"], found["chosen"])


def be_peer(options: argparse.Namespace) -> None:
    """Read, fit and measure one peer in this process, and leave what was found in a file."""
    # Not at the top: a child is born with its parent's peak.
    import torch
    from peers import fit_peer
    from threadpoolctl import threadpool_limits

    from recsys.baselines import rank_unseen
    from recsys.data.filters import FilterConfig, filter_events
    from recsys.data.readers import read_events
    from recsys.data.split_files import read_split_file
    from recsys.evaluation.protocols import evaluate
    from recsys.metrics import Metric

    if options.threads is not None:
        threadpool_limits(options.threads)
        torch.set_num_threads(options.threads)
    source = folder_of(DATA_SET, options.datasets)
    events, _ = read_events(source / "ratings.csv.gz")
    liked, _ = filter_events(events, FilterConfig(min_rating=4, min_user_interactions=5))
    split = read_split_file(source / "strong-generalization.csv.gz", liked)
    assert split.validation is not None
    assert split.test is not None
    if options.peer == "recvae":
        from peers import recvae

        schedule = replace(recvae.PUBLISHED, outer_epochs=options.recvae_epochs)
        fitted = recvae.fit_best(split.train, split.validation, [schedule])
    else:
        fitted = fit_peer(options.peer, split.train, split.validation)
    rankers = {options.peer: partial(rank_unseen, fitted.score)}
    found = evaluate(rankers, split.test, split.train, [Metric.parse(METRIC)])
    fits = f", best of {fitted.n_fits} fits" if fitted.n_fits > 1 else ""
    record = {"value": found.mean(options.peer, METRIC), "chosen": f"{fitted.chosen}{fits}"}
    options.result.write_text(json.dumps(record))


def to_markdown(runs: dict[str, Run]) -> str:
    """Lay out a row a model."""
    lines = [
        f"| model | {METRIC} | wall s | CPU s | peak RSS | chosen on validation users |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, run in runs.items():
        cost = run.cost
        lines.append(
            f"| {name} | {run.value:.4f} | {cost.wall:,.1f} | {cost.cpu:,.1f} | "
            f"{cost.peak_rss / 1e6:,.0f} MB | {run.chosen} |"
        )
    return "\n".join(lines)


def verdicts(runs: dict[str, Run], recvae_epochs: int = PUBLISHED_EPOCHS) -> list[str]:
    """Hold ours against the best peer in METRIC, and against RecVAE's time.

    Parameters
    ----------
    runs : dict of name -> Run
        OURS and at least one peer.
    recvae_epochs : int
        Outer epochs that its time was taken of; only all of them allow a verdict on time.
    """
    ours = runs[OURS]
    peer = max((name for name in runs if name != OURS), key=lambda name: runs[name].value)
    ahead = "reached" if ours.value > runs[peer].value else "MISSED"
    lines = [
        f"target: ahead of every peer in {METRIC}: {ours.value:.4f} against {runs[peer].value:.4f} "
        f"of {peer}: {ahead}"
    ]
    if "recvae" in runs and recvae_epochs == PUBLISHED_EPOCHS:
        share = ours.cost.wall / runs["recvae"].cost.wall
        word = "reached" if share <= MOST_OF_RECVAE else "MISSED"
        lines.append(
            f"target: at most {MOST_OF_RECVAE:g} of the wall time of RecVAE's published schedule: "
            f"{share:.2f}: {word}"
        )
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", type=Path, default=BESIDE_THE_CHECKOUT, metavar="DIR")
    parser.add_argument("--threads", type=int, metavar="N", help="cores to use (default: all)")
    parser.add_argument(
        "--recvae-epochs",
        type=int,
        default=PUBLISHED_EPOCHS,
        metavar="N",
        help=f"outer epochs (default: {PUBLISHED_EPOCHS}, as published)",
    )
    parser.add_argument(
        "-S",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of our training, such as training.epochs=2 (repeatable)",
    )
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Run ours and every peer, then print the table and the verdicts."""
    options = _parser().parse_args()
    if options.peer is not None:
        be_peer(options)
        return
    folder_of(DATA_SET, options.datasets)
    print(describe_run())
    with tempfile.TemporaryDirectory() as directory:
        runs = {OURS: run_ours(options, Path(directory))}
        for peer in PEERS:
            runs[peer] = run_peer(peer, Path(directory))
    print(f"\n{to_markdown(runs)}\n")
    print("\n".join(verdicts(runs, options.recvae_epochs)))


if __name__ == "__main__":
    main()
