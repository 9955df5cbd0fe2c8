"""A picture of the latent space in two dimensions: projection, path, PNG, and one HTML page."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ConfigError
from recsys.index.item_index import unit_vectors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Method = Literal["pca", "umap"]

MOST_COLOURS = 12
"""Groups with a colour of their own, the most frequent ones; all others share grey."""

COLOURS = (
    *("#4269d0", "#e8821e", "#e0435a", "#2fa39a", "#3f9a47", "#a463f2"),
    *("#d655a8", "#8a6a4f", "#b09a00", "#5aa9e6", "#7a4ab8", "#c0572b"),
)
GREY = "#8d929b"
LINE = "#c9c6bf"
HAN_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK JP", "Noto Serif CJK SC"),
    *("Source Han Sans SC", "Source Han Sans TC", "Source Han Sans", "Source Han Serif SC"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "PingFang SC", "Hiragino Sans GB"),
    *("Heiti TC", "Songti SC", "Arial Unicode MS", "Microsoft YaHei", "SimHei", "SimSun"),
)
CAPTION_WIDTH = 130
LEGEND_WIDTH = 44
NUMBER_SHARE = 0.02
"""Of the picture's width, what a number on a path takes."""
_GRID = 65535
"""Coordinates are written as integers from 0 to this: finer than any screen."""


@dataclass(frozen=True, eq=False)
class Projection:
    """From the latent space to the plane.

    Parameters
    ----------
    points : float64, shape (n, 2)
    method : {"pca", "umap"}
    explained : float
        PCA: the plane's share of the variance; UMAP: nan.
    reducer : object
        What `place` asks: PCA's mean and axes, or the fitted UMAP.
    """

    points: NDArray[np.float64]
    method: Method
    explained: float
    reducer: Any

    def place(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Project more vectors of the same space; float64, shape (n, 2)."""
        if self.method == "umap":
            return np.asarray(self.reducer.transform(vectors), dtype=np.float64)
        mean, axes = self.reducer
        return np.asarray((vectors - mean) @ axes)


def project(vectors: NDArray[np.float32], method: Method, seed: int) -> Projection:
    """Lay vectors out in the plane.

    Parameters
    ----------
    vectors : float32, shape (n, dim)
    method : {"pca", "umap"}
        Principal components keep straight lines straight; UMAP (McInnes et al. 2018) keeps
        neighbours together and says nothing by its long distances.
    seed : int
        UMAP's; PCA has no chance in it.

    Raises
    ------
    ConfigError
        umap-learn is not installed, or there are too few vectors.
    """
    if len(vectors) < 3:
        raise ConfigError(f"there are {len(vectors)} points to map, expected at least 3")
    return _pca(vectors) if method == "pca" else _umap(vectors, seed)


@dataclass(frozen=True, eq=False)
class Colouring:
    """Which group each point is in.

    Parameters
    ----------
    title : str
        What the colours stand for.
    names : tuple of str
        At most `MOST_COLOURS`, and "other" at the end for the rest, the unknown and whatever is
        called so.
    groups : int64, shape (n,)
        Positions in `names`.
    colours : tuple of str
        One a name, as #rrggbb.
    """

    title: str
    names: tuple[str, ...]
    groups: NDArray[np.int64]
    colours: tuple[str, ...]

    @classmethod
    def of(cls, title: str, values: Sequence[str], equals: Sequence[str] = ()) -> "Colouring":
        """Colour by a value each, the most frequent first; `equals` orders the equally frequent.

        Examples
        --------
        >>> found = Colouring.of("author", ["Li", "Du", "Li", ""])
        >>> found.names, found.groups.tolist()
        (('Li', 'Du', 'other'), [0, 1, 0, 2])
        """
        # One more for each changes nothing but which of the equally frequent is met first.
        counts = Counter(each for each in (*equals, *values) if each not in ("", "other"))
        names = [name for name, _ in counts.most_common(MOST_COLOURS)]
        place = {name: position for position, name in enumerate(names)}
        groups = np.array([place.get(each, len(names)) for each in values], dtype=np.int64)
        colours = list(COLOURS[: len(names)])
        if (groups == len(names)).any():
            names, colours = [*names, "other"], [*colours, GREY]
        return cls(title, tuple(names), groups, tuple(colours))


@dataclass(frozen=True, eq=False)
class LatentPath:
    """The straight way between two points.

    Parameters
    ----------
    ends : tuple of str
        Their names.
    positions : tuple of int
        Theirs among the points.
    vectors : float32, shape (n_points, dim)
    decoded : tuple of tuple of str
        What the model decodes at each, the most telling first.
    """

    ends: tuple[str, str]
    positions: tuple[int, int]
    vectors: NDArray[np.float32]
    decoded: tuple[tuple[str, ...], ...]


def nearest_on_path(
    directions: NDArray[np.float32], vectors: NDArray[np.float32], names: Sequence[str], n: int
) -> tuple[tuple[str, ...], ...]:
    """Name the items whose directions are nearest to points between items, by their cosine."""
    cosines = unit_vectors(vectors) @ directions.T
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :n]
    return tuple(tuple(names[place] for place in row) for row in best)


@dataclass(frozen=True, eq=False)
class LatentMap:
    """Everything that a picture or a page shows.

    Parameters
    ----------
    title : str
    ids, labels : sequence of str
        Of each point; a label may be empty.
    details : sequence of str
        More about each point, for the page.
    projection : Projection
    colouring : Colouring
    path : LatentPath or None
    """

    title: str
    ids: Sequence[str]
    labels: Sequence[str]
    details: Sequence[str]
    projection: Projection
    colouring: Colouring
    path: LatentPath | None = None

    @property
    def subtitle(self) -> str:
        """How the points came to be where they are."""
        if self.projection.method == "umap":
            return "UMAP: neighbours stay together, long distances mean nothing"
        return f"first two principal components: {self.projection.explained:.1%} of the variance"

    def places(self, path: LatentPath) -> NDArray[np.float64]:
        """Where a path lies in the plane: from one of the points to the other, exactly.

        UMAP only estimates where a vector lies, of its own points too.
        """
        places = self.projection.place(path.vectors)
        places[[0, -1]] = self.projection.points[list(path.positions)]
        return places


def page(shown: LatentMap) -> str:
    """Write one HTML page that needs nothing but itself.

    All text goes in as JSON whose `<`, `>` and `&` are escaped, and is shown as text only.
    """
    points = shown.projection.points
    low = points.min(axis=0)
    # One scale for both axes, so that the plane keeps its shape.
    scale = _GRID / max(float((points.max(axis=0) - low).max()), 1e-12)
    grid = np.rint((points - low) * scale).astype(np.int64)
    content: dict[str, Any] = {
        "title": shown.title,
        "subtitle": shown.subtitle,
        "x": grid[:, 0].tolist(),
        "y": grid[:, 1].tolist(),
        "ids": list(shown.ids),
        "labels": list(shown.labels),
        "details": list(shown.details),
        "group": shown.colouring.groups.tolist(),
        "names": shown.colouring.names,
        "colours": shown.colouring.colours,
        "colouredBy": shown.colouring.title,
        "path": None,
    }
    if shown.path is not None:
        placed = (shown.places(shown.path) - low) * scale
        content["path"] = {
            "ends": shown.path.ends,
            "points": np.rint(placed).astype(np.int64).tolist(),
            "decoded": shown.path.decoded,
        }
    template = resources.files("recsys").joinpath("map_page.html").read_text(encoding="utf-8")
    return template.replace("/*DATA*/", _script_safe(content), 1)


def picture(shown: LatentMap) -> bytes:
    """Draw a PNG.

    Raises
    ------
    ConfigError
        matplotlib is not installed, or no font has the characters.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError(
            "a picture needs matplotlib: pip install 'recsys-vae[map]', or write a page (.html)"
        ) from error
    from matplotlib import rc_context

    colouring, caption = shown.colouring, "" if shown.path is None else _caption(shown.path)
    texts = [shown.title, shown.subtitle, colouring.title, *colouring.names, caption]
    # Around everything: a text takes its font when it is made, and axes make theirs at once.
    with rc_context({"font.family": fonts_for("".join(texts))}):
        figure = Figure(figsize=(11, 8), dpi=150, layout="constrained")
        axes = figure.add_subplot()
        _scatter(axes, shown.projection.points, colouring)
        if shown.path is not None:
            _draw_path(axes, shown.places(shown.path), shown.projection.points)
        axes.set_title(f"{_plain(shown.title)}\n", fontsize=13, loc="left")
        axes.text(0, 1.01, _plain(shown.subtitle), transform=axes.transAxes, fontsize=9)
        axes.set_xlabel(_plain(caption), fontsize=9, loc="left")
        axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        axes.spines[:].set_color(LINE)
        axes.legend(
            title=_plain(colouring.title),
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            frameon=False,
            fontsize=9,
            alignment="left",
            handletextpad=0.2,
        )
        stream = BytesIO()
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _scatter(axes: "Axes", points: NDArray[np.float64], colouring: Colouring) -> None:
    size = min(24.0, max(1.5, 20_000 / len(points)))
    # In a random order, so that no group covers the others, but grey lies beneath.
    order = np.random.default_rng(0).permutation(len(points))
    is_grey = np.array(colouring.colours)[colouring.groups[order]] == GREY
    order = np.concatenate([order[is_grey], order[~is_grey]])
    colours = np.array(colouring.colours)[colouring.groups[order]]
    axes.scatter(points[order, 0], points[order, 1], c=colours, s=size, alpha=0.6, linewidths=0)
    for name, colour in zip(colouring.names, colouring.colours, strict=True):
        label = name if len(name) <= LEGEND_WIDTH else f"{name[: LEGEND_WIDTH - 2]} …"
        axes.scatter([], [], c=colour, s=40, label=_plain(label))


def _draw_path(axes: "Axes", places: NDArray[np.float64], points: NDArray[np.float64]) -> None:
    gaps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    # Between the ends, numbers if they have room, else dots.
    has_room = gaps.min() > NUMBER_SHARE * float(np.ptp(points, axis=0).max())
    axes.plot(places[:, 0], places[:, 1], "o-", color="black", markersize=4, linewidth=1.5)
    for number, place in enumerate(places, start=1):
        if has_room or number in (1, len(places)):
            axes.plot(*place, "o", color="black", markersize=10, markeredgecolor="white")
            axes.annotate(str(number), place, color="white", ha="center", va="center", fontsize=7)


def _caption(path: LatentPath) -> str:
    lines = [
        shorten(f"{number}  {' · '.join(names)}", CAPTION_WIDTH, placeholder=" …")
        for number, names in enumerate(path.decoded, start=1)
    ]
    return "\n".join([" → ".join(path.ends), *lines])


def fonts_for(text: str) -> list[str]:
    """Find fonts that have every character of a text.

    Raises
    ------
    ConfigError
        There is none for some; names what to install.
    """
    from matplotlib import font_manager, ft2font

    listed = {each.name: each.fname for each in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(each for each in HAN_FONTS if each in listed)]
    missing = {each for each in text if each.isprintable() and not each.isspace()}
    needed: list[str] = []
    for family in families:
        has = {chr(code) for code in ft2font.FT2Font(listed[family]).get_charmap()}
        if missing & has or not needed:
            needed.append(family)
        missing -= has
        if not missing:
            return needed
    shown = "".join(sorted(missing)[:5])
    raise ConfigError(
        f"no font here has {shown!r}: install one with Chinese characters (Debian and Ubuntu: "
        "apt install fonts-noto-cjk), or write a page (.html), which uses the reader's fonts"
    )


def _pca(vectors: NDArray[np.float32]) -> Projection:
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.cov(vectors, rowvar=False).reshape(vectors.shape[1], -1)
    variances, axes = np.linalg.eigh(covariance)
    axes = axes[:, :-3:-1]
    if axes.shape[1] < 2:
        raise ConfigError("a code of one number has no plane: train with vae.latent_dim from 2 on")
    # The sign of an axis is arbitrary: make its largest weight positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(2)])
    explained = float(variances[-2:].sum() / max(float(variances.sum()), 1e-12))
    return Projection((vectors - mean) @ axes, "pca", explained, (mean, axes))


def _umap(vectors: NDArray[np.float32], seed: int) -> Projection:
    try:
        import umap
    except ModuleNotFoundError as error:
        raise ConfigError(
            "--method umap needs umap-learn: pip install 'recsys-vae[umap]', or use pca"
        ) from error
    neighbours = min(15, len(vectors) - 1)
    # One job is what a seed costs; saying so keeps UMAP from warning of it.
    reducer = umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1)
    points = np.asarray(reducer.fit_transform(vectors), dtype=np.float64)
    return Projection(points, "umap", math.nan, reducer)


def _script_safe(content: Any) -> str:
    """JSON that can neither end a script nor begin a comment in HTML."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _plain(text: str) -> str:
    """Without matplotlib's mathematics between dollar signs."""
    return text.replace("$", r"\$")
