"""Couplets drawn character by character, many at once, where hard masks say what may stand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from recsys.errors import DataError

ATTEMPTS = 50
"""Times that a couplet is begun anew when no character may follow."""

OPEN = -1
"""A place that is not given."""

RUN = 64
"""Columns that are summed up together when one is drawn. Logits are filled up to whole runs: where
rows begin within a processor's vector, a matrix product into them takes half as long again."""

Allowed = NDArray[np.bool_]


class NextCharacter(Protocol):
    """Tells what may follow in each of a batch of couplets, which it keeps the state of."""

    def __call__(self, previous: NDArray[np.int64] | None) -> NDArray[np.float32]:
        """Go one character on.

        Parameters
        ----------
        previous : int64, shape (n,), or None
            The characters just written; None at the beginning.

        Returns
        -------
        float32, shape (n, n_characters)
            Logits of the next ones; they may be filled up to whole runs of columns by -inf.
        """
        ...


Begin = Callable[[NDArray[np.int64]], NextCharacter]
"""Begins the couplets of these rows, for which it draws their latent codes anew."""


@dataclass(frozen=True, eq=False)
class Places:
    """What the places of a batch of couplets ask for.

    Parameters
    ----------
    kinds : int64, shape (n, n_places)
        The kind of each place, a row of `allowed`; both lines of a couplet one after the other.
    given : int64, shape (n, n_places)
        The character that has to stand there, whatever its kind is; or OPEN.
    used : bool, shape (n, n_characters)
        What may not be written again. What is given may.
    allowed : bool, shape (n_kinds, n_characters)
        As `recsys.verse.masks.Masks` has it.
    forms : int64, shape (n_characters, n_forms), or None
        The characters that are used up together with each; None: itself alone.
    lift : float32, shape (n, n_characters), or None
        What is added to the logits, for characters that are wanted more or less.
    """

    kinds: NDArray[np.int64]
    given: NDArray[np.int64]
    used: Allowed
    allowed: Allowed
    forms: NDArray[np.int64] | None = None
    lift: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Decoded:
    """Couplets that were drawn.

    Parameters
    ----------
    characters : int64, shape (n, n_places)
    log_likelihood : float64, shape (n,)
        Nats of a couplet under the model itself: at temperature 1, without masks and lift.
    """

    characters: NDArray[np.int64]
    log_likelihood: NDArray[np.float64]


def decode(
    begin: Begin, places: Places, *, temperature: float, rng: np.random.Generator
) -> Decoded:
    """Draw couplets that keep to their places and repeat no character.

    Parameters
    ----------
    begin : callable
    places : Places
    temperature : float
        Divides the logits; 0 takes the likeliest character.
    rng : numpy.random.Generator

    Returns
    -------
    Decoded

    Raises
    ------
    DataError
        A couplet came to a place where no character may stand, `ATTEMPTS` times.
    """
    n, n_places = places.kinds.shape
    characters = np.full((n, n_places), OPEN, dtype=np.int64)
    log_likelihood = np.zeros(n, dtype=np.float64)
    left = np.arange(n)
    for _ in range(ATTEMPTS):
        characters[left], log_likelihood[left] = _draw(begin, places, left, temperature, rng)
        left = left[(characters[left] == OPEN).any(axis=1)]
        if not len(left):
            return Decoded(characters, log_likelihood)
    at = int((characters[left[0]] == OPEN).argmax())
    raise DataError(
        f"no character of the model may stand at place {at + 1} of the couplet, after "
        f"{ATTEMPTS} attempts: it must keep to the tone or the rhyme and repeat none; "
        "ask for another first line or acrostic, or for --free verse"
    )


def _draw(
    begin: Begin,
    places: Places,
    rows: NDArray[np.int64],
    temperature: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw some of the couplets once; OPEN stays where no character may stand."""
    n, n_places = len(rows), places.kinds.shape[1]
    characters = np.full((n, n_places), OPEN, dtype=np.int64)
    log_likelihood = np.zeros(n, dtype=np.float64)
    of_kinds, free = _in_runs(places.allowed), _in_runs(~places.used[rows])
    lift = None if places.lift is None else _in_runs(places.lift[rows])
    forms = np.arange(places.used.shape[1])[:, None] if places.forms is None else places.forms
    here = np.arange(n)
    following, previous = begin(rows), None
    for at in range(n_places):
        logits = _in_runs(following(previous), beyond=-np.inf)
        kinds, given = torch.from_numpy(places.kinds[rows, at]), places.given[rows, at]
        allowed = of_kinds.index_select(0, kinds).logical_and_(free)
        within = torch.where(allowed, logits if lift is None else logits + lift, -torch.inf)
        chosen = np.where(given == OPEN, _choose(within, temperature, rng), given)
        log_likelihood += torch.log_softmax(logits, dim=1)[here, chosen].double().numpy()
        characters[:, at] = chosen
        free[here[:, None], forms[chosen]] = False
        previous = np.maximum(chosen, 0)  # one that is stuck goes on with anything
    stuck = (characters == OPEN).any(axis=1)
    log_likelihood[stuck] = -np.inf
    return characters, log_likelihood


def _in_runs(columns: NDArray[np.generic], beyond: float = 0) -> Tensor:
    """Fill up to whole runs of columns, where that is still to be done."""
    n_beyond = -columns.shape[1] % RUN
    given = torch.from_numpy(columns)
    return pad(given, (0, n_beyond), value=beyond) if n_beyond else given


def _choose(logits: Tensor, temperature: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a character a row; OPEN where all have -inf. The logits become their softmax."""
    shares = torch.softmax(logits.div_(temperature or 1.0), dim=1, out=logits)
    if temperature > 0:
        best = _draw_from(shares, torch.from_numpy(rng.random(len(shares))))
    else:
        best = shares.argmax(dim=1)
    is_open = shares.gather(1, best[:, None])[:, 0] > 0  # where all have -inf they are NaN
    return np.where(is_open.numpy(), best.numpy(), OPEN)


def _draw_from(shares: Tensor, uniform: Tensor) -> Tensor:
    """Draw a column a row by the shares, of whole runs: first a run, then a column within it.

    Two short sums take a quarter of the time of one along all columns. Rows of NaN, where nothing
    is allowed, give any column.
    """
    of_runs = shares.view(len(shares), -1, RUN)
    share = of_runs.sum(dim=2).double().cumsum(dim=1)
    total = share[:, -1:]
    target = torch.minimum(
        uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total))
    )
    run = (share <= target).sum(dim=1)
    here = torch.arange(len(shares))
    inside = of_runs[here, run].double()
    below = share[here, run][:, None] - inside.sum(dim=1, keepdim=True)
    column = ((below + inside.cumsum(dim=1)) <= target).sum(dim=1)
    # Rounding may lead beyond the last column of the run that has a share.
    last = RUN - 1 - (inside > 0).flip(1).int().argmax(dim=1)
    return run * RUN + torch.minimum(column, last)
