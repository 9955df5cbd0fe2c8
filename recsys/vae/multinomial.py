"""The multinomial likelihood over the whole catalogue, in bounded memory and few passes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recsys.vae.encoder import Batch

CACHED_BYTES = 2**20
"""Rows of scores that are worked on at a time: what a core's cache holds."""


def multinomial_nll(
    latents: Tensor, weight: Tensor, bias: Tensor, batch: Batch, max_bytes: int = 2**29
) -> Tensor:
    """Minus log-likelihood of the batch under softmax(W z + b); scalar, nats, summed over users.

    Parameters
    ----------
    latents : Tensor, shape (n_users, latent_dim)
    weight, bias : Tensor, shape (n_items, latent_dim) and (n_items,)
    batch : Batch
        Each (user, item) pair once.
    max_bytes : int
        The users x items buffer is made in blocks of items of at most so many bytes.
    """
    return _MultinomialNLL.apply(latents, weight, bias, batch, max_bytes)  # type: ignore[no-any-return, no-untyped-call]


class _MultinomialNLL(torch.autograd.Function):
    """Minus the sum over users and clicks of value * log softmax (Liang et al. 2018, eq. 2).

    With E = exp(logits - each user's largest), s its row sums, t the users' sums of values X,
    the gradient of the logits is diag(t / s) (E - diag(s / t) X). So E is the only large
    buffer, and it becomes its own gradient. Where it would be too large, its columns are made
    block by block: once for the sums, and once more for the gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, latents: Tensor, weight: Tensor, bias: Tensor, batch: Batch, max_bytes: int
    ) -> Tensor:
        totals = batch.sum_by_user(batch.values)
        n_items = max(1, max_bytes // (latents.element_size() * max(1, len(latents))))
        blocks = list(_blocks(batch, len(weight), n_items))
        largest = latents.new_full((len(latents),), -torch.inf)
        sums, clicked = torch.zeros_like(largest), torch.zeros_like(largest)
        for block in blocks:
            scores, here = _logits(latents, weight[block.items], bias[block.items])
            clicked.index_add_(0, block.users, block.values * scores[block.users, block.columns])
            before, largest = largest, torch.maximum(largest, here)
            sums = sums * (before - largest).exp() + _exponentiate(scores, largest)
        ctx.save_for_backward(latents, weight, bias, totals, largest, sums)
        ctx.blocks = blocks
        ctx.exponentials = scores if len(blocks) == 1 else None
        return (totals * (largest + sums.log()) - clicked).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (outer,) = gradients
        latents, weight, bias, totals, largest, sums = ctx.saved_tensors
        scale = (outer * totals / sums)[:, None]
        scaled = torch.cat([latents * scale, scale], dim=1)
        # Of a user without clicks nothing is taken.
        ratio = torch.where(totals > 0, sums / totals, 0)
        of_latents = torch.zeros_like(latents)
        of_weight, of_bias = torch.empty_like(weight), torch.empty_like(bias)
        for block in ctx.blocks:
            # They become the gradient; a second backward pass makes them anew.
            scores, ctx.exponentials = ctx.exponentials, None
            if scores is None:
                scores, _ = _logits(latents, weight[block.items], bias[block.items])
                _exponentiate(scores, largest)
            # Each pair occurs once, so plain indexing takes nothing twice.
            scores[block.users, block.columns] -= block.values * ratio[block.users]
            of_latents.addmm_(scores, weight[block.items])
            both = scores.t() @ scaled
            of_weight[block.items], of_bias[block.items] = both[:, :-1], both[:, -1]
        return of_latents.mul_(scale), of_weight, of_bias, None, None


@dataclass(frozen=True)
class _Block:
    """A run of items and the clicks on them: user, column within the run, and value."""

    items: slice
    users: Tensor
    columns: Tensor
    values: Tensor


def _blocks(batch: Batch, n_items: int, size: int) -> Iterator[_Block]:
    for start in range(0, n_items, size):
        items = slice(start, min(start + size, n_items))
        if size >= n_items:
            yield _Block(items, batch.users, batch.items, batch.values)
            return
        inside = ((batch.items >= start) & (batch.items < items.stop)).nonzero()[:, 0]
        columns = batch.items[inside] - start
        yield _Block(items, batch.users[inside], columns, batch.values[inside])


def _logits(latents: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Give W z + b, and each user's largest."""
    scores = latents @ weight.t()
    largest = [rows.add_(bias).amax(dim=1) for rows in scores.split(_cached_rows(scores))]
    return scores, torch.cat(largest)


def _exponentiate(scores: Tensor, largest: Tensor) -> Tensor:
    """Turn scores into exp(scores - largest) in place; gives the row sums."""
    n = _cached_rows(scores)
    parts = zip(scores.split(n), largest.split(n), strict=True)
    return torch.cat([rows.sub_(top[:, None]).exp_().sum(dim=1) for rows, top in parts])


def _cached_rows(scores: Tensor) -> int:
    return max(1, CACHED_BYTES // max(1, scores.element_size() * scores.shape[1]))
