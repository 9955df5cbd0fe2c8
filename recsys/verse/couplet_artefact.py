"""A trained couplet VAE as an artefact, stamped with the model that gave the poems' codes."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from recsys import storage
from recsys.data.id_store import load_ids, save_ids
from recsys.data.ids import IdMap
from recsys.errors import ArtefactError
from recsys.vae.checkpoint import write_tensors
from recsys.verse.config import VerseConfig
from recsys.verse.couplet_module import make_module
from recsys.verse.couplet_vae import CoupletVAE
from recsys.verse.couplets import Vocabulary

KIND = "verse"
FORMAT_VERSION = 1
MADE_BY = "recsys train --verse"


def save_couplet_vae(
    model: CoupletVAE,
    path: Path,
    *,
    fingerprints: Mapping[str, str],
    metrics: Mapping[str, Any],
) -> None:
    """Write the model as one artefact.

    Parameters
    ----------
    model : CoupletVAE
    path : Path
        Replaced whole; a crash leaves what stood there.
    fingerprints : mapping
        "model": of the model that gave the poems' codes.
    metrics : mapping
        To keep in the manifest.
    """
    config = {
        "verse": asdict(model.config),
        "rhymes": list(model.vocabulary.rhymes),
        "poem_dim": model.module.poem_dim,
    }
    with storage.writing(
        path, KIND, FORMAT_VERSION, config=config, metrics=metrics, fingerprints=fingerprints
    ) as folder:
        weights = model.module.state_dict()
        tensors = {name: each.detach().cpu().contiguous() for name, each in weights.items()}
        write_tensors(tensors, folder / "weights.safetensors")
        characters = IdMap.in_order(model.vocabulary.characters, "character")
        save_ids(characters, folder / "characters.parquet")


def open_writer(path: Path, model: storage.Artefact, device: str = "cpu") -> CoupletVAE:
    """Load the couplet VAE that was trained beside a model.

    Parameters
    ----------
    path : Path
    model : storage.Artefact
        Of the bag-of-characters VAE.
    device : str

    Raises
    ------
    ArtefactError
        Missing or damaged, its files do not fit together, or it was trained beside another model.
    """
    artefact = storage.open_artefact(path, KIND, FORMAT_VERSION, made_by=MADE_BY)
    if artefact.manifest.fingerprints.get("model") != model.manifest.fingerprint:
        raise ArtefactError(
            f"{path} was trained beside another model than {model.path}, whose codes have since "
            f"changed; run `{MADE_BY}`"
        )
    characters = load_ids(artefact.file("characters.parquet"), "character", MADE_BY)
    try:
        settings = artefact.manifest.config
        config = VerseConfig(**settings["verse"])
        vocabulary = Vocabulary(tuple(characters.ids.tolist()), tuple(settings["rhymes"]))
        with torch.device("meta"):  # weights that are replaced at once
            module = make_module(
                len(vocabulary), len(vocabulary.rhymes), settings["poem_dim"], config
            )
        weights = load_file(artefact.file("weights.safetensors"), device=device)
        module.load_state_dict(weights, assign=True)
    except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ArtefactError(f"{path} is not whole ({reason}); run `{MADE_BY}`") from error
    return CoupletVAE(config, vocabulary, module.eval())
