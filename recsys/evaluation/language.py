"""How well a model foretells the characters of poems that it never saw: two perplexities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import log_softmax

from recsys.data.histories import blocks_of
from recsys.data.interactions import Interactions
from recsys.vae.elbo import elbo
from recsys.vae.model import VAE

SCORES_AT_ONCE = 2**23


@dataclass(frozen=True)
class Perplexities:
    """As uncertain as between so many characters; lower is better.

    Parameters
    ----------
    whole : float
        exp(-log-likelihood of all poems / number of their characters).
    completion : float
        The same of one half of each poem, given the other.
    """

    whole: float
    completion: float


@dataclass(frozen=True, eq=False)
class Halves:
    """Poems of at least two characters, each character (not each kind) in one of two halves.

    Parameters
    ----------
    shown, hidden : csr_array of float32, shape (n_poems, n_items)
        Counts; the hidden half is the larger one where the number is odd.
    """

    shown: csr_array
    hidden: csr_array


def halve(poems: csr_array, seed: int = 0) -> Halves:
    """Divide the characters of each poem at random, one by one (document completion).

    Parameters
    ----------
    poems : csr_array of float32, shape (n_poems, n_items)
        Counts: whole numbers.
    seed : int

    Notes
    -----
    Wallach et al. 2009, section 5, with halves drawn at random in place of the first and the
    second. A poem of one character has no half to show and is left out.

    Examples
    --------
    >>> halves = halve(csr_array(np.array([[2, 0, 3], [0, 1, 0]], dtype=np.float32)))
    >>> halves.shown.sum(), halves.hidden.sum()
    (np.float32(2.0), np.float32(3.0))
    >>> (halves.shown + halves.hidden).toarray()
    array([[2., 0., 3.]], dtype=float32)
    """
    lengths = np.asarray(poems.sum(axis=1)).astype(np.int64)
    poems = csr_array(poems[lengths > 1])
    lengths = lengths[lengths > 1]
    counts = poems.data.astype(np.int64)
    items = np.repeat(poems.indices, counts)
    users = np.repeat(np.arange(len(lengths)), lengths)
    shuffled = np.lexsort((np.random.default_rng(seed).random(len(items)), users))
    rank = np.arange(len(items)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    is_shown = rank < np.repeat(lengths // 2, lengths)
    items = items[shuffled]
    return Halves(
        _counts(users[is_shown], items[is_shown], poems.shape),
        _counts(users[~is_shown], items[~is_shown], poems.shape),
    )


def measure_vae(vae: VAE, poems: csr_array, *, seed: int = 0) -> Perplexities:
    """Measure a model on poems that it was not trained on.

    Parameters
    ----------
    vae : VAE
        With the multinomial likelihood and at least one member.
    poems : csr_array of float32, shape (n_poems, n_items)
        Counts over the model's items, at least one poem.
    seed : int
        Of the codes that are drawn, and of the halves.

    Notes
    -----
    `whole` is a bound: the code of a poem is that of the poem itself, and the KL divergence from
    N(0, I) is what it costs. It is near the truth only for models that were trained on counts
    with the whole KL. `completion` is no bound: the code is the mean of the shown half's.
    """
    halves = halve(poems, seed)
    return Perplexities(
        whole=perplexity(float(elbo(vae, poems, seed=seed).sum()), poems),
        completion=perplexity(_log_likelihood(vae, halves), halves.hidden),
    )


def measure_unigram(train: Interactions, poems: csr_array, *, seed: int = 0) -> Perplexities:
    """Measure the shares of the characters in training, the same for every poem.

    Parameters
    ----------
    train : Interactions
        Counts; every item has at least one.
    poems : csr_array of float32, shape (n_poems, n_items)
    seed : int
        Of the halves.
    """
    counts = np.asarray(train.matrix.sum(axis=0, dtype=np.float64))
    log_shares = np.log(counts / counts.sum())
    hidden = halve(poems, seed).hidden
    return Perplexities(
        whole=perplexity(float((poems @ log_shares).sum()), poems),
        completion=perplexity(float((hidden @ log_shares).sum()), hidden),
    )


def perplexity(log_likelihood: float, poems: csr_array) -> float:
    """Give exp of minus the mean log-likelihood of a character.

    Examples
    --------
    >>> poems = csr_array(np.array([[2, 1]], dtype=np.float32))
    >>> round(perplexity(3 * np.log(1 / 8), poems), 6)
    8.0
    """
    return float(np.exp(-log_likelihood / poems.sum(dtype=np.float64)))


def _log_likelihood(vae: VAE, halves: Halves) -> float:
    n_poems, n_items = halves.hidden.shape
    total = 0.0
    for rows in blocks_of(n_poems, max(1, SCORES_AT_ONCE // n_items)):
        scores = log_softmax(vae.score(halves.shown[rows]), axis=1)
        total += float(halves.hidden[rows].multiply(scores).sum(dtype=np.float64))
    return total


def _counts(
    users: NDArray[np.int64], items: NDArray[np.integer], shape: tuple[int, int]
) -> csr_array:
    ones = np.ones(len(users), dtype=np.float32)
    matrix = csr_array((ones, (users, items)), shape=shape)
    matrix.sum_duplicates()
    return matrix
