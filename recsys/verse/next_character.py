"""The cost of the next character, with a gradient that is written over its softmax."""

from typing import Any

import torch
from torch import Tensor


def next_character_nll(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Minus log softmax(W f + b) at the targets; nats, shape (n,).

    The softmax is made once and becomes its own gradient, which saves a third of a training step
    over `torch.nn.functional.cross_entropy`. A second backward pass through it is an error.

    Parameters
    ----------
    features : Tensor, shape (n, dim)
    weight, bias : Tensor, shape (n_characters, dim) and (n_characters,)
    targets : int64, shape (n,)
    """
    return _NextCharacterNLL.apply(features, weight, bias, targets)  # type: ignore[no-any-return, no-untyped-call]


class _NextCharacterNLL(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
    ) -> Tensor:
        logits = torch.addmm(bias, features, weight.t())
        at_targets = logits.gather(1, targets[:, None])[:, 0]
        softmax = torch.softmax(logits, dim=1)
        # Of the largest logit and its share: the only one that cannot underflow.
        normaliser = logits.amax(dim=1) - softmax.amax(dim=1).log()
        ctx.softmax = softmax
        ctx.save_for_backward(features, weight, targets)
        return normaliser - at_targets

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """d/dlogits = softmax - 1 at the target, times the incoming gradient."""
        (outer,) = gradients
        features, weight, targets = ctx.saved_tensors
        gradient = ctx.softmax
        del ctx.softmax
        gradient[torch.arange(len(targets), device=targets.device), targets] -= 1
        gradient *= outer[:, None]
        return gradient @ weight, gradient.t() @ features, gradient.sum(0), None
