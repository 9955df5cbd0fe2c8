"""Quick approximate indexes: their candidates are ranked again by the exact vectors."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from recsys.index.cells import ADDED_AT_ONCE, build_cells, padded, padded_width
from recsys.index.exact import exact_search, search_blocks
from recsys.index.files import check_class, map_index, write_index
from recsys.index.kinds import IndexKind, QuickKind
from recsys.index.leading import leading_directions

EXACT_UP_TO = 200_000
"""Vectors up to which one exact search takes a few milliseconds, and nothing else is tried."""

MOST_TRIED_IN_FLOAT16 = 4 * 2**30
"""Bytes of vectors up to which half as many more are taken without being asked for."""

FEWEST_A_CELL = 250
"""On average; past a million vectors cells grow with the root, as faiss's authors advise."""

SAMPLED_A_CELL, ITERATIONS = 40, 8
"""Of k-means."""

MEASURED_K = 100
MEASURED_QUERIES = 200
"""For tuning, and as many others, which confirm it and tell what is told of the index."""

SCORES_HELD = 100_000_000
"""400 MB, while the exact best are found to measure by."""

DEPTHS = (1, 2, 4, 8)
"""Candidates for each place of the list, of which the tuning takes the fewest that suffice."""

MARGIN = 0.005
"""By how much the asked recall is passed, or by half of what is left: the first that passes has had
some luck."""


@dataclass(frozen=True, eq=False)
class QuickIndex:
    """A faiss index that is searched instead of every vector.

    Parameters
    ----------
    faiss_index : faiss.IndexPreTransform, IndexIVFScalarQuantizer or IndexScalarQuantizer
        Position i holds vector i, in fewer bits and, behind a transform, in fewer dimensions.
    n_probed : int
        Cells that are searched where every vector may be found; 0 where there are no cells.
    depth : int
        Candidates that are ranked again for each place of a list.
    """

    faiss_index: Any
    n_probed: int
    depth: int

    @classmethod
    def build(cls, vectors: NDArray[np.float32], kind: QuickKind, seed: int = 0) -> "QuickIndex":
        """Index the rows of a float32 array of shape (n, dim), untuned."""
        if kind == "float16":
            half = faiss.IndexScalarQuantizer(
                padded_width(vectors.shape[1]),
                faiss.ScalarQuantizer.QT_fp16,
                faiss.METRIC_INNER_PRODUCT,
            )
            for start in range(0, len(vectors), ADDED_AT_ONCE):
                half.add(padded(vectors[start : start + ADDED_AT_ONCE]))
            return cls(half, 0, max(DEPTHS))
        n = len(vectors)
        n_cells = max(1, min(n // FEWEST_A_CELL, int(4 * n**0.5)))
        # Fewer dimensions are quicker to look at, and candidates are ranked by whole vectors.
        directions = leading_directions(vectors)
        cells = build_cells(
            vectors, n_cells, n_cells * SAMPLED_A_CELL, ITERATIONS, seed, directions
        )
        index = cells if directions is None else _behind(directions, cells)
        return cls(index, n_cells, max(DEPTHS))

    @classmethod
    def load(cls, path: Path, n_probed: int, depth: int) -> "QuickIndex":
        """Map an index that `save` wrote into memory.

        Raises
        ------
        ArtefactError
            The file is no such index.
        """
        kinds = (
            faiss.IndexPreTransform,
            faiss.IndexIVFScalarQuantizer,
            faiss.IndexScalarQuantizer,
        )
        noun, advice = "a quick index", "run `recsys index`"
        index = map_index(path, kinds, noun, advice)
        if isinstance(index, faiss.IndexPreTransform):
            inner = faiss.downcast_index(index.index)
            check_class(inner, faiss.IndexIVFScalarQuantizer, path, noun, advice)
        return cls(index, n_probed, depth)

    def save(self, path: Path) -> None:
        """Write to one file; an OSError means what it says (a full disk)."""
        write_index(self.faiss_index, path)

    def candidates(
        self, query: NDArray[np.float32], k: int, permitted: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Find what may be among the k best; fewer where fewer are found.

        Parameters
        ----------
        query : float32, shape (1, dim)
        k : int
        permitted : bool or None, shape (n,)
            At least one; the fewer are permitted, the more cells are looked into.
        """
        selector, share = None, 1.0
        if permitted is not None:
            bitmap = np.packbits(permitted, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bitmap) * 8, faiss.swig_ptr(bitmap))
            share = max(float(permitted.mean()), 1e-6)
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        if self.n_probed:
            n_probed = min(self.n_cells, int(np.ceil(self.n_probed / share)))
            parameters = faiss.SearchParametersIVF(  # type: ignore[call-arg]
                sel=selector, nprobe=n_probed
            )
        if isinstance(self.faiss_index, faiss.IndexPreTransform):
            parameters = faiss.SearchParametersPreTransform(  # type: ignore[call-arg]
                index_params=parameters
            )
        else:
            query = padded(query)
        # As many as the depth was tuned with: among few a rounded score decides too much.
        depth = min(self.depth * max(k, MEASURED_K), int(self.faiss_index.ntotal))
        _, found = self.faiss_index.search(query, depth, params=parameters)
        return np.asarray(found[0][found[0] >= 0])

    @property
    def n_cells(self) -> int:
        """Cells in all; 0 where there are none."""
        return int(faiss.extract_index_ivf(self.faiss_index).nlist) if self.n_probed else 0


def _behind(directions: NDArray[np.float32], index: Any) -> Any:
    """Let an index that holds the vectors' parts along `directions` be asked with whole ones."""
    transform = faiss.LinearTransform(len(directions), index.d, False)
    faiss.copy_array_to_vector(padded(directions).T.ravel(), transform.A)
    transform.is_trained = True
    return faiss.IndexPreTransform(transform, index)


@dataclass(frozen=True)
class Measured:
    """What was found out about an index when it was built.

    Parameters
    ----------
    kind : {"exact", "float16", "cells"}
        What searches.
    reason : str
        Why.
    recall : float
        Share of the exact k best that were found, mean over the queries.
    median_ms, p95_ms : float
        Of one query, k best of all vectors.
    exact_ms : float
        The median of an exact search.
    k, n_queries : int
    """

    kind: Literal["exact", "float16", "cells"]
    reason: str
    recall: float = 1.0
    median_ms: float = 0.0
    p95_ms: float = 0.0
    exact_ms: float = 0.0
    k: int = MEASURED_K
    n_queries: int = 0

    def as_metrics(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


def choose_index(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    kind: IndexKind = "auto",
    recall: float = 0.99,
) -> tuple[QuickIndex | None, Measured]:
    """Build the index that a catalogue of this size wants, tune it on real queries, measure it.

    What is taken depends on the recall, never on the times: the same data give the same lists.

    Parameters
    ----------
    vectors : float32, shape (n, dim)
    queries : float32, shape (n_queries, dim)
        Of real users; half of them tune, the others measure, and both must reach the recall.
    kind : {"auto", "exact", "float16", "cells"}
        "auto" searches every vector up to 200,000, and beyond by cells of 8-bit vectors; where
        these miss too much, every one in float16, if that takes no more than 2 GiB.
    recall : float
        What share of the exact best must be found: else every vector is searched.

    Returns
    -------
    QuickIndex or None
        None: every vector is searched.
    Measured
    """
    n = len(vectors)
    k = min(MEASURED_K, n)
    tuning, others = queries[::2][:MEASURED_QUERIES], queries[1::2][:MEASURED_QUERIES]
    if kind == "exact":
        return None, _of_exact(vectors, others, k, "asked for")
    if kind == "auto" and n <= EXACT_UP_TO:
        return None, _of_exact(vectors, others, k, f"{n:,} vectors are few enough to search all")
    if len(others) == 0:
        return None, Measured("exact", "there are no users to tune a quicker index by", k=k)
    best_of_tuning, best = (
        search_blocks(vectors, each, k, SCORES_HELD).positions for each in (tuning, others)
    )
    exact = _of_exact(vectors, others, k, "")
    wanted = recall + min(MARGIN, (1 - recall) / 2)
    kinds: tuple[QuickKind, ...] = ("cells",) if kind == "auto" else (kind,)
    if kind == "auto" and vectors.nbytes <= MOST_TRIED_IN_FLOAT16:
        kinds = ("cells", "float16")
    reason = f"{n:,} vectors" if kind == "auto" else "asked for"
    missed: list[QuickKind] = []
    for each in kinds:
        for tuned in _tunings(QuickIndex.build(vectors, each), tuning, best_of_tuning, wanted):
            reached, median, p95 = _measure(tuned, vectors, others, best)
            if reached >= wanted:
                figures = (reached, median, p95, exact.median_ms, k, len(others))
                return tuned, Measured(each, reason, *figures)
        missed.append(each)
        reason = f"{' and '.join(missed)} do not reach a recall of {recall} on these queries"
    return None, replace(exact, reason=reason)


def _tunings(
    untuned: QuickIndex, queries: NDArray[np.float32], best: NDArray[np.int64], recall: float
) -> Iterator[QuickIndex]:
    """Find what reaches the recall, from few cells to all, and from few candidates to many."""
    k = best.shape[1]
    for n_probed in _probes(untuned):
        trial = QuickIndex(untuned.faiss_index, n_probed, max(DEPTHS))
        found = [trial.candidates(each[None], k) for each in queries]
        for depth in DEPTHS:
            shares = [
                np.isin(row, candidates[: depth * k]).mean()
                for row, candidates in zip(best, found, strict=True)
            ]
            if np.mean(shares) >= recall:
                yield QuickIndex(untuned.faiss_index, n_probed, depth)


def _probes(index: QuickIndex) -> Iterator[int]:
    """Numbers of cells to try, from few to all, each a quarter more."""
    if not index.n_probed:
        yield 0
        return
    n_probed = 8
    while n_probed < index.n_probed:
        yield n_probed
        n_probed = int(1.25 * n_probed)
    yield index.n_probed


def _of_exact(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int, reason: str
) -> Measured:
    times = [_milliseconds(vectors, each[None], k) for each in queries[:50]]
    if not times:
        return Measured("exact", reason, k=k)
    median, p95 = (float(each) for each in np.percentile(times, [50, 95]))
    return Measured("exact", reason, 1.0, median, p95, median, k, len(times))


def _milliseconds(vectors: NDArray[np.float32], query: NDArray[np.float32], k: int) -> float:
    started = time.perf_counter()
    exact_search(vectors, query, k)
    return 1000 * (time.perf_counter() - started)


def _measure(
    index: QuickIndex,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    best: NDArray[np.int64],
) -> tuple[float, float, float]:
    """Give recall, and the median and the 95th percentile of the milliseconds of a query."""
    k = best.shape[1]
    shares, times = [], []
    for row, query in zip(best, queries, strict=True):
        started = time.perf_counter()
        found = rank_again(index.candidates(query[None], k), vectors, query, k)[0]
        times.append(1000 * (time.perf_counter() - started))
        shares.append(np.isin(row, found).mean())
    median, p95 = (float(each) for each in np.percentile(times, [50, 95]))
    return float(np.mean(shares)), median, p95


def rank_again(
    candidates: NDArray[np.int64], vectors: NDArray[np.float32], query: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rank candidates by their exact inner products; ties go to the lower position.

    Parameters
    ----------
    candidates : int64, shape (n,)
    vectors : float32, shape (n_vectors, dim)
    query : float32, shape (dim,)
    k : int

    Returns
    -------
    int64 and float32, shape (at most k,)
        Positions and scores.
    """
    candidates = np.sort(candidates)
    scores = vectors[candidates] @ query
    order = np.argsort(-scores, kind="stable")[:k]
    return candidates[order], scores[order]
