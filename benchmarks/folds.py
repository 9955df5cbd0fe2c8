"""Folds of held-out users, as split files: every user is a test user once."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.interactions import Interactions

SEED = 98765
VALIDATION_SHARE = 0.1
MIN_ITEMS = 5
PARTS = ("train", "validation_fold_in", "validation_held_out", "test_fold_in", "test_held_out")
_TRAIN, _VALIDATION, _TEST = 0, 1, 3  # the fold_in of a group, and behind it what is held out


def make_folds(matrix: csr_array, n_folds: int, seed: int = SEED) -> list[NDArray[np.int64]]:
    """Divide by whole users, a fifth of whose items is held out (Liang et al. 2018, section 4).

    ::

        fold   blocks of users            T train   V validation   t test
        1      t  V T  T  T  T
        2      T  t  V T  T  T            validation: a tenth of all users, from the block after
        ...                               the test users'

    Parameters
    ----------
    matrix : csr_array, shape (n_users, n_items)
    n_folds : int
        At least 2.
    seed : int

    Returns
    -------
    list of int64, shape (n_interactions,)
        Places in PARTS, in the order of the matrix's entries; -1 for items that train has not.
        The test users of two folds are never the same, and those of all are everybody; with
        fewer than MIN_ITEMS items that train knows, a user holds nothing out.
    """
    rng = np.random.default_rng(seed)
    n_users = matrix.shape[0]
    blocks = np.array_split(rng.permutation(n_users), n_folds)
    folds = []
    for number, test in enumerate(blocks):
        validation = blocks[(number + 1) % n_folds][: int(VALIDATION_SHARE * n_users)]
        folds.append(_divide(matrix, validation, test, rng))
    return folds


def _divide(
    matrix: csr_array,
    validation: NDArray[np.int64],
    test: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    group = np.full(matrix.shape[0], _TRAIN, dtype=np.int64)
    group[validation], group[test] = _VALIDATION, _TEST
    parts = np.repeat(group, np.diff(matrix.indptr))
    known = np.zeros(matrix.shape[1], dtype=bool)
    known[matrix.indices[parts == _TRAIN]] = True
    for user in np.concatenate([np.sort(validation), np.sort(test)]):
        entries = np.arange(matrix.indptr[user], matrix.indptr[user + 1])
        entries = entries[known[matrix.indices[entries]]]
        if len(entries) >= MIN_ITEMS:
            parts[rng.choice(entries, int(0.2 * len(entries)), replace=False)] += 1
    parts[~known[matrix.indices]] = -1
    return parts


def write_fold(parts: NDArray[np.int64], interactions: Interactions, path: Path) -> None:
    """Write a fold as `recsys train --split FILE` reads it.

    Parameters
    ----------
    parts : int64, shape (n_interactions,)
        One fold of `make_folds` for the matrix of `interactions`.
    interactions : Interactions
    path : Path
    """
    matrix = interactions.matrix
    users = np.repeat(interactions.users.ids, np.diff(matrix.indptr))
    items = interactions.items.ids[matrix.indices]
    named = parts >= 0
    with open(path, "w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream)
        lines.writerow(("user_id", "item_id", "part"))
        lines.writerows(
            (user, item, PARTS[part])
            for user, item, part in zip(users[named], items[named], parts[named], strict=True)
        )
