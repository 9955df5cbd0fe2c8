"""Make the sample data: readers of eight tastes and the made-up books that they would like.

Run it from anywhere, `python data/sample/generate.py [FOLDER]`: the same bytes every time.

The world behind the files. Each book has one genre and a popularity that falls off as in real
catalogues (Zipf). Each reader has one to three tastes with weights; a reader's books are drawn
without repetition, seven times in eight from a taste, else from the whole shop by popularity
alone. A book of a taste is rated 4 on average, any other 2.6. `tastes.csv` tells what the files
themselves hide: each reader's tastes, so that a recommender can be marked against the truth.
"""

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SEED = 20
N_USERS = 600
BOOKS_PER_GENRE = 30
TASTE_FRACTION = 7 / 8
FIRST_SECOND = 1_577_836_800  # 2020-01-01
SECONDS = 4 * 365 * 86_400
# Of one, two or three tastes: the favourite is always clearly the first.
WEIGHTS = ([1.0], [0.65, 0.35], [0.5, 0.3, 0.2])

# For each genre: what a title opens with, and what it is about. 6 x 5 of them make 30 titles.
GENRES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "Detective": (
        ["The Clue in", "A Witness from", "The Alibi of",
         "Nobody Left in", "Inspector Quill at", "Two Lies in"],
        ["Harbour Lane", "the Locked Pantry", "Number Nine", "the Velvet Box", "Marrow Hall"],
    ),
    "Space": (
        ["Adrift beyond", "The Last Signal from", "Seven Moons over",
         "Engine Room of", "A Colony on", "Exiles of"],
        ["Tessaly Station", "the Amber Nebula", "Orrin's Star", "the Ninth Ring", "Kestrel Prime"],
    ),
    "Romance": (
        ["Letters to", "A Summer with", "Falling for",
         "The Wedding of", "Dancing with", "Home again to"],
        ["the Lighthouse Keeper", "Rosalind Grey", "the Baker's Son",
         "Miss Tamsin Hale", "the Orchard"],
    ),
    "Dragons": (
        ["The Oath of", "A Crown for", "Ashes of", "The Rider of", "Swords against", "The Song of"],
        ["the Grey Wyrm", "Queen Ysolt", "the Winter Gate", "the Thornwood", "Emberfall"],
    ),
    "Cookery": (
        ["One Pot,", "Baking for", "The Art of",
         "Slow Suppers:", "My Grandmother's", "Thirty Ways with"],
        ["Cabbage and Leek", "Wild Plum", "Rye and Barley", "Salt and Smoke", "Sunday Dumplings"],
    ),
    "Seafaring": (
        ["Captain of", "The Wreck of", "Mutiny aboard",
         "Storm over", "The Charts of", "Farewell to"],
        ["the Brindle Gull", "the Cape of Sorrows", "the Marigold",
         "the Salt Sisters", "Port Lanyard"],
    ),
    "Gardens": (
        ["A Year among", "Pruning", "The Quiet of", "Walks through", "Planting", "Rescuing"],
        ["the Old Roses", "the Walled Garden", "Ferns and Moss", "the Kitchen Beds", "Apple Trees"],
    ),
    "Ghosts": (
        ["The Whisper in", "Do Not Enter", "A Candle for",
         "What Sleeps under", "The Third Stair of", "Cold Hands at"],
        ["the Attic Room", "Widow Crane's House", "the Empty Nursery",
         "the Chapel Cellar", "Gallows Farm"],
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Books:
    """The shop: one entry a book, in the order of the items file."""

    ids: list[str]
    titles: list[str]
    genres: NDArray[np.int64]  # shape (n_books,), positions in GENRES
    years: NDArray[np.int64]  # shape (n_books,)
    popularity: NDArray[np.float64]  # shape (n_books,), sums to 1


def make_books(rng: Generator) -> Books:
    """Write the titles, and deal out years and popularity."""
    titles = [
        f"{start} {end}" for starts, ends in GENRES.values() for start in starts for end in ends
    ]
    n_books = len(titles)
    rank = rng.permutation(n_books)
    popularity = 1.0 / (rank + 3.0) ** 0.9
    # Some begin with zeros and one in ten ends in a letter: an id is text, never a number.
    ids = [f"{1 + n:03d}{'x' if n % 10 == 6 else ''}" for n in range(n_books)]
    return Books(
        ids=ids,
        titles=titles,
        genres=np.repeat(np.arange(len(GENRES)), BOOKS_PER_GENRE),
        years=rng.integers(1950, 2020, size=n_books),
        popularity=popularity / popularity.sum(),
    )


def draw_tastes(rng: Generator) -> NDArray[np.float64]:
    """Draw one reader's tastes: float64, shape (n_genres,), one to three above 0, sum 1."""
    n_tastes = rng.choice([1, 2, 3], p=[0.2, 0.45, 0.35])
    chosen = rng.choice(len(GENRES), size=n_tastes, replace=False)
    tastes = np.zeros(len(GENRES))

    tastes[chosen] = WEIGHTS[n_tastes - 1]
    return tastes


def draw_books(rng: Generator, tastes: NDArray[np.float64], books: Books) -> NDArray[np.int64]:
    """Draw one reader's books without repetition, in the order of reading; int64, shape (n,)."""
    in_genre = np.bincount(books.genres, weights=books.popularity)
    liked = tastes[books.genres] * books.popularity / in_genre[books.genres]
    chance = TASTE_FRACTION * liked + (1 - TASTE_FRACTION) * books.popularity
    n_read = int(np.clip(rng.lognormal(mean=3.45, sigma=0.45), 8, 90))
    return rng.choice(len(books.ids), size=n_read, replace=False, p=chance)


def draw_ratings(
    rng: Generator, tastes: NDArray[np.float64], genres: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rate each book read, 1 to 5; int64, shape (n,)."""
    mean = np.where(tastes[genres] > 0, 4.0, 2.6)
    return np.clip(np.rint(rng.normal(mean, 0.8)), 1, 5).astype(np.int64)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows with plain line ends, the same on every system."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def generate(folder: Path) -> None:
    """Write interactions.csv, items.csv and tastes.csv into a folder that exists."""
    rng = np.random.default_rng(SEED)
    books = make_books(rng)
    names = list(GENRES)
    events: list[tuple[int, str, str, int]] = []
    truth: list[list[object]] = []
    for number in range(1, N_USERS + 1):
        user = f"u{number:03d}"
        tastes = draw_tastes(rng)
        read = draw_books(rng, tastes, books)
        ratings = draw_ratings(rng, tastes, books.genres[read])
        times = np.sort(FIRST_SECOND + rng.integers(0, SECONDS, size=len(read)))
        events += zip(
            times.tolist(),
            [user] * len(read),
            [books.ids[b] for b in read],
            ratings.tolist(),
            strict=True,
        )
        ranked = [names[g] for g in np.argsort(-tastes, kind="stable") if tastes[g] > 0]
        truth.append([user, ranked[0], "|".join(ranked)])
    # As a log is written: by time, so that a reader's rows are spread over the file.
    rows = [(user, item, rating, time) for time, user, item, rating in sorted(events)]
    write_csv(folder / "interactions.csv", ["user_id", "item_id", "rating", "timestamp"], rows)
    genres = [names[genre] for genre in books.genres]
    items = zip(books.ids, books.titles, genres, books.years.tolist(), strict=True)
    write_csv(folder / "items.csv", ["item_id", "title", "genre", "year"], items)
    write_csv(folder / "tastes.csv", ["user_id", "favourite", "tastes"], truth)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
