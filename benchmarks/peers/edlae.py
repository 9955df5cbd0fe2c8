"""EDLAE (Steck 2020), full rank: the closed form of a linear autoencoder under dropout."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import csr_array

from recsys.data.interactions import Interactions
from recsys.data.splits import Holdout
from recsys.ranking import Scorer

from .fitted import Fitted, search

DROPOUTS = (0.25, 0.5, 0.75)
RIDGES = (30.0, 100.0, 300.0, 1000.0)


@dataclass(frozen=True)
class Values:
    """What is chosen: dropout p, from 0 to below 1, and ridge, positive, in squared clicks."""

    dropout: float
    ridge: float

    def __str__(self) -> str:
        return f"dropout {self.dropout:g}, ridge {self.ridge:g}"


def fit(train: Interactions, validation: Holdout) -> Fitted:
    """Fit at every point of DROPOUTS x RIDGES; the co-occurrences are counted once."""
    gram = count_together(train.matrix)

    def fit_at(values: Values) -> Scorer:
        weights = solve(gram, values)
        return lambda histories: np.asarray(_binary(histories) @ weights)

    grid = [Values(dropout, ridge) for dropout in DROPOUTS for ridge in RIDGES]
    return search(grid, fit_at, validation).fitted()


def count_together(matrix: csr_array) -> NDArray[np.float64]:
    """Count the users of each pair of items; float64, shape (n_items, n_items)."""
    X = _binary(matrix)
    return np.asarray((X.T @ X).toarray(), dtype=np.float64)


def solve(gram: NDArray[np.float64], values: Values) -> NDArray[np.float32]:
    """Solve B = I - C diag(1 / diag C) with C = (G + ridge I + p / (1 - p) diag G)^-1.

    Parameters
    ----------
    gram : float64, shape (n_items, n_items)
        G; left as it is.
    values : Values

    Returns
    -------
    float32, shape (n_items, n_items)
        Row i, column j: what having met item i says for item j; zero on the diagonal.

    Notes
    -----
    Source: Steck 2020, "Autoencoders that don't overfit towards the identity", equation 9. At
    p = 0 this is EASE.
    """
    regularised = np.array(gram, order="F")
    diagonal = np.diag_indices_from(regularised)
    odds = values.dropout / (1 - values.dropout)
    regularised[diagonal] += values.ridge + odds * gram[diagonal]
    factor, status = dpotrf(regularised, lower=1, clean=1, overwrite_a=1)
    assert status == 0, status  # G is positive semi-definite and the ridge is positive
    lower, status = dpotri(factor, lower=1, overwrite_c=1)
    assert status == 0, status
    C = lower + np.tril(lower, -1).T
    weights: NDArray[np.float32] = (C / -np.diagonal(C)).astype(np.float32)
    weights[diagonal] = 0
    return weights


def _binary(matrix: csr_array) -> csr_array:
    ones = np.ones(len(matrix.indices), dtype=np.float32)
    return csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape)
