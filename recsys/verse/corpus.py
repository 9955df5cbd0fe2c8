"""The couplets of a workspace's poems, divided as the model of these poems was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.data.poems import Poem
from recsys.data.splits import Split
from recsys.vae.model import VAE
from recsys.verse.couplets import WIDTHS, Couplets, Vocabulary, Width
from recsys.verse.tones import ToneTable

ByWidth = Mapping[Width, Couplets]

VALIDATION_SHARE = 0.05
"""Of the training poems, where the model was trained without validation users."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Couplets by what they are for, and by their width.

    Parameters
    ----------
    vocabulary : Vocabulary
        Of the training poems.
    train, validation, test : mapping of int to Couplets
        Of different poems; no couplets where the model has no test users.
    """

    vocabulary: Vocabulary
    train: ByWidth
    validation: ByWidth
    test: ByWidth

    @classmethod
    def of(cls, poems: Sequence[Poem], split: Split, vae: VAE, table: ToneTable) -> "Corpus":
        """Take the couplets of the poems by the split of their model.

        Parameters
        ----------
        poems : sequence of Poem
        split : Split
            Of the poems as users. Those that the model was trained on in part are for training;
            without validation users a twentieth of the training poems takes their place.
        vae : VAE
            Gives the codes of the poems.
        table : ToneTable
        """
        parts = [[poems[each] for each in part] for part in _places(poems, split)]
        vocabulary = Vocabulary.of(parts[0], table)
        train, validation, test = (
            {width: Couplets.of(part, width, vocabulary, table, vae) for width in WIDTHS}
            for part in parts
        )
        return cls(vocabulary, train, validation, test)

    def sizes(self) -> str:
        """Count what there is to learn from, in words."""
        counts = ", ".join(
            f"{len(each):,} of {width} characters a line" for width, each in self.train.items()
        )
        held_out = sum(len(each) for each in self.validation.values())
        left_out = sum(
            each.n_left_out for part in (self.train, self.validation) for each in part.values()
        )
        return (
            f"couplets to train on: {counts}; {held_out:,} for validation; "
            f"{len(self.vocabulary) - 1:,} characters; {left_out:,} couplets with a rarer one are "
            "left out"
        )


def _places(poems: Sequence[Poem], split: Split) -> list[NDArray[np.int64]]:
    ids = [each.id for each in poems]
    in_train = split.train.users.find(ids) >= 0
    validation, test = (
        np.zeros(len(ids), dtype=np.bool_)
        if part is None
        else (part.fold_in.users.find(ids) >= 0) & ~in_train
        for part in (split.validation, split.test)
    )
    if not validation.any():
        validation = in_train & (np.random.default_rng(0).random(len(ids)) < VALIDATION_SHARE)
    return [np.flatnonzero(each) for each in (in_train & ~validation, validation, test)]
