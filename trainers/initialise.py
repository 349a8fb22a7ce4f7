"""Weight rules, as functions from a seed to tensors or on tensors that a caller owns.

The same seed draws the same standard numbers whatever the point (common random numbers): two points of one seed
differ by what they are and not by their luck.

[Sitzmann2020] SIREN, section 3.2. [Chandravamsi2025] WINNER.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise

import torch
from torch import Tensor


def standard_uniform(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """Draws from U(-1, 1), float64, that depend on (seed, name, shape) alone."""
    return torch.rand(shape, generator=_generator(seed, name), dtype=torch.float64) * 2.0 - 1.0


def standard_normal(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """Draws from N(0, 1), float64, that depend on (seed, name, shape) alone."""
    return torch.randn(shape, generator=_generator(seed, name), dtype=torch.float64)


def siren_weights(seed: int, sizes: tuple[int, ...], w: float) -> dict[str, Tensor]:
    """SIREN's initial tensors [Sitzmann2020]: `weight0`, `bias0`, `weight1`, ...

    W0 ~ U(+-1/dims); later weights, the output layer's too, ~ U(+-sqrt(6/width)/w); biases are torch's Linear
    default, U(+-1/sqrt(fan_in)).

    Args:
        seed: of the draws.
        sizes: dims, features of each hidden layer, channels.
        w: the hidden layers' frequency factor.
    """
    tensors: dict[str, Tensor] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        bound = 1.0 / fan_in if layer == 0 else math.sqrt(6.0 / fan_in) / w
        weight, bias = f"weight{layer}", f"bias{layer}"
        tensors[weight] = standard_uniform(seed, weight, (fan_out, fan_in)) * bound
        tensors[bias] = standard_uniform(seed, bias, (fan_out,)) / math.sqrt(fan_in)
    return tensors


def add_noise_(weight: Tensor, scale: float, w: float, seed: int, name: str) -> Tensor:
    """WINNER's rule for one layer: add N(0, (scale / w)^2) to `weight` in place [Chandravamsi2025].

    Args:
        weight: (out, in), any float type, any device.
        scale: s0 for the first layer, s1 for the second.
        w: the *hidden* layers' factor (30), for both.
        seed: of the draws.
        name: tells the layers' draws apart.
    """
    noise = standard_normal(seed, name, tuple(weight.shape)) * (scale / w)
    with torch.no_grad():
        return weight.add_(noise.to(weight))


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
