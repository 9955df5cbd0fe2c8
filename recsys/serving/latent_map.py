"""The items as points of the plane, coloured by cluster: what the explorer page draws."""

from typing import Any

import numpy as np

from recsys.clusters import describe, item_codes
from recsys.index.kmeans import kmeans
from recsys.maps import Colouring, project
from recsys.recommender import Recommender

MOST_POINTS = 20_000
"""Items that are drawn, the most popular ones."""

CLUSTERS, SEED = 10, 0
FEWEST = 3


def latent_map(recommender: Recommender) -> dict[str, Any]:
    """Lay the items out by their two first principal components, in k-means clusters.

    Returns
    -------
    dict
        points (a list of {item, title, x, y, cluster}, x and y from 0 to 1), clusters (a list of
        {name, colour}) and explained, the plane's share of the variance.

    Raises
    ------
    ConfigError
        The model has no latent codes, or too few items.
    """
    recommender.vae.require_codes("items are laid out")
    vectors = recommender.index.item_directions.vectors
    codes = item_codes(recommender.vae, recommender.store, vectors)
    projection = project(codes.vectors, "pca", SEED)
    found = kmeans(codes.vectors, min(CLUSTERS, len(codes)), SEED)
    names = [
        # "genre: Drama" is told by its value alone.
        " · ".join(name.partition(": ")[2] or name for name, _ in each.telling)
        or f"cluster {each.number}"
        for each in describe(codes, found, n=3)
    ]
    colouring = Colouring.of("cluster", [names[place] for place in found.assignments], equals=names)
    low, high = projection.points.min(axis=0), projection.points.max(axis=0)
    places = (projection.points - low) / np.maximum(high - low, 1e-12)
    shown = np.argsort(-recommender.vae.popularity, kind="stable")[:MOST_POINTS]
    return {
        "points": [
            {
                "item": str(codes.ids.ids[at]),
                "title": codes.titles[at] or str(codes.ids.ids[at]),
                "x": round(float(places[at, 0]), 4),
                "y": round(float(places[at, 1]), 4),
                "cluster": int(colouring.groups[at]),
            }
            for at in shown.tolist()
        ],
        "clusters": [
            {"name": name, "colour": colour}
            for name, colour in zip(colouring.names, colouring.colours, strict=True)
        ],
        "explained": round(projection.explained, 4),
    }
