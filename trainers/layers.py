"""Layers of stacked networks: every tensor has a leading axis of lanes, one lane a network.

K: lanes; N: points; h: features in (K, N, in); W: weights (K, out, in); b: biases (K, out); z = h W^T + b.
A complex tensor is stored real, with a last axis of 2 (real, imaginary part); complex features lie side by side,
(K, N, 2 features): all real parts, then all imaginary ones.

Each activation is one autograd function with its linear layer, which keeps what its derivative needs and no more: its
own output costs nothing, since the next layer keeps that anyway. All refuse a second derivative: what they keep, they
keep as numbers.

[Sitzmann2020] SIREN. [Liu2024] FINER. [Ramasinghe2022] Gaussian activations. [Saragadam2023] WIRE. The formulas were
checked against the authors' code (vsitzmann/siren, liuzhen0212/FINER, vishwa91/wire).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """h W^T + b in every lane: (K, N, in) to (K, N, out)."""
    return torch.baddbmm(b.unsqueeze(1), h, W.transpose(1, 2))


def sin(z: Tensor) -> Tensor:
    """sin z, to 1e-7; on one thread of a CPU by NumPy, with AVX-512 in a third of torch's time."""
    return _by_numpy(np.sin, z) if _is_for_numpy(z) else torch.sin(z)


def cos(z: Tensor) -> Tensor:
    """cos z, likewise."""
    return _by_numpy(np.cos, z) if _is_for_numpy(z) else torch.cos(z)


def _is_for_numpy(z: Tensor) -> bool:
    is_plain = z.dtype is torch.float32 and z.device.type == "cpu" and not z.requires_grad
    return is_plain and torch.get_num_threads() == 1


def _by_numpy(function: np.ufunc, z: Tensor) -> Tensor:
    out = torch.empty_like(z, memory_format=torch.contiguous_format)
    with np.errstate(invalid="ignore"):  # of an infinite argument it is NaN, as it is in torch, without a word
        function(z.numpy(), out=out.numpy())
    return out


def _linear_gradients(ctx: Any, dz: Tensor, h: Tensor, W: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
    """Gradients of h, W and b, given that of z."""
    dh = torch.bmm(dz, W) if ctx.needs_input_grad[0] else None
    return dh, torch.bmm(dz.transpose(1, 2), h), dz.sum(1)


class _Sine(torch.autograd.Function):
    """sin(w (h W^T + b)), keeping the argument and not the sine: one temporary less than autograd's own."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, W: Tensor, b: Tensor, w: Tensor) -> Tensor:
        scaled = W * w[:, None, None]
        z = linear(h, scaled, b * w[:, None])
        ctx.save_for_backward(h, scaled, z, w)
        return sin(z)

    @staticmethod
    @once_differentiable  # z is kept as a number: a second derivative would silently lack it
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        h, scaled, z, w = ctx.saved_tensors
        dz = cos(z).mul_(grads[0])
        dh, dW, db = _linear_gradients(ctx, dz, h, scaled)
        return dh, dW.mul_(w[:, None, None]), db.mul_(w[:, None]), None


def sine(h: Tensor, W: Tensor, b: Tensor, w: Tensor) -> Tensor:
    """sin(w (h W^T + b)) in every lane [Sitzmann2020, eq. 5]: (K, N, in) to (K, N, out).

    w, (K,), is multiplied into weights and biases, which are smaller than the activations.
    """
    return _Sine.apply(h, W, b, w)  # type: ignore[no-any-return,no-untyped-call]


class _Relu(torch.autograd.Function):
    """max(z, 0), keeping the output alone."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, W: Tensor, b: Tensor) -> Tensor:
        out = torch.relu_(linear(h, W, b))
        ctx.save_for_backward(h, W, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        h, W, out = ctx.saved_tensors
        return _linear_gradients(ctx, torch.where(out > 0, grads[0], 0.0), h, W)


def relu(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """max(h W^T + b, 0) in every lane: (K, N, in) to (K, N, out). The derivative at 0 is 0."""
    return _Relu.apply(h, W, b)  # type: ignore[no-any-return,no-untyped-call]


def _exp_(exponent: Tensor) -> Tensor:
    """exp in place, never below the type's smallest normal number: there torch is ten times slower on a CPU."""
    lowest = math.ceil(math.log(torch.finfo(exponent.dtype).tiny))
    return exponent.clamp_(min=lowest).exp_()


class _Gauss(torch.autograd.Function):
    """exp(-z^2), keeping z and the output."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, W: Tensor, b: Tensor) -> Tensor:
        z = linear(h, W, b)
        out = _exp_(torch.square(z).neg_())
        ctx.save_for_backward(h, W, z, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        h, W, z, out = ctx.saved_tensors
        return _linear_gradients(ctx, torch.mul(z, out).mul_(grads[0]).mul_(-2.0), h, W)


def gauss(h: Tensor, W: Tensor, b: Tensor, s: Tensor) -> Tensor:
    """exp(-(s z)^2) in every lane [Ramasinghe2022]: (K, N, in) to (K, N, out).

    s, (K,), is multiplied into weights and biases.
    """
    return _Gauss.apply(h, W * s[:, None, None], b * s[:, None])  # type: ignore[no-any-return,no-untyped-call]


class _Finer(torch.autograd.Function):
    """sin((|y| / w + 1) y) of y = w z, keeping y; the factor has no gradient, as in the public code."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, W: Tensor, b: Tensor, inverse_w: Tensor) -> Tensor:
        y = linear(h, W, b)
        ctx.save_for_backward(h, W, y, inverse_w)
        return sin(torch.abs(y).mul_(inverse_w).add_(1.0).mul_(y))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        h, W, y, inverse_w = ctx.saved_tensors
        factor = torch.abs(y).mul_(inverse_w).add_(1.0)
        dy = cos(torch.mul(factor, y)).mul_(factor).mul_(grads[0])
        return *_linear_gradients(ctx, dy, h, W), None


def finer(h: Tensor, W: Tensor, b: Tensor, w: Tensor) -> Tensor:
    """sin(w (|z| + 1) z) in every lane [Liu2024, eq. 6]: (K, N, in) to (K, N, out).

    (|z| + 1) counts as a constant in the gradient: the public code's default, scale_req_grad=False.

    w, (K,), above 0, is multiplied into weights and biases, as for `sine`.
    """
    scaled = (W * w[:, None, None], b * w[:, None], w.reciprocal()[:, None, None])
    return _Finer.apply(h, *scaled)  # type: ignore[no-any-return,no-untyped-call]


class _RealGabor(torch.autograd.Function):
    """exp(j y - r y^2) of real y, keeping y and the output (real parts, imaginary parts)."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, W: Tensor, b: Tensor, r: Tensor) -> Tensor:
        y = linear(h, W, b)
        out = _gabor(torch.square(y).mul_(r).neg_(), y)
        ctx.save_for_backward(h, W, y, r, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        h, W, y, r, out = ctx.saved_tensors
        radial, turning = _polar_gradients(grads[0], out)
        return *_linear_gradients(ctx, turning.sub_(radial.mul_(y).mul_(2.0 * r)), h, W), None


class _Gabor(torch.autograd.Function):
    """exp(j y - r |y|^2) of complex y, keeping y and the output; all complex features are (real parts, imaginary)."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, W: Tensor, b: Tensor, r: Tensor) -> Tensor:
        y = linear(h, W, b)
        real, imag = y.chunk(2, dim=2)
        # exp(j y) of y = real + j imag is exp(-imag) (cos real + j sin real).
        exponent = torch.square(real).addcmul_(imag, imag).mul_(r).add_(imag).neg_()
        out = _gabor(exponent, real)
        ctx.save_for_backward(h, W, y, r, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        h, W, y, r, out = ctx.saved_tensors
        real, imag = y.chunk(2, dim=2)
        radial, turning = _polar_gradients(grads[0], out)
        # d|out| / |out| = -(1 + 2 r imag) dimag - 2 r real dreal, and d(angle of out) = dreal.
        dy = torch.empty_like(y)
        dreal, dimag = dy.chunk(2, dim=2)
        torch.mul(real, radial, out=dreal).mul_(-2.0 * r).add_(turning)
        torch.mul(imag, 2.0 * r, out=dimag).add_(1.0).mul_(radial).neg_()
        return *_linear_gradients(ctx, dy, h, W), None


def _gabor(exponent: Tensor, angle: Tensor) -> Tensor:
    """exp(exponent) (cos angle, sin angle): two (K, N, out) to (K, N, 2 out); overwrites `exponent`."""
    modulus = _exp_(exponent)
    out = modulus.new_empty((*modulus.shape[:2], 2 * modulus.shape[2]))
    real, imag = out.chunk(2, dim=2)
    torch.mul(modulus, cos(angle), out=real)
    torch.mul(modulus, sin(angle), out=imag)
    return out


def _polar_gradients(grad: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of log |out| and of the angle of out, given that of its real and imaginary part."""
    (dreal, dimag), (real, imag) = grad.chunk(2, dim=2), out.chunk(2, dim=2)
    return (dreal * real).addcmul_(dimag, imag), (dimag * real).addcmul_(dreal, imag, value=-1.0)


def real_gabor(h: Tensor, W: Tensor, b: Tensor, w: Tensor, s: Tensor) -> Tensor:
    """exp(j w z - (s z)^2) of real z in every lane, wire's first layer: (K, N, in) to (K, N, 2 out).

    w and s, (K,), w above 0; w is multiplied into weights and biases.
    """
    scaled = (W * w[:, None, None], b * w[:, None], (s / w).square()[:, None, None])
    return _RealGabor.apply(h, *scaled)  # type: ignore[no-any-return,no-untyped-call]


def gabor(h: Tensor, W: Tensor, b: Tensor, w: Tensor, s: Tensor) -> Tensor:
    """exp(j w z - |s z|^2) of complex z in every lane [Saragadam2023, eq. 4]: (K, N, 2 in) to (K, N, 2 out).

    Args:
        h: complex features, real parts first.
        W: (K, out, in, 2).
        b: (K, out, 2).
        w: (K,), above 0; multiplied into weights and biases.
        s: (K,).
    """
    scaled = (complex_matrix(W * w[:, None, None, None]), _side_by_side(b * w[:, None, None]))
    return _Gabor.apply(h, *scaled, (s / w).square()[:, None, None])  # type: ignore[no-any-return,no-untyped-call]


def real_part(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """Re(h W^T + b), wire's output: complex features (K, N, 2 in), W (K, out, in, 2), b (K, out, 2) to (K, N, out)."""
    real, imag = W.unbind(-1)
    return linear(h, torch.cat([real, -imag], dim=2), b[..., 0])


def complex_matrix(W: Tensor) -> Tensor:
    """[[Re, -Im], [Im, Re]]: (K, out, in, 2) to (K, 2 out, 2 in), which acts on complex features as W does."""
    real, imag = W.unbind(-1)
    return torch.cat([torch.cat([real, -imag], dim=2), torch.cat([imag, real], dim=2)], dim=1)


def _side_by_side(b: Tensor) -> Tensor:
    return torch.cat([b[..., 0], b[..., 1]], dim=1)


def fourier_features(x: Tensor, frequencies: Tensor) -> Tensor:
    """sin(2 pi B x), then cos(2 pi B x): x (K, N, dims), B (K, rows, dims) to (K, N, 2 rows) [Tancik2020, eq. 5]."""
    phases = torch.bmm(x, (2.0 * math.pi * frequencies).transpose(1, 2))
    return torch.cat([sin(phases), cos(phases)], dim=2)
