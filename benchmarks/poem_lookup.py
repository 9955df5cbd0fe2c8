"""How often a poem's odd couplets find its even ones, whose poem a poem is like, and how fast.

Poems are split by poem; the VAE, the pair encoder and the lexical measures are fitted on training
poems alone, with the settings that `recsys train` has for poems. Queries and gallery are 5,000
test poems of two couplets or more, and those of four or more, since half of a shorter one is one
couplet. Authors are the twenty poets with the most poems: each test poem of theirs gets the one
that its ten nearest training poems name most, weighted by similarity.

    python benchmarks/poem_lookup.py
    python benchmarks/poem_lookup.py --workspace DIR    # times look-ups of a workspace, too
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data_sets import BESIDE_THE_CHECKOUT
from machine import describe_run
from numpy.typing import NDArray
from recsys.pipelines.config import resolve
from recsys.pipelines.presets import POEMS
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import svds

from recsys.data.artefact import open_interactions
from recsys.data.histories import blocks_of
from recsys.data.poem_files import read_poems
from recsys.data.poem_units import poem_events
from recsys.data.poems import Poem
from recsys.data.splits import SplitConfig, split_events
from recsys.index.item_index import unit_vectors
from recsys.vae.artefact import load_model, open_model
from recsys.vae.model import VAE
from recsys.vae.training import train
from recsys.verse.directions import Directions
from recsys.verse.lookup import histories_of, texts_of_couplets
from recsys.verse.lookup_artefact import is_current, load_lookup
from recsys.verse.pairs import NAMELESS, PairsConfig, train_pairs

QUERIES, TEST_POEMS = 5_000, 6_500
DEPTHS = (10, 100)
MEAN_TARGETS, BEST_TARGETS = (0.12, 0.36), (0.15, 0.45)
POETS, NEIGHBOURS, AUTHOR_TARGET = 20, 10, 0.52
LOOK_UPS, MOST_MILLISECONDS = 200, 10.0
LSA_DIM = 50

Measure = Callable[[csr_array], NDArray[np.float32] | csr_array]
"""Bags of characters -> vectors whose inner products are similarities."""


@dataclass(frozen=True, eq=False)
class Lexical:
    """TF-IDF, BM25 and LSA, fitted on training poems."""

    idf: NDArray[np.float64]
    mean_length: float
    topics: NDArray[np.float64]

    @classmethod
    def of(cls, bags: csr_array) -> "Lexical":
        """Count documents and factor the TF-IDF of the bags."""
        n_documents = np.bincount(bags.indices, minlength=bags.shape[1])
        idf = np.log((1 + bags.shape[0]) / (1 + n_documents)) + 1
        mean_length = float(bags.sum() / bags.shape[0])
        weighted = _unit_rows(bags @ diags_array(idf))
        _, _, topics = svds(weighted, k=LSA_DIM, random_state=0)
        return cls(idf, mean_length, topics.T)

    def tf_idf(self, bags: csr_array) -> csr_array:
        """Cosine of counts by inverse document frequency."""
        return _unit_rows(bags @ diags_array(self.idf))

    def lsa(self, bags: csr_array) -> NDArray[np.float32]:
        """Cosine in the space of the TF-IDF's 50 largest singular vectors."""
        return unit_vectors(np.asarray(self.tf_idf(bags) @ self.topics, dtype=np.float32))

    def bm25(self, bags: csr_array) -> csr_array:
        """Documents as BM25 weighs them (k1 1.2, b .75); a query's vector is its counts."""
        weighted = bags.astype(np.float64)
        lengths = np.repeat(np.asarray(bags.sum(axis=1)), np.diff(bags.indptr))
        norm = 1.2 * (0.25 + 0.75 * lengths / self.mean_length)
        weighted.data = weighted.data * 2.2 / (weighted.data + norm)
        return csr_array(weighted @ diags_array(self.idf - 1))


def _unit_rows(rows: csr_array) -> csr_array:
    norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)))
    return csr_array(diags_array(1 / np.maximum(norms, 1e-12)) @ rows)


def ranks(queries: csr_array | np.ndarray, gallery: csr_array | np.ndarray) -> NDArray[np.int64]:
    """Rank of each query's own other half, from 1; ties count against it."""
    found = []
    for rows in blocks_of(queries.shape[0], 500):
        scores = queries[rows] @ gallery.T
        scores = scores.toarray() if hasattr(scores, "toarray") else np.asarray(scores)
        own = scores[np.arange(len(rows)), rows]
        found.append((scores >= own[:, None]).sum(axis=1))
    return np.concatenate(found)


def author_accuracy(
    query: np.ndarray | csr_array,
    gallery: np.ndarray | csr_array,
    asked: NDArray[np.int64],
    known: NDArray[np.int64],
) -> float:
    """Share of the queries whose author the nearest poems name, weighted by similarity."""
    right = 0
    for rows in blocks_of(query.shape[0], 500):
        scores = query[rows] @ gallery.T
        scores = scores.toarray() if hasattr(scores, "toarray") else np.asarray(scores)
        nearest = np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        votes = np.zeros((len(rows), POETS))
        weights = np.maximum(np.take_along_axis(scores, nearest, axis=1), 0)
        np.add.at(votes, (np.arange(len(rows))[:, None], known[nearest]), weights)
        right += int((votes.argmax(axis=1) == asked[rows]).sum())
    return right / query.shape[0]


def halves(poems: Sequence[Poem]) -> tuple[list[str], list[str]]:
    """Odd couplets and even couplets of each poem."""
    odd, even = (
        ["，".join("，".join(pair) for pair in each.couplets[first::2]) for each in poems]
        for first in (0, 1)
    )
    return odd, even


def fit(poems: Sequence[Poem], seed: int, assignments: tuple[str, ...]) -> tuple[VAE, Directions]:
    """Train what the look-up needs on these poems, as the product does."""
    settings = resolve(Path("none"), {}, {"training.seed": seed}, assignments, POEMS).settings
    events = poem_events(poems, "character")
    split = split_events(events, SplitConfig("strong", validation=500, test=0))
    started = time.perf_counter()
    vae = train(split.train, settings.vae, settings.training)
    print(
        f"VAE: {settings.training.epochs} epochs, {time.perf_counter() - started:.0f} s", flush=True
    )
    place, couplets = zip(*texts_of_couplets(poems), strict=True)
    bags = histories_of(couplets, "character", vae.items)
    authors = [each.author for each in poems]
    pairs = train_pairs(bags, np.array(place), authors, PairsConfig())
    print(f"and the pair encoder: {time.perf_counter() - started:.0f} s", flush=True)
    return vae, Directions.around(vae, pairs, bags)


def report_halves(
    measures: dict[str, tuple[Measure, Measure]], bag: Callable, test: list[Poem]
) -> None:
    """Print how often each measure finds the other half."""
    asked, gallery = (bag(each) for each in halves(test))
    print(f"{len(test):,} queries, as many in the gallery")
    print("| | recall@10 | recall@100 | median rank |\n|---|--:|--:|--:|")
    chance = " | ".join(f"{depth / len(test):.1%}" for depth in DEPTHS)
    print(f"| chance | {chance} | {len(test) // 2:,} |")
    targets = {"VAE mean": MEAN_TARGETS, "the product": BEST_TARGETS}
    for name, (of_query, of_gallery) in measures.items():
        found = ranks(of_query(asked), of_gallery(gallery))
        shares = [float((found <= depth).mean()) for depth in DEPTHS]
        print(
            f"| {name} | {' | '.join(f'{each:.1%}' for each in shares)} | {np.median(found):,.0f} |"
            + _verdict(shares, targets.get(name)),
            flush=True,
        )


def _verdict(shares: list[float], targets: tuple[float, float] | None) -> str:
    if targets is None:
        return ""
    met = all(share >= target for share, target in zip(shares, targets, strict=True))
    return f" {'met' if met else 'missed'}: {' and '.join(f'{each:.0%}' for each in targets)}"


def report_authors(
    measures: dict[str, tuple[Measure, Measure]],
    bag: Callable,
    train_poems: list[Poem],
    test: list[Poem],
) -> None:
    """Print how often each measure tells the poet."""
    counts = Counter(each.author for each in train_poems if each.author not in NAMELESS)
    poets = [name for name, _ in counts.most_common(POETS)]
    parts = [[each for each in part if each.author in poets] for part in (test, train_poems)]
    asked, known = (np.array([poets.index(each.author) for each in part]) for part in parts)
    query, gallery = (bag([each.text for each in part]) for part in parts)
    print(f"\n{len(asked):,} test poems of {POETS} poets, {NEIGHBOURS} of {len(known):,} nearest")
    print("| | author told |\n|---|--:|")
    print(f"| the most frequent | {(asked == np.bincount(known).argmax()).mean():.1%} |")
    found = {
        name: author_accuracy(of_query(query), of_gallery(gallery), asked, known)
        for name, (of_query, of_gallery) in measures.items()
    }
    wanted = max(AUTHOR_TARGET, found["TF-IDF"])
    for name, share in found.items():
        met = (
            f" {'met' if share >= wanted else 'missed'}: {wanted:.1%}" if "product" in name else ""
        )
        print(f"| {name} | {share:.1%} |{met}")


def report_time(workspace: Path) -> None:
    """Print how long a look-up takes in a workspace that has its index, after loading."""
    store = open_interactions(workspace / "interactions")
    model = open_model(workspace / "model")
    if not is_current(workspace / "lookup", model, store):
        raise SystemExit(f"{workspace} has no look-up yet: run `recsys similar --text ...` in it")
    lookup = load_lookup(workspace / "lookup", load_model(model), store)
    lines = [each.lines[0] for each in lookup.poems if each.lines]
    chosen = np.random.default_rng(0).choice(len(lines), LOOK_UPS, replace=False)
    print("\n| a look-up after loading | median ms | p95 ms |\n|---|--:|--:|")
    works: dict[str, Callable[[int], object]] = {
        "of a line": lambda at: lookup.similar_to_text(lines[at]),
        "of a poem": lambda at: lookup.similar_to_poem(at),
    }
    for name, work in works.items():
        work(0)
        taken = []
        for at in chosen:
            started = time.perf_counter()
            work(int(at))
            taken.append(1000 * (time.perf_counter() - started))
        median, p95 = np.percentile(taken, [50, 95])
        met = "met" if median <= MOST_MILLISECONDS else "missed"
        print(f"| {name} | {median:.1f} | {p95:.1f} | {met}: {MOST_MILLISECONDS:.0f} ms")


def main() -> None:
    """Fit once and print all tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    poems = BESIDE_THE_CHECKOUT / "tang-poems" / "poems.json.gz"
    parser.add_argument("--poems", type=Path, default=poems, metavar="FILE|DIR")
    parser.add_argument("--workspace", type=Path, metavar="DIR", help="to time look-ups in")
    parser.add_argument(
        "-S",
        dest="assignments",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of the VAE",
    )
    parser.add_argument("--seed", type=int, default=42, metavar="N")
    options = parser.parse_args()
    print(describe_run())
    if options.workspace is not None:
        report_time(options.workspace)
    everything, _ = read_poems(options.poems)
    order = np.random.default_rng(options.seed).permutation(len(everything))
    test = [everything[each] for each in order[:TEST_POEMS]]
    train_poems = [everything[each] for each in np.sort(order[TEST_POEMS:])]
    vae, directions = fit(train_poems, options.seed, tuple(options.assignments))

    def bag(texts: Sequence[str]) -> csr_array:
        return histories_of(texts, "character", vae.items)

    lexical = Lexical.of(bag([each.text for each in train_poems]))

    def mean(bags: csr_array) -> NDArray[np.float32]:
        return unit_vectors(vae.encode(bags) - directions.centre)

    measures: dict[str, tuple[Measure, Measure]] = {
        "TF-IDF": (lexical.tf_idf, lexical.tf_idf),
        "BM25": (lambda bags: bags, lexical.bm25),
        "LSA-50": (lexical.lsa, lexical.lsa),
        "VAE mean": (mean, mean),
        "pair encoder alone": (directions.pairs.encode, directions.pairs.encode),
        "the product": (directions.of, directions.of),
    }
    for fewest in (2, 4):
        halved = [each for each in test if len(each.couplets) >= fewest][:QUERIES]
        print(f"\npoems of {fewest} couplets or more")
        report_halves(measures, bag, halved)
    report_authors(measures, bag, train_poems, test)


if __name__ == "__main__":
    main()
