"""The multinomial likelihood over the whole catalogue, in bounded memory and few passes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from recsys.vae.encoder import Batch

CACHED_BYTES = 2**21
"""Logits that a processor makes and normalises at a time, so that it finds them in its cache."""


def multinomial_nll(
    latents: Tensor,
    weight: Tensor,
    bias: Tensor,
    batch: Batch,
    max_bytes: int = 2**29,
    at_clicks: Tensor | None = None,
) -> Tensor:
    """Minus log-likelihood of the batch under softmax(W z + b); scalar, nats, summed over users.

    Parameters
    ----------
    latents : Tensor, shape (n_users, latent_dim)
    weight, bias : Tensor, shape (n_items, latent_dim) and (n_items,)
    batch : Batch
        Each (user, item) pair once.
    max_bytes : int
        Memory of everything that grows with users x items: what does not fit is made twice.
    at_clicks : Tensor or None, shape (n_clicks,)
        Added to the logits of the clicks alone.
    """
    if at_clicks is None:
        at_clicks = torch.zeros_like(batch.values)
    return _MultinomialNLL.apply(latents, weight, bias, batch, at_clicks, max_bytes)  # type: ignore[no-any-return, no-untyped-call]


class _MultinomialNLL(torch.autograd.Function):
    """Minus the sum over users and clicks of value * log softmax (Liang et al. 2018, eq. 2).

    The catalogue is taken in blocks of items, each with a softmax of its own, and the normaliser
    (the log-sum-exp of a user's logits) is added up over them. The whole softmax is a block's
    times exp(normaliser of the block - normaliser of all). As many as there is memory for are
    kept and become their own gradient in the backward pass; the others are made anew.
    """

    @staticmethod
    def forward(
        ctx: Any,
        latents: Tensor,
        weight: Tensor,
        bias: Tensor,
        batch: Batch,
        at_clicks: Tensor,
        max_bytes: int,
    ) -> Tensor:
        bytes_of_item = latents.element_size() * max(1, len(latents))
        cached = CACHED_BYTES if latents.device.type == "cpu" else max_bytes
        # Besides what is kept: a block's logits, its softmax, and already the next one's logits.
        at_once = max(1, min(cached, max_bytes // 3) // bytes_of_item)
        n_kept = max_bytes // bytes_of_item - 3 * at_once
        ctx.blocks = list(_blocks(batch, at_clicks, len(weight), at_once))
        ctx.kept = {}
        normaliser = latents.new_full((len(latents),), -torch.inf)
        clicked = latents.new_zeros(())
        for block in ctx.blocks:
            logits = block.logits(latents, weight, bias)
            clicked += block.values @ logits[block.users, block.columns]
            softmax = torch.softmax(logits, dim=1)
            # Of the largest logit and its share: the only one that cannot underflow.
            of_block = logits.amax(dim=1) - softmax.amax(dim=1).log()
            normaliser = torch.logaddexp(normaliser, of_block)
            if block.items.stop <= n_kept:
                ctx.kept[block.items.start] = softmax, of_block
        totals = batch.sum_by_user(batch.values)
        ctx.save_for_backward(latents, weight, bias, totals, normaliser)
        return totals @ normaliser - clicked

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """d/dlogits = |x| softmax - x, times the incoming gradient."""
        (outer,) = gradients
        latents, weight, bias, totals, normaliser = ctx.saved_tensors
        scale = outer * totals
        of_latents = torch.zeros_like(latents)
        of_weight, of_bias = torch.empty_like(weight), torch.empty_like(bias)
        for block in ctx.blocks:
            if block.items.start in ctx.kept:
                # It becomes the gradient; a second backward pass makes it anew.
                gradient, of_block = ctx.kept.pop(block.items.start)
                gradient.mul_((scale * (of_block - normaliser).exp())[:, None])
            else:
                gradient = block.logits(latents, weight, bias)
                gradient.sub_(normaliser[:, None]).exp_().mul_(scale[:, None])
            # Each pair occurs once, so plain indexing takes nothing twice.
            gradient[block.users, block.columns] -= outer * block.values
            of_latents.addmm_(gradient, weight[block.items])
            torch.mm(gradient.t(), latents, out=of_weight[block.items])
            torch.sum(gradient, dim=0, out=of_bias[block.items])
        return of_latents, of_weight, of_bias, None, None, None


@dataclass(frozen=True)
class _Block:
    """A run of items and the clicks on them: user, column within the run, value, and addend."""

    items: slice
    users: Tensor
    columns: Tensor
    values: Tensor
    addends: Tensor

    def logits(self, latents: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Give W z + b with what is added at the clicks, shape (n_users, n_items of the run)."""
        logits = torch.addmm(bias[self.items], latents, weight[self.items].t())
        logits[self.users, self.columns] += self.addends
        return logits


def _blocks(batch: Batch, addends: Tensor, n_items: int, size: int) -> Iterator[_Block]:
    if size >= n_items:
        yield _Block(slice(0, n_items), batch.users, batch.items, batch.values, addends)
        return
    items, order = batch.items.sort()
    users, values, addends = batch.users[order], batch.values[order], addends[order]
    ends = [*range(0, n_items, size), n_items]
    places = torch.searchsorted(items, torch.tensor(ends, device=items.device)).tolist()
    for (start, stop), run in zip(pairwise(ends), pairwise(places), strict=True):
        inside = slice(*run)
        yield _Block(
            items=slice(start, stop),
            users=users[inside],
            columns=items[inside] - start,
            values=values[inside],
            addends=addends[inside],
        )
