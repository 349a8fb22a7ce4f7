"""Networks from their configuration: initial tensors, and one forward pass for a whole stack of lanes.

[Sitzmann2020] SIREN. [Chandravamsi2025] SIREN^2 (WINNER).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spaces.noise import HIDDEN_W
from trainers.config import ConfigError, NetworkConfig
from trainers.initialise import add_noise_, siren_weights
from trainers.layers import linear, sine

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What makes a network of its configuration.

    Attributes:
        family: networks of one family and one shape can share a stack.
        knobs: every knob with its default; None where the caller must give it.
        initial: (config, knobs, seed) to a network's tensors by name, float64, without a lane axis.
        factors: knobs to the numbers that the forward pass needs for each lane.
        forward: (tensors, factors, x) to outputs: tensors with a lane axis, factors (K,), x (K, N, dims).
    """

    family: str
    knobs: Mapping[str, float | None]
    initial: Callable[[NetworkConfig, Mapping[str, float], int], dict[str, Tensor]]
    factors: Callable[[Mapping[str, float]], dict[str, float]]
    forward: Callable[[Tensors, Tensors, Tensor], Tensor]

    def complete_knobs(self, config: NetworkConfig) -> dict[str, float]:
        """The configuration's knobs, with defaults for those it leaves out.

        Raises:
            ConfigError: a knob that is unknown, or missing.
        """
        unknown = set(config.knobs) - set(self.knobs)
        if unknown:
            raise ConfigError(
                f"unknown knob {min(unknown)!r} of {config.architecture}; known knobs: {', '.join(self.knobs)}"
            )
        knobs = {**self.knobs, **config.knobs}
        complete = {name: value for name, value in knobs.items() if value is not None}
        if len(complete) < len(knobs):
            raise ConfigError(f"{config.architecture} needs {', '.join(sorted(set(knobs) - set(complete)))}")
        return complete


def _layer_sizes(config: NetworkConfig) -> tuple[int, ...]:
    return (config.dims, *[config.width] * config.depth, config.channels)


def _siren_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    return siren_weights(seed, _layer_sizes(config), knobs["w"])


def _siren2_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    tensors = siren_weights(seed, _layer_sizes(config), knobs["w"])
    add_noise_(tensors["weight0"], knobs["s0"], knobs["w"], seed, "noise0")
    # With one hidden layer, weight1 is the output layer: it carries no frequencies, and the rule is for sines.
    if config.depth > 1:
        add_noise_(tensors["weight1"], knobs["s1"], knobs["w"], seed, "noise1")
    return tensors


def _sine_forward(tensors: Tensors, factors: Tensors, x: Tensor) -> Tensor:
    """h_0 = sin(w_first (W0 x + b0)), h_{l+1} = sin(w (W_l h_l + b_l)), then linear [Sitzmann2020, eq. 5]."""
    last = len(tensors) // 2 - 1
    h = sine(x, tensors["weight0"], tensors["bias0"], factors["w_first"])
    for layer in range(1, last):
        h = sine(h, tensors[f"weight{layer}"], tensors[f"bias{layer}"], factors["w"])
    return linear(h, tensors[f"weight{last}"], tensors[f"bias{last}"])


ARCHITECTURES: dict[str, Architecture] = {
    "siren": Architecture(
        family="sine",
        knobs={"w_first": HIDDEN_W, "w": HIDDEN_W},
        initial=_siren_initial,
        factors=lambda knobs: {"w_first": knobs["w_first"], "w": knobs["w"]},
        forward=_sine_forward,
    ),
    # w_first = w: SIREN^2 leaves the first layer's frequencies to s0, for every kind of signal.
    "siren2": Architecture(
        family="sine",
        knobs={"s0": None, "s1": None, "w": HIDDEN_W},
        initial=_siren2_initial,
        factors=lambda knobs: {"w_first": knobs["w"], "w": knobs["w"]},
        forward=_sine_forward,
    ),
}


def architecture_of(config: NetworkConfig) -> Architecture:
    """The architecture that a configuration names.

    Raises:
        ConfigError: there is none of that name.
    """
    if config.architecture not in ARCHITECTURES:
        raise ConfigError(
            f"unknown architecture {config.architecture!r}; known architectures: {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[config.architecture]


def initial_tensors(config: NetworkConfig, seed: int) -> dict[str, Tensor]:
    """The untrained network's tensors by name, float64, drawn from `seed`."""
    architecture = architecture_of(config)
    return architecture.initial(config, architecture.complete_knobs(config), seed)


def render(config: NetworkConfig, tensors: Tensors, x: Tensor) -> Tensor:
    """Outputs (N, channels) of one network at coordinates x (N, dims); tensors without a lane axis."""
    architecture = architecture_of(config)
    factors = architecture.factors(architecture.complete_knobs(config))
    stacked = {name: tensor.unsqueeze(0) for name, tensor in tensors.items()}
    lane_factors = {name: x.new_tensor([value]) for name, value in factors.items()}
    with torch.no_grad():
        return architecture.forward(stacked, lane_factors, x.unsqueeze(0)).squeeze(0)
