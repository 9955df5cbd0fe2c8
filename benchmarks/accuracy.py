"""How good the lists are on real data, and what each stage costs, through the command line.

Runs ingest, train, index and evaluate on test users, each in a process of its own, in a
workspace of its own. The data sets are looked for in ../shared/datasets (--datasets DIR):

    python benchmarks/accuracy.py ml-1m
    python benchmarks/accuracy.py gowalla -S training.epochs=40 -S training.batch_size=500
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe_run

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "datasets"
RECSYS = [sys.executable, "-c", "from recsys.pipelines.cli import main; main()"]
LIKED = ["--min-rating", "4", "--min-user-interactions", "5"]
TENTHS = ["--validation-size", "0.1", "--test-size", "0.1"]


@dataclass(frozen=True)
class DataSet:
    """How a data set goes through the stages, and the figures to hold ours against.

    Parameters
    ----------
    ingest, train, evaluate : tuple of str
        Arguments of the stages; {folder} is the data set's own.
    references : tuple of str
        Figures on the same test users, a line each; empty where there are none.
    floor : tuple of (metric, value), optional
        What the model's mean must reach.
    """

    ingest: tuple[str, ...]
    train: tuple[str, ...]
    evaluate: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    floor: tuple[str, float] | None = None


DATA_SETS = {
    "ml-100k": DataSet(
        ingest=("{folder}/ratings.csv.gz", "--items", "{folder}/items.csv.gz", *LIKED),
        train=tuple(TENTHS),
    ),
    "ml-1m": DataSet(
        ingest=("{folder}/ratings.csv.gz", "--items", "{folder}/items.csv.gz", *LIKED),
        train=("--split", "{folder}/strong-generalization.csv.gz"),
        evaluate=("--metrics", "recall@20,recall@50,ndcg@100"),
        references=(
            "recall@20 / recall@50 / ndcg@100 on the same split (RECIPES.md, section 2):",
            "  popularity .168 .233 .212; EASE (ridge 750) .3488 .4597 .4176",
            "  RecVAE as published .3434 .4720 .4127; deep VAE, one phase .3522 .4793 .4178",
        ),
        floor=("ndcg@100", 0.412),
    ),
    "goodbooks-10k-v1": DataSet(
        ingest=("{folder}/ratings.csv.gz", "--items", "{folder}/items.csv.gz", *LIKED),
        train=tuple(TENTHS),
    ),
    "gowalla": DataSet(
        ingest=("{folder}/train.txt.gz",),
        train=("--test", "{folder}/test.txt.gz"),
        evaluate=("--metrics", "full_recall@20,ndcg@20"),
        references=(
            "full_recall@20 / ndcg@20, test-tuned by their authors (RECIPES.md, section 2):",
            "  MultVAE .1641 .1335; EASE .1765 .1467; LightGCN .1820 .1547",
            "  deep VAE in the lab, batch 500, 40 epochs: .1716 .1385",
        ),
    ),
}


@dataclass(frozen=True)
class Cost:
    """What one stage took: seconds by the clock and of all cores, peak memory in bytes."""

    stage: str
    wall: float
    cpu: float
    peak_rss: int


def run_stage(stage: str, arguments: list[str], workspace: Path) -> Cost:
    """Run one command to its end; its lines go to this terminal.

    Raises
    ------
    SystemExit
        The command failed; it has said why.
    """
    command = [*RECSYS, stage, *arguments, "--workspace", str(workspace)]
    print(f"\n$ recsys {' '.join(command[len(RECSYS) :])}", flush=True)
    start = time.perf_counter()
    # This process holds little: a child is born with its parent's peak.
    child = subprocess.Popen(command, env={"COLUMNS": "120", **os.environ})
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"recsys {stage} failed with exit code {child.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(stage, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def run_all(options: argparse.Namespace, workspace: Path) -> list[Cost]:
    """Run the four stages on the chosen data set."""
    data_set = DATA_SETS[options.data_set]
    folder = options.datasets / options.data_set
    threads = [] if options.threads is None else ["--threads", str(options.threads)]
    settings = [word for each in options.settings for word in ("-S", each)]
    report = ["--on", "test", "--report", str(_report_of(workspace)), "--format", "table"]
    return [
        run_stage("ingest", _placed(data_set.ingest, folder), workspace),
        run_stage("train", [*_placed(data_set.train, folder), *settings, *threads], workspace),
        run_stage("index", threads, workspace),
        run_stage("evaluate", [*report, *data_set.evaluate, *threads], workspace),
    ]


def _placed(arguments: tuple[str, ...], folder: Path) -> list[str]:
    return [each.format(folder=folder) for each in arguments]


def _report_of(workspace: Path) -> Path:
    return workspace / "evaluation.json"


def print_costs(costs: list[Cost]) -> None:
    """Print a line a stage and the sum."""
    print(f"\n{'stage':10}{'wall s':>10}{'CPU s':>10}{'peak RSS':>12}")
    for each in costs:
        peak = f"{each.peak_rss / 1e6:,.0f} MB"
        print(f"{each.stage:10}{each.wall:10.1f}{each.cpu:10.1f}{peak:>12}")
    print(f"{'all':10}{sum(c.wall for c in costs):10.1f}{sum(c.cpu for c in costs):10.1f}")


def print_verdict(data_set: DataSet, report: dict[str, Any]) -> None:
    """Print the figures to hold ours against, and whether the floor was reached."""
    for line in data_set.references:
        print(line)
    if data_set.floor is not None:
        metric, floor = data_set.floor
        mean = report["models"]["vae"][metric]["mean"]
        verdict = "reached" if mean >= floor else "MISSED"
        print(f"floor: {metric} of vae >= {floor}; measured {mean:.4f}: {verdict}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_set", choices=DATA_SETS)
    parser.add_argument("--datasets", type=Path, default=BESIDE_THE_CHECKOUT, metavar="DIR")
    parser.add_argument("--workspace", type=Path, metavar="DIR", help="keep it, in a new folder")
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


def main() -> None:
    """Run the stages, then print what they cost beside what was found."""
    options = _parser().parse_args()
    if not (options.datasets / options.data_set).is_dir():
        raise SystemExit(
            f"no folder {options.data_set} in {options.datasets}; name the folder that holds it "
            "with --datasets DIR"
        )
    if options.workspace is not None and options.workspace.exists():
        raise SystemExit(f"{options.workspace} exists; name a new folder with --workspace DIR")
    print(describe_run())
    with tempfile.TemporaryDirectory() as directory:
        workspace = options.workspace or Path(directory) / "workspace"
        costs = run_all(options, workspace)
        report = json.loads(_report_of(workspace).read_bytes())
    print_costs(costs)
    print_verdict(DATA_SETS[options.data_set], report)


if __name__ == "__main__":
    main()
