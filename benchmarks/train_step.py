"""How fast a training step is, beside the published layout and beside the bare arithmetic.

    python benchmarks/train_step.py --steps 11

Made-up histories of MovieLens-20M's shape. Everything is measured in two processes: one whose
glibc is told to keep large buffers, as `recsys train` has it, and one with glibc as it comes. All
sides of both take their steps in turn on the same users, so that they see the same machine,
however busy others make it; medians over the steps are compared. The arithmetic is each side's
matrix products at the rate of a large square product that is measured in the same turns: by torch
as it comes, and, in brackets, as training multiplies, which is the faster one where oneDNN takes
the place of MKL. On more than one core two VAEs also train side by side, as `recsys train` has them
when it is not told otherwise. Beside them stand the products of the likelihood alone, in their own
narrow shapes, with nothing between them.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from machine import describe_run
from numpy.typing import NDArray
from recsys.pipelines.allocator import tuned
from recsys.pipelines.threads import wait_briefly

FARTHEST_FROM_ARITHMETIC = 1.5
SAME_LAYERS, OUR_VAE = (2.5, 2.1), (5.0, 1.7)
"""Targets of the ratio, with the allocator's settings and without."""

OURS = {"one alone on all cores": ("its layers", "our VAE"), "a pair side by side": ("our pair",)}
"""How the names of our steps begin."""

WARM_UP = 10
"""Steps until the heap holds all that they need, which a training has behind it in its first
seconds: some took twice their time for pages that the system had not given yet."""

KEPT, AS_IT_COMES = "kept", "as it comes"


@dataclass(frozen=True)
class Measured:
    """Seconds of each step of a side, and its matrix products in operations."""

    wall: NDArray[np.float64]
    cpu: NDArray[np.float64]
    operations: float

    @property
    def rate(self) -> float:
        """Operations in a second of CPU time."""
        return float(self.operations / np.median(self.cpu))


class Worker:
    """A process that has all sides and takes a step of one when told to."""

    def __init__(self, allocator: str) -> None:
        environment = dict(os.environ)
        wait_briefly(environment)  # as the command line does
        self.process = subprocess.Popen(
            [sys.executable, __file__, *sys.argv[1:], "--worker"],
            env=tuned(environment) if allocator == KEPT else environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about: str = self._answer()
        """The sizes, in a line."""
        self.sides: list[list[Any]] = self._answer()
        """Name and operations of each side."""

    def step(self, side: int, seed: int) -> list[float]:
        """Give the seconds by the clock and of CPU of one step."""
        assert self.process.stdin is not None
        print(json.dumps([side, seed]), file=self.process.stdin, flush=True)
        seconds: list[float] = self._answer()
        return seconds

    def close(self) -> None:
        """Let the process end."""
        self.process.communicate()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a measuring process has died: see above")
        return json.loads(line)


def work(options: argparse.Namespace) -> None:
    """Be the worker: name the sides, then take the steps that are asked for on stdin."""
    import torch
    from step_sides import describe, make_sides, timed

    from recsys.vae.member import threads_for

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    with threads_for(2) as pool:
        sides, histories = make_sides(options, pool if torch.get_num_threads() > 1 else None)
        print(json.dumps(describe(options, histories)))
        print(json.dumps([[side.name, side.operations] for side in sides]), flush=True)
        n_users = histories.shape[0]
        for line in sys.stdin:
            side, seed = json.loads(line)
            rows = np.random.default_rng(seed).choice(n_users, options.batch, replace=False)
            print(json.dumps(timed(sides[side].step, rows)), flush=True)


def measure(allocators: list[str], n_steps: int) -> dict[str, dict[str, Measured]]:
    """Take all steps in turn; allocator -> side -> what was measured."""
    workers = {allocator: Worker(allocator) for allocator in allocators}
    first = next(iter(workers.values()))
    print(first.about, flush=True)
    sides = first.sides
    seconds = np.empty((len(workers), len(sides), WARM_UP + n_steps, 2))
    for seed in range(WARM_UP + n_steps):
        for side in range(len(sides)):
            for of_worker, worker in zip(seconds, workers.values(), strict=True):
                of_worker[side, seed] = worker.step(side, seed)
    for worker in workers.values():
        worker.close()
    return {
        allocator: {
            name: Measured(of_side[WARM_UP:, 0], of_side[WARM_UP:, 1], operations)
            for (name, operations), of_side in zip(sides, of_worker, strict=True)
        }
        for allocator, of_worker in zip(workers, seconds, strict=True)
    }


def report(measured: dict[str, dict[str, Measured]]) -> None:
    """Print every side's median and spread, then the ratios beside their targets."""
    for allocator, sides in measured.items():
        (_, sgemm), (_, fastest), *others = sides.items()
        speed = f"{sgemm.rate / 1e9:.0f} ({fastest.rate / 1e9:.0f}) GFLOP/s a core"
        print(f"\nbuffers {allocator}; sgemm at {speed}")
        print(f"{'':44}{'CPU ms':>8} {'10-90 %':>13} {'wall ms':>9} {'10-90 %':>13}")
        for name, own in others:
            distance = f"{sgemm.rate / own.rate:.2f} ({fastest.rate / own.rate:.2f}) x arithmetic"
            print(f"{name:44}{_spread(own.cpu)} {_spread(own.wall)}  {distance}")
        for steps, names in OURS.items():
            rates = [own.rate for name, own in others if name.startswith(names)]
            if rates:
                farthest = sgemm.rate / min(rates)
                verdict = "reached" if farthest <= FARTHEST_FROM_ARITHMETIC else "MISSED"
                target = f"target {FARTHEST_FROM_ARITHMETIC} x: {verdict}"
                print(f"ours, {steps}: at most {farthest:.2f} x arithmetic; {target}")
    print()
    _report_ratios(measured)


def _report_ratios(measured: dict[str, dict[str, Measured]]) -> None:
    pairs = [(each, each) for each in measured]
    if len(measured) == 2:
        pairs.append((AS_IT_COMES, KEPT))
    names = list(measured[AS_IT_COMES])
    published, *ours = names[2:6]
    for name, targets in zip(ours, (SAME_LAYERS, OUR_VAE, OUR_VAE), strict=True):
        for theirs, own in pairs:
            _print_ratio(
                f"{name} (published: {theirs}; ours: {own})",
                measured[theirs][published],
                measured[own][name],
                targets[own == AS_IT_COMES],
            )


def _print_ratio(title: str, slow: Measured, fast: Measured, target: float) -> None:
    cpu = float(np.median(slow.cpu) / np.median(fast.cpu))
    wall = float(np.median(slow.wall) / np.median(fast.wall))
    verdict = "reached" if min(cpu, wall) >= target else "MISSED"
    print(f"{title}: {cpu:.2f} x CPU, {wall:.2f} x wall; target {target} x: {verdict}")


def _spread(seconds: NDArray[np.float64]) -> str:
    low, high = 1e3 * np.quantile(seconds, [0.1, 0.9])
    return f"{1e3 * np.median(seconds):8,.0f} {f'{low:,.0f}-{high:,.0f}':>13}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=11, help="measured steps of each side")
    parser.add_argument("--items", type=int, default=20_108)
    parser.add_argument("--users", type=int, default=5_000, help="of whom a step takes a batch")
    parser.add_argument("--batch", type=int, default=500, help="users of a step")
    parser.add_argument("--history", type=int, default=92, help="items drawn for a user on average")
    parser.add_argument("--threads", type=int, help="cores to use (default: all)")
    parser.add_argument(
        "--no-tune-malloc", action="store_true", help="measure with glibc as it comes alone"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Measure all sides in turn and print what they took."""
    options = _parser().parse_args()
    if options.worker:
        work(options)
        return
    print(describe_run(), flush=True)
    allocators = [AS_IT_COMES] if options.no_tune_malloc else [KEPT, AS_IT_COMES]
    report(measure(allocators, options.steps))


if __name__ == "__main__":
    main()
