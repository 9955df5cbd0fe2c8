"""Do new items find their users? Items are taken out of the training and placed by attributes.

    python benchmarks/cold.py ml-100k

A tenth of the items (of those with 20 users and more) lose every interaction; a VAE and an
item-item path are trained on the rest; the items are placed by title and attributes. Test users
who had some of them are given the best ten of these items alone, by the placed vectors, by how
many users each item really has (which nobody knows of a new item), and by chance.
"""

import argparse
from pathlib import Path

import numpy as np
from data_sets import BESIDE_THE_CHECKOUT
from machine import describe_run

from recsys.cold import ColdItems
from recsys.data.artefact import rows_of
from recsys.data.filters import FilterConfig, filter_events
from recsys.data.items import read_items
from recsys.data.readers import locate, read_events
from recsys.data.splits import SplitConfig, split_events
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.training import train

K, FEWEST_USERS, HELD_OUT = 10, 20, 0.1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", choices=["ml-100k", "ml-1m"])
    parser.add_argument("--seeds", default="1,2,3", metavar="N,N,..")
    options = parser.parse_args()
    print(describe_run())
    source = locate(BESIDE_THE_CHECKOUT / options.data)
    events, _ = read_events(source.interactions, source.options)
    events, _ = filter_events(events, FilterConfig(min_rating=4, min_user_interactions=5))
    assert source.items is not None
    table = read_items(Path(source.items))
    found: dict[str, list[float]] = {"placed": [], "popularity": [], "chance": []}
    differences = []
    for seed in map(int, options.seeds.split(",")):
        by_user = measure(events, table, seed)
        for name, values in by_user.items():
            found[name].extend(values)
        differences.extend(by_user["placed"] - by_user["chance"])
    n_users = len(found["placed"])
    print(f"{n_users:,} test users with new items, recall@{K} among the new items alone (± 95 %)")
    for name, values in found.items():
        spread = 1.96 * np.std(values) / np.sqrt(n_users)
        print(f"| {name} | {np.mean(values):.4f} ± {spread:.4f} |")
    spread = 1.96 * np.std(differences) / np.sqrt(n_users)
    print(f"| placed - chance | {np.mean(differences):.4f} ± {spread:.4f} |")


def measure(events, table, seed: int) -> dict[str, np.ndarray]:  # type: ignore[no-untyped-def]
    """Take items out, train, place them, and rank them for the test users."""
    rng = np.random.default_rng(seed)
    counts = np.bincount(events.item_positions, minlength=len(events.items))
    often = np.flatnonzero(counts >= FEWEST_USERS)
    taken = np.zeros(len(events.items), dtype=bool)
    taken[rng.choice(often, int(HELD_OUT * len(often)), replace=False)] = True
    warm = events.select(~taken[events.item_positions])
    split = split_events(warm, SplitConfig("strong", validation=100, test=200))
    vae = train(split.train, VAEConfig(values="binary"), TrainingConfig(seed=seed))
    known = rows_of(table, "item_id", vae.items)
    new_ids = events.items.ids[taken]
    new = table.set_index("item_id", drop=False).reindex(new_ids, fill_value="")
    new["item_id"] = new_ids
    placed = ColdItems.place(known, vae.item_vectors(), vae.item_counts, new.reset_index(drop=True))
    matrix = events.interactions().matrix
    users = split.test.fold_in.users
    wanted = matrix[events.users.positions(list(users.ids))][:, np.flatnonzero(taken)].toarray() > 0
    some = wanted.any(axis=1)
    histories = split.test.fold_in.matrix[np.flatnonzero(some)]
    scores = {
        "placed": vae.user_vectors(histories) @ placed.vectors.T,
        "popularity": np.tile(counts[taken].astype(float), (int(some.sum()), 1)),
        "chance": rng.random((int(some.sum()), int(taken.sum()))),
    }
    return {name: _recall(each, wanted[some]) for name, each in scores.items()}


def _recall(scores: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    hits = np.take_along_axis(wanted, best, axis=1).sum(axis=1)
    return hits / np.minimum(K, wanted.sum(axis=1))


if __name__ == "__main__":
    main()
