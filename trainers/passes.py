"""One pass over a stack's trained samples: the loss of every lane and its exact full-batch gradient.

K: lanes; N: trained points; a leaf is a stacked tensor, (K, ...), with a gradient beside it where it is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from trainers.networks import Forward, Tensors

WARM_UP = 3
"""Passes before a capture, on a stream of their own: libraries set themselves up in them (torch's notes on graphs)."""


Pass = Callable[[Tensors, Tensors], Tensor]
"""(leaves, factors) to the MSE over all points and channels of every lane, (K,); sets the leaves' gradients."""


class FullBatch:
    """Chunk by chunk of rows, so that memory is bounded by the chunk and, on a CPU, its activations stay in cache.

    Args:
        forward: of the stack's networks.
        x: (N, dims).
        y: (N, channels).
        rows: of a chunk, in each lane.
    """

    def __init__(self, forward: Forward, x: Tensor, y: Tensor, rows: int) -> None:
        self._forward = forward
        self._chunks = list(zip(torch.split(x, rows), torch.split(y, rows), strict=True))
        self._num_values = y.numel()

    def __call__(self, leaves: Tensors, factors: Tensors) -> Tensor:
        """As `Pass`."""
        num_lanes = len(next(iter(leaves.values())))
        torch._foreach_zero_([leaf.grad for leaf in leaves.values() if leaf.grad is not None])
        losses = next(iter(leaves.values())).new_zeros(num_lanes)
        for x, y in self._chunks:
            output = self._forward(leaves, factors, x.expand(num_lanes, -1, -1))
            loss = (output - y).square().sum(dim=(1, 2)) / self._num_values
            # Lanes are independent: the gradient of the sum is each lane's own.
            torch.autograd.backward(loss.sum())
            losses += loss.detach()
        return losses


class GraphedFullBatch:
    """The same as a CUDA graph, captured at the first call and replayed: small networks wait for launches otherwise.

    Every call must come with the leaves and factors of the first one: a graph reads and writes fixed memory.
    """

    def __init__(self, eager: FullBatch) -> None:
        self._eager = eager
        self._graph: torch.cuda.CUDAGraph | None = None
        self._fixed: Mapping[str, int] = {}
        self._losses = torch.empty(0)

    def __call__(self, leaves: Tensors, factors: Tensors) -> Tensor:
        """As `Pass`."""
        addresses = {name: tensor.data_ptr() for name, tensor in {**leaves, **factors}.items()}
        if self._graph is None:
            self._capture(leaves, factors)
            self._fixed = addresses
        assert addresses == self._fixed, "a graph's tensors must stay where they were captured"
        assert self._graph is not None
        self._graph.replay()
        return self._losses

    def _capture(self, leaves: Tensors, factors: Tensors) -> None:
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._eager(leaves, factors)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._losses = self._eager(leaves, factors)
