import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from recsys.neighbours.products import dense_product, threads_for_parts


@pytest.fixture
def factors():
    rng = np.random.default_rng(5)
    left = rng.normal(size=(40, 60)) * (rng.random((40, 60)) < 0.3)
    right = rng.normal(size=(60, 50)) * (rng.random((60, 50)) < 0.3)
    left[::7] = 0
    return csr_array(left.astype(np.float32)), csr_array(right.astype(np.float32))


@pytest.mark.parametrize("has_mkl", [True, False])
@pytest.mark.parametrize("places", [np.int32, np.int64])
def test_it_is_the_product_in_double_precision(factors, has_mkl, places, monkeypatch):
    if not has_mkl:
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    left, right = factors
    left.indices, left.indptr = left.indices.astype(places), left.indptr.astype(places)
    expected = 20 * (left.toarray().astype(float) @ right.toarray())
    product = dense_product(left, right, scale=20.0)
    assert product.dtype == np.float32
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [(0, 60), (3, 60)])
def test_nothing_gives_zeros(factors, shape):
    nothing = csr_array(shape, dtype=np.float32)
    product = dense_product(nothing, factors[1])
    assert product.shape == (shape[0], 50)
    assert not product.any()
    assert not dense_product(factors[0], csr_array((60, 50), dtype=np.float32)).any()


def test_an_array_that_cannot_be_written_to_is_taken(factors):
    left, right = factors
    expected = dense_product(left, right)
    for array in (left.indptr, left.indices, left.data):
        array.flags.writeable = False
    np.testing.assert_array_equal(dense_product(left, right), expected)


def test_neither_threads_nor_other_rows_change_a_bit(factors):
    left, right = factors
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = np.concatenate([dense_product(left[[row]], right) for row in range(40)])
        torch.set_num_threads(2)
        np.testing.assert_array_equal(dense_product(left, right), alone)
    finally:
        torch.set_num_threads(before)


def test_threads_that_take_parts_have_a_core_each():
    before = torch.get_num_threads()
    with threads_for_parts(3) as pool:
        assert set(pool.map(lambda _: torch.get_num_threads(), range(9))) == {1}
    assert torch.get_num_threads() == before


def test_nothing_is_said_of_sparse_tensors_in_beta():
    program = (
        "import numpy as np; from scipy.sparse import csr_array;"
        "from recsys.neighbours.products import dense_product;"
        "one = csr_array(np.ones((1, 1), np.float32)); print(dense_product(one, one))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[[1.]]\n", "")
