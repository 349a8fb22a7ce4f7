"""One pass over a stack's trained samples: the loss of every lane and its exact full-batch gradient.

K: lanes; N: trained points; a leaf is a stacked tensor, (K, ...), with a gradient beside it where it is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor

from trainers.networks import Forward, Tensors

WARM_UP = 3
"""Passes before a capture, on a stream of their own: libraries set themselves up in them (torch's notes on graphs)."""


Pass = Callable[[Tensors, Tensors], Tensor]
"""(leaves, factors) to the MSE over all points and channels of every lane, (K,); sets the leaves' gradients."""


class FullBatch:
    """Chunk by chunk of rows, so that memory is bounded by the chunk and, on a CPU, its activations stay in cache.

    On a CPU with several threads each takes chunks of its own, with a thread inside each operation: it waits for the
    others once a pass and not once an operation. Gradients are added in order, so a number of threads has one result.

    Args:
        forward: of the stack's networks.
        x: (N, dims).
        y: (N, channels).
        rows: of a chunk, in each lane.
        is_shared: whether several threads may run `forward` at once; a user's module is one object for all of them.
    """

    def __init__(self, forward: Forward, x: Tensor, y: Tensor, rows: int, *, is_shared: bool = False) -> None:
        self._forward = forward
        self._chunks = list(zip(torch.split(x, rows), torch.split(y, rows), strict=True))
        self._num_values = y.numel()
        self._is_shared = is_shared and x.device.type == "cpu"

    def __call__(self, leaves: Tensors, factors: Tensors) -> Tensor:
        """As `Pass`."""
        torch._foreach_zero_([leaf.grad for leaf in leaves.values() if leaf.grad is not None])
        num_threads = torch.get_num_threads()
        num_parts = min(num_threads, len(self._chunks)) if self._is_shared else 1
        if num_parts == 1:
            return self._add_chunks_(leaves, factors, self._chunks)
        parts = [self._chunks[part::num_parts] for part in range(num_parts)]
        copies = [_with_own_gradients(leaves) for _ in parts[1:]]
        torch.set_num_threads(1)
        try:
            others = [
                _pool(num_threads).submit(self._add_chunks_, copy, factors, chunks)
                for copy, chunks in zip(copies, parts[1:], strict=True)
            ]
            losses = self._add_chunks_(leaves, factors, parts[0])
            for other in others:
                losses += other.result()
        finally:
            torch.set_num_threads(num_threads)
        for copy in copies:
            for name, leaf in leaves.items():
                own = copy[name].grad
                if leaf.grad is not None and own is not None:
                    leaf.grad += own
        return losses

    def _add_chunks_(self, leaves: Tensors, factors: Tensors, chunks: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Losses over these chunks; their gradients are added to those of the leaves."""
        num_lanes = len(next(iter(leaves.values())))
        losses = next(iter(leaves.values())).new_zeros(num_lanes)
        for x, y in chunks:
            output = self._forward(leaves, factors, x.expand(num_lanes, -1, -1))
            loss = (output - y).square().sum(dim=(1, 2)) / self._num_values
            # Lanes are independent: the gradient of the sum is each lane's own.
            torch.autograd.backward(loss.sum())
            losses += loss.detach()
        return losses


def _with_own_gradients(leaves: Tensors) -> dict[str, Tensor]:
    """The same numbers, with gradients of their own, zero."""
    copies = {name: leaf.detach() for name, leaf in leaves.items()}
    for name, copy in copies.items():
        if leaves[name].grad is not None:
            copy.requires_grad_()
            copy.grad = torch.zeros_like(copy)
    return copies


@cache
def _pool(num_threads: int) -> ThreadPoolExecutor:
    """Threads beside the calling one, each with one thread inside each operation."""
    return ThreadPoolExecutor(num_threads - 1, "winnow-pass", initializer=torch.set_num_threads, initargs=(1,))


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
