"""Putting the two paths together: score = VAE logit + tau * x S."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys import storage
from recsys.baselines import metric_of_users
from recsys.data.histories import blocks_of
from recsys.data.splits import Holdout
from recsys.errors import ArtefactError
from recsys.metrics import DEFAULT_VALIDATION_METRIC, Metric
from recsys.neighbours.artefact import FILE, load_item_item
from recsys.neighbours.item_item import ItemItem, ReachedScores
from recsys.ranking import Scorer

TAUS = (1.0, 2.0, 3.5, 6.0, 10.0, 20.0, 35.0, 60.0, 100.0, 200.0, 350.0)
"""What tau is chosen from: the optimum is flat over a factor of three."""

DEFAULT_TAU = 10.0
"""Where there are no validation users to choose by."""

USERS_AT_ONCE = 250
"""Validation users whose scores are held at once."""


@dataclass(frozen=True, eq=False)
class SparsePath:
    """The sparse term of a fused score, tau * x S.

    Parameters
    ----------
    item_item : ItemItem
    tau : float
        What one unit of x S is worth in logits.
    """

    item_item: ItemItem
    tau: float

    def scores(self, histories: csr_array) -> ReachedScores:
        """Give tau * x S, shape (n_users, n_items)."""
        return self.item_item.scores(histories, self.tau)

    def added_to(self, dense: Scorer) -> Scorer:
        """Fuse with the scorer of a VAE."""

        def score(histories: csr_array) -> NDArray[np.float32]:
            return np.asarray(dense(histories) + self.scores(histories).toarray())

        return score


@dataclass(frozen=True, eq=False)
class Tuning:
    """How well a sparse path serves the validation users at its best tau.

    Parameters
    ----------
    tau : float
    by_user : float64, shape (n_users,)
        The metric that chose; higher is better.
    """

    tau: float
    by_user: NDArray[np.float64]


def choose_tau(
    dense: Scorer,
    item_item: ItemItem,
    validation: Holdout,
    metric: Metric = DEFAULT_VALIDATION_METRIC,
    taus: Sequence[float] = TAUS,
) -> Tuning:
    """Find the tau that serves the validation users best; of equals the first wins.

    Parameters
    ----------
    dense : Scorer
        The VAE's.
    item_item : ItemItem
    validation : Holdout
        At least one user.
    metric : Metric
        One that looks at hits.
    taus : sequence of float
    """
    histories, wanted = validation.fold_in.matrix, validation.held_out.matrix
    by_user = np.empty((len(taus), histories.shape[0]))
    for rows in blocks_of(histories.shape[0], USERS_AT_ONCE):
        block = slice(rows[0], rows[-1] + 1)
        given, held_out = histories[block], wanted[block]
        logits, added = dense(given), item_item.score(given)
        for place, tau in enumerate(taus):
            scores = logits + np.float32(tau) * added
            by_user[place, rows] = metric_of_users(scores, given, held_out, metric)
    best = int(by_user.mean(axis=1).argmax())
    return Tuning(taus[best], by_user[best])


def load_sparse_path(model: storage.Artefact, n_items: int) -> SparsePath | None:
    """Read the sparse path of a model artefact; None for a VAE alone.

    Raises
    ------
    ArtefactError
        The files do not fit together.
    """
    if FILE not in model.manifest.files:
        return None
    try:
        tau = float(model.manifest.config["tau"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{model.path} is not whole ({error}); run `recsys train`") from error
    return SparsePath(load_item_item(model.file(FILE), n_items), tau)
