"""Couplets drawn character by character, many at once, where hard masks say what may stand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.errors import DataError

ATTEMPTS = 50
"""Times that a couplet is begun anew when no character may follow."""

OPEN = -1
"""A place that is not given."""

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
            Logits of the next ones.
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
    following, previous = begin(rows), None
    for at in range(characters.shape[1]):
        logits = following(previous)
        given = places.given[rows, at]
        allowed = places.allowed[places.kinds[rows, at]] & ~used
        wanted = logits if places.lift is None else logits + places.lift[rows]
        chosen = _choose(wanted, allowed, temperature, rng)
        chosen = np.where(given == OPEN, chosen, given)
        log_likelihood += logits[here, chosen] - _log_sum_exp(logits)
        characters[:, at] = chosen
        used[here[:, None], forms[chosen]] = True
        previous = np.maximum(chosen, 0)  # one that is stuck goes on with anything
    stuck = (characters == OPEN).any(axis=1)
    log_likelihood[stuck] = -np.inf
    return characters, log_likelihood


def _choose(
    logits: NDArray[np.float32],
    allowed: Allowed,
    temperature: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw a character a row; OPEN where none is allowed."""
    within = np.where(allowed, logits, -np.inf)
    best = within.argmax(axis=1)
    some = allowed[np.arange(len(allowed)), best]
    if temperature > 0:
        within -= np.where(some, within.max(axis=1), 0)[:, None]
        within /= np.float32(temperature)
        share = np.cumsum(np.exp(within), axis=1, dtype=np.float64)
        best = (share <= rng.random(len(logits))[:, None] * share[:, -1:]).sum(axis=1)
    return np.where(some, best, OPEN)


def _log_sum_exp(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    most = logits.max(axis=1)
    total = np.exp(logits - most[:, None]).sum(axis=1)
    return np.asarray(most + np.log(total), dtype=np.float64)
