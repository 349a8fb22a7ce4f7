"""Networks from their configuration: initial tensors, and one forward pass for a whole stack of lanes.

[Sitzmann2020] SIREN. [Chandravamsi2025] SIREN^2 (WINNER). [Yeom2025] WS-SIREN. [Liu2024] FINER. [Tancik2020] Fourier
features. [Mildenhall2020] positional encoding. [Ramasinghe2022] Gaussian activations. [Saragadam2023] WIRE.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spaces.embeddings import (
    EmbeddingError,
    complex_width,
    num_inputs,
    positional_frequencies,
    whole,
)
from trainers.config import KNOBS, LEFT_OUT, WEIGHT_COUNTS, ConfigError, Knobs, NetworkConfig
from trainers.initialise import (
    add_noises_,
    he_weights,
    linear_weights,
    scale_weights_,
    set_first_bias_,
    siren_weights,
    standard_normal,
    wire_weights,
)
from trainers.layers import finer, fourier_features, gabor, gauss, linear, real_gabor, real_part, relu, sine

Tensors = Mapping[str, Tensor]

Forward = Callable[[Tensors, Tensors, Tensor], Tensor]
"""(tensors, factors, x) to outputs (K, N, channels): tensors with a lane axis, factors (K,), x (K, N, dims)."""

Trace = Callable[[Tensors, Tensors, Tensor], list[Tensor]]
"""Likewise, to the activations (K, N, features) of each hidden layer, then the outputs."""

Initial = Callable[[NetworkConfig, Mapping[str, float], int], dict[str, Tensor]]
"""(config, knobs, seed) to a network's tensors by name, float64, without a lane axis."""

Factors = Callable[[Mapping[str, float]], dict[str, float]]
"""knobs to the numbers that the forward pass needs for each lane."""

FREQUENCIES = "frequencies"
"""Name of an embedding's matrix B, (rows, dims), in cycles per coordinate unit; it is not trained."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What makes a network of its configuration.

    Attributes:
        family: networks of one family and one shape can share a stack.
        knobs: every knob with its default; None where the caller must give it, `LEFT_OUT` where it may be left out.
        initial: draws a network's tensors.
        factors: what of the knobs the forward pass needs.
        forward: a configuration to its forward pass; only what the stack key holds may matter.
        trace: a configuration to the pass that gives every layer's activations.
        fixed: names of tensors that are not trained (frequency matrices); ask it with `in`.
        shape_knobs: knobs that decide the tensors' shapes.
        count: a configuration to its number of trained weights; None: winnow makes a network and counts.
        is_static: whether the forward pass is the same launches of kernels every time, so that a GPU may replay them.
    """

    family: str
    knobs: Knobs
    initial: Initial
    factors: Factors
    forward: Callable[[NetworkConfig], Forward]
    trace: Callable[[NetworkConfig], Trace]
    fixed: Container[str] = frozenset()
    shape_knobs: tuple[str, ...] = ()
    count: Callable[[NetworkConfig], int] | None = None
    is_static: bool = False

    def complete_knobs(self, config: NetworkConfig) -> dict[str, float]:
        """The configuration's knobs, with defaults for those it leaves out.

        Raises:
            ConfigError: a knob that is unknown, or missing.
        """
        unknown = set(config.knobs) - set(self.knobs)
        if unknown:
            known = ", ".join(self.knobs) or "none"
            raise ConfigError(f"unknown knob {min(unknown)!r} of {config.architecture}; known knobs: {known}")
        knobs = {**self.knobs, **config.knobs}
        missing = sorted(name for name, value in knobs.items() if value is None)
        if missing:
            raise ConfigError(f"{config.architecture} needs {', '.join(missing)}")
        return {name: value for name, value in knobs.items() if value is not None and value != LEFT_OUT}


Pass = Callable[[NetworkConfig, Tensors, Tensors, Tensor], Iterator[Tensor]]
"""Yields each hidden layer's activations, then the outputs."""


def _forward_of(run: Pass) -> Callable[[NetworkConfig], Forward]:
    def build(config: NetworkConfig) -> Forward:
        def forward(tensors: Tensors, factors: Tensors, x: Tensor) -> Tensor:
            for h in run(config, tensors, factors, x):  # noqa: B007  only the last is kept: the others make room
                pass
            return h

        return forward

    return build


def _trace_of(run: Pass) -> Callable[[NetworkConfig], Trace]:
    def build(config: NetworkConfig) -> Trace:
        return lambda tensors, factors, x: list(run(config, tensors, factors, x))

    return build


Layer = Callable[[Tensor, Tensor, Tensor, Tensors, bool], Tensor]
"""(h, W, b, factors, whether it is the first) to the activations of a hidden layer."""


def _pass_of(layer: Layer, output: Callable[[Tensor, Tensor, Tensor], Tensor] = linear) -> Pass:
    """`depth` hidden layers, then the output layer."""

    def run(config: NetworkConfig, tensors: Tensors, factors: Tensors, h: Tensor) -> Iterator[Tensor]:
        for number in range(config.depth):
            h = layer(h, tensors[f"weight{number}"], tensors[f"bias{number}"], factors, number == 0)
            yield h
        yield output(h, tensors[f"weight{config.depth}"], tensors[f"bias{config.depth}"])

    return run


# h_0 = sin(w_first (W0 x + b0)), h_{l+1} = sin(w (W_l h_l + b_l)), then linear [Sitzmann2020, eq. 5].
_sine_pass = _pass_of(lambda h, W, b, factors, is_first: sine(h, W, b, factors["w_first" if is_first else "w"]))
# SIREN's layers with sin(w (|z| + 1) z) [Liu2024, eq. 6].
_finer_pass = _pass_of(lambda h, W, b, factors, is_first: finer(h, W, b, factors["w_first" if is_first else "w"]))
_relu_pass = _pass_of(lambda h, W, b, factors, is_first: relu(h, W, b))
# h_{l+1} = exp(-(s (W_l h_l + b_l))^2), then linear [Ramasinghe2022].
_gauss_pass = _pass_of(lambda h, W, b, factors, is_first: gauss(h, W, b, factors["s"]))


def _gabor_layer(h: Tensor, W: Tensor, b: Tensor, factors: Tensors, is_first: bool) -> Tensor:
    """exp(j w z - |s z|^2), z = W h + b, the first real [Saragadam2023, eq. 4]."""
    return (real_gabor if is_first else gabor)(h, W, b, factors["w"], factors["s"])


_wire_pass = _pass_of(_gabor_layer, output=real_part)


def _on_fourier_features(run: Pass) -> Pass:
    """The pass on sin(2 pi B x), cos(2 pi B x) [Tancik2020, eq. 5]."""

    def on_features(config: NetworkConfig, tensors: Tensors, factors: Tensors, x: Tensor) -> Iterator[Tensor]:
        return run(config, tensors, factors, fourier_features(x, tensors[FREQUENCIES]))

    return on_features


def _on_positional_features(run: Pass) -> Pass:
    """The pass on x, sin(2^i pi x), cos(2^i pi x) [Mildenhall2020]."""

    def on_features(config: NetworkConfig, tensors: Tensors, factors: Tensors, x: Tensor) -> Iterator[Tensor]:
        features = torch.cat([x, fourier_features(x, tensors[FREQUENCIES])], dim=2)
        return run(config, tensors, factors, features)

    return on_features


def _sizes(config: NetworkConfig, knobs: Mapping[str, float]) -> tuple[int, ...]:
    inputs = num_inputs(config.architecture, config.dims, knobs)
    return (inputs, *[config.width] * config.depth, config.channels)


def _siren_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    return siren_weights(seed, _sizes(config, knobs), knobs["w"])


def _siren2_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    tensors = _siren_initial(config, knobs, seed)
    # With one hidden layer, weight1 is the output layer: it carries no frequencies, and the rule is for sines.
    hidden = [tensors[f"weight{layer}"] for layer in range(config.depth)]
    add_noises_(hidden, knobs["s0"], knobs["s1"], knobs["w"], seed)
    return tensors


def _ws_siren_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    tensors = _siren_initial(config, knobs, seed)
    scale_weights_([tensors[f"weight{layer}"] for layer in range(config.depth + 1)], knobs["alpha"])
    return tensors


def _finer_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    tensors = _siren_initial(config, knobs, seed)
    if "k" in knobs:
        set_first_bias_(tensors["bias0"], knobs["k"], seed)
    return tensors


def _gauss_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    return linear_weights(seed, _sizes(config, knobs))


def _wire_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    return wire_weights(seed, (config.dims, *[complex_width(config.width)] * config.depth, config.channels))


def _fourier_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    return {FREQUENCIES: _random_frequencies(config, knobs, seed), **he_weights(seed, _sizes(config, knobs))}


def _positional_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    frequencies = positional_frequencies(config.dims, whole("octaves", knobs["octaves"]))
    return {FREQUENCIES: torch.from_numpy(frequencies), **he_weights(seed, _sizes(config, knobs))}


def _siren_rff_initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    return {FREQUENCIES: _random_frequencies(config, knobs, seed), **_siren_initial(config, knobs, seed)}


def _random_frequencies(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> Tensor:
    """B ~ N(0, sigma^2), (m, dims): sigma times a draw that only the seed and the shape decide."""
    shape = (whole("features", knobs["features"]), config.dims)
    return knobs["sigma"] * standard_normal(seed, FREQUENCIES, shape)


def _pick(*names: str) -> Factors:
    return lambda knobs: {name: knobs[name] for name in names}


def _built_in(
    name: str,
    family: str,
    run: Pass,
    initial: Initial,
    factors: Factors,
    *,
    fixed: Container[str] = frozenset(),
    shape_knobs: tuple[str, ...] = (),
) -> Architecture:
    return Architecture(
        family=family,
        knobs=KNOBS[name],
        initial=initial,
        factors=factors,
        forward=_forward_of(run),
        trace=_trace_of(run),
        fixed=fixed,
        shape_knobs=shape_knobs,
        is_static=True,
    )


_EMBEDDED = frozenset({FREQUENCIES})
_SINE_FACTORS = _pick("w_first", "w")

ARCHITECTURES: dict[str, Architecture] = {
    "siren": _built_in("siren", "sine", _sine_pass, _siren_initial, _SINE_FACTORS),
    # w_first = w: SIREN^2 leaves the first layer's frequencies to s0, for every kind of signal.
    "siren2": _built_in(
        "siren2", "sine", _sine_pass, _siren2_initial, lambda knobs: {"w_first": knobs["w"], "w": knobs["w"]}
    ),
    "ws-siren": _built_in("ws-siren", "sine", _sine_pass, _ws_siren_initial, _SINE_FACTORS),
    "finer": _built_in("finer", "finer", _finer_pass, _finer_initial, _SINE_FACTORS),
    "fourier": _built_in(
        "fourier",
        "fourier",
        _on_fourier_features(_relu_pass),
        _fourier_initial,
        _pick(),
        fixed=_EMBEDDED,
        shape_knobs=("features",),
    ),
    "positional": _built_in(
        "positional",
        "positional",
        _on_positional_features(_relu_pass),
        _positional_initial,
        _pick(),
        fixed=_EMBEDDED,
        shape_knobs=("octaves",),
    ),
    "gauss": _built_in("gauss", "gauss", _gauss_pass, _gauss_initial, _pick("s")),
    "wire": _built_in("wire", "wire", _wire_pass, _wire_initial, _pick("w", "s")),
    # SIREN takes the features as its coordinates: W0 ~ U(+-1/(2 m)), then w_first, so that the first pre-activation has
    # a std of w_first / sqrt(12 m) beside its bias (0.54 rad for w_first 30, m 256). SIREN^2's public code has another:
    # width / 2 features without the 2 pi, and W0 ~ U(+-1/dims).
    "siren-rff": _built_in(
        "siren-rff",
        "siren-rff",
        _on_fourier_features(_sine_pass),
        _siren_rff_initial,
        _SINE_FACTORS,
        fixed=_EMBEDDED,
        shape_knobs=("features",),
    ),
}


BUILT_IN = frozenset(ARCHITECTURES)
"""Those that every process has; others must be registered in each."""


def register_architecture(name: str, architecture: Architecture) -> None:
    """Make an architecture of one's own known by name in this process, and its weights countable.

    Raises:
        ConfigError: the name is one of those that come with the package: workers would fit that one.
    """
    if name in BUILT_IN:
        raise ConfigError(f"a network of your own needs a name of its own, but {name} is built in")
    ARCHITECTURES[name] = architecture
    WEIGHT_COUNTS[name] = architecture.count or _count_trained


def _count_trained(config: NetworkConfig) -> int:
    fixed = architecture_of(config).fixed
    return sum(tensor.numel() for name, tensor in initial_tensors(config, 0).items() if name not in fixed)


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


def stack_key(config: NetworkConfig) -> Hashable:
    """Networks of one key may share a stack: family, tensor shapes and forward pass are the same.

    Raises:
        ConfigError: architecture or knobs are not known.
    """
    architecture = architecture_of(config)
    knobs = architecture.complete_knobs(config)
    shape = tuple((name, knobs.get(name)) for name in architecture.shape_knobs)
    return (architecture.family, config.width, config.depth, config.dims, config.channels, *shape)


def initial_tensors(config: NetworkConfig, seed: int) -> dict[str, Tensor]:
    """The untrained network's tensors by name, float64, drawn from `seed`; frequencies that are not trained too.

    Raises:
        ConfigError: architecture or knobs are not known, or a knob cannot be.
    """
    architecture = architecture_of(config)
    try:
        return architecture.initial(config, architecture.complete_knobs(config), seed)
    except EmbeddingError as error:
        raise ConfigError(str(error)) from error


def lane_factors(configs: Sequence[NetworkConfig], like: Tensor) -> dict[str, Tensor]:
    """The forward pass' factors, (K,), for K networks of one stack key, in the type and on the device of `like`."""
    each = [architecture_of(config).factors(architecture_of(config).complete_knobs(config)) for config in configs]
    return {name: like.new_tensor([factors[name] for factors in each]) for name in each[0]}


def render(config: NetworkConfig, tensors: Tensors, x: Tensor, *, rows: int | None = None) -> Tensor:
    """Outputs (N, channels) of one network at coordinates x (N, dims), `rows` of them at a time; all unless given.

    Tensors come without a lane axis.
    """
    stacked = {name: tensor.unsqueeze(0) for name, tensor in tensors.items()}
    factors = lane_factors([config], x)
    with torch.no_grad():
        forward = architecture_of(config).forward(config)
        output = x.new_empty((len(x), config.channels))
        # Into one tensor: outputs that are kept apart lie between the activations, whose memory is then never reused.
        for x_chunk, chunk in zip(*(torch.split(t, rows or max(len(x), 1)) for t in (x, output)), strict=True):
            chunk.copy_(forward(stacked, factors, x_chunk.unsqueeze(0)).squeeze(0))
        return output


def trace(config: NetworkConfig, tensors: Tensors, x: Tensor) -> list[Tensor]:
    """Activations (N, features) of each hidden layer, then the outputs (N, channels), of one network at x (N, dims).

    wire's complex activations are given as real parts, then imaginary parts.
    """
    stacked = {name: tensor.unsqueeze(0) for name, tensor in tensors.items()}
    with torch.no_grad():
        run = architecture_of(config).trace(config)
        return [h.squeeze(0) for h in run(stacked, lane_factors([config], x), x.unsqueeze(0))]
