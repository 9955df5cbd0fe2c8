"""What is known of the items: a page of the catalogue, and a search by title."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.data.artefact import rows_of
from recsys.recommender import Recommender


@dataclass(frozen=True, eq=False)
class Attributes:
    """Items by title: what a page of the catalogue and a search box need.

    Parameters
    ----------
    rows : sequence of dict
        Every item's record, in the model's order, without what is not known.
    by_popularity : int64, shape (n_items,)
        Positions, the most popular first.
    text : pyarrow.Array of string
        What is searched in, in lower case, by popularity: title and id.
    users : pyarrow.Array of string
        Their ids.
    """

    rows: Sequence[dict[str, str]]
    by_popularity: NDArray[np.int64]
    text: pa.StringArray
    users: pa.StringArray

    @classmethod
    def of(cls, recommender: Recommender) -> "Attributes":
        """Join the items' table to the model's catalogue."""
        items = recommender.items
        table = rows_of(recommender.store.item_table, "item_id", items)
        table = table.rename(columns={"item_id": "item"})
        order = np.argsort(-recommender.vae.popularity, kind="stable")
        rows = [
            {name: cell for name, cell in zip(table.columns, row, strict=True) if cell}
            for row in table.itertuples(index=False, name=None)
        ]
        text = [f"{rows[place].get('title', '')} {items.ids[place]}".casefold() for place in order]
        users = pa.array(recommender.users.ids.tolist(), type=pa.string())
        return cls(rows, order, pa.array(text, type=pa.string()), users)

    def find(self, query: str, n: int, start: int = 0) -> tuple[list[dict[str, str]], int]:
        """Find items whose title or id holds a text, whatever its case; the most popular first.

        Titles that begin with the text go before those that hold it elsewhere.

        Returns
        -------
        list of dict
            From the `start`-th on, at most n.
        int
            How many there are in all.
        """
        query = query.strip().casefold()
        if not query:
            found = self.by_popularity
        else:
            holds = pc.match_substring(self.text, query).to_numpy(zero_copy_only=False)
            begins = pc.starts_with(self.text, query).to_numpy(zero_copy_only=False)
            places = np.concatenate([np.flatnonzero(begins), np.flatnonzero(holds & ~begins)])
            found = self.by_popularity[places]
        return [self.rows[place] for place in found[start : start + n]], len(found)

    def find_users(self, query: str, n: int, start: int = 0) -> tuple[list[str], int]:
        """Find users whose id begins with a text: from the `start`-th on, at most n of how many."""
        found = self.users.filter(pc.starts_with(self.users, query)) if query else self.users
        return [str(each) for each in found.slice(start, n).to_pylist()], len(found)
