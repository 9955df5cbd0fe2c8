"""Adam for tables of which a step touches few rows."""

from collections.abc import Mapping

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8

ROWS_AT_ONCE = 4096
"""Rows that are gathered, updated and put back at a time."""


class RowAdam:
    """Lazy Adam (Kingma & Ba 2015): rows without a gradient keep weights and moments as they are.

    These are the semantics of torch.optim.SparseAdam: an untouched row's moments do not decay,
    and the bias correction counts all steps. What a step costs grows with the rows it touches.

    Parameters
    ----------
    table : Tensor, shape (n_rows, width)
        Updated in place.
    """

    def __init__(self, table: Tensor) -> None:
        self.table = table.detach()
        self.first = torch.zeros_like(self.table)
        self.second = torch.zeros_like(self.table)
        self.n_steps = 0

    def step(self, rows: Tensor, gradient: Tensor, learning_rate: float) -> None:
        """Update some rows.

        Parameters
        ----------
        rows : int64, shape (n,)
            Each once.
        gradient : Tensor, shape (n, width)
        learning_rate : float
        """
        self.n_steps += 1
        beta1, beta2 = BETAS
        size = learning_rate / (1 - beta1**self.n_steps)
        unbiased = (1 - beta2**self.n_steps) ** 0.5
        for some, slope in zip(
            torch.split(rows, ROWS_AT_ONCE), torch.split(gradient, ROWS_AT_ONCE), strict=True
        ):
            first = self.first[some].lerp_(slope, 1 - beta1)
            second = self.second[some].mul_(beta2).addcmul_(slope, slope, value=1 - beta2)
            self.first[some], self.second[some] = first, second
            scale = second.sqrt_().div_(unbiased).add_(EPSILON)
            self.table.index_add_(0, some, first.div_(scale), alpha=-size)

    def state(self) -> dict[str, Tensor]:
        """Moments and step count, by the names that torch's Adam gives them."""
        return {
            "step": torch.tensor(float(self.n_steps)),
            "exp_avg": self.first,
            "exp_avg_sq": self.second,
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        self.n_steps = int(state["step"])
        self.first.copy_(state["exp_avg"])
        self.second.copy_(state["exp_avg_sq"])
