"""Weight rules, as functions from a seed to tensors or on tensors that a caller owns.

The same seed draws the same standard numbers whatever the point (common random numbers): two points of one seed
differ by what they are and not by their luck.

The rules end in an underscore where they work in place: `apply_..._` on a module of one's own, the others on tensors.

[Sitzmann2020] SIREN, section 3.2. [Chandravamsi2025] WINNER. [Yeom2025] WS-SIREN, arXiv 2410.04779. [Liu2024] FINER.
[Saragadam2023] WIRE. [Tancik2020] Fourier features. [He2015] arXiv 1502.01852.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from spaces.noise import HIDDEN_W
from trainers.config import ConfigError


def standard_uniform(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """Draws from U(-1, 1), float64, that depend on (seed, name, shape) alone."""
    return torch.rand(shape, generator=_generator(seed, name), dtype=torch.float64) * 2.0 - 1.0


def standard_normal(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """Draws from N(0, 1), float64, that depend on (seed, name, shape) alone."""
    return torch.randn(shape, generator=_generator(seed, name), dtype=torch.float64)


def siren_bound(fan_in: int, w: float, *, is_first: bool) -> float:
    """Bound of SIREN's weights: 1/fan_in in the first layer, sqrt(6/fan_in)/w in later ones [Sitzmann2020]."""
    return 1.0 / fan_in if is_first else math.sqrt(6.0 / fan_in) / w


def siren_weights(seed: int, sizes: tuple[int, ...], w: float) -> dict[str, Tensor]:
    """SIREN's initial tensors [Sitzmann2020]: `weight0`, `bias0`, `weight1`, ...

    W0 ~ U(+-1/dims); later weights, the output layer's too, ~ U(+-sqrt(6/width)/w); biases are torch's Linear
    default, U(+-1/sqrt(fan_in)). Checked against SIREN in models.py of liuzhen0212/FINER.

    Args:
        seed: of the draws.
        sizes: dims, features of each hidden layer, channels.
        w: the hidden layers' frequency factor.
    """
    tensors: dict[str, Tensor] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        bound = siren_bound(fan_in, w, is_first=layer == 0)
        weight, bias = f"weight{layer}", f"bias{layer}"
        tensors[weight] = standard_uniform(seed, weight, (fan_out, fan_in)) * bound
        tensors[bias] = standard_uniform(seed, bias, (fan_out,)) / math.sqrt(fan_in)
    return tensors


def linear_weights(seed: int, sizes: tuple[int, ...]) -> dict[str, Tensor]:
    """torch's Linear default: weights and biases ~ U(+-1/sqrt(fan_in)); names as for `siren_weights`."""
    tensors: dict[str, Tensor] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        for name, shape in ((f"weight{layer}", (fan_out, fan_in)), (f"bias{layer}", (fan_out,))):
            tensors[name] = standard_uniform(seed, name, shape) / math.sqrt(fan_in)
    return tensors


def he_weights(seed: int, sizes: tuple[int, ...]) -> dict[str, Tensor]:
    """He's initial tensors for ReLU [He2015]: weights ~ N(0, 2/fan_in), biases torch's Linear default.

    Checked against init_weights_normal of vsitzmann/siren: kaiming_normal_ in every layer, the output's too, biases
    left alone. [Tancik2020]'s own notebooks (JAX) draw Glorot weights instead; winnow follows the former.
    """
    tensors = linear_weights(seed, sizes)
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        name = f"weight{layer}"
        tensors[name] = standard_normal(seed, name, (fan_out, fan_in)) * math.sqrt(2.0 / fan_in)
    return tensors


def wire_weights(seed: int, sizes: tuple[int, ...]) -> dict[str, Tensor]:
    """WIRE's initial tensors: a real first layer, then complex ones stored real, with a last axis of 2.

    All are nn.Linear's default. For a complex type that means (torch 2.13: kaiming_uniform_ with a = sqrt 5 on a
    complex tensor; measured) that real and imaginary part are independent, each ~ U(+-1/sqrt(fan_in)).

    Args:
        seed: of the draws.
        sizes: dims, complex features of each hidden layer, channels.
    """
    tensors: dict[str, Tensor] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        parts = () if layer == 0 else (2,)
        for name, shape in ((f"weight{layer}", (fan_out, fan_in)), (f"bias{layer}", (fan_out,))):
            tensors[name] = standard_uniform(seed, name, (*shape, *parts)) / math.sqrt(fan_in)
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


def add_noises_(weights: Sequence[Tensor], s0: float, s1: float, w: float, seed: int) -> None:
    """WINNER's rule: N(0, (s0/w)^2) on the first of `weights`, N(0, (s1/w)^2) on the second, if there is one."""
    for number, (weight, scale) in enumerate(zip(weights, (s0, s1), strict=False)):
        add_noise_(weight, scale, w, seed, f"noise{number}")


def scale_weights_(weights: Sequence[Tensor], alpha: float) -> None:
    """WS-SIREN's rule: all weights but the last, and no biases, times alpha [Yeom2025].

    Checked against ICLR2025/weight_scaling.py of effl-lab/Fast-Neural-Fields: the first layer is scaled too.
    """
    with torch.no_grad():
        for weight in weights[:-1]:
            weight.mul_(alpha)


def set_first_bias_(bias: Tensor, k: float, seed: int) -> None:
    """FINER's rule: the first layer's bias ~ U(+-k), in place [Liu2024]. Checked against FinerLayer.init_first_bias."""
    with torch.no_grad():
        bias.copy_(standard_uniform(seed, "bias0", tuple(bias.shape)) * k)


def apply_siren_(module: nn.Module, *, w: float = HIDDEN_W, seed: int = 0) -> None:
    """Draw the nn.Linear layers of one's own module as SIREN's [Sitzmann2020], in order of appearance.

    The first one found is the first layer: U(+-1/fan_in). The module itself must multiply by w before its sines.
    """
    linears = _linears(module, at_least=1)
    with torch.no_grad():
        for layer, linear in enumerate(linears):
            sizes = (linear.in_features, linear.out_features)
            bound = siren_bound(sizes[0], w, is_first=layer == 0)
            linear.weight.copy_(standard_uniform(seed, f"weight{layer}", sizes[::-1]) * bound)
            if linear.bias is not None:
                linear.bias.copy_(standard_uniform(seed, f"bias{layer}", sizes[1:]) / math.sqrt(sizes[0]))


def apply_noise_(module: nn.Module, s0: float, s1: float, *, w: float = HIDDEN_W, seed: int = 0) -> None:
    """WINNER on one's own module: noise on the weights of its first and second nn.Linear [Chandravamsi2025].

    With `apply_siren_` of the same seed before it, the weights are those of winnow's siren2.

    Args:
        module: with two nn.Linear layers at least, in order of appearance.
        s0: std of the first layer's noise times w.
        s1: of the second's.
        w: the *hidden* layers' factor (30), for both.
        seed: of the draws.

    Raises:
        ConfigError: there are fewer than two.
    """
    add_noises_([linear.weight for linear in _linears(module, at_least=2)][:2], s0, s1, w, seed)


def apply_weight_scale_(module: nn.Module, alpha: float) -> None:
    """WS-SIREN on one's own module: the weights of every nn.Linear but the last times alpha [Yeom2025].

    Raises:
        ConfigError: there are fewer than two.
    """
    scale_weights_([linear.weight for linear in _linears(module, at_least=2)], alpha)


def apply_first_bias_(module: nn.Module, k: float, *, seed: int = 0) -> None:
    """FINER on one's own module: the bias of its first nn.Linear ~ U(+-k) [Liu2024].

    Raises:
        ConfigError: there is none, or it has no bias.
    """
    bias = _linears(module, at_least=1)[0].bias
    if bias is None:
        raise ConfigError("the first nn.Linear must have a bias, but it has none")
    set_first_bias_(bias, k, seed)


def _linears(module: nn.Module, *, at_least: int) -> list[nn.Linear]:
    linears = [child for child in module.modules() if isinstance(child, nn.Linear)]
    if len(linears) < at_least:
        raise ConfigError(f"a module must have at least {at_least} nn.Linear, but got {len(linears)}")
    return linears


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
