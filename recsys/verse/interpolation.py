"""Couplets along the straight way between two: what the latent space holds between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.data.poems import Poem
from recsys.errors import ConfigError, DataError
from recsys.verse.couplet_model import CoupletModel, Setting
from recsys.verse.decoding import OPEN, Places, decode
from recsys.verse.masks import Masks

WIDTHS = (5, 7)
"""Lengths of the lines that the model writes."""

Couplet = tuple[str, str]


@dataclass(frozen=True)
class Step:
    """A point on the way.

    Parameters
    ----------
    share : float
        How far it is from the first couplet: 0 at it, 1 at the second.
    lines : (str, str)
        What the model decodes there.
    log_likelihood : float
        Nats a character under the model at that code; higher is likelier.
    """

    share: float
    lines: Couplet
    log_likelihood: float


def interpolate(model: CoupletModel, start: Couplet, end: Couplet, steps: int = 8) -> list[Step]:
    """Decode couplets at equal distances between the codes of two, ends included.

    Parameters
    ----------
    model : CoupletModel
    start, end : (str, str)
        Of the same length; what `couplet_of` gives.
    steps : int

    Returns
    -------
    list of Step
        The likeliest character at every place, none twice in a couplet, without prosody. The ends
        are what the model makes of the two couplets, not these themselves.

    Raises
    ------
    ConfigError
        Fewer than two steps, or couplets of different lengths.
    DataError
        The model has not met a character of them.
    """
    if steps < 2:
        raise ConfigError(f"steps is {steps}, expected at least 2: both ends are steps")
    if len(start[0]) != len(end[0]):
        raise ConfigError(
            f"{'，'.join(start)} has lines of {len(start[0])} characters and {'，'.join(end)} "
            f"of {len(end[0])}: choose two couplets of the same length"
        )
    known = set(model.characters)
    unknown = [each for each in "".join(start + end) if each not in known]
    if unknown:
        raise DataError(
            f"the model has not met {', '.join(dict.fromkeys(unknown))}; choose other couplets"
        )
    width = len(start[0])
    of_ends = model.codes([start, end])
    shares = np.linspace(0, 1, steps, dtype=np.float32)
    codes = (1 - shares[:, None]) * of_ends[0] + shares[:, None] * of_ends[1]
    open_lines = ("？" * width, "？" * width)
    setting = Setting([open_lines] * steps, [None] * steps, None)
    shape = (steps, 2 * width)
    places = Places(
        np.zeros(shape, dtype=np.int64),
        np.full(shape, OPEN, dtype=np.int64),
        np.zeros((steps, len(model.characters)), dtype=bool),
        Masks.of(model.characters, None).allowed,
    )
    decoded = decode(
        model.writing(setting, lambda rows: codes[rows]),
        places,
        temperature=0,
        rng=np.random.default_rng(0),
    )
    texts = ["".join(model.characters[each] for each in row) for row in decoded.characters]
    return [
        Step(float(share), (text[:width], text[width:]), float(likelihood) / (2 * width))
        for share, text, likelihood in zip(shares, texts, decoded.log_likelihood, strict=True)
    ]


def couplet_of(text: str, find: Callable[[str], Poem], to_source: Callable[[str], str]) -> Couplet:
    """Read a couplet, or take the first one of a poem that is named by id or title.

    Parameters
    ----------
    text : str
        Two lines of five or seven characters with a mark or a space between them; or a name.
    find : callable
        Finds a poem by its name, or raises.
    to_source : callable
        Brings verse to the characters of the poems; names stay as they are.

    Raises
    ------
    ConfigError
        The poem's first couplet is not one of five or seven characters a line.
    """
    lines = Poem("", "", "", (to_source(text),)).lines
    if _is_couplet(lines):
        return lines[0], lines[1]
    poem = find(text)
    if not _is_couplet(poem.lines[:2]):
        raise ConfigError(
            f"{poem.title or poem.id} begins with {'，'.join(poem.lines[:2])}; "
            "expected two lines of five or seven characters each"
        )
    return poem.lines[0], poem.lines[1]


def _is_couplet(lines: Sequence[str]) -> bool:
    lengths = [len(each) for each in lines]
    return len(lengths) == 2 and lengths[0] == lengths[1] and lengths[0] in WIDTHS
