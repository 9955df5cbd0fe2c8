"""What the tests share: one tiny workspace, ingested, trained and indexed once a run."""

import csv
import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

# Before numpy and torch start their pools: on matrices this small two threads that wait for a busy
# core are up to sixty times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
DATASETS = Path(__file__).parents[2] / "shared" / "datasets"


@dataclass(frozen=True)
class Sample:
    """The bundled data set and its known answers."""

    genre_of: dict[str, str]
    tastes_of: dict[str, list[str]]
    favourite_of: dict[str, str]


@pytest.fixture(scope="session")
def sample() -> Sample:
    with open(SAMPLE / "items.csv", newline="", encoding="utf-8") as stream:
        genre_of = {row["item_id"]: row["genre"] for row in csv.DictReader(stream)}
    with open(SAMPLE / "tastes.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return Sample(
        genre_of,
        {row["user_id"]: row["tastes"].split("|") for row in rows},
        {row["user_id"]: row["favourite"] for row in rows},
    )


@pytest.fixture(scope="session")
def events():
    """The sample's rows in the order of their file."""
    from recsys.data.readers import read_events

    return read_events(SAMPLE / "interactions.csv")[0]


@pytest.fixture(scope="session")
def split(events):
    """60 users for validation, 60 for test, the rest to train on."""
    from recsys.data.splits import SplitConfig, split_events

    return split_events(events, SplitConfig("strong", 60, 60))


@pytest.fixture(scope="session")
def small_config():
    from recsys.vae.config import VAEConfig

    return VAEConfig(
        values="binary", latent_dim=16, hidden_dim=48, encoder_layers=2, dropout=0.3, kl_weight=0.01
    )


@pytest.fixture(scope="session")
def trained(split, small_config):
    """The tiny model, trained once; do not change it."""
    from recsys.evaluation.protocols import ndcg_validator
    from recsys.vae.config import TrainingConfig
    from recsys.vae.training import train

    training = TrainingConfig(
        epochs=12, batch_size=50, learning_rate=5e-3, validate_every=4, seed=1
    )
    return train(split.train, small_config, training, validate=ndcg_validator(split.validation))


@pytest.fixture(scope="session")
def workspace(tmp_path_factory, events, split, trained) -> Path:
    """A folder with interactions, model and index of the sample; do not change it."""
    from recsys.data.artefact import open_interactions, save_interactions
    from recsys.data.items import read_items
    from recsys.indexing import build_index
    from recsys.vae.artefact import load_model, open_model, save_model

    root = tmp_path_factory.mktemp("workspace")
    titles = read_items(SAMPLE / "items.csv")
    counts = {"n_rows_read": len(events), "n_events": len(events)}
    counts |= {"n_users": len(events.users), "n_items": len(events.items)}
    config = {"source": "the sample", "items": None}
    save_interactions(events, titles, root / "interactions", config=config, metrics=counts)
    store = open_interactions(root / "interactions")
    save_model(
        trained,
        split,
        root / "model",
        training={},
        metrics={},
        fingerprints={"events": store.fingerprint},
    )
    model = open_model(root / "model")
    build_index(load_model(model), store, model, root / "index")
    return root


@pytest.fixture(scope="session")
def recommender(workspace):
    """What `recsys recommend` loads; do not change it."""
    from recsys.recommender import Recommender

    return Recommender.load(workspace)


@pytest.fixture
def copy_of_workspace(workspace, tmp_path) -> Callable[[], Path]:
    """Give a function that copies the workspace, for tests that damage or change it."""

    def copy() -> Path:
        return Path(shutil.copytree(workspace, tmp_path / "workspace"))

    return copy


@pytest.fixture
def forge() -> Callable[[Path, str, bytes], None]:
    """Give a function that replaces a file of an artefact and mends every checksum.

    Checksums find accidents; a stranger who means harm writes his own.
    """
    from recsys import storage

    def replace_file(folder: Path, name: str, content: bytes) -> None:
        (folder / name).write_bytes(content)
        manifest = storage.read_manifest(folder)
        record = storage.FileRecord(len(content), storage.sha256_of(folder / name))
        forged = dataclasses.replace(manifest, files={**manifest.files, name: record})
        text = json.dumps(dataclasses.asdict(forged) | {"checksum": forged.fingerprint})
        (folder / storage.MANIFEST).write_text(text)

    return replace_file


@dataclass(frozen=True)
class Bomb:
    """A pickle, written by hand, that makes a folder when it is loaded."""

    folder: Path

    @property
    def content(self) -> bytes:
        return b"cos\nmkdir\n(S'" + str(self.folder).encode() + b"'\ntR."

    def has_run(self) -> bool:
        return self.folder.exists()


@pytest.fixture
def bomb(tmp_path) -> Bomb:
    return Bomb(tmp_path / "the-bomb-went-off")


@pytest.fixture
def datasets() -> Path:
    """The public data sets beside the checkout; for tests marked `datasets`."""
    if not DATASETS.exists():
        pytest.skip(f"the public data sets are not at {DATASETS}")
    return DATASETS


@pytest.fixture(scope="session")
def matrix_of() -> Callable:
    """Give a function that builds a float32 CSR matrix from a dense array; zeros are absent."""
    from scipy.sparse import csr_array

    def build(dense) -> csr_array:
        matrix = csr_array(np.asarray(dense, dtype=np.float32))
        matrix.sort_indices()
        return matrix

    return build


@pytest.fixture(scope="session")
def interactions_of(matrix_of) -> Callable:
    """Give a function that builds Interactions with ids u0.., i0.. from a dense array."""
    from recsys.data.ids import IdMap
    from recsys.data.interactions import Interactions

    def build(dense) -> Interactions:
        matrix = matrix_of(dense)
        users = IdMap.in_order([f"u{n}" for n in range(matrix.shape[0])], "user")
        items = IdMap.in_order([f"i{n}" for n in range(matrix.shape[1])], "item")
        return Interactions(users, items, matrix)

    return build
