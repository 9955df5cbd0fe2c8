"""Interactions written out as a dense table, 0 for nothing."""

import numpy as np
from scipy.sparse import csr_array

from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions


def interactions(dense) -> Interactions:
    matrix = csr_array(np.asarray(dense, dtype=np.float32))
    matrix.sort_indices()
    users = IdMap.of([f"u{i}" for i in range(matrix.shape[0])], "user")
    items = IdMap.of([f"i{j}" for j in range(matrix.shape[1])], "item")
    return Interactions(users, items, matrix)
