"""k-means by FAISS, and how good a clustering is; the same seed gives the same clusters."""

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.errors import ConfigError

ITERATIONS, STARTS = 25, 5

SILHOUETTE_SAMPLE = 3000
"""Members whose silhouette is measured, against each other."""


@dataclass(frozen=True, eq=False)
class KMeans:
    """Found clusters, the largest first.

    Parameters
    ----------
    centres : float32, shape (k, dim)
    assignments : int64, shape (n,)
        The position of each vector's centre.
    distances : float32, shape (n,)
        Euclidean, from each vector to its centre.
    """

    centres: NDArray[np.float32]
    assignments: NDArray[np.int64]
    distances: NDArray[np.float32]


def kmeans(vectors: NDArray[np.float32], k: int, seed: int) -> KMeans:
    """Find k centres that are close to the vectors in squared Euclidean distance.

    Parameters
    ----------
    vectors : float32, shape (n, dim)
    k : int
        From 1 to n.
    seed : int
        Of the first centres; the best of five starts stays.

    Raises
    ------
    ConfigError
        k is out of its range.

    Examples
    --------
    >>> found = kmeans(np.array([[0, 0], [9, 9], [0, 1], [1, 0]], dtype=np.float32), 2, seed=0)
    >>> found.assignments.tolist()
    [0, 1, 0, 0]
    """
    n, dim = vectors.shape
    if not 1 <= k <= n:
        raise ConfigError(f"k is {k}, expected from 1 to {n}, the number of those to cluster")
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    search = faiss.Kmeans(
        dim,
        k,
        niter=ITERATIONS,
        nredo=STARTS,
        seed=seed,
        min_points_per_centroid=1,  # no warning: few points are no mistake here
        max_points_per_centroid=n,  # every vector counts
    )
    search.train(vectors)
    _, nearest = search.index.search(vectors, 1)
    by_size = np.argsort(-np.bincount(nearest[:, 0], minlength=k), kind="stable")
    rank = np.empty(k, dtype=np.int64)
    rank[by_size] = np.arange(k)
    assert search.centroids is not None
    centres, assignments = search.centroids[by_size], rank[nearest[:, 0]]
    distances = np.linalg.norm(vectors - centres[assignments], axis=1)
    return KMeans(centres, assignments, distances.astype(np.float32))


def silhouette(
    vectors: NDArray[np.float32],
    assignments: NDArray[np.int64],
    seed: int,
    sample: int = SILHOUETTE_SAMPLE,
) -> float:
    """Mean silhouette width (Rousseeuw 1987) of a sample of members, by Euclidean distance.

    Parameters
    ----------
    vectors : float32, shape (n, dim)
    assignments : int64, shape (n,)
    seed : int
        Of the sample.
    sample : int
        Members that are drawn, without replacement; all where there are no more.

    Returns
    -------
    float
        From -1 to 1; higher is better. A cluster of one counts as 0, as one cluster alone does.

    Examples
    --------
    >>> line = np.array([[0.0], [1.0], [10.0], [11.0]], dtype=np.float32)
    >>> round(silhouette(line, np.array([0, 0, 1, 1]), seed=0), 4)
    0.8997
    """
    n = len(vectors)
    drawn = np.random.default_rng(seed).permutation(n)[:sample]
    points = vectors[drawn].astype(np.float64)
    labels, groups = np.unique(assignments[drawn], return_inverse=True)
    if len(labels) < 2:
        return 0.0
    squares = (points**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))
    np.fill_diagonal(distances, 0)
    one_hot = np.eye(len(labels))[groups]
    sums, sizes = distances @ one_hot, one_hot.sum(axis=0)
    here = np.arange(len(points)), groups
    within = sums[here] / np.maximum(sizes[groups] - 1, 1)
    means = sums / sizes
    means[here] = np.inf
    nearest = means.min(axis=1)
    widths = (nearest - within) / np.maximum(np.maximum(nearest, within), 1e-12)
    return float(np.where(sizes[groups] > 1, widths, 0).mean())


def mutual_information(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Normalised mutual information: I(a; b) over the mean of the two entropies.

    Parameters
    ----------
    a, b : int64, shape (n,)
        Positions of groups, from 0.

    Returns
    -------
    float
        From 0 to 1; higher is better. 0 where either has one group alone.

    Examples
    --------
    >>> halves = np.array([0, 0, 1, 1])
    >>> mutual_information(halves, 1 - halves), mutual_information(halves, np.array([0, 1, 0, 1]))
    (1.0, 0.0)
    """
    joint = csr_array((np.ones(len(a)), (a, b))).tocoo()
    joint.sum_duplicates()
    share = joint.data / len(a)
    share_a, share_b = np.bincount(a) / len(a), np.bincount(b) / len(b)
    entropies = _entropy(share_a) + _entropy(share_b)
    if entropies == 0:
        return 0.0
    rows, columns = joint.coords
    information = (share * np.log(share / (share_a[rows] * share_b[columns]))).sum()
    return float(2 * max(information, 0.0) / entropies)


def _entropy(shares: NDArray[np.float64]) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())
