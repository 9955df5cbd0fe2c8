"""implicit's ALS (Hu, Koren and Volinsky 2008): matrix factorisation with weighted clicks.

Held-out users are folded in: their factors are solved from their histories by `recalculate_user`.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_limits

from recsys.data.interactions import Interactions
from recsys.data.splits import Holdout
from recsys.ranking import Scorer

from .fitted import Fitted, search

ALPHAS = (1.0, 4.0, 16.0)
REGULARISATIONS = (5.0, 15.0, 50.0, 100.0)
FACTORS = (64, 256)
ITERATIONS = (30,)
SEED = 42


@dataclass(frozen=True)
class Values:
    """What is chosen: latent factors, weight of a click, L2 penalty, passes over both sides."""

    factors: int = 128
    alpha: float = 4.0
    regularisation: float = 15.0
    iterations: int = 15

    def __str__(self) -> str:
        return (
            f"{self.factors} factors, alpha {self.alpha:g}, regularisation "
            f"{self.regularisation:g}, {self.iterations} iterations"
        )


def fit(train: Interactions, validation: Holdout) -> Fitted:
    """Choose ALPHAS x REGULARISATIONS together, then FACTORS, then ITERATIONS."""
    clicks = clicks_of(train.matrix)

    def fit_at(values: Values) -> Scorer:
        return factorise(clicks, values)

    grid = [Values(alpha=a, regularisation=r) for a in ALPHAS for r in REGULARISATIONS]
    best = search(grid, fit_at, validation)
    wider = [replace(best.values, factors=each) for each in FACTORS]
    best = search(wider, fit_at, validation, best)
    longer = [replace(best.values, iterations=each) for each in ITERATIONS]
    return search(longer, fit_at, validation, best).fitted()


def factorise(clicks: csr_matrix, values: Values) -> Scorer:
    """Fit the factors on as many threads as torch uses.

    Parameters
    ----------
    clicks : csr_matrix of float32, shape (n_users, n_items)
        Ones.
    values : Values
    """
    # implicit has threads of its own, and is up to ten times slower when BLAS has too.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=values.factors,
            alpha=values.alpha,
            regularization=values.regularisation,
            iterations=values.iterations,
            num_threads=torch.get_num_threads(),
            random_state=SEED,
        )
        model.fit(clicks, show_progress=False)

    def score(histories: csr_array) -> NDArray[np.float32]:
        with threadpool_limits(1, "blas"):
            users = np.arange(histories.shape[0])
            return np.asarray(
                model.recalculate_user(users, clicks_of(histories)) @ model.item_factors.T
            )

    return score


def clicks_of(matrix: csr_array) -> csr_matrix:
    """Put a 1 in place of every value, in the class that implicit wants."""
    # Not csr_array: implicit warns of anything but the older class.
    ones = np.ones(len(matrix.indices), dtype=np.float32)
    return csr_matrix((ones, matrix.indices, matrix.indptr), shape=matrix.shape)
