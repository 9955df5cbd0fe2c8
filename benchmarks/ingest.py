"""How fast and in how much memory an interactions file is read.

Makes a CSV in the shape of MovieLens-20M (seeded), then reads it in a process of its own:

    python benchmarks/ingest.py --rows 20000000
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from recsys.data.readers import read_events

N_ITEMS = 26_744
ROWS_A_USER = 144.4


def write_ratings(path: Path, n_rows: int, seed: int = 0) -> None:
    """Write about `n_rows` ratings ordered by user and item: long-tailed, every pair once."""
    rng = np.random.default_rng(seed)
    n_users = max(2, int(n_rows / ROWS_A_USER))
    activity = rng.lognormal(sigma=1.2, size=n_users)
    n_drawn = int(n_rows * 1.35)
    users = rng.choice(n_users, size=n_drawn, p=activity / activity.sum())
    # The square of a uniform number gives a few items most of the rows.
    items = (N_ITEMS * rng.random(n_drawn) ** 2).astype(np.int64)
    pairs = np.unique(users * N_ITEMS + items)
    if len(pairs) > n_rows:
        pairs = np.sort(rng.choice(pairs, size=n_rows, replace=False))
    ratings = rng.integers(1, 11, size=len(pairs)) / 2
    times = rng.integers(789_652_009, 1_427_784_002, size=len(pairs))
    table = pa.table(
        {
            "userId": pa.array(pairs // N_ITEMS + 1),
            "movieId": pa.array(pairs % N_ITEMS + 1),
            "rating": pa.array(ratings),
            "timestamp": pa.array(times),
        }
    )
    pacsv.write_csv(table, path, pacsv.WriteOptions(quoting_style="none"))


def measure_read(path: Path) -> None:
    """Read `path` and print the figures as JSON."""
    start = time.perf_counter()
    events, report = read_events(path)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures = {
        "rows": report.n_rows,
        "users": len(events.users),
        "items": len(events.items),
        "seconds": round(seconds, 2),
        "rows_per_second": round(report.n_rows / seconds),
        "peak_rss_gb": round(peak / 1e9, 2),
    }
    print(json.dumps(figures))


def main() -> None:
    """Make the file, then read it, each in its own process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=Path, help="measure this file instead of a made one")
    options = parser.parse_args()
    if options.write:
        write_ratings(options.write, options.rows)
        return
    if options.read:
        measure_read(options.read)
        return
    # Two children: a peak inherited from the making would be taken for the reading's.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ratings.csv"
        this = [sys.executable, __file__]
        subprocess.run([*this, "--rows", str(options.rows), "--write", str(path)], check=True)
        print(f"{path.stat().st_size / 1e6:,.0f} MB of CSV", flush=True)
        subprocess.run([*this, "--read", str(path)], check=True)


if __name__ == "__main__":
    main()
