"""recsys map: a picture of the latent space, as PNG or as one HTML page."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pyarrow as pa
from rich.console import RenderableType

from recsys.errors import ConfigError
from recsys.storage import write_atomically

from .cluster import load_codes, on_option, seed_option
from .options import Session, epilog, stage, threads_option, use_machine
from .output import Record, Shape, emit, note, titled_table

if TYPE_CHECKING:
    from recsys.clusters import Codes, Kind
    from recsys.maps import Colouring, LatentPath, Method
    from recsys.vae.model import VAE

SUFFIXES = (".png", ".html")
TOLD = 8
"""Items or characters named at each point of a path."""


def _suffix(context: click.Context, option: click.Parameter, output: Path) -> Path:
    if output.suffix not in SUFFIXES:
        raise ConfigError(f"--output {output}: expected a file that ends in .png or .html")
    return output


@dataclass(frozen=True)
class _Look:
    """What the picture shows, as it was asked for."""

    colour: str
    method: "Method"
    k: int
    seed: int


@click.command(
    "map",
    short_help="Draw users, items or poems as points of the latent space.",
    epilog=epilog("recsys map --on items --output map.html"),
)
@on_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    callback=_suffix,
    metavar="FILE",
    help="A picture (.png) or a page that opens in any browser, offline (.html).",
)
@click.option(
    "--colour",
    default="cluster",
    show_default=True,
    metavar="COLUMN",
    help="What colours stand for: cluster, or a column such as author, form or genres.",
)
@click.option(
    "--method",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="How many dimensions become two; umap needs the extra of that name.",
)
@click.option("-k", "k", type=int, default=10, show_default=True, metavar="N", help="Clusters.")
@click.option(
    "--path",
    "ends",
    nargs=2,
    metavar="ID ID",
    help="Mark the straight way between two points (of poems: titles, too), and what the model "
    "decodes along it.",
)
@seed_option
@threads_option
@stage
def map_(
    session: Session,
    kind: "Kind",
    output: Path,
    ends: tuple[str, str] | None,
    threads: int | None,
    **look: str | int,
) -> None:
    """Draw users, items or poems as points of the latent space, in two dimensions."""
    from recsys.maps import LatentMap, page, picture, project

    asked = _Look(**look)  # type: ignore[arg-type]
    settings = session.settings(machine__threads=threads).settings
    codes, vae = load_codes(session, kind, use_machine(settings.machine))
    if ends is not None and kind == "poems":
        ends = _poem_ids(session, ends)
    path = None if ends is None else _path(codes, vae, ends)
    shown = LatentMap(
        title=f"{len(codes):,} {kind}",
        ids=list(codes.ids.ids),
        labels=codes.titles,
        details=_details(codes),
        colouring=_colouring(codes, asked),
        projection=project(codes.vectors, asked.method, asked.seed),
        path=path,
    )
    # It says that a Chinese font has no normal weight; whether it has the characters is checked.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    content = picture(shown) if output.suffix == ".png" else page(shown).encode()
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, content)
    note(f"wrote {output}: {shown.title}, {shown.subtitle}")
    if path is not None:
        records = [
            {"point": number, "decoded": list(names)}
            for number, names in enumerate(path.decoded, start=1)
        ]
        emit(records, _path_shape(" → ".join(path.ends)), session.format, None)


def _colouring(codes: "Codes", asked: _Look) -> "Colouring":
    from recsys.clusters import describe
    from recsys.index.kmeans import kmeans
    from recsys.maps import Colouring

    if asked.colour == "cluster":
        found = kmeans(codes.vectors, asked.k, asked.seed)
        names = [
            f"{each.number}: {' · '.join(name for name, _ in each.telling)}".rstrip(": ")
            for each in describe(codes, found, n=3)
        ]
        values = [names[place] for place in found.assignments]
        return Colouring.of("clusters, and what tells them", values, equals=names)
    if asked.colour not in codes.attributes:
        known = ", ".join(["cluster", *map(str, codes.attributes.columns)])
        raise ConfigError(
            f"--colour {asked.colour}: nothing of that name is known of the {codes.kind}; "
            f"expected one of {known}"
        )
    cells = codes.attributes[asked.colour]
    several = cells.str.contains("|", regex=False).any()
    title = f"{asked.colour} (the first of several)" if several else asked.colour
    return Colouring.of(title, list(cells.str.partition("|")[0]))


def _poem_ids(session: Session, names: tuple[str, str]) -> tuple[str, str]:
    """Give the ids of two poems that are named by id or title."""
    from recsys.data.artefact import open_interactions
    from recsys.verse.finding import PoemNames

    known = PoemNames(open_interactions(session.workspace.interactions).poems())
    start, end = (known.poems[known.find(each)].id for each in names)
    return start, end


def _path(codes: "Codes", vae: "VAE", ends: tuple[str, str]) -> "LatentPath":
    from recsys.maps import LatentPath, nearest_on_path
    from recsys.vae.paths import decode_path, straight_path

    start, end = codes.ids.positions(ends)
    vectors = straight_path(codes.vectors[start], codes.vectors[end])
    if codes.kind == "items":
        names = [title or each for title, each in zip(codes.titles, codes.ids.ids, strict=True)]
        decoded = nearest_on_path(codes.vectors, vectors, names, TOLD)
    else:
        decoded = decode_path(vae, vectors, codes.feature_names, codes.vectors, TOLD)
    named = (codes.titles[start] or ends[0], codes.titles[end] or ends[1])
    return LatentPath(named, (int(start), int(end)), vectors, decoded)


def _details(codes: "Codes") -> list[str]:
    """What is known of each, in one line."""
    rows = codes.attributes.itertuples(index=False, name=None)
    return [" · ".join(each for each in row if each) for row in rows]


def _path_shape(title: str) -> Shape:
    def tables(records: Iterable[Record]) -> Iterator[RenderableType]:
        table = titled_table(title, "point", "decoded", right=("point",))
        for each in records:
            table.add_row(str(each["point"]), " · ".join(each["decoded"]))
        yield table

    return Shape(
        columns=[("point", pa.int32()), ("decoded", pa.string())],
        rows=lambda record: ((record["point"], "|".join(record["decoded"])),),
        tables=tables,
    )
