from pathlib import Path

import pytest
from interaction_files import rows_of, write

from recsys.data.items import read_items
from recsys.data.readers import locate, read_events
from recsys.errors import ConfigError, DataError

DATASETS = Path(__file__).parents[2].parent / "shared" / "datasets"
needs_datasets = pytest.mark.skipif(not DATASETS.is_dir(), reason=f"{DATASETS} is absent")


# ---- where the files of a data set lie


def test_u_data_is_found_and_read_without_a_header(tmp_path):
    write(tmp_path, "196\t242\t3\t881250949\n186\t302\t3\t891717742\n", "u.data")
    write(tmp_path, "", "u.item")
    source = locate(tmp_path)
    assert (source.interactions, source.items) == (tmp_path / "u.data", tmp_path / "u.item")
    events, _ = read_events(source.interactions, source.options)
    assert rows_of(events) == [("196", "242", 3.0), ("186", "302", 3.0)]
    assert locate(tmp_path / "u.data").options == source.options


def test_ratings_dat_is_found_and_read_without_a_header(tmp_path):
    write(tmp_path, "1::1193::5::978300760\n", "ratings.dat")
    write(tmp_path, "", "movies.dat")
    source = locate(tmp_path)
    assert source.items == tmp_path / "movies.dat"
    assert rows_of(read_events(source.interactions, source.options)[0]) == [("1", "1193", 5.0)]


@pytest.mark.parametrize(
    ("interactions", "items"),
    [("ratings.csv", "movies.csv"), ("a.inter", "a.item"), ("ratings.csv.gz", "items.csv.gz")],
)
def test_other_layouts_are_found(tmp_path, interactions, items):
    assert locate(write(tmp_path, "", interactions)).items is None
    assert locate(tmp_path).items is None
    write(tmp_path, "", items)
    assert locate(tmp_path).interactions == tmp_path / interactions
    assert locate(tmp_path).items == tmp_path / items


def test_a_directory_without_or_with_several_interactions_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file or directory"):
        locate(tmp_path / "none")
    write(tmp_path, "", "notes.txt")
    with pytest.raises(DataError, match=r"no interactions file: looked for .* found notes.txt"):
        locate(tmp_path)
    write(tmp_path, "", "ratings.csv")
    write(tmp_path, "", "u.data")
    with pytest.raises(ConfigError, match=r"holds ratings.csv and u.data: name the one to read"):
        locate(tmp_path)


@needs_datasets
@pytest.mark.datasets
@pytest.mark.parametrize(
    ("name", "sizes", "n_items_told"),
    [
        ("ml-100k", (100_000, 943, 1_682), 1_682),
        ("goodbooks-10k-v1", (979_478, 53_424, 10_000), 10_000),
    ],
)
def test_public_data_sets_are_read_whole(name, sizes, n_items_told):
    source = locate(DATASETS / name)
    events, report = read_events(source.interactions, source.options)
    assert (len(events), len(events.users), len(events.items)) == sizes
    assert report.n_bad_rows == 0
    items = read_items(source.items)
    assert len(items) == n_items_told
    assert set(events.items.ids) <= set(items["item_id"])


@needs_datasets
@pytest.mark.datasets
def test_gowalla_is_read_as_an_adjacency_list():
    train, _ = read_events(DATASETS / "gowalla" / "train.txt.gz")
    assert (len(train), len(train.users), len(train.items)) == (810_128, 29_858, 40_981)
    assert len(read_events(DATASETS / "gowalla" / "test.txt.gz")[0]) == 217_242
