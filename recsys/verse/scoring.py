"""Which of several couplets is the best: one stated score in nats a character."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from recsys.data.poems import Poem
from recsys.verse.antithesis import Antithesis
from recsys.verse.novelty import ExistingLines
from recsys.verse.themes import Themes

COMMONNESS_WEIGHT = 0.8
"""How much of the log-likelihood by the characters' frequency alone is taken away, so that what is
likely everywhere (不, 何, 千里) does not win everywhere (Li et al. 2016, section 3)."""

ORDINARY_CLOSENESS = 0.5
"""Half of a line's pairs of characters are what Tang lines share with another one now and then."""

CLOSENESS_WEIGHT = 2.0
"""Nats a character that a couplet loses by the closeness beyond the ordinary: 1 where a line of it
exists already."""

THEME_WEIGHT = 1.0
"""Nats a character that a couplet gains where its code points the way of the theme's."""

ANTITHESIS_WEIGHT = 3.0
"""Nats a character that a couplet gains by how parallel it is, where it has to be."""


@dataclass(frozen=True)
class Score:
    """Why a couplet, or a poem by the mean of its couplets, was preferred.

    Parameters
    ----------
    log_likelihood : float
        Nats a character under the model itself: at temperature 1, without masks and lift.
    commonness : float
        Nats a character by its frequency alone.
    closeness : float
        Of the line nearest to an existing one, from 0 to 1.
    theme : float
        Cosine with the theme's code, from -1 to 1; without a theme, with that of the couplets
        before, and 0 for the first.
    antithesis : float
        Parallelism of a couplet that has to be parallel; 0 for the others.
    """

    log_likelihood: float
    commonness: float
    closeness: float
    theme: float
    antithesis: float

    @property
    def total(self) -> float:
        """Their sum by weight; higher is better."""
        beyond = max(0.0, self.closeness - ORDINARY_CLOSENESS)
        return (
            self.log_likelihood
            - COMMONNESS_WEIGHT * self.commonness
            - CLOSENESS_WEIGHT * beyond
            + THEME_WEIGHT * self.theme
            + ANTITHESIS_WEIGHT * self.antithesis
        )

    @classmethod
    def mean(cls, scores: Sequence["Score"]) -> "Score":
        """Of the couplets of a poem."""
        return cls(**{each.name: fmean(map(attrgetter(each.name), scores)) for each in fields(cls)})


@dataclass(frozen=True, eq=False)
class Judge:
    """What couplets are scored by.

    Parameters
    ----------
    frequency : mapping of str to float
        Log of each character's share of the poems' text.
    existing : ExistingLines
    antithesis : Antithesis
    themes : Themes
    """

    frequency: Mapping[str, float]
    existing: ExistingLines
    antithesis: Antithesis
    themes: Themes

    def scores(
        self,
        couplets: Sequence[tuple[str, str]],
        log_likelihood: NDArray[np.float64],
        theme: NDArray[np.float32] | None,
        is_parallel: bool,
    ) -> list[Score]:
        """Score couplets of one length.

        Parameters
        ----------
        couplets : sequence of (str, str)
        log_likelihood : float64, shape (n_couplets,)
            Nats a couplet.
        theme : float32, shape (n_couplets, latent_dim), or None
            The code that each was written under.
        is_parallel : bool
            Whether they have to be parallel.
        """
        zeros = np.zeros(len(couplets))
        lines = [line for each in couplets for line in each]
        n_characters = sum(map(len, couplets[0]))
        frequencies = [self.frequency[each] for line in lines for each in line]
        parts = (
            log_likelihood / n_characters,
            np.reshape(frequencies, (-1, n_characters)).mean(axis=1),
            self.existing.closeness(lines).reshape(-1, 2).max(axis=1),
            zeros if theme is None else self.themes.closeness(list(map("".join, couplets)), theme),
            self.antithesis.parallelism(couplets) if is_parallel else zeros,
        )
        return [Score(*map(float, each)) for each in zip(*parts, strict=True)]


def log_frequency(poems: Iterable[Poem], characters: Iterable[str]) -> dict[str, float]:
    """Log of the share of each of the characters in the poems' lines; in nats.

    Parameters
    ----------
    poems : iterable of Poem
    characters : iterable of str
        Each counts one more than it occurs, so that none has the share 0.
    """
    counts = Counter(each for poem in poems for line in poem.lines for each in line)
    plus_one = {each: counts[each] + 1 for each in characters}
    total = sum(plus_one.values())
    return {each: math.log(count / total) for each, count in plus_one.items()}
