import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from recsys.vae.config import VAEConfig
from recsys.vae.devices import fast_products
from recsys.vae.encoder import Batch
from recsys.vae.member import Member
from recsys.vae.model import VAEModule

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
    with fast_products(device, same_shapes=True):
        assert torch.get_float32_matmul_precision() == precision
    assert torch.get_float32_matmul_precision() == "highest"


def test_products_are_as_before_after_an_interrupt():
    with pytest.raises(KeyboardInterrupt), fast_products(CUDA, same_shapes=True):
        raise KeyboardInterrupt
    assert torch.get_float32_matmul_precision() == "highest"


def test_products_whose_shapes_vary_stay_with_the_usual_library(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: ZEN5, raising=False)
    with fast_products(CPU, same_shapes=False):
        assert torch.get_float32_matmul_precision() == "highest"


def test_a_torch_that_cannot_tell_the_processor_multiplies_as_it_comes(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    with fast_products(CPU, same_shapes=True):
        assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("shape", [(100, 50, 1040), (50, 1040, 200), (257, 600, 33)])
def test_products_of_a_processor_are_float32(shape):
    """bf16 would be off by 2e-3 on average."""
    n, inner, m = shape
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(n, inner, generator=generator)
    right = torch.randn(inner, m, generator=generator)
    exact = left.double() @ right.double()
    with fast_products(CPU, same_shapes=True):
        added = torch.zeros(n, m).addmm_(left, right)
        found = [left @ right, torch.addmm(torch.zeros(m), left, right), added]
        of_transposed = left.t().contiguous().t() @ right.t().contiguous().t()
    for product in [*found, of_transposed]:
        assert (product - exact).abs().mean() <= 3e-6 * exact.abs().mean()


class ProductShapes(TorchDispatchMode):
    """Notes the shapes of all products, one-dimensional ones too."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in {"mm", "addmm", "addmm_", "bmm", "mv", "addmv", "dot", "vdot", "baddbmm"}:
            self.found.add((name, *(tuple(each.shape) for each in args if torch.is_tensor(each))))
        return func(*args, **(kwargs or {}))


def test_a_step_multiplies_the_same_shapes_whatever_the_histories_hold(interactions_of):
    """oneDNN would keep code for each: MovieLens-1M took 2 GB instead of .8."""
    histories = interactions_of(np.random.default_rng(0).random((60, 80)) < 0.2).matrix
    config = VAEConfig(values="binary", latent_dim=4, hidden_dim=8, members=1, dropout=0.5)
    member = Member(VAEModule(80, config), config, 60, logits_bytes=2**20)
    member.begin_epoch(0)
    found = []
    for rows in np.split(np.arange(60), 3):
        with ProductShapes() as shapes:
            member.add_gradient(Batch.of(histories, rows, CPU), 0.1)
        found.append(shapes.found)
    assert found[0] == found[1] == found[2]
    assert {name for name, *_ in found[0]} >= {"mm", "addmm"}
