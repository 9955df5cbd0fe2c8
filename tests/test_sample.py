"""The bundled sample: it is what its generator makes, and its answers are to be found in it."""

import csv
import importlib.util
import sys
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType

import pytest

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
FILES = ["interactions.csv", "items.csv", "tastes.csv"]


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample_generator", SAMPLE / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its own module up while it is made.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "sample_generator", module)
        spec.loader.exec_module(module)
    return module


def read(name: str) -> list[dict[str, str]]:
    with (SAMPLE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def genre_of() -> dict[str, str]:
    return {row["item_id"]: row["genre"] for row in read("items.csv")}


@pytest.fixture(scope="module")
def tastes_of() -> dict[str, list[str]]:
    return {row["user_id"]: row["tastes"].split("|") for row in read("tastes.csv")}


def test_the_committed_files_are_byte_for_byte_what_the_generator_makes(tmp_path: Path) -> None:
    load_generator().generate(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == FILES
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes(), name


def test_the_sample_has_the_size_that_its_page_states() -> None:
    interactions = read("interactions.csv")
    assert len({row["user_id"] for row in interactions}) == 600
    assert len({row["item_id"] for row in interactions}) == 240
    assert f"{len(interactions):,} ratings" in (SAMPLE / "README.md").read_text(encoding="utf-8")
    assert sum((SAMPLE / name).stat().st_size for name in FILES) < 1_000_000


def test_every_book_has_one_title_and_every_pair_occurs_once() -> None:
    items = read("items.csv")
    assert len({row["title"] for row in items}) == len({row["item_id"] for row in items}) == 240
    pairs = [(row["user_id"], row["item_id"]) for row in read("interactions.csv")]
    assert len(set(pairs)) == len(pairs)
    assert {item for _, item in pairs} <= {row["item_id"] for row in items}


def test_some_ids_would_be_spoiled_by_reading_them_as_numbers() -> None:
    ids = {row["item_id"] for row in read("items.csv")}
    assert {"001", "007x"} <= ids


def test_ratings_are_whole_stars_from_one_to_five_and_rows_go_by_time() -> None:
    interactions = read("interactions.csv")
    assert {row["rating"] for row in interactions} == {"1", "2", "3", "4", "5"}
    times = [int(row["timestamp"]) for row in interactions]
    assert times == sorted(times)


def test_few_books_draw_many_readers_as_in_real_shops() -> None:
    counts = sorted(Counter(row["item_id"] for row in read("interactions.csv")).values())
    assert sum(counts[-48:]) > 0.33 * sum(counts)  # the first fifth
    assert counts[-1] > 5 * counts[0]


def test_readers_read_and_praise_what_their_tastes_say(
    genre_of: dict[str, str], tastes_of: dict[str, list[str]]
) -> None:
    ratings: dict[bool, list[int]] = defaultdict(list)
    for row in read("interactions.csv"):
        liked = genre_of[row["item_id"]] in tastes_of[row["user_id"]]
        ratings[liked].append(int(row["rating"]))
    within, outside = ratings[True], ratings[False]
    assert len(within) > 3.5 * len(outside)
    assert sum(within) / len(within) > sum(outside) / len(outside) + 1


def test_a_favourite_can_be_told_from_what_a_reader_read(
    genre_of: dict[str, str], tastes_of: dict[str, list[str]]
) -> None:
    read_by: dict[str, Counter[str]] = defaultdict(Counter)
    for row in read("interactions.csv"):
        read_by[row["user_id"]][genre_of[row["item_id"]]] += 1
    told = [read_by[user].most_common(1)[0][0] == tastes_of[user][0] for user in tastes_of]
    # Not all: who has two tastes of thirty books each may read more of the second.
    assert sum(told) / len(told) > 0.85
