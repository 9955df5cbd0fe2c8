"""Whole poems, couplet by couplet: each the best of several candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from recsys.data.histories import blocks_of
from recsys.errors import ConfigError, DataError
from recsys.verse.antithesis import PARALLEL_COUPLETS, PARALLEL_FORMS
from recsys.verse.couplet_model import CoupletModel, PoemForm, Setting
from recsys.verse.decoding import OPEN, Places, decode
from recsys.verse.masks import Masks, same_characters
from recsys.verse.novelty import NearestLine
from recsys.verse.prosody import Verdict, check
from recsys.verse.requests import Plan, Request, plans
from recsys.verse.scoring import Judge, Score
from recsys.verse.tones import ToneTable

THEME_LIFT = 0.6
"""Share of the lift by the theme that is added to the logits (`Themes.lift`)."""

_FORMS: dict[str, PoemForm] = {"jueju": "jueju", "lvshi": "lvshi"}

COUPLETS_AT_ONCE = 512
"""Candidates that are written together: their logits, some 25 kB each, are then small enough to
stay in the heap, which is three times as fast as memory that comes and goes."""


@dataclass(frozen=True)
class Sampling:
    """How poems are drawn.

    Parameters
    ----------
    temperature : float
        Divides the logits.
    candidates : int
        Couplets that are drawn for each one that is kept.
    seed : int

    Raises
    ------
    ConfigError
        Out of range.
    """

    temperature: float = 0.85
    candidates: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise ConfigError(f"temperature is {self.temperature}, expected 0 to 10")
        if not 1 <= self.candidates <= COUPLETS_AT_ONCE:
            raise ConfigError(f"candidates is {self.candidates}, expected 1 to {COUPLETS_AT_ONCE}")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}, expected 0 or more")


@dataclass(frozen=True)
class WrittenPoem:
    """A poem, and what there is to say of it.

    Parameters
    ----------
    lines : tuple of str
    plan : Plan
    verdict : Verdict or None
        The checker's; None for free verse.
    score : Score
        The mean of its couplets'.
    nearest : tuple of NearestLine or None
        Per line.
    """

    lines: tuple[str, ...]
    plan: Plan
    verdict: Verdict | None
    score: Score
    nearest: tuple[NearestLine | None, ...]


@dataclass(frozen=True, eq=False)
class Composer:
    """Everything that writing takes, loaded.

    Parameters
    ----------
    model : CoupletModel
    judge : Judge
    table : ToneTable
    rhyme_weights : mapping of str to float
        How often verse rhymes in each group.
    """

    model: CoupletModel
    judge: Judge
    table: ToneTable
    rhyme_weights: Mapping[str, float]

    def compose(
        self,
        request: Request,
        n: int = 1,
        sampling: Sampling | None = None,
        theme: str = "",
    ) -> list[WrittenPoem]:
        """Write poems.

        Parameters
        ----------
        request : Request
        n : int
        sampling : Sampling or None
            Same sampling, same poems.
        theme : str
            Characters, or a whole poem, whose code all couplets are written under; "" for none.

        Raises
        ------
        ConfigError
            n is below 1, or no tone pattern or rhyme has room for what is given.
        DataError
            The model has not met what is given, or found no character for a place.

        Notes
        -----
        A couplet is drawn `candidates` times from as many latent codes, and the one with the
        highest `Score.total` stays; the next couplet may use none of its characters in any form.
        Without a theme the first couplet sets it: those that follow are written under the code
        of what stands already.
        """
        if n < 1:
            raise ConfigError(f"n is {n}, expected at least 1")
        sampling = sampling or Sampling()
        rng = np.random.default_rng(sampling.seed)
        masks = self._free_masks if request.free else self._masks
        table = None if request.free else self.table
        planned = plans(request, table, masks, self.rhyme_weights, n, rng)
        given = self._given(request)
        poems: list[WrittenPoem] = []
        for block in blocks_of(n, max(1, COUPLETS_AT_ONCE // sampling.candidates)):
            of_block = [planned[each] for each in block]
            draft = _Draft(
                *(request, of_block, given, masks, self._forms, sampling, rng),
                *(self.model, self.judge),
            )
            poems += self._finished(request, of_block, draft.write(theme))
        return poems

    def _finished(
        self, request: Request, planned: Sequence[Plan], written: "Sequence[Sequence[_Couplet]]"
    ) -> list[WrittenPoem]:
        """Check the poems, and find the nearest existing line of each of their lines."""
        of_poems = [tuple(line for each in poem for line in each.lines) for poem in written]
        nearest = iter(self.judge.existing.nearest([line for each in of_poems for line in each]))
        poems = []
        for lines, plan, couplets in zip(of_poems, planned, written, strict=True):
            verdict = None if request.free else check(lines, request.form, self.table)
            assert verdict is None or verdict.ok, (lines, verdict)
            score = Score.mean([each.score for each in couplets])
            poems.append(
                WrittenPoem(lines, plan, verdict, score, tuple(islice(nearest, len(lines))))
            )
        return poems

    def _given(self, request: Request) -> dict[tuple[int, int], int]:
        """Positions in the vocabulary of what is given."""
        unknown = [each for each in request.given.values() if each not in self._position]
        if unknown:
            listed = ", ".join(dict.fromkeys(unknown))
            raise DataError(
                f"the model has not met {listed}: it knows the {len(self._position):,} most "
                "frequent characters of its poems; choose others"
            )
        return {place: self._position[each] for place, each in request.given.items()}

    @cached_property
    def _position(self) -> dict[str, int]:
        return {each: at for at, each in enumerate(self.model.characters) if len(each) == 1}

    @cached_property
    def _forms(self) -> NDArray[np.int64]:
        return same_characters(self.model.characters)

    @cached_property
    def _masks(self) -> Masks:
        return Masks.of(self.model.characters, self.table)

    @cached_property
    def _free_masks(self) -> Masks:
        return Masks.of(self.model.characters, None)


@dataclass(frozen=True)
class _Couplet:
    lines: tuple[str, str]
    score: Score


@dataclass(frozen=True, eq=False)
class _Draft:
    """Poems that are being written, side by side."""

    request: Request
    planned: Sequence[Plan]
    given: Mapping[tuple[int, int], int]
    masks: Masks
    forms: NDArray[np.int64]
    sampling: Sampling
    rng: np.random.Generator
    model: CoupletModel
    judge: Judge

    def write(self, theme: str) -> list[list[_Couplet]]:
        """Give the couplets of each poem."""
        n = len(self.planned)
        used = np.zeros((n, len(self.model.characters)), dtype=bool)
        used[:, self.forms[list(self.given.values())]] = True
        encode = self.judge.themes.encode
        code = np.tile(encode([theme]), (n, 1)) if theme else None
        written: list[list[_Couplet]] = [[] for _ in range(n)]
        for at in range(len(self.planned[0].lines) // 2):
            if at and not theme:
                code = encode(["".join("".join(each.lines) for each in poem) for poem in written])
            for poem, couplet in zip(written, self._couplets(at, used, code), strict=True):
                poem.append(couplet)
        return written

    def _couplets(
        self, at: int, used: NDArray[np.bool_], code: NDArray[np.float32] | None
    ) -> list[_Couplet]:
        """Write the poems' couplets at one place, and mark their characters as used."""
        n_candidates, n = self.sampling.candidates, len(self.planned)
        rows = np.repeat(np.arange(n), n_candidates)
        theme = None if code is None else code[rows]
        decoded = decode(
            self.model.writing(self._setting(at, theme), self._draw_codes),
            self._places(at, used, code),
            temperature=self.sampling.temperature,
            rng=self.rng,
        )
        texts = ["".join(map(self.model.characters.__getitem__, row)) for row in decoded.characters]
        width = self.request.width
        couplets = [(text[:width], text[width:]) for text in texts]
        is_parallel = self.request.form in PARALLEL_FORMS and at in PARALLEL_COUPLETS
        scores = self.judge.scores(couplets, decoded.log_likelihood, theme, is_parallel)
        totals = np.array([each.total for each in scores]).reshape(n, n_candidates)
        best = totals.argmax(axis=1) + np.arange(n) * n_candidates
        of_best = self.forms[decoded.characters[best]].reshape(n, -1)
        used[np.arange(n)[:, None], of_best] = True
        return [_Couplet(couplets[each], scores[each]) for each in best]

    def _setting(self, at: int, theme: NDArray[np.float32] | None) -> Setting:
        plans_of_rows = [plan for plan in self.planned for _ in range(self.sampling.candidates)]
        return Setting(
            [(plan.lines[2 * at], plan.lines[2 * at + 1]) for plan in plans_of_rows],
            [plan.rhyme for plan in plans_of_rows],
            theme,
            _FORMS.get(self.request.form.rpartition("-")[2]),
        )

    def _draw_codes(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        shape = (len(rows), self.model.latent_dim)
        return self.rng.standard_normal(shape, dtype=np.float32)

    def _places(self, at: int, used: NDArray[np.bool_], code: NDArray[np.float32] | None) -> Places:
        width = self.request.width
        given = np.full((1, 2 * width), OPEN, dtype=np.int64)
        for (line, place), character in self.given.items():
            if line // 2 == at:
                given[0, line % 2 * width + place] = character
        kinds = [
            self.masks.numbers(plan.kinds[2 * at] + plan.kinds[2 * at + 1]) for plan in self.planned
        ]
        n = self.sampling.candidates
        lift = None if code is None else np.float32(THEME_LIFT) * self.judge.themes.lift(code)
        return Places(
            kinds=np.repeat(kinds, n, axis=0),
            given=np.repeat(given, n * len(kinds), axis=0),
            used=np.repeat(used, n, axis=0),
            allowed=self.masks.allowed,
            forms=self.forms,
            lift=None if lift is None else np.repeat(lift, n, axis=0),
        )
