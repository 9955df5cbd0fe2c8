"""The multinomial likelihood over the whole catalogue, in bounded memory and few passes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from recsys.vae.encoder import Batch

CACHED_BYTES = 2**21
"""Logits that a core makes and normalises at a time, so that it finds them in its cache."""

LANES = 16
"""Blocks are a multiple of as many items wide: where rows begin within a processor's vector, a
matrix product into them takes a quarter longer."""


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
    return _MultinomialNLL.apply(latents, weight, bias, batch, at_clicks, max_bytes)  # type: ignore[no-any-return, no-untyped-call]


def items_at_once(latents: Tensor, n_items: int, max_bytes: int) -> int:
    """How wide the blocks are that `multinomial_nll` takes for latents of this shape and device.

    Besides what is kept there are a block's logits and its softmax.
    """
    bytes_of_item = latents.element_size() * max(1, len(latents))
    block_bytes = max_bytes // 2
    if latents.device.type == "cpu":
        block_bytes = min(block_bytes, CACHED_BYTES * torch.get_num_threads())
    at_once = max(1, min(n_items, block_bytes // bytes_of_item))
    return at_once - at_once % LANES if LANES < at_once < n_items else at_once


class _MultinomialNLL(torch.autograd.Function):
    """Minus the sum over users and clicks of value * log softmax (Liang et al. 2018, eq. 2).

    The catalogue is taken in blocks of items. Each has a softmax and a normaliser (a user's
    log-sum-exp) of its own, and the normaliser of all is added up over them: a block's softmax
    times exp(its normaliser - that of all) is the softmax. As many as there is memory for are
    kept and become their own gradient in the backward pass; the others are made anew.
    """

    @staticmethod
    def forward(
        ctx: Any,
        latents: Tensor,
        weight: Tensor,
        bias: Tensor,
        batch: Batch,
        at_clicks: Tensor | None,
        max_bytes: int,
    ) -> Tensor:
        bytes_of_item = latents.element_size() * max(1, len(latents))
        at_once = items_at_once(latents, len(weight), max_bytes)
        n_kept = max_bytes // bytes_of_item - 2 * at_once
        ctx.blocks = list(_blocks(batch, at_clicks, len(weight), at_once))
        ctx.kept = {}
        normaliser = latents.new_full((len(latents),), -torch.inf)
        clicked = latents.new_zeros(())
        for block in ctx.blocks:
            logits = block.logits(latents, weight, bias)
            clicked += (block.values * logits.view(-1)[block.places]).sum()
            softmax = torch.softmax(logits, dim=1)
            # The largest probability is exp(0) / sum of exp(logit - largest logit).
            of_block = logits.amax(dim=1) - softmax.amax(dim=1).log()
            normaliser = torch.logaddexp(normaliser, of_block)
            if block.items.stop <= n_kept:
                ctx.kept[block.items.start] = softmax, of_block
            del logits, softmax  # before the next block has its own
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
            gradient.view(-1).index_add_(0, block.places, -outer * block.values)
            of_latents.addmm_(gradient, weight[block.items])
            torch.mm(gradient.t(), latents, out=of_weight[block.items])
            torch.sum(gradient, dim=0, out=of_bias[block.items])
        return of_latents, of_weight, of_bias, None, None, None


@dataclass(frozen=True)
class _Block:
    """A run of items and the clicks on them: place in users x items of the run, value, addend."""

    items: slice
    places: Tensor
    values: Tensor
    addends: Tensor | None

    def logits(self, latents: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Give W z + b with what is added at the clicks, shape (n_users, n_items of the run)."""
        logits = torch.addmm(bias[self.items], latents, weight[self.items].t())
        if self.addends is not None:
            logits.view(-1).index_add_(0, self.places, self.addends)
        return logits


def _blocks(batch: Batch, addends: Tensor | None, n_items: int, size: int) -> Iterator[_Block]:
    if size >= n_items:
        places = batch.users * n_items + batch.items
        yield _Block(slice(0, n_items), places, batch.values, addends)
        return
    items, order = batch.items.sort()
    users, values = batch.users[order], batch.values[order]
    addends = None if addends is None else addends[order]
    starts = torch.arange(0, n_items, size, device=items.device)
    runs = [*torch.searchsorted(items, starts).tolist(), len(items)]
    for start, run in zip(starts.tolist(), pairwise(runs), strict=True):
        inside = slice(*run)
        stop = min(start + size, n_items)
        yield _Block(
            items=slice(start, stop),
            places=users[inside] * (stop - start) + (items[inside] - start),
            values=values[inside],
            addends=None if addends is None else addends[inside],
        )
