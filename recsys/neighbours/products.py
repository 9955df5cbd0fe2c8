"""The product of two sparse matrices as a dense one, and threads that share out many of them."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

MOST_ENTRIES = np.iinfo(np.int32).max
"""MKL, as torch has it, counts in 32 bits."""


def dense_product(left: csr_array, right: csr_array, scale: float = 1.0) -> NDArray[np.float32]:
    """Multiply scale * left @ right, both float32; float32, shape (n_rows, n_columns).

    A row has the same bits whatever the others are, and on however many threads. By MKL, several
    times faster than scipy, which makes a sparse product first; by scipy where torch has no MKL.
    """
    if not _by_mkl(left, right):
        return np.asarray((left @ right).toarray() * np.float32(scale))
    product = torch.empty(left.shape[0], right.shape[1])
    torch.addmm(product, _as_tensor(left), _as_tensor(right), beta=0, alpha=scale, out=product)
    return product.numpy()


@contextlib.contextmanager
def threads_for_parts(n_threads: int) -> Iterator[Executor]:
    """Give threads that each take parts of the work, with torch on one core in each of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def _by_mkl(left: csr_array, right: csr_array) -> bool:
    has_mkl = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    return has_mkl and sys.platform == "linux" and max(left.nnz, right.nnz) <= MOST_ENTRIES


def _as_tensor(matrix: csr_array) -> Tensor:
    """Give a sparse tensor in the same memory, where its places are of 32 bits."""
    # torch warns of arrays that cannot be written to.
    indptr = torch.from_numpy(np.require(matrix.indptr, np.int32, "W"))
    indices = torch.from_numpy(np.require(matrix.indices, np.int32, "W"))
    values = torch.from_numpy(np.require(matrix.data, np.float32, "W"))
    return torch.sparse_csr_tensor(indptr, indices, values, matrix.shape, check_invariants=False)


with warnings.catch_warnings():
    # Said once in a process, here to nobody: what is used of them is multiplied above alone.
    warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
    _as_tensor(csr_array(np.zeros((1, 1), dtype=np.float32)))
