"""How fast and in how much memory `recsys ingest` reads an interactions file.

Makes a CSV in the shape of MovieLens-20M (seeded), then runs `recsys ingest` on it in a process
of its own:

    python benchmarks/ingest.py --rows 20000000
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

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


def run_measured(command: list[str]) -> tuple[float, float]:
    """Run a command; its wall seconds and its own peak resident size in GB."""
    start = time.perf_counter()
    with subprocess.Popen(command) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {child.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    """Make the file, then ingest it, each in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_ratings(options.write, options.rows)
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ratings.csv"
        run_measured([sys.executable, __file__, "--rows", str(options.rows), "--write", str(path)])
        print(f"{path.stat().st_size / 1e6:,.0f} MB of CSV", flush=True)
        recsys = [sys.executable, "-m", "recsys.pipelines", "--workspace", f"{directory}/workspace"]
        seconds, peak = run_measured([*recsys, "ingest", str(path)])
    print(f"{options.rows:,} rows in {seconds:.1f} s, peak {peak:.2f} GB, {os.cpu_count()} cores")
    print("limits: 90 s and 3 GB for 20,000,000 rows on two cores")


if __name__ == "__main__":
    main()
