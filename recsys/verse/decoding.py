"""Couplets drawn character by character, many at once, where hard masks say what may stand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.errors import DataError

ATTEMPTS = 50
"""Times that a couplet is begun anew when no character may follow."""

OPEN = -1
"""A place that is not given."""

RUN = 64
"""Columns that are summed up together when one is drawn."""

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
        float32, shape (n, at least n_characters)
            Logits of the next ones; -inf in columns beyond the vocabulary.
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
    characters = np.full((len(rows), places.kinds.shape[1]), OPEN, dtype=np.int64)
    log_likelihood = np.zeros(len(rows), dtype=np.float64)
    used = places.used[rows]
    forms = np.arange(used.shape[1])[:, None] if places.forms is None else places.forms
    here = np.arange(len(rows))
    lift = None if places.lift is None else torch.from_numpy(places.lift[rows])
    following, previous = begin(rows), None
    for at in range(characters.shape[1]):
        logits = torch.from_numpy(following(previous))
        given = places.given[rows, at]
        allowed = places.allowed[places.kinds[rows, at]] & ~used
        wanted = logits[:, : used.shape[1]]
        wanted = wanted if lift is None else wanted + lift
        chosen = _choose(wanted, torch.from_numpy(allowed), temperature, rng)
        chosen = np.where(given == OPEN, chosen, given)
        log_likelihood += torch.log_softmax(logits, dim=1)[here, chosen].double().numpy()
        characters[:, at] = chosen
        used[here[:, None], forms[chosen]] = True
        previous = np.maximum(chosen, 0)  # one that is stuck goes on with anything
    stuck = (characters == OPEN).any(axis=1)
    log_likelihood[stuck] = -np.inf
    return characters, log_likelihood


def _choose(
    logits: Tensor, allowed: Tensor, temperature: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw a character a row; OPEN where none is allowed."""
    n, n_characters = allowed.shape
    # Room for whole runs of columns, so that they can be summed up where they lie.
    in_runs = logits.new_full((n, n_characters + -n_characters % RUN), -torch.inf)
    within = in_runs[:, :n_characters]
    torch.where(allowed, logits, within, out=within)
    if temperature > 0:
        shares = torch.softmax(in_runs.div_(temperature), dim=1, out=in_runs)
        best = _draw_from(shares, torch.from_numpy(rng.random(n)))
    else:
        best = within.argmax(dim=1)
    is_allowed = allowed.gather(1, best[:, None])[:, 0]  # not so where nothing is
    return np.where(is_allowed.numpy(), best.numpy(), OPEN)


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
