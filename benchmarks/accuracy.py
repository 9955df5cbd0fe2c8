"""How good the lists are on real data beside the peers', and what each stage costs.

Runs ingest, train, index and evaluate through the command line, each in a process of its own.
With --peers these are then fitted on the same split, in this process, and all are measured on
the same test users, the differences paired:

    python benchmarks/accuracy.py ml-1m --peers ease,edlae,als,recvae --seeds 42,43,44
    python benchmarks/accuracy.py ml-100k --peers all --folds 5
    python benchmarks/accuracy.py gowalla

--folds N makes every user a test user once, and pools all of them. With --workspace DIR what was
trained is kept, and with --reuse taken from there, as far as it is there.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cost import Cost, print_costs, run_stage
from data_sets import BESIDE_THE_CHECKOUT, DATA_SETS, DataSet, folder_of
from machine import describe_run
from peers import PEERS

DEFAULT_SEED = 42


def run_stages(
    options: argparse.Namespace, workspace: Path, split: Sequence[str], seed: int
) -> list[Cost]:
    """Run the four stages in one workspace, or none where it is there already."""
    if options.reuse and (workspace / "index").exists():
        print(f"\n{workspace} is there already")
        return []
    data_set = DATA_SETS[options.data_set]
    threads = [] if options.threads is None else ["--threads", str(options.threads)]
    settings = [word for each in options.settings for word in ("-S", each)]
    report = ["--on", "test", "--report", str(workspace / "evaluation.json"), "--format", "table"]
    report += ["--metrics", ",".join(data_set.metrics)]
    report += ["--without-ease"] if options.peers else []
    return [
        _ingest(options, workspace),
        run_stage("train", [*split, "--seed", str(seed), *settings, *threads], workspace),
        run_stage("index", threads, workspace),
        run_stage("evaluate", [*report, *threads], workspace),
    ]


def _ingest(options: argparse.Namespace, workspace: Path) -> Cost:
    folder = folder_of(options.data_set, options.datasets)
    return run_stage("ingest", DATA_SETS[options.data_set].ingest_arguments(folder), workspace)


def run_everything(options: argparse.Namespace, root: Path) -> list[dict[int, Path]]:
    """Run the stages for each fold and seed; the workspaces by seed, one mapping a fold."""
    data_set = DATA_SETS[options.data_set]
    splits = [data_set.train_arguments(folder_of(options.data_set, options.datasets))]
    places = [root]
    if options.folds is not None:
        files = _write_folds(options, root)
        splits = [["--split", str(each)] for each in files]
        places = [each.with_suffix("") for each in files]
    folds = []
    for place, split in zip(places, splits, strict=True):
        workspaces = {seed: place / f"seed-{seed}" for seed in options.seeds}
        if len(workspaces) == 1:
            workspaces = dict.fromkeys(workspaces, place)
        for seed, workspace in workspaces.items():
            costs = run_stages(options, workspace, split, seed)
            if costs:
                print_costs(costs)
        folds.append(workspaces)
    return folds


def _write_folds(options: argparse.Namespace, root: Path) -> list[Path]:
    files = [root / f"fold-{number}.csv" for number in range(1, options.folds + 1)]
    if options.reuse and all(each.exists() for each in files):
        return files
    from folds import make_folds, write_fold

    from recsys.data.artefact import open_interactions

    _ingest(options, root / "all")
    interactions = open_interactions(root / "all" / "interactions").interactions
    for parts, path in zip(make_folds(interactions.matrix, options.folds), files, strict=True):
        write_fold(parts, interactions, path)
    return files


def compare(options: argparse.Namespace, folds: Sequence[dict[int, Path]]) -> None:
    """Fit the peers on each fold's split; print how they were fitted, then all figures."""
    # Not before the stages: a child is born with its parent's peak.
    import torch
    from comparison import PRODUCT, best_peer, measure, pool, to_markdown, verdict
    from threadpoolctl import threadpool_limits

    if options.threads is not None:
        threadpool_limits(options.threads)
        torch.set_num_threads(options.threads)
    data_set: DataSet = DATA_SETS[options.data_set]
    measured = [measure(each, options.peers, data_set.metrics) for each in folds]
    pooled = pool([each.evaluation for each in measured], options.seeds)
    print()
    for number, each in enumerate(measured, start=1):
        for fit in each.fits:
            print(f"split {number}: {fit}")
    where = "" if options.folds is None else f" in {options.folds} folds"
    print(f"\n{options.data_set}: {pooled.n_users:,} test users{where}\n")
    print(to_markdown(pooled, options.peers))
    if options.peers:
        decisive = data_set.metrics[-1]
        peer = best_peer(pooled, options.peers, decisive)
        print(f"\nbest peer by {decisive}: {peer}")
        for metric in data_set.metrics:
            print(verdict(pooled.difference(PRODUCT, peer, metric)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_set", choices=DATA_SETS)
    parser.add_argument("--datasets", type=Path, default=BESIDE_THE_CHECKOUT, metavar="DIR")
    parser.add_argument("--workspace", type=Path, metavar="DIR", help="keep it, in a new folder")
    parser.add_argument("--reuse", action="store_true", help="what --workspace holds already")
    parser.add_argument(
        "--peers",
        type=lambda text: text.split(","),
        default=[],
        metavar="A,B,..",
        help=f"fit them beside: {', '.join(PEERS)}, or all",
    )
    parser.add_argument(
        "--seeds",
        type=lambda text: [int(each) for each in text.split(",")],
        default=[DEFAULT_SEED],
        metavar="N,N,..",
        help=f"train once with each, and give the mean (default: {DEFAULT_SEED})",
    )
    parser.add_argument("--folds", type=int, metavar="N", help="every user is a test user once")
    parser.add_argument("--threads", type=int, metavar="N", help="cores to use (default: all)")
    parser.add_argument(
        "-S",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the training, such as training.epochs=2 (repeatable)",
    )
    return parser


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line, and refuse at once what would fail only after hours.

    Raises
    ------
    SystemExit
        Says what was found and what was expected.
    """
    options = _parser().parse_args(words)
    folder_of(options.data_set, options.datasets)
    possible = DATA_SETS[options.data_set].peers
    if options.peers == ["all"]:
        options.peers = list(possible)
    impossible = [each for each in options.peers if each not in possible]
    if impossible:
        raise SystemExit(
            f"--peers {','.join(impossible)}: on {options.data_set} expected some of "
            f"{', '.join(possible)}"
        )
    if options.folds is not None and options.folds < 2:
        raise SystemExit(f"--folds {options.folds}: expected at least 2")
    if options.reuse and options.workspace is None:
        raise SystemExit("--reuse: name the folder that holds what was trained, --workspace DIR")
    if options.workspace is not None and options.workspace.exists() and not options.reuse:
        raise SystemExit(
            f"{options.workspace} exists; name a new folder with --workspace DIR, or take what it "
            "holds with --reuse"
        )
    return options


def main() -> None:
    """Run the stages, then print what they cost beside what was found."""
    options = parse()
    print(describe_run())
    with tempfile.TemporaryDirectory() as directory:
        compare(options, run_everything(options, options.workspace or Path(directory) / "kept"))
    for line in DATA_SETS[options.data_set].references:
        print(line)


if __name__ == "__main__":
    main()
