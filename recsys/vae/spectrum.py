"""Where a training starts: items that the same users have lie near each other from step one."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.vae.config import VAEConfig
from recsys.vae.model import VAEModule

CPU = torch.device("cpu")

ENCODER_LENGTH, DECODER_LENGTH = 1.0, 0.6
"""Of the items' rows in either table at the start, on average: see docs/experiments.md."""


SHARE_OF_MEMORY = 0.5
"""Of a CUDA device may hold the histories with all their zeros; else a processor decomposes."""


def item_factors(matrix: csr_array, dim: int, device: torch.device = CPU) -> Tensor:
    """Give each item a vector, so that the angle between two says how alike their users are.

    They are the right singular vectors of D_u^(-1/2) X D_i^(-1/2), where X is the binarised
    matrix and D hold the lengths of histories and the users of items, each times the root of its
    singular value; found by the randomised method of Halko et al. 2011, algorithm 5.1, from
    torch's random numbers.

    Parameters
    ----------
    matrix : csr_array, shape (n_users, n_items)
    dim : int
    device : torch.device
        Where to compute, if there is room.

    Returns
    -------
    float32, shape (n_items, min(dim, n_users, n_items))
        Of length 1 on average; an item without users has a row of zeros.

    Examples
    --------
    >>> together = csr_array(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]))
    >>> factors = item_factors(together, 2)
    >>> (factors @ factors.T).abs().round(decimals=3).tolist()[0]
    [1.0, 1.0, 0.0, 0.0]
    """
    n_users, n_items = matrix.shape
    lengths = np.diff(matrix.indptr)
    users = np.repeat(np.arange(n_users), lengths)
    counts = np.bincount(matrix.indices, minlength=n_items)
    values = (lengths[users] * counts[matrix.indices]).astype(np.float32) ** np.float32(-0.5)
    places = torch.from_numpy(np.stack([users, matrix.indices]).astype(np.int64))
    normalised = torch.sparse_coo_tensor(
        places, torch.from_numpy(values), matrix.shape, is_coalesced=True, check_invariants=True
    )
    _, sizes, vectors = torch.svd_lowrank(_on(device, normalised), q=min(dim, n_users, n_items))
    factors = (vectors * sizes.sqrt()).cpu()
    length: Tensor = factors.norm(dim=1).mean().clamp_min(1e-12)
    return factors / length


def _on(device: torch.device, matrix: Tensor) -> Tensor:
    """Move a sparse matrix to a device where it fits densely.

    A device adds up the terms of a sparse product in any order, so that no two runs agree.
    """
    if device.type != "cuda":
        return matrix
    room = SHARE_OF_MEMORY * torch.cuda.get_device_properties(device).total_memory
    return matrix.to(device).to_dense() if 4 * matrix.numel() <= room else matrix


def factors_of_members(
    matrix: csr_array, config: VAEConfig, seed: int, device: torch.device = CPU
) -> list[Tensor]:
    """Decompose once for each member: what is rough in it differs, and so should members.

    Parameters
    ----------
    matrix : csr_array, shape (n_users, n_items)
    config : VAEConfig
        With `members` decided.
    seed : int
        torch's random numbers are seeded by it, and by the member's place.
    device : torch.device
        See `item_factors`.
    """
    assert config.members is not None
    factors = []
    for place in range(config.members):
        _seed(seed, place)
        factors.append(item_factors(matrix, config.latent_dim, device))
    return factors


def start_members(modules: Sequence[VAEModule], factors: Sequence[Tensor], seed: int) -> None:
    """Fill each member's tables with the factors that are its own; without factors none."""
    for place, own in enumerate(factors):
        _seed(seed, place)
        start_from(modules[place], own)


def _seed(seed: int, place: int) -> None:
    """Seed torch for a member: its decomposition, and later the turns of what was found."""
    torch.manual_seed(int(np.random.SeedSequence([seed, place]).generate_state(1)[0]))


def start_from(module: VAEModule, factors: Tensor) -> None:
    """Fill the item tables of a VAE with the factors, turned at random; biases begin at 0.

    Every unit of the code then has a share in each factor.

    Parameters
    ----------
    module : VAEModule
    factors : float32, shape (n_items, dim)
    """
    tables = (
        (module.encoder.item_embeddings, ENCODER_LENGTH),
        (module.decoder.weight, DECODER_LENGTH),
    )
    with torch.no_grad():
        for table, length in tables:
            turn = _orthogonal(factors.shape[1], table.shape[1])
            table.copy_(factors @ (length * turn))
        module.decoder.bias.zero_()


def _orthogonal(n_rows: int, n_columns: int) -> Tensor:
    """Draw a matrix whose rows, or where there are more rows its columns, are orthonormal."""
    wide = torch.randn(max(n_rows, n_columns), min(n_rows, n_columns))
    square: Tensor = torch.linalg.qr(wide).Q
    return square if n_rows >= n_columns else square.T
