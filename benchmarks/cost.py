"""What a command costs: it runs as a child of its own, whose time and peak memory are asked for.

The process that measures should hold little: a child is born with its parent's peak.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RECSYS = (sys.executable, "-m", "recsys.pipelines")


@dataclass(frozen=True)
class Cost:
    """What one step took: seconds by the clock and of all cores, peak memory in bytes."""

    name: str
    wall: float
    cpu: float
    peak_rss: int


def run_measured(name: str, command: Sequence[str]) -> Cost:
    """Run one command to its end; its lines go to this terminal.

    Parameters
    ----------
    name : str
        What to call it.
    command : sequence of str

    Raises
    ------
    SystemExit
        The command failed; it has said why.
    """
    start = time.perf_counter()
    child = subprocess.Popen(command, env={"COLUMNS": "120", **os.environ})
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{name} failed with exit code {child.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(name, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def run_stage(stage: str, arguments: Sequence[str], workspace: Path) -> Cost:
    """Run one command of `recsys` in a workspace; raises as `run_measured` does."""
    words = [stage, *arguments, "--workspace", str(workspace)]
    print(f"\n$ recsys {' '.join(words)}", flush=True)
    return run_measured(stage, [*RECSYS, *words])


def together(name: str, costs: Sequence[Cost]) -> Cost:
    """Add up what ran one after the other; the peak is the highest."""
    return Cost(
        name,
        sum(each.wall for each in costs),
        sum(each.cpu for each in costs),
        max(each.peak_rss for each in costs),
    )


def print_costs(costs: Sequence[Cost]) -> None:
    """Print a line a step and the sum."""
    print(f"\n{'step':12}{'wall s':>10}{'CPU s':>10}{'peak RSS':>12}")
    for each in [*costs, together("all", costs)]:
        peak = f"{each.peak_rss / 1e6:,.0f} MB"
        print(f"{each.name:12}{each.wall:10.1f}{each.cpu:10.1f}{peak:>12}")
