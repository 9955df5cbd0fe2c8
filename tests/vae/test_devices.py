import pytest
import torch

from recsys.vae.devices import fast_products

CPU, CUDA = torch.device("cpu"), torch.device("cuda")

ZEN5 = {"cpu_name": "AMD EPYC", "avx512_f": True, "amx_tile": False}


@pytest.mark.parametrize(
    ("device", "processor", "precision"),
    [
        (CPU, ZEN5, "medium"),
        (CPU, ZEN5 | {"avx512_f": False}, "highest"),
        (CPU, ZEN5 | {"amx_tile": True}, "highest"),
        (CPU, ZEN5 | {"cpu_name": "Intel Xeon"}, "highest"),
        (CPU, {}, "highest"),
        (CUDA, ZEN5, "high"),
    ],
)
def test_products_are_fast_only_where_that_does_no_harm(device, processor, precision, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor, raising=False)
    with fast_products(device):
        assert torch.get_float32_matmul_precision() == precision
    assert torch.get_float32_matmul_precision() == "highest"


def test_products_are_as_before_after_an_interrupt():
    with pytest.raises(KeyboardInterrupt), fast_products(CUDA):
        raise KeyboardInterrupt
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_torch_that_cannot_tell_the_processor_multiplies_as_it_comes(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    with fast_products(CPU):
        assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("shape", [(100, 50, 1040), (50, 1040, 200), (257, 600, 33)])
def test_products_of_a_processor_are_float32(shape):
    """bf16 would be off by 2e-3 on average."""
    n, inner, m = shape
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(n, inner, generator=generator)
    right = torch.randn(inner, m, generator=generator)
    exact = left.double() @ right.double()
    with fast_products(CPU):
        added = torch.zeros(n, m).addmm_(left, right)
        found = [left @ right, torch.addmm(torch.zeros(m), left, right), added]
        of_transposed = left.t().contiguous().t() @ right.t().contiguous().t()
    for product in [*found, of_transposed]:
        assert (product - exact).abs().mean() <= 3e-6 * exact.abs().mean()
