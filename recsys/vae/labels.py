"""Labels that are known of some users or items: the same code is trained to tell them too.

After Pu et al. 2016, who tie a Bayesian support vector machine to the code of a VAE and train
both together. Here it is a linear softmax: a label's score is an inner product, like an item's.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from recsys.data.ids import IdMap
from recsys.errors import DataError

Bearer = Literal["users", "items"]

UNKNOWN = -1
"""The position of a label that is not known."""

BETWEEN_VALUES = "|"
"""Stands between the values of a cell that holds several; the first of them is the label."""

DEFAULT_WEIGHTS: Mapping[Bearer, float] = {"users": 100.0, "items": 1.0}
"""Of a known label's cross-entropy: by benchmarks/labels.py."""


@dataclass(frozen=True)
class LabelSet:
    """What a model tells: which one of `names` each user, or each item, bears.

    Parameters
    ----------
    on : {"users", "items"}
    names : tuple of str
        Unique; the most frequent first.
    """

    on: Bearer
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def positions(self, ids: IdMap, label_of: Mapping[str, str]) -> NDArray[np.int64]:
        """Give each id's label, UNKNOWN where it has none of ours; int64, shape (len(ids),)."""
        place = {name: position for position, name in enumerate(self.names)}
        return np.array([place.get(label_of.get(each, ""), UNKNOWN) for each in ids.ids], np.int64)


@dataclass(frozen=True, eq=False)
class Labels:
    """Who bears which label.

    Parameters
    ----------
    kind : LabelSet
    positions : int64, shape (n_users,) or (n_items,)
        Of a name, or UNKNOWN.
    """

    kind: LabelSet
    positions: NDArray[np.int64]

    @property
    def n_known(self) -> int:
        """How many labels are known."""
        return int((self.positions != UNKNOWN).sum())

    @property
    def fingerprint(self) -> str:
        """Hash of names and positions."""
        digest = hashlib.sha256(repr(self.kind).encode())
        digest.update(np.ascontiguousarray(self.positions).data)
        return digest.hexdigest()

    def parted(self, share: float, seed: int) -> tuple["Labels", "Labels"]:
        """Divide the known labels at random, `share` of them into the second part.

        Examples
        --------
        >>> both = Labels(LabelSet("items", ("a", "b")), np.array([0, 1, -1, 0, 1]))
        >>> kept, held_out = both.parted(0.25, seed=1)
        >>> kept.n_known, held_out.n_known
        (3, 1)
        """
        known = np.flatnonzero(self.positions != UNKNOWN)
        chosen = np.random.default_rng(seed).permutation(known)[: round(share * len(known))]
        kept, held_out = self.positions.copy(), np.full_like(self.positions, UNKNOWN)
        kept[chosen], held_out[chosen] = UNKNOWN, self.positions[chosen]
        return replace(self, positions=kept), replace(self, positions=held_out)


@dataclass(frozen=True, eq=False)
class FoundLabels:
    """Labels, and what was put aside because too few bear it.

    Parameters
    ----------
    labels : Labels
    n_rare_names, n_rare_bearers : int
        Names below the wanted number, and how many users or items bear one of them.
    """

    labels: Labels
    n_rare_names: int
    n_rare_bearers: int


def first_values(cells: Mapping[str, str]) -> dict[str, str]:
    """Take the first of several values; empty cells are left out.

    Examples
    --------
    >>> first_values({"i1": "Drama|War", "i2": "", "i3": " Drama"})
    {'i1': 'Drama', 'i3': 'Drama'}
    """
    firsts = {key: cell.split(BETWEEN_VALUES)[0].strip() for key, cell in cells.items()}
    return {key: label for key, label in firsts.items() if label}


def find_labels(ids: IdMap, label_of: Mapping[str, str], *, on: Bearer, fewest: int) -> FoundLabels:
    """Collect the labels that at least `fewest` of these users or items bear.

    Parameters
    ----------
    ids : IdMap
        Of the users or items of the training.
    label_of : mapping
        Id -> label; an id without one is left out of it.
    on : {"users", "items"}
    fewest : int

    Raises
    ------
    DataError
        Fewer than two such labels.

    Examples
    --------
    >>> ids = IdMap.of(["a", "b", "c", "d", "e"], "user")
    >>> found = find_labels(
    ...     ids, {"a": "x", "b": "x", "c": "y", "e": "z", "d": "z"}, on="users", fewest=2
    ... )
    >>> found.labels.kind.names, found.labels.positions, found.n_rare_bearers
    (('x', 'z'), array([ 0,  0, -1,  1,  1]), 1)
    """
    counts = Counter(label_of[each] for each in ids.ids if each in label_of)
    often = [(-count, name) for name, count in counts.items() if count >= fewest]
    if len(often) < 2:
        raise DataError(
            f"of {len(counts):,} labels {len(often)} stand for {fewest} {on} or more, expected at "
            "least two to tell apart; lower model.fewest_bearers, or name another column"
        )
    kind = LabelSet(on, tuple(name for _, name in sorted(often)))
    labels = Labels(kind, kind.positions(ids, label_of))
    n_rare_bearers = sum(counts.values()) - labels.n_known
    return FoundLabels(labels, len(counts) - len(often), n_rare_bearers)


def label_nll(logits: Tensor, positions: Tensor) -> Tensor:
    """Cross-entropy of the known labels; nats, summed over them; 0 where none is known.

    Parameters
    ----------
    logits : float32, shape (n, n_labels)
    positions : int64, shape (n,)
    """
    return cross_entropy(logits, positions, ignore_index=UNKNOWN, reduction="sum")


def label_accuracy(probabilities: NDArray[np.float32], positions: NDArray[np.int64]) -> float:
    """Share of the known labels that are the most probable one; higher is better.

    Parameters
    ----------
    probabilities : float32, shape (n, n_labels)
    positions : int64, shape (n,)
        At least one of them known.

    Examples
    --------
    >>> told = np.array([[0.7, 0.3], [0.6, 0.4], [0.5, 0.5]], dtype=np.float32)
    >>> label_accuracy(told, np.array([0, 1, -1]))
    0.5
    """
    known = positions != UNKNOWN
    return float((probabilities[known].argmax(1) == positions[known]).mean())


class LabelLoss:
    """What a member adds to its loss: weight * cross-entropy of each label that is known.

    Those without a label add nothing, so the labels' part of the loss grows with their number.

    Parameters
    ----------
    head : Linear
        From a code to the labels' logits.
    labels : Labels
        Of the training.
    weight : float or None
        None: `DEFAULT_WEIGHTS` says.
    """

    def __init__(self, head: nn.Linear, labels: Labels, weight: float | None) -> None:
        self.head = head
        self.weight = DEFAULT_WEIGHTS[labels.kind.on] if weight is None else weight
        self.positions = torch.from_numpy(labels.positions).to(head.weight.device)

    def of_users(self, latents: Tensor, positions: Tensor) -> Tensor:
        """Nats, summed over the batch's users; `positions` are their labels'."""
        return self.weight * label_nll(self.head(latents), positions)

    def of_items(self, rows: Tensor, items: Tensor | None, n_users: int) -> Tensor:
        """Nats, the mean over items for each of `n_users`.

        Parameters
        ----------
        rows : float32, shape (n_items, latent_dim)
            The decoder's, of `items`, or of the whole catalogue where these are None.
        items : int64 or None, shape (n_items,)
        n_users : int
        """
        positions = self.positions if items is None else self.positions[items]
        share = n_users / len(positions)
        return self.weight * share * label_nll(self.head(rows), positions)
