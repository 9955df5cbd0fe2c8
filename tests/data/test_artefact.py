import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.artefact import open_interactions, save_interactions
from recsys.data.ids import IdMap
from recsys.data.interactions import Events
from recsys.data.poems import TABLE_COLUMNS, Poem, poem_table
from recsys.errors import ArtefactError

ROOT = Path(__file__).parents[2]
ODD_USERS = ["007", "7", "a,b", '"', "🦊", "中文"]


def small_events(pairs, *, times=True, kind="rating") -> Events:
    users, items = IdMap.in_order(ODD_USERS, "user"), IdMap.in_order("defghij", "item")
    rng = np.random.default_rng(len(pairs))
    everything = Events(
        users=users,
        items=items,
        user_positions=np.array([u for u, _ in pairs], dtype=np.int32),
        item_positions=np.array([i for _, i in pairs], dtype=np.int32),
        values=rng.integers(0, 3, len(pairs)).astype(np.float32),
        timestamps=rng.random(len(pairs)) if times else None,
        value_kind=kind,
    )
    return everything.select(np.ones(len(pairs), dtype=bool))


def save(events: Events, path: Path, items: pd.DataFrame | None = None) -> None:
    save_interactions(events, items, path, config={"source": "x"}, metrics={"n": 1})


@settings(max_examples=25, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 6)), unique=True, min_size=1, max_size=30
    ),
    times=st.booleans(),
    kind=st.sampled_from(["none", "rating", "weight"]),
)
def test_events_come_back_in_the_order_of_their_file(tmp_path_factory, pairs, times, kind):
    events = small_events(pairs, times=times, kind=kind)
    path = tmp_path_factory.mktemp("round") / "interactions"
    save(events, path)
    store = open_interactions(path)
    found = store.events()
    assert list(found.users.ids) == list(events.users.ids)
    assert list(found.items.ids) == list(events.items.ids)
    for name in ("user_positions", "item_positions", "values", "timestamps"):
        ours, theirs = getattr(found, name), getattr(events, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours is None or ours.dtype == theirs.dtype
    assert found.value_kind == kind
    assert found.fingerprint == events.fingerprint == store.fingerprint
    matrix = events.interactions().matrix
    np.testing.assert_array_equal(store.interactions.matrix.toarray(), matrix.toarray())
    assert store.interactions.matrix.nnz == len(pairs)


def test_the_arrays_are_read_in_place_and_cannot_be_changed(workspace):
    matrix = open_interactions(workspace / "interactions").interactions.matrix
    assert not matrix.data.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        matrix.data[0] = 9


def test_times_of_one_user_follow_its_history(workspace, events):
    store = open_interactions(workspace / "interactions")
    for user in (0, 299, 599):
        rows = events.user_positions == user
        order = np.argsort(events.item_positions[rows])
        np.testing.assert_array_equal(store.timestamps_of(user), events.timestamps[rows][order])


def test_data_without_times_have_none(tmp_path, events):
    save(replace(events, timestamps=None), tmp_path / "interactions")
    store = open_interactions(tmp_path / "interactions")
    assert store.timestamps_of(0) is None
    assert store.events().timestamps is None


def test_titles_are_those_of_the_items_file(tmp_path, events):
    table = pd.DataFrame(
        {"item_id": ["001", "002", "not met"], "title": ["One", "", "X"], "year": ["1", "2", "3"]}
    )
    save(events, tmp_path / "interactions", table)
    store = open_interactions(tmp_path / "interactions")
    assert store.titles() == {"001": "One", "not met": "X"}
    pd.testing.assert_frame_equal(store.item_table, table, check_dtype=False)


def test_without_an_items_file_there_are_no_titles(tmp_path, events):
    save(events, tmp_path / "interactions")
    store = open_interactions(tmp_path / "interactions")
    assert store.titles() == {}
    assert list(store.item_table.columns) == ["item_id", "title"]


def test_poems_come_back_beside_their_counts(tmp_path, events):
    poems = [Poem(key, f"title {key}", "", ("one line", "and another")) for key in events.users.ids]
    path = tmp_path / "interactions"
    save_interactions(events, None, path, user_table=poem_table(poems), config={}, metrics={})
    store = open_interactions(path)
    assert store.poems() == poems
    assert tuple(store.user_table.columns) == TABLE_COLUMNS


def test_users_that_are_no_poems_have_an_empty_table(workspace):
    store = open_interactions(workspace / "interactions")
    assert store.poems() == []
    assert tuple(store.user_table.columns) == TABLE_COLUMNS


@pytest.mark.parametrize("content", ["bomb", "empty", "other columns"])
def test_a_table_of_poems_made_to_do_harm_is_refused(tmp_path, events, bomb, forge, content):
    table = poem_table([Poem(each, "", "", ("x",)) for each in events.users.ids])
    path = tmp_path / "interactions"
    save_interactions(events, None, path, user_table=table, config={}, metrics={})
    table.drop(columns="text").to_parquet(tmp_path / "other.parquet")
    other = (tmp_path / "other.parquet").read_bytes()
    harm = {"bomb": bomb.content, "empty": b"", "other columns": other}
    forge(path, "user_table.parquet", harm[content])
    with pytest.raises(ArtefactError, match=r"run `recsys ingest`$"):
        open_interactions(path)
    assert not bomb.has_run()


def test_the_manifest_says_where_the_rows_came_from(tmp_path, events):
    save(events, tmp_path / "interactions")
    manifest = open_interactions(tmp_path / "interactions").artefact.manifest
    assert manifest.config == {"source": "x", "value_kind": "rating"}
    assert manifest.metrics == {"n": 1}
    assert manifest.fingerprints["users"] == events.users.fingerprint
    assert manifest.fingerprints["items"] == events.items.fingerprint


FILES = [
    *("indices.npy", "indptr.npy", "item_table.parquet", "items.parquet", "row_order.npy"),
    *("timestamps.npy", "users.parquet", "values.npy"),
]


def test_every_file_of_the_data_is_verified(copy_of_workspace):
    folder = copy_of_workspace() / "interactions"
    names = sorted(each.name for each in folder.iterdir() if each.name != "manifest.json")
    assert names == FILES
    for name in names:
        content = (folder / name).read_bytes()
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        (folder / name).write_bytes(changed)
        with pytest.raises(ArtefactError, match=f"{name} is damaged: its SHA-256 differs; make it"):
            open_interactions(folder)
        (folder / name).unlink()
        with pytest.raises(ArtefactError, match=f"{name} is missing; make it again with `recsys i"):
            open_interactions(folder)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("content", ["bomb", "empty", "object array"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_made_to_do_harm_is_refused_and_does_not_run(
    copy_of_workspace, bomb, forge, tmp_path, name, content
):
    folder = copy_of_workspace() / "interactions"
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    harm = {
        "bomb": bomb.content,
        "empty": b"",
        "object array": (tmp_path / "objects.npy").read_bytes(),
    }
    forge(folder, name, harm[content])
    with pytest.raises(ArtefactError, match=r"run `recsys ingest`$") as caught:
        open_and_read(folder)
    assert "\n" not in str(caught.value)
    assert not bomb.has_run()


def open_and_read(folder: Path) -> None:
    store = open_interactions(folder)
    store.events()


FILLER = """
import resource, sys
from pathlib import Path
from recsys.data.artefact import *
from recsys.errors import ArtefactError

path, limit = Path(sys.argv[1]), int(sys.argv[2])
events = open_interactions(path).events()
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    save_interactions(events, None, path, config={}, metrics={})
except ArtefactError as error:
    sys.exit(str(error))
"""


# Stopped in an array, and in the first small file.
@pytest.mark.parametrize("limit", [50_000, 100])
def test_a_full_disk_leaves_the_old_data(copy_of_workspace, limit):
    folder = copy_of_workspace() / "interactions"
    before = open_interactions(folder).artefact.manifest.fingerprint
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", FILLER, str(folder), str(limit)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 1, child.stderr
    assert child.stderr.startswith(f"could not write {folder}: ")
    assert child.stderr.endswith("; what stood there before is unchanged\n")
    assert open_interactions(folder).artefact.manifest.fingerprint == before
