"""A trained couplet VAE: what writes and reads couplets for `recsys.verse.composing`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.verse.config import VerseConfig
from recsys.verse.couplet_model import DrawCodes, Setting
from recsys.verse.couplet_module import CoupletModule, Told
from recsys.verse.couplets import FORMS, NOT_TOLD, Vocabulary, Width
from recsys.verse.decoding import Begin, NextCharacter
from recsys.verse.prosody import LEVEL, OBLIQUE
from recsys.verse.tones import Tone

_TONES = {LEVEL: Tone.LEVEL, OBLIQUE: Tone.OBLIQUE}


@dataclass(frozen=True, eq=False)
class CoupletVAE:
    """A couplet model, see `recsys.verse.couplet_model.CoupletModel`.

    Parameters
    ----------
    config : VerseConfig
    vocabulary : Vocabulary
    module : CoupletModule
        In evaluation mode.
    """

    config: VerseConfig
    vocabulary: Vocabulary
    module: CoupletModule

    @property
    def characters(self) -> Sequence[str]:
        """The vocabulary by position."""
        return self.vocabulary.characters

    @property
    def latent_dim(self) -> int:
        """Width of a couplet's code."""
        return self.module.latent_dim

    def writing(self, setting: Setting, codes: DrawCodes) -> Begin:
        """Prepare to write under a setting; each beginning asks for the codes of its rows."""
        width = _width(len(setting.patterns[0][0]))
        told = self._told(setting)

        def begin(rows: NDArray[np.int64]) -> NextCharacter:
            at = torch.from_numpy(rows).to(self._device)
            latents = torch.from_numpy(codes(rows)).to(self._device)
            with torch.inference_mode():
                here = Told(told.classes[at], told.poem_codes[at])
                following = self.module.writing(width, latents, here)

            @torch.inference_mode()
            def next_character(previous: NDArray[np.int64] | None) -> NDArray[np.float32]:
                before = None if previous is None else torch.from_numpy(previous).to(self._device)
                return np.asarray(following(before).cpu().numpy(), dtype=np.float32)

            return next_character

        return begin

    @torch.inference_mode()
    def codes(self, couplets: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Means of the posteriors of couplets of one width, whose characters are all known.

        Returns
        -------
        float32, shape (n_couplets, latent_dim)
        """
        number_of = self.vocabulary.number_of
        rows = [[number_of[each] for each in first + second] for first, second in couplets]
        mean, _ = self.module.encode(torch.tensor(rows, device=self._device))
        return np.asarray(mean.cpu().numpy(), dtype=np.float32)

    def sample(
        self, width: Width, n: int, temperature: float, rng: np.random.Generator
    ) -> list[tuple[str, str]]:
        """Write couplets freely, under codes drawn from N(0, I).

        Parameters
        ----------
        width : int
            Characters of a line.
        n : int
        temperature : float
            Divides the logits; 0 takes the likeliest character, as the talk does.
        rng : numpy.random.Generator
        """
        blank = "？" * width
        setting = Setting([(blank, blank)] * n, [None] * n, None)
        latents = rng.standard_normal((n, self.latent_dim), dtype=np.float32)
        following = self.writing(setting, lambda rows: latents[rows])(np.arange(n))
        written = np.zeros((n, 2 * width), dtype=np.int64)
        previous = None
        for place in range(2 * width):
            logits = following(previous)
            logits[:, 0] = -np.inf  # the mark of the beginning
            # The largest of logits with Gumbel noise is a draw from their softmax.
            logits += temperature * rng.gumbel(size=logits.shape).astype(np.float32)
            written[:, place] = previous = logits.argmax(axis=1)
        texts = [self.vocabulary.text(row) for row in written]
        return [(text[:width], text[width:]) for text in texts]

    def _told(self, setting: Setting) -> Told:
        form = NOT_TOLD if setting.form is None else FORMS.index(setting.form) + 1
        classes = [
            (form, self._tone_class(first), self.vocabulary.rhyme(rhyme))
            for (first, _), rhyme in zip(setting.patterns, setting.rhymes, strict=True)
        ]
        poem_codes = setting.theme
        if poem_codes is None:
            poem_codes = np.zeros((len(classes), self.module.poem_dim), dtype=np.float32)
        return Told(
            torch.tensor(classes, device=self._device),
            torch.from_numpy(poem_codes).to(self._device),
        )

    def _tone_class(self, line: str) -> int:
        second, last = (_TONES.get(line[at], Tone.UNKNOWN) for at in (1, -1))
        return self.vocabulary.tone_class(second, last)

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device


def _width(n: int) -> Width:
    return 5 if n == 5 else 7
