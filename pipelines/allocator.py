"""Has glibc keep the large buffers that every step of a training makes anew.

A step's logits and gradients are tens of megabytes each. Left to itself, glibc gives such buffers
back to the system at once and gets them again page by page, which costs a training a quarter of
its time. It reads its settings when a process starts, so the process starts once more.
"""

import os
import sys
from collections.abc import Mapping

KEPT_BYTES = 2**32
"""Buffers up to this size, and so much free memory, stay with the process until it ends."""

TUNABLES = {
    "glibc.malloc.mmap_threshold": str(KEPT_BYTES),
    "glibc.malloc.trim_threshold": str(KEPT_BYTES),
    # Huge pages, on systems that give them to those who ask.
    "glibc.malloc.hugetlb": "1",
    # The heaps of other threads than the first are too small for large buffers.
    "glibc.malloc.arena_max": "1",
}

_VARIABLE = "GLIBC_TUNABLES"

_BEFORE = "RECSYS_GLIBC_TUNABLES_BEFORE"
"""Set while a process replaces itself: what GLIBC_TUNABLES held, for its children to inherit."""


def keep_large_buffers() -> None:
    """Replace this process by itself, once, under a glibc that keeps large buffers.

    To be called before anything large is loaded or read. It returns in the second start, or at
    once where there is nothing to gain: without glibc, or when the user has set all of it. The
    process keeps its id, its standard streams and its working folder, and the environment that
    it hands on to its children is the user's own.
    """
    if _BEFORE in os.environ:
        _restore(os.environ)
        return
    environment = tuned(os.environ)
    if not _has_glibc() or environment[_VARIABLE] == os.environ.get(_VARIABLE):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def tuned(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of the second start; what the user has set himself stays as it is.

    Examples
    --------
    >>> before = "glibc.malloc.hugetlb=0:glibc.malloc.arena_max=2"
    >>> tuned({"GLIBC_TUNABLES": before})["GLIBC_TUNABLES"].split(":")[1:]
    ['glibc.malloc.arena_max=2', 'glibc.malloc.mmap_threshold=4294967296', \
'glibc.malloc.trim_threshold=4294967296']
    """
    before = environment.get(_VARIABLE, "")
    settings = [each for each in before.split(":") if each]
    named = {each.split("=", 1)[0] for each in settings}
    settings += [f"{name}={value}" for name, value in TUNABLES.items() if name not in named]
    return {**environment, _VARIABLE: ":".join(settings), _BEFORE: before}


def _restore(environment: "os._Environ[str]") -> None:
    before = environment.pop(_BEFORE)
    if before:
        environment[_VARIABLE] = before
    else:
        environment.pop(_VARIABLE, None)


def _has_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except ValueError:  # a name that only glibc knows
        return False
