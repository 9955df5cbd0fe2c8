"""The look-up's indexes as an artefact, built from model and poems, and stamped with both."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from recsys import storage
from recsys.data.artefact import InteractionStore
from recsys.data.histories import blocks_of
from recsys.data.poem_units import Unit
from recsys.data.poems import Poem
from recsys.errors import ArtefactError, ConfigError
from recsys.index.cell_index import CellIndex
from recsys.index.item_index import ItemIndex
from recsys.vae.model import VAE
from recsys.verse.directions import Directions
from recsys.verse.lookup import (
    Parts,
    PoemLookup,
    histories_of,
    texts_of_couplets,
    texts_of_lines,
)
from recsys.verse.pairs import PairEncoder, PairsConfig, PairsReport, train_pairs

KIND = "lookup"
FORMAT_VERSION = 3
"""An older look-up is built anew: it is made of model and poems, and holds nothing else."""

MADE_BY = "recsys similar --poem"

TEXTS_AT_ONCE = 8192

Progress = Callable[[str, int, int], None]
"""Receives what is being done, how much of it is, and how much there is in all."""


def build_lookup(
    vae: VAE,
    store: InteractionStore,
    model: storage.Artefact,
    path: Path,
    *,
    config: PairsConfig | None = None,
    progress: Progress | None = None,
) -> None:
    """Train the pair encoder, encode poems, couplets and lines, and write their indexes.

    Parameters
    ----------
    vae : VAE
    store : InteractionStore
        Of poems.
    model : storage.Artefact
        Where `vae` was loaded from.
    path : Path
        Replaced whole; a crash leaves what stood there.
    config : PairsConfig or None
    progress : callable or None

    Raises
    ------
    ConfigError
        The model is of neighbours alone, or the workspace holds no poems.
    """
    vae.require_codes("poems are compared")
    config = config or PairsConfig()
    poems, unit = _poems(store), unit_of(store)
    report = progress or (lambda what, done, total: None)

    def on_epoch(each: PairsReport) -> None:
        report("training on halves of poems", each.epoch, each.n_epochs)

    couplets, of_couplet = _split(texts_of_couplets(poems))
    histories = histories_of(couplets, unit, vae.items)
    authors = [each.author for each in poems]
    pairs = train_pairs(histories, of_couplet, authors, config, on_epoch=on_epoch)
    directions = Directions.around(vae, pairs, histories)
    lines, of_line = _split(texts_of_lines(poems))
    texts = {"poems": [each.text for each in poems], "couplets": couplets, "lines": lines}
    vectors = {name: _encoded(each, name, directions, unit, report) for name, each in texts.items()}
    fingerprints = {
        "model": model.manifest.fingerprint,
        "events": store.fingerprint,
        "poems": store.artefact.manifest.fingerprint,
    }
    with storage.writing(
        path,
        KIND,
        FORMAT_VERSION,
        config={"pairs": asdict(config)},
        metrics={f"n_{name}": len(each) for name, each in texts.items()},
        fingerprints=fingerprints,
    ) as folder:
        save_file(pairs.tensors(), folder / "pairs.safetensors")
        save_file({"centre": directions.centre}, folder / "centre.safetensors")
        save_file(
            {"couplets": of_couplet.astype(np.int32), "lines": of_line.astype(np.int32)},
            folder / "poem_of.safetensors",
        )
        ItemIndex.of(vectors["poems"]).save(folder / "poems.faiss")
        for name in ("couplets", "lines"):
            CellIndex.of(vectors[name]).save(folder / f"{name}.faiss")


def is_current(path: Path, model: storage.Artefact, store: InteractionStore) -> bool:
    """Whether a look-up of this format is there that was built from this model and these poems."""
    folder = storage.existing_folder(path)
    if folder is None:
        return False
    manifest = storage.read_manifest(folder)
    built_from = manifest.fingerprints
    return (
        manifest.format_version == FORMAT_VERSION
        and built_from.get("model") == model.manifest.fingerprint
        and built_from.get("poems") == store.artefact.manifest.fingerprint
    )


def load_lookup(path: Path, vae: VAE, store: InteractionStore) -> PoemLookup:
    """Load a look-up that `is_current`.

    Raises
    ------
    ArtefactError
        Missing or damaged, or its files do not fit together.
    """
    artefact = storage.open_artefact(path, KIND, FORMAT_VERSION, made_by=MADE_BY)
    poems = _poems(store)
    try:
        pairs = PairEncoder.of_tensors(load_file(artefact.file("pairs.safetensors")))
        centre = load_file(artefact.file("centre.safetensors"))["centre"]
        poem_of = load_file(artefact.file("poem_of.safetensors"))
        directions = Directions(vae, pairs, centre)
        lookup = PoemLookup(
            poems=poems,
            unit=unit_of(store),
            directions=directions,
            whole=ItemIndex.load(artefact.file("poems.faiss")),
            **{
                name: Parts(CellIndex.load(artefact.file(f"{name}.faiss")), poem_of[name])
                for name in ("couplets", "lines")
            },
        )
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise ArtefactError(f"{path} is not whole ({error}): delete it") from error
    parts = (lookup.couplets, lookup.lines)
    of_dim = lookup.whole.dim == directions.dim and all(
        each.index.holds(directions.dim) for each in parts
    )
    of_parts = all(len(each.index) == len(each.poem_of) for each in parts)
    if len(lookup.whole) != len(poems) or not of_dim or not of_parts:
        raise ArtefactError(f"the files of {path} do not fit together: delete it")
    return lookup


def unit_of(store: InteractionStore) -> Unit:
    """What an item of the poems is."""
    return "word" if store.artefact.manifest.config.get("unit") == "word" else "character"


def require_poems(store: InteractionStore) -> None:
    """Refuse users that are no poems.

    Raises
    ------
    ConfigError
    """
    if store.user_table.empty:
        raise ConfigError(f"{store.artefact.path} holds no poems: run `recsys ingest --poems FILE`")


def _poems(store: InteractionStore) -> list[Poem]:
    """Those that are users: the filters of `recsys ingest` may have dropped others."""
    require_poems(store)
    poems = store.poems()
    known = store.interactions.users.find([each.id for each in poems]) >= 0
    return [each for each, is_known in zip(poems, known, strict=True) if is_known]


def _split(texts: Iterable[tuple[int, str]]) -> tuple[list[str], NDArray[np.int64]]:
    positions, found = zip(*texts, strict=True)
    return list(found), np.array(positions, dtype=np.int64)


def _encoded(
    texts: list[str], name: str, directions: Directions, unit: Unit, report: Progress
) -> NDArray[np.float32]:
    vectors = np.empty((len(texts), directions.dim), dtype=np.float32)
    for rows in blocks_of(len(texts), TEXTS_AT_ONCE):
        block = slice(rows[0], rows[-1] + 1)
        vectors[block] = directions.of(histories_of(texts[block], unit, directions.vae.items))
        report(f"encoding {name}", int(rows[-1]) + 1, len(texts))
    return vectors
