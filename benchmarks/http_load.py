"""How many recommendations a second one core serves over HTTP, and how long one takes.

    python benchmarks/http_load.py
    python benchmarks/http_load.py --workspace DIR

The service runs on one core, on a workspace that is made here, of a model that nobody trained:
20,000 items, the default model's shape (two members of 200 latents, an item-item path), known users
with histories of 80 items; or on DIR, of which the users are drawn. Nothing came to their histories
since the index was built (`--changed`: one item). The load comes from this process, on another
core, over loopback: first as fast as answers come back over 32 connections, then 250 and half of
that rate a second, at times of chance (a Poisson process), each latency counted from the moment the
request was due.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from machine import describe_run
from made_workspace import Size, make_workspace

from recsys.data.artefact import open_interactions

LEAST_RATE, MOST_MILLISECONDS = 500, 20.0
CONNECTIONS = 32
REQUESTS = 4_000
"""Each of another user; then they begin anew."""


@contextlib.contextmanager
def service(workspace: Path, port: int, core: int) -> Iterator[psutil.Process]:
    """Serve a workspace on one core until the block ends."""
    words = [sys.executable, "-m", "recsys.pipelines", "--workspace", str(workspace), "serve"]
    words += ["--port", str(port), "--threads", "1", "--no-log-requests"]
    process = subprocess.Popen(
        words,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz").read()
                break
            time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def request_of(user: str, liked: list[str], k: int, port: int) -> bytes:
    """Write one request as it goes over the wire."""
    body = json.dumps({"user": user, "items": liked, "k": k}).encode()
    head = (
        f"POST /recommend HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One connection that is kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to the service."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> int:
        """Send a request, read its answer whole, and give its status."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await self.reader.readexactly(length)
        return int(head[9:12])


async def as_fast_as_it_goes(port: int, requests: list[bytes], seconds: float) -> float:
    """Keep every connection busy; give answers a second."""
    answered = 0
    end = time.perf_counter() + seconds

    async def keep_busy(connection: Connection, mine: list[bytes]) -> None:
        nonlocal answered
        while time.perf_counter() < end:
            for request in mine:
                assert await connection.ask(request) == 200
                answered += 1
                if time.perf_counter() >= end:
                    return

    connections = [await Connection.open(port) for _ in range(CONNECTIONS)]
    started = time.perf_counter()
    await asyncio.gather(
        *(keep_busy(each, requests[number::CONNECTIONS]) for number, each in enumerate(connections))
    )
    return answered / (time.perf_counter() - started)


async def at_a_rate(port: int, requests: list[bytes], rate: float, seconds: float) -> np.ndarray:
    """Send at times of chance; give each answer's milliseconds from the moment it was due."""
    rng = np.random.default_rng(0)
    due = np.cumsum(rng.exponential(1 / rate, int(rate * seconds)))
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(4 * CONNECTIONS):
        free.put_nowait(await Connection.open(port))
    latencies = np.empty(len(due))
    started = time.perf_counter()

    async def one(number: int) -> None:
        connection = await free.get()
        assert await connection.ask(requests[number % len(requests)]) == 200
        latencies[number] = 1000 * (time.perf_counter() - started - due[number])
        free.put_nowait(connection)

    tasks = []
    for number, moment in enumerate(due):
        wait = moment - (time.perf_counter() - started)
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.ensure_future(one(number)))
    await asyncio.gather(*tasks)
    return latencies


def main() -> None:
    """Make, serve, load, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspace", type=Path, metavar="DIR", help="trained and indexed")
    parser.add_argument("--items", type=int, default=20_000, metavar="N")
    parser.add_argument("--neighbours", type=int, default=100, metavar="N", help="of an item")
    parser.add_argument("--members", type=int, default=2, metavar="N", help="of the model")
    parser.add_argument(
        "--changed",
        action="store_true",
        help="every user liked an item more: the codes that the index holds are of no use",
    )
    parser.add_argument("-k", type=int, default=10, metavar="N")
    parser.add_argument("--seconds", type=float, default=15, metavar="S", help="of each load")
    parser.add_argument("--port", type=int, default=8765, metavar="N")
    options = parser.parse_args()
    print(describe_run())
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        workspace = options.workspace or Path(folder)
        if options.workspace is None:
            size = Size(5_000, options.items, 200, options.neighbours, members=options.members)
            make_workspace(workspace, size)
        os.sched_setaffinity(0, {cores[0]})
        store = open_interactions(workspace / "interactions")
        users, items = store.interactions.users.ids, store.interactions.items.ids
        asking = np.random.default_rng(1).permutation(users)[:REQUESTS]
        gc.freeze()  # else the collector stops for 200 ms while requests are due
        liked = [str(items[0])] if options.changed else []
        requests = [request_of(str(each), liked, options.k, options.port) for each in asking]
        with service(workspace, options.port, cores[-1]) as process:
            asyncio.run(as_fast_as_it_goes(options.port, requests, 3))  # warm
            before = process.cpu_times()
            rate = asyncio.run(as_fast_as_it_goes(options.port, requests, options.seconds))
            after = process.cpu_times()
            busy = (after.user + after.system - before.user - before.system) / options.seconds
            latencies = {
                load: asyncio.run(at_a_rate(options.port, requests, load, options.seconds))
                for load in (LEAST_RATE / 2, rate / 2)
            }
            memory = process.memory_info().rss
    print(f"| recommendations/s, {busy:.2f} cores busy | {rate:.0f} | {_met(rate >= LEAST_RATE)}")
    for load, taken in latencies.items():
        median, p95, p99 = np.percentile(taken, [50, 95, 99])
        print(
            f"| at {load:.0f} a second: median, p95, p99 ms | {median:.1f}, {p95:.1f}, {p99:.1f} | "
            f"{_met(p99 <= MOST_MILLISECONDS)}"
        )
    print(f"| peak load's resident size | {memory / 2**20:.0f} MiB |")


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


if __name__ == "__main__":
    main()
