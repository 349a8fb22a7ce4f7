"""Layers of stacked networks: every tensor has a leading axis of lanes, one lane a network.

K: lanes; N: points; h: features in (K, N, in); W: weights (K, out, in); b: biases (K, out).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """h W^T + b in every lane: (K, N, in) to (K, N, out)."""
    return torch.baddbmm(b.unsqueeze(1), h, W.transpose(1, 2))


class _Sine(torch.autograd.Function):
    """sin(h W^T + b), keeping the argument and not the sine: one temporary less than autograd's own."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, W: Tensor, b: Tensor) -> Tensor:
        z = linear(h, W, b)
        ctx.save_for_backward(h, W, z)
        return torch.sin(z)

    @staticmethod
    @once_differentiable  # z is kept as a number: a second derivative would silently lack it
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        h, W, z = ctx.saved_tensors
        dz = torch.cos(z).mul_(grads[0])
        dh = torch.bmm(dz, W) if ctx.needs_input_grad[0] else None
        return dh, torch.bmm(dz.transpose(1, 2), h), dz.sum(1)


def sine(h: Tensor, W: Tensor, b: Tensor, w: Tensor) -> Tensor:
    """sin(w (h W^T + b)) in every lane [Sitzmann2020, eq. 5]: (K, N, in) to (K, N, out).

    w, (K,), is multiplied into weights and biases, which are smaller than the activations.
    """
    return _Sine.apply(h, W * w[:, None, None], b * w[:, None])  # type: ignore[no-any-return,no-untyped-call]
