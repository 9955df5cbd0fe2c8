"""Training steps on a CUDA device, each launched as one graph instead of a thousand kernels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.vae.config import VAEConfig
from recsys.vae.encoder import Batch
from recsys.vae.member import Member, Terms
from recsys.vae.multinomial import items_at_once

CAPACITY_BITS = 3
"""Leading binary digits of how many clicks the batches of an epoch are filled up to: rounded up to
so few, most epochs have the same capacity and go on with the same graph."""


def can_be_graphed(members: Sequence[Member], config: VAEConfig, batch_size: int) -> bool:
    """Whether a step is the same kernels on the same sizes, but for the number of clicks.

    A sampled softmax has another number of candidates each time, labels are known of some, and
    clicks that fill a batch up would count among observed ratings.
    """
    first = members[0]
    weight = first.module.decoder.weight
    latents = weight.new_empty(batch_size, 1)
    return (
        first.device.type == "cuda"
        and (config.likelihood, config.softmax) == ("multinomial", "exact")
        and first.label_loss is None
        and items_at_once(latents, len(weight), first.logits_bytes) == len(weight)
    )


class DeviceHistories:
    """Histories on a device, from which batches are gathered there without asking it anything.

    Parameters
    ----------
    histories : csr_array of float32, shape (n_users, n_items)
    device : torch.device
    """

    def __init__(self, histories: csr_array, device: torch.device) -> None:
        self.n_items: int = histories.shape[1]
        self.lengths: NDArray[np.int64] = np.diff(histories.indptr).astype(np.int64)
        self._bounds = torch.from_numpy(histories.indptr.astype(np.int64)).to(device)
        self._items = torch.from_numpy(histories.indices).to(device)
        self._values = torch.from_numpy(histories.data).to(device)

    def batch(self, rows: Tensor, n_clicks: int) -> Batch:
        """Gather some users' histories, and fill up with clicks of value 0 of the last of them.

        Parameters
        ----------
        rows : int64, shape (n_users,)
        n_clicks : int
            At least as many as the users have.
        """
        begins = self._bounds[rows]
        lengths = self._bounds[rows + 1] - begins
        ends = lengths.cumsum(0)
        starts = ends - lengths
        places = torch.arange(n_clicks, device=rows.device)
        users = torch.searchsorted(ends, places, right=True)
        is_real = users < len(rows)
        users.clamp_(max=len(rows) - 1)
        sources = ((begins - starts)[users] + places).clamp_(max=len(self._items) - 1)
        # Spread over the items: to add to one place a thousand times is slow.
        items = torch.where(is_real, self._items[sources].long(), places % self.n_items)
        lengths[-1] += n_clicks - ends[-1]
        return Batch(
            items=items,
            starts=starts,
            values=self._values[sources] * is_real,
            lengths=lengths,
            rows=rows,
        )


class _Graph(NamedTuple):
    """A captured step, and where it leaves what each member's loss was made of."""

    graph: torch.cuda.CUDAGraph
    terms: list[Terms]


class GraphedSteps:
    """Takes the steps of a training whose batches all hold the same number of users.

    The kernels of a step are recorded for a capacity, a number of clicks that no batch of the
    epoch exceeds, and launched together until an epoch has another one. What changes from step to
    step stands in memory of the device: users, learning rate, weight of the KL; and random numbers
    go on from each member's generator. A step takes the same numbers as kernel by kernel.

    Parameters
    ----------
    members : sequence of Member
        See `can_be_graphed`.
    optimiser : torch.optim.Adam
        Capturable, its learning rate a tensor.
    histories : csr_array of float32, shape (n_users, n_items)
    batch_size : int
    """

    def __init__(
        self,
        members: Sequence[Member],
        optimiser: torch.optim.Adam,
        histories: csr_array,
        batch_size: int,
    ) -> None:
        self.members, self.optimiser, self.batch_size = members, optimiser, batch_size
        device = members[0].device
        self._histories = DeviceHistories(histories, device)
        self._orders = torch.zeros(
            (len(members), histories.shape[0]), dtype=torch.int64, device=device
        )
        self._rows = torch.zeros((len(members), batch_size), dtype=torch.int64, device=device)
        self._kl_weight = torch.zeros((), device=device)
        self._stream, *self._of_members = (_stream(device) for _ in range(1 + len(members)))
        self._captured: _Graph | None = None
        self._capacity = 0

    def begin_epoch(self, orders: Sequence[NDArray[np.int64]]) -> None:
        """Learn in which order each member sees the users; int64, shape (n_users,) each."""
        self._orders.copy_(torch.from_numpy(np.stack(orders)))
        whole = len(orders[0]) // self.batch_size * self.batch_size
        clicks = [
            self._histories.lengths[order[:whole]].reshape(-1, self.batch_size).sum(1)
            for order in orders
        ]
        capacity = rounded_up(int(max(each.max(initial=0) for each in clicks)))
        if capacity != self._capacity:
            # Its memory is the next one's.
            self._captured = None
            self._capacity = capacity

    def step(self, first: int, kl_weight: float) -> list[Terms]:
        """Take the step of the users from place `first` of each order on."""
        self._rows.copy_(self._orders[:, first : first + self.batch_size])
        self._kl_weight.fill_(kl_weight)
        if self._captured is not None:
            self._captured.graph.replay()
            return self._captured.terms
        # Kernel by kernel the first time: what is made once must not be part of the graph.
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            terms = self._kernels()
        current.wait_stream(self._stream)
        self._captured = self._capture()
        return terms

    def _capture(self) -> _Graph:
        graph = torch.cuda.CUDAGraph()
        for member in self.members:
            graph.register_generator_state(member.generator)
        with torch.cuda.graph(graph, stream=self._stream):
            terms = self._kernels()
        return _Graph(graph, terms)

    def _kernels(self) -> list[Terms]:
        """Every member's gradient, side by side, and one step of them all."""
        self.optimiser.zero_grad(set_to_none=True)
        current = torch.cuda.current_stream()
        terms = []
        for member, rows, stream in zip(self.members, self._rows, self._of_members, strict=True):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                batch = self._histories.batch(rows, self._capacity)
                terms.append(member.add_gradient(batch, self._kl_weight))
        for stream in self._of_members:
            current.wait_stream(stream)
        self.optimiser.step()
        return terms


def rounded_up(n_clicks: int) -> int:
    """Give the least number that is no smaller and has so few leading digits.

    Examples
    --------
    >>> [rounded_up(each) for each in (0, 7, 9, 21_000, 26_000, 28_673)]
    [0, 7, 10, 24576, 28672, 32768]
    """
    step = 1 << max(0, n_clicks.bit_length() - CAPACITY_BITS)
    return step * -(-n_clicks // step)


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
