"""What `recsys cluster` and `recsys map` cost, step by step, on the users of a workspace.

python benchmarks/clusters.py WORKSPACE -k 20
python benchmarks/clusters.py WORKSPACE -k 20 --html map.html --png map.png
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from machine import describe_run

from recsys.clusters import Kind, describe, lsa_vectors, quality, user_codes
from recsys.data.artefact import open_interactions
from recsys.index.kmeans import kmeans
from recsys.maps import Colouring, LatentMap, page, picture, project
from recsys.vae.artefact import load_model, open_model

SEED = 42
Result = TypeVar("Result")


def main() -> None:
    """Measure each step once and print a table; exit code 0."""
    options = parsed()
    print(describe_run())
    store = open_interactions(options.workspace / "interactions")
    vae = load_model(open_model(options.workspace / "model"))
    kind: Kind = "users" if store.user_table.empty else "poems"
    codes = timed("encode", lambda: user_codes(kind, vae, store))
    print(f"  {len(codes):,} {kind}, {codes.vectors.shape[1]} latents")
    found = timed(f"k-means, k = {options.k}", lambda: kmeans(codes.vectors, options.k, SEED))
    clusters = timed("what tells each cluster", lambda: describe(codes, found, n=3))
    ours = timed(
        "silhouette and NMI", lambda: quality(codes.vectors, found, codes.attributes, SEED)
    )
    lsa = timed("LSA-50", lambda: lsa_vectors(codes.rows, SEED))
    beside = timed("k-means on LSA-50", lambda: kmeans(lsa, options.k, SEED))
    projection = timed("PCA", lambda: project(codes.vectors, "pca", SEED))
    names = [f"{each.number}: {' · '.join(name for name, _ in each.telling)}" for each in clusters]
    colouring = Colouring.of("clusters", [names[place] for place in found.assignments])
    shown = LatentMap(
        f"{len(codes):,} {kind}",
        list(codes.ids.ids),
        codes.titles,
        [""] * len(codes),
        projection,
        colouring,
    )
    html = timed("page", lambda: page(shown))
    png = timed("picture", lambda: picture(shown))
    print(f"  page {len(html.encode()) / 1e6:.1f} MB, picture {len(png) / 1e6:.1f} MB")
    for name, each in (
        ("vae", ours),
        ("lsa-50", quality(lsa, beside, codes.attributes, SEED)),
    ):
        nmi = "".join(f", NMI {column} {value:.3f}" for column, value in each.nmi.items())
        print(f"  {name}: silhouette {each.silhouette:.3f}{nmi}")
    if options.html is not None:
        options.html.write_text(html, encoding="utf-8")
    if options.png is not None:
        options.png.write_bytes(png)


def timed(what: str, work: Callable[[], Result]) -> Result:
    """Do it, and print how long it took."""
    start = time.perf_counter()
    result = work()
    print(f"  {what:<24} {time.perf_counter() - start:7.2f} s", flush=True)
    return result


def parsed() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path, help="holds interactions and a model")
    parser.add_argument("-k", type=int, default=20, help="clusters")
    parser.add_argument("--html", type=Path, help="keep the page here")
    parser.add_argument("--png", type=Path, help="keep the picture here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
