"""Clusters of users, items or poems: latent codes, k-means on them, what tells each cluster."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import svds

from recsys.data.artefact import InteractionStore, rows_of
from recsys.data.histories import Histories, blocks_of
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError
from recsys.index.item_index import unit_vectors
from recsys.index.kmeans import KMeans, mutual_information, silhouette
from recsys.vae.model import VAE

Kind = Literal["users", "items", "poems"]
Progress = Callable[[int, int], None]

LSA_RANK = 50
LOTS = 10
"""Drawings by lot that tell what agreement chance alone brings."""

PRIOR_MEMBERS = 10.0
"""Members that the log-odds' prior adds to each cluster, alike in everything to all members."""

TELLING = 2.0
"""Standard deviations of log-odds from which on a feature is told: less may be chance."""

_NO_ATTRIBUTES = frozenset({"item_id", "user_id", "title", "text"})


@dataclass(frozen=True, eq=False)
class Codes:
    """Users, items or poems as points of the latent space, with what is known of them.

    Parameters
    ----------
    kind : {"users", "items", "poems"}
    ids : IdMap
    vectors : float32, shape (n, dim)
        The VAE's mean for every history; of an item, the decoder's row, turned so that inner
        products are covariances of scores and scaled to length 1.
    rows : csr_array, shape (n, width)
        Whom they meet: a user's items, an item's users.
    features : csr_array, shape (n, n_features)
        1 where a member has a feature: a user's items, the values in an item's table.
    feature_names : tuple of str
        Titles where there are any.
    titles : tuple of str
        Of each; empty where there is none.
    attributes : DataFrame
        A row each, all str; "" where nothing is known.
    """

    kind: Kind
    ids: IdMap
    vectors: NDArray[np.float32]
    rows: csr_array
    features: csr_array
    feature_names: tuple[str, ...]
    titles: tuple[str, ...]
    attributes: pd.DataFrame

    def __len__(self) -> int:
        return len(self.ids)


def user_codes(
    kind: Kind, vae: VAE, store: InteractionStore, *, progress: Progress | None = None
) -> Codes:
    """Encode everybody who has a history.

    Parameters
    ----------
    kind : {"users", "poems"}
        Poems are the users of data that were ingested as poems.
    vae : VAE
    store : InteractionStore
        Joined to the model by item id.
    progress : callable or None
        Receives histories encoded and histories in all.

    Raises
    ------
    ConfigError
        The model has no latent codes, or the data are no poems.
    DataError
        The model predicts ratings and the data have none.
    """
    vae.require_codes(f"{kind} are compared")
    if kind == "poems" and store.user_table.empty:
        raise ConfigError(
            "the data in the workspace are no poems: read some with `recsys ingest --poems`, or "
            "ask for users or items"
        )
    if vae.config.predicts_ratings and store.value_kind == "none":
        raise DataError(
            "the data in the workspace have no ratings, and the model predicts ratings: train "
            "with -S vae.likelihood=multinomial"
        )
    histories = Histories(store.interactions, vae.items)
    n_users = len(histories.users)
    rows = histories.rows(np.arange(n_users))
    means = np.empty((n_users, vae.latent_dim), dtype=np.float32)
    for block in blocks_of(n_users, 4096):
        means[block] = vae.encode(rows[block[0] : block[-1] + 1])
        if progress is not None:
            progress(int(block[-1]) + 1, n_users)
    attributes = _attributes(store.user_table, "user_id", histories.users)
    title_of = dict(zip(store.user_table["user_id"], store.user_table["title"], strict=True))
    item_titles = store.titles()
    return Codes(
        kind=kind,
        ids=histories.users,
        vectors=means,
        rows=rows,
        features=_ones(rows),
        feature_names=tuple(item_titles.get(each, each) for each in vae.items.ids),
        titles=tuple(title_of.get(each, "") for each in histories.users.ids),
        attributes=attributes,
    )


def item_codes(vae: VAE, store: InteractionStore, directions: NDArray[np.float32]) -> Codes:
    """Place the model's items as `recsys similar --item` compares them.

    Parameters
    ----------
    vae : VAE
    store : InteractionStore
        Joined to the model by item id.
    directions : float32, shape (n_items, latent_dim)
        The index's `item_directions`: inner products are correlations of scores over users.

    Raises
    ------
    ConfigError
        The model has no latent codes.
    """
    vae.require_codes("items are compared")
    histories = Histories(store.interactions, vae.items)
    attributes = _attributes(store.item_table, "item_id", vae.items)
    features, names = _attribute_features(attributes)
    titles = store.titles()
    return Codes(
        kind="items",
        ids=vae.items,
        vectors=directions,
        rows=csr_array(histories.rows(np.arange(len(histories.users))).T),
        features=features,
        feature_names=names,
        titles=tuple(titles.get(each, "") for each in vae.items.ids),
        attributes=attributes,
    )


def lsa_vectors(rows: csr_array, seed: int, rank: int = LSA_RANK) -> NDArray[np.float32]:
    """Latent semantic analysis: TF-IDF, rows of length 1, truncated SVD, rows of length 1.

    Parameters
    ----------
    rows : csr_array, shape (n, width)
    seed : int
        Of the vector that the iteration begins with.
    rank : int
        At most one less than either side of `rows`; where that is 0 the rows stay as they are.

    Returns
    -------
    float32, shape (n, rank)
    """
    n, width = rows.shape
    rank = min(rank, min(n, width) - 1)
    frequency = np.bincount(rows.indices, minlength=width)
    idf = np.log((1 + n) / (1 + frequency)) + 1
    weighted = csr_array(rows.astype(np.float64) @ diags_array(idf))
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    weighted = csr_array(diags_array(1 / np.maximum(lengths, 1e-12)) @ weighted)
    if rank < 1:
        return unit_vectors(weighted.toarray().astype(np.float32))
    left, values, _ = svds(weighted, k=rank, rng=np.random.default_rng(seed))
    return unit_vectors((left * values).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Cluster:
    """One cluster, to be read by a person.

    Parameters
    ----------
    number : int
        From 1; the largest first.
    size : int
    telling : tuple of (str, float)
        Names of features and their `log_odds` of at least `TELLING`, the highest first.
    nearest : tuple of int
        Positions of the members next to the centre, the nearest first.
    """

    number: int
    size: int
    telling: tuple[tuple[str, float], ...]
    nearest: tuple[int, ...]


def describe(codes: Codes, found: KMeans, n: int = 8) -> list[Cluster]:
    """Tell each cluster by its n most telling features and n nearest members."""
    k = len(found.centres)
    odds = log_odds(codes.features, found.assignments, k)
    clusters = []
    for place in range(k):
        members = np.flatnonzero(found.assignments == place)
        best = np.argsort(-odds[place], kind="stable")[:n]
        order = np.argsort(found.distances[members], kind="stable")[:n]
        telling = tuple(
            (codes.feature_names[each], float(odds[place, each]))
            for each in best
            if odds[place, each] >= TELLING
        )
        nearest = tuple(int(each) for each in members[order])
        clusters.append(Cluster(place + 1, len(members), telling, nearest))
    return clusters


def log_odds(features: csr_array, assignments: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Measure how much more often a feature is met in a cluster than outside of it.

    Parameters
    ----------
    features : csr_array of 0 and 1, shape (n, n_features)
    assignments : int64, shape (n,)
    k : int

    Returns
    -------
    float64, shape (k, n_features)
        In standard deviations; higher is more telling of the cluster.

    Notes
    -----
    The z-score of the log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and
    Quinn 2008, "Fightin' Words", equations 15 to 22). Counts are members that have the feature;
    the prior is the overall share, as heavy as ten members a cluster.

    Examples
    --------
    >>> features = csr_array(np.array([[1, 1], [1, 1], [0, 1], [0, 1]]))
    >>> odds = log_odds(features, np.array([0, 0, 1, 1]), 2)
    >>> bool(odds[0, 0] > 0 > odds[1, 0]), bool(odds[0, 0] > odds[0, 1])
    (True, True)
    """
    n = features.shape[0]
    one_hot = csr_array((np.ones(n), (assignments, np.arange(n))), shape=(k, n))
    inside = (one_hot @ features).toarray().astype(np.float64)
    overall = inside.sum(axis=0)
    prior = PRIOR_MEMBERS * overall / n + 1e-9
    outside = overall - inside + prior
    inside = inside + prior
    odds = _log_odds_of(inside) - _log_odds_of(outside)
    return np.asarray(odds / np.sqrt(1 / inside + 1 / outside))


@dataclass(frozen=True)
class Quality:
    """How good a clustering is; 1 is best.

    Parameters
    ----------
    silhouette : float
        Mean over 3,000 members at most, in the space that was clustered:
        spaces of different widths compare only roughly.
    nmi : dict of str to float
        Normalised mutual information with each attribute, among members where that is known.
    nmi_by_chance : dict of str to float
        The same of clusters of these sizes drawn by lot: many values agree with anything.
    """

    silhouette: float
    nmi: dict[str, float] = field(default_factory=dict)
    nmi_by_chance: dict[str, float] = field(default_factory=dict)


def quality(
    vectors: NDArray[np.float32], found: KMeans, attributes: pd.DataFrame, seed: int
) -> Quality:
    """Measure a clustering by itself and against what is known of its members."""
    rng = np.random.default_rng(seed)
    nmi, by_chance = {}, {}
    for name in comparable_columns(attributes):
        cells = attributes[name].to_numpy(dtype=object)
        known = cells != ""
        clusters, values = found.assignments[known], pd.factorize(cells[known])[0]
        nmi[name] = mutual_information(clusters, values)
        lots = (mutual_information(rng.permutation(clusters), values) for _ in range(LOTS))
        by_chance[name] = float(np.mean(list(lots)))
    return Quality(silhouette(vectors, found.assignments, seed), nmi, by_chance)


def comparable_columns(attributes: pd.DataFrame) -> list[str]:
    """Columns that group members: from 2 different values to one for every two members."""
    counts = {name: values[values != ""].nunique() for name, values in attributes.items()}
    return [str(name) for name, n in counts.items() if 2 <= n <= len(attributes) / 2]


def _attributes(table: pd.DataFrame, key: str, ids: IdMap) -> pd.DataFrame:
    """Everything known of `ids` but what names them, in their order; "" where nothing is."""
    columns = [each for each in table.columns if each not in _NO_ATTRIBUTES]
    return rows_of(table, key, ids)[columns]


def _attribute_features(attributes: pd.DataFrame) -> tuple[csr_array, tuple[str, ...]]:
    """One feature a value of the comparable columns; a cell holds several between bars."""
    pairs = [
        (row, f"{column}: {value}")
        for column in comparable_columns(attributes)
        for row, cell in enumerate(attributes[column])
        for value in dict.fromkeys(cell.split("|"))
        if value
    ]
    codes, names = pd.factorize(np.array([name for _, name in pairs], dtype=object))
    rows = np.array([row for row, _ in pairs], dtype=np.int64)
    shape = (len(attributes), len(names))
    return csr_array((np.ones(len(rows)), (rows, codes)), shape=shape), tuple(names)


def _ones(rows: csr_array) -> csr_array:
    return csr_array((np.ones(rows.nnz), rows.indices, rows.indptr), shape=rows.shape)


def _log_odds_of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.log(counts / np.maximum(total - counts, 1e-9)))
