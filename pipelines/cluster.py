"""recsys cluster: k-means on the latent codes, and what tells each cluster."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa
from rich.console import RenderableType

from recsys.data.holdout import counted

from .options import Session, epilog, stage, threads_option, use_machine
from .output import Record, Shape, emit, format_of, note, progress_bar, titled_table

if TYPE_CHECKING:
    from recsys.clusters import Cluster, Codes, Kind, Quality
    from recsys.index.kmeans import KMeans
    from recsys.vae.model import VAE

on_option = click.option(
    "--on",
    "kind",
    type=click.Choice(["users", "items", "poems"]),
    required=True,
    help="What the points are; poems are the users of data that were ingested as poems.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=42, show_default=True, metavar="N"
)


def _table_file(
    context: click.Context, option: click.Parameter, output: Path | None
) -> Path | None:
    if output is not None:
        format_of(output)
    return output


@click.command(
    short_help="Group users, items or poems by their latent codes.",
    epilog=epilog("recsys cluster --on items -k 5"),
)
@on_option
@click.option("-k", "k", type=int, default=10, show_default=True, metavar="N", help="Clusters.")
@seed_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_table_file,
    metavar="FILE",
    help="Write everybody's cluster to FILE too: .csv, .parquet, .json or .ndjson.",
)
@threads_option
@stage
def cluster(
    session: Session, kind: "Kind", k: int, seed: int, output: Path | None, threads: int | None
) -> None:
    """Group users, items or poems by k-means on their latent codes.

    Each cluster shows its size, what tells it from the others (items or characters; of items, the
    values in their table; by log-odds in standard deviations), and the members next to its
    centre. The same k-means on 50 dimensions of latent semantic analysis (LSA-50) stands beside:
    silhouette, and normalised mutual information with what is known of the members.
    """
    from recsys.clusters import describe, lsa_vectors, quality
    from recsys.index.kmeans import kmeans

    settings = session.settings(machine__threads=threads).settings
    device = use_machine(settings.machine)
    codes, _ = load_codes(session, kind, device)
    found = kmeans(codes.vectors, k, seed)
    beside = lsa_vectors(codes.rows, seed)
    qualities = {
        "vae": quality(codes.vectors, found, codes.attributes, seed),
        f"lsa-{beside.shape[1]}": quality(beside, kmeans(beside, k, seed), codes.attributes, seed),
    }
    record = _record(codes, describe(codes, found), qualities, k, seed)
    if output is not None:
        emit(_assignments(codes, found), _assignment_shape(codes), None, output)
    emit([record], _shape(), session.format, None)


def load_codes(session: Session, kind: "Kind", device: str) -> "tuple[Codes, VAE]":
    """Load the model and give everybody's code, with a bar while histories are encoded."""
    from recsys.clusters import item_codes, user_codes
    from recsys.data.artefact import open_interactions
    from recsys.index.artefact import open_index
    from recsys.vae.artefact import load_model, open_model

    workspace = session.workspace
    model = open_model(workspace.model)
    store = open_interactions(workspace.interactions)
    vae = load_model(model, device)
    if kind == "items":
        directions = open_index(workspace.index, expected_model=model).item_directions
        # A copy: the index's own memory goes when it does.
        return item_codes(vae, store, directions.vectors.copy()), vae
    with progress_bar() as bar:
        task = bar.add_task("encoding", total=None)
        codes = user_codes(
            kind,
            vae,
            store,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    unknown = int((vae.items.find(store.interactions.items.ids) < 0).sum())
    if unknown:
        noun = store.artefact.manifest.config.get("unit", "item")
        note(f"{counted(unknown, noun)} that the model has not met count for nothing")
    return codes, vae


def _record(
    codes: "Codes",
    clusters: "list[Cluster]",
    qualities: "dict[str, Quality]",
    k: int,
    seed: int,
) -> Record:
    return {
        "on": codes.kind,
        "n": len(codes),
        "k": k,
        "seed": seed,
        "quality": {name: asdict(each) for name, each in qualities.items()},
        "clusters": [
            {
                "cluster": each.number,
                "size": each.size,
                "telling": [{"name": name, "log_odds": odds} for name, odds in each.telling],
                "nearest": [_member(codes, position) for position in each.nearest],
            }
            for each in clusters
        ],
    }


def _member(codes: "Codes", position: int) -> dict[str, str]:
    title = codes.titles[position]
    return {"id": codes.ids.ids[position], **({"title": title} if title else {})}


def _shape() -> Shape:
    return Shape(
        columns=[
            ("cluster", pa.int32()),
            ("size", pa.int64()),
            ("telling", pa.string()),
            ("nearest", pa.string()),
        ],
        rows=lambda record: (
            (
                each["cluster"],
                each["size"],
                "|".join(one["name"] for one in each["telling"]),
                "|".join(one["id"] for one in each["nearest"]),
            )
            for each in record["clusters"]
        ),
        tables=lambda records: (each for one in records for each in _tables(one)),
        single=True,
    )


def _tables(record: Record) -> Iterator[RenderableType]:
    heading = f"{record['n']:,} {record['on']} in {counted(record['k'], 'cluster')}"
    table = titled_table(
        heading, "cluster", "size", "most telling", "nearest", right=("cluster", "size")
    )
    for each in record["clusters"]:
        telling = " · ".join(one["name"] for one in each["telling"])
        nearest = " · ".join(one.get("title", one["id"]) for one in each["nearest"][:4])
        table.add_row(str(each["cluster"]), f"{each['size']:,}", telling, nearest)
    yield table
    yield ""
    names = list(next(iter(record["quality"].values()))["nmi"])
    columns = ["codes", "silhouette", *(f"NMI {name} (by chance)" for name in names)]
    table = titled_table("Beside latent semantic analysis", *columns, right=columns[1:])
    for name, each in record["quality"].items():
        pairs = zip(each["nmi"].values(), each["nmi_by_chance"].values(), strict=True)
        cells = (f"{found:.3f} ({chance:.3f})" for found, chance in pairs)
        table.add_row(name, f"{each['silhouette']:.3f}", *cells)
    yield table


def _assignments(codes: "Codes", found: "KMeans") -> Iterator[Record]:
    attributes: Any = codes.attributes.to_dict("records")
    for position, known in enumerate(attributes):
        yield {
            codes.kind.removesuffix("s"): codes.ids.ids[position],
            "title": codes.titles[position],
            "cluster": int(found.assignments[position]) + 1,
            "distance": float(found.distances[position]),
            **known,
        }


def _assignment_shape(codes: "Codes") -> Shape:
    return Shape(
        columns=[
            (codes.kind.removesuffix("s"), pa.string()),
            ("title", pa.string()),
            ("cluster", pa.int32()),
            ("distance", pa.float32()),
            *((str(name), pa.string()) for name in codes.attributes.columns),
        ],
        rows=lambda record: (tuple(record.values()),),
        tables=lambda records: (),
    )
