"""What a figure was measured on and with: printed at the head of every benchmark."""

import os
import platform
import shlex
import sys
from pathlib import Path


def describe_run() -> str:
    """Name the machine, how busy it is, the Python, and the command that repeats the run."""
    arguments = shlex.join(
        os.path.relpath(each) if each == sys.argv[0] else each for each in sys.argv
    )
    return f"machine: {_machine()}\ncommand: python {arguments}"


def _machine() -> str:
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{_processor()}, {_usable_cores()} usable cores, load {busy} (1, 5, 15 min before), "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
