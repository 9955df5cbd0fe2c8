"""What training needs of the device that it runs on."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import torch

from recsys.errors import TrainingError


@contextlib.contextmanager
def fast_products(device: torch.device, *, same_shapes: bool) -> Iterator[None]:
    """Multiply float32 matrices as fast as the device can without harm.

    A CUDA device takes factors of 10 bits of mantissa (TF32); sums and results stay float32, and
    encoding in bf16 takes longer. An AMD processor multiplies by oneDNN: the same float32, in
    half of the time. See docs/experiments.md.

    Parameters
    ----------
    device : torch.device
    same_shapes : bool
        Whether the products' shapes come back. oneDNN keeps the code that it writes for each
        shape, .7 MB of it for up to 1,024 of them, and is not asked where they do not.
    """
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    elif same_shapes and _by_onednn():
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _by_onednn() -> bool:
    """Whether oneDNN's products are exact and faster than those of torch's usual library.

    MKL leaves half of the vector unit of AMD's processors unused. torch asks oneDNN where bf16
    would do, and oneDNN takes bf16 where there are AMX units alone, which AMD's have not.
    """
    # An older torch does not tell.
    processor: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    is_amd = str(processor.get("cpu_name", "")).startswith("AMD")
    return is_amd and bool(processor.get("avx512_f")) and not processor.get("amx_tile")


@contextlib.contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Give torch's global random numbers back as they were: the processor's and the device's."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


_NO_MEMORY = re.compile("allocate memory|size calculation overflow")
"""What torch says where the machine has no room, or no machine has."""


@contextlib.contextmanager
def full_device_explained(section: str) -> Iterator[None]:
    """Say in a line what to do where a device, or the machine itself, has no memory left.

    Parameters
    ----------
    section : str
        Of the settings that say how large the batches are: "training" or "verse".

    Raises
    ------
    TrainingError
        In the place of torch's own.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            "the CUDA device has no memory left: train with --device cpu, or with a smaller "
            f"{section}.batch_size"
        ) from error
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not _NO_MEMORY.search(str(error)):
            raise
        raise TrainingError(
            "there is not memory enough for this training: make the model's latent_dim and "
            f"hidden_dim, or {section}.batch_size, smaller"
        ) from error
