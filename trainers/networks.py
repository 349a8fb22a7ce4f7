"""Networks from their configuration: initial tensors, and one forward pass for a whole stack of lanes.

[Sitzmann2020] SIREN. [Chandravamsi2025] SIREN^2 (WINNER). [Yeom2025] WS-SIREN. [Liu2024] FINER. [Tancik2020] Fourier
features. [Mildenhall2020] positional encoding. [Ramasinghe2022] Gaussian activations. [Saragadam2023] WIRE.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn

from spaces.embeddings import (
    DEFAULT_FEATURES,
    EmbeddingError,
    complex_width,
    num_inputs,
    positional_frequencies,
    whole,
)
from spaces.noise import HIDDEN_W
from trainers.config import WEIGHT_COUNTS, ConfigError, NetworkConfig
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

LEFT_OUT: Final = "left out"
"""Default of a knob that may be left out and has no value then (FINER's k: the bias stays as it is)."""

FREQUENCIES = "frequencies"
"""Name of an embedding's matrix B, (rows, dims), in cycles per coordinate unit; it is not trained."""

RENDER_ROWS = {"cpu": 2_048, "cuda": 524_288}
"""Lanes times points in one pass of `render_stack`: on a CPU a layer's activations stay in cache (measured, width 128,
16,384 points: 25 ms a network with 1,024 or 2,048 rows, 26 to 30 ms with 256 or 8,192 and more); on a GPU it bounds
the memory."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What makes a network of its configuration.

    Attributes:
        family: networks of one family and one shape can share a stack.
        knobs: every knob with its default; None where the caller must give it, `LEFT_OUT` where it may be left out.
        initial: (config, knobs, seed) to a network's tensors by name, float64, without a lane axis.
        factors: knobs to the numbers that the forward pass needs for each lane.
        forward: a configuration to its forward pass; only what the stack key holds may matter.
        trace: a configuration to the pass that gives every layer's activations.
        fixed: names of tensors that are not trained (frequency matrices); ask it with `in`.
        shape_knobs: knobs that decide the tensors' shapes.
        count: a configuration to its number of trained weights; None: winnow makes a network and counts.
    """

    family: str
    knobs: Mapping[str, float | Literal["left out"] | None]
    initial: Callable[[NetworkConfig, Mapping[str, float], int], dict[str, Tensor]]
    factors: Callable[[Mapping[str, float]], dict[str, float]]
    forward: Callable[[NetworkConfig], Forward]
    trace: Callable[[NetworkConfig], Trace]
    fixed: Container[str] = frozenset()
    shape_knobs: tuple[str, ...] = ()
    count: Callable[[NetworkConfig], int] | None = None

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


def _sine_pass(config: NetworkConfig, tensors: Tensors, factors: Tensors, h: Tensor) -> Iterator[Tensor]:
    """h_0 = sin(w_first (W0 x + b0)), h_{l+1} = sin(w (W_l h_l + b_l)), then linear [Sitzmann2020, eq. 5]."""
    for layer in range(config.depth):
        w = factors["w" if layer else "w_first"]
        h = sine(h, tensors[f"weight{layer}"], tensors[f"bias{layer}"], w)
        yield h
    yield _output(config, tensors, h)


def _finer_pass(config: NetworkConfig, tensors: Tensors, factors: Tensors, h: Tensor) -> Iterator[Tensor]:
    """SIREN's layers with sin(w (|z| + 1) z) [Liu2024, eq. 6]."""
    for layer in range(config.depth):
        w = factors["w" if layer else "w_first"]
        h = finer(h, tensors[f"weight{layer}"], tensors[f"bias{layer}"], w)
        yield h
    yield _output(config, tensors, h)


def _relu_pass(config: NetworkConfig, tensors: Tensors, factors: Tensors, h: Tensor) -> Iterator[Tensor]:
    for layer in range(config.depth):
        h = relu(h, tensors[f"weight{layer}"], tensors[f"bias{layer}"])
        yield h
    yield _output(config, tensors, h)


def _gauss_pass(config: NetworkConfig, tensors: Tensors, factors: Tensors, h: Tensor) -> Iterator[Tensor]:
    """h_{l+1} = exp(-(s (W_l h_l + b_l))^2), then linear [Ramasinghe2022]."""
    for layer in range(config.depth):
        h = gauss(h, tensors[f"weight{layer}"], tensors[f"bias{layer}"], factors["s"])
        yield h
    yield _output(config, tensors, h)


def _wire_pass(config: NetworkConfig, tensors: Tensors, factors: Tensors, h: Tensor) -> Iterator[Tensor]:
    """h_{l+1} = exp(j w z - |s z|^2), z = W_l h_l + b_l, the first real; output Re(W h + b) [Saragadam2023, eq. 4]."""
    for layer in range(config.depth):
        activation = gabor if layer else real_gabor
        h = activation(h, tensors[f"weight{layer}"], tensors[f"bias{layer}"], factors["w"], factors["s"])
        yield h
    yield real_part(h, tensors[f"weight{config.depth}"], tensors[f"bias{config.depth}"])


def _output(config: NetworkConfig, tensors: Tensors, h: Tensor) -> Tensor:
    return linear(h, tensors[f"weight{config.depth}"], tensors[f"bias{config.depth}"])


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


def _pick(*names: str) -> Callable[[Mapping[str, float]], dict[str, float]]:
    return lambda knobs: {name: knobs[name] for name in names}


# Checked against vsitzmann/siren, liuzhen0212/FINER (models.py: SIREN, FINER, Gauss, WIRE), vishwa91/wire and
# effl-lab/Fast-Neural-Fields. Where their defaults differ, science.md's are taken.
ARCHITECTURES: dict[str, Architecture] = {
    "siren": Architecture(
        family="sine",
        knobs={"w_first": HIDDEN_W, "w": HIDDEN_W},
        initial=_siren_initial,
        factors=_pick("w_first", "w"),
        forward=_forward_of(_sine_pass),
        trace=_trace_of(_sine_pass),
    ),
    # w_first = w: SIREN^2 leaves the first layer's frequencies to s0, for every kind of signal.
    "siren2": Architecture(
        family="sine",
        knobs={"s0": None, "s1": None, "w": HIDDEN_W},
        initial=_siren2_initial,
        factors=lambda knobs: {"w_first": knobs["w"], "w": knobs["w"]},
        forward=_forward_of(_sine_pass),
        trace=_trace_of(_sine_pass),
    ),
    # The public code's --scale is 2.5, for width 512.
    "ws-siren": Architecture(
        family="sine",
        knobs={"alpha": 2.5, "w_first": HIDDEN_W, "w": HIDDEN_W},
        initial=_ws_siren_initial,
        factors=_pick("w_first", "w"),
        forward=_forward_of(_sine_pass),
        trace=_trace_of(_sine_pass),
    ),
    # Without k the first bias is torch's default: first_bias_scale=None of the public code.
    "finer": Architecture(
        family="finer",
        knobs={"w_first": HIDDEN_W, "k": LEFT_OUT, "w": HIDDEN_W},
        initial=_finer_initial,
        factors=_pick("w_first", "w"),
        forward=_forward_of(_finer_pass),
        trace=_trace_of(_finer_pass),
    ),
    # sigma is in cycles per coordinate unit: [Tancik2020]'s coordinates are in [0, 1), so that sigma 10 there spans the
    # frequencies of sigma 5 on [-1, 1].
    "fourier": Architecture(
        family="fourier",
        knobs={"sigma": 10.0, "features": float(DEFAULT_FEATURES)},
        initial=_fourier_initial,
        factors=_pick(),
        forward=_forward_of(_on_fourier_features(_relu_pass)),
        trace=_trace_of(_on_fourier_features(_relu_pass)),
        fixed=frozenset({FREQUENCIES}),
        shape_knobs=("features",),
    ),
    # How many octaves make sense depends on the signal's grid: spaces.embeddings.octaves_at_nyquist.
    "positional": Architecture(
        family="positional",
        knobs={"octaves": None},
        initial=_positional_initial,
        factors=_pick(),
        forward=_forward_of(_on_positional_features(_relu_pass)),
        trace=_trace_of(_on_positional_features(_relu_pass)),
        fixed=frozenset({FREQUENCIES}),
        shape_knobs=("octaves",),
    ),
    # FINER's code has s 30, WIRE's 10.
    "gauss": Architecture(
        family="gauss",
        knobs={"s": 30.0},
        initial=_gauss_initial,
        factors=_pick("s"),
        forward=_forward_of(_gauss_pass),
        trace=_trace_of(_gauss_pass),
    ),
    # FINER's code has w 20 and s 10, WIRE's w 30 and s 10; the first layer is real in both.
    "wire": Architecture(
        family="wire",
        knobs={"w": 20.0, "s": 10.0},
        initial=_wire_initial,
        factors=_pick("w", "s"),
        forward=_forward_of(_wire_pass),
        trace=_trace_of(_wire_pass),
    ),
    # SIREN takes the features as its coordinates: W0 ~ U(+-1/(2 m)), then w_first, so that the first pre-activation has
    # a std of w_first / sqrt(12 m) beside its bias (0.54 rad for w_first 30, m 256). No public code of that name found.
    "siren-rff": Architecture(
        family="siren-rff",
        knobs={"sigma": 10.0, "w_first": HIDDEN_W, "features": float(DEFAULT_FEATURES), "w": HIDDEN_W},
        initial=_siren_rff_initial,
        factors=_pick("w_first", "w"),
        forward=_forward_of(_on_fourier_features(_sine_pass)),
        trace=_trace_of(_on_fourier_features(_sine_pass)),
        fixed=frozenset({FREQUENCIES}),
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


def module_architecture(
    build: Callable[..., nn.Module], knobs: Mapping[str, float | Literal["left out"] | None] | None = None
) -> Architecture:
    """An architecture of one's own torch module, to be registered.

    The module must be a function of its inputs alone: no dropout, no batch statistics. Its buffers are held fixed, and
    so are parameters without requires_grad. Lanes run one after the other.

    Args:
        build: build(dims=, channels=, width=, depth=, **knobs) returns a module that takes (N, dims) to (N, channels).
            Knobs come as floats. It draws its weights from torch's generator for the CPU, which is seeded for it and
            restored after it.
        knobs: as for `Architecture`.
    """
    own = dict(knobs or {})

    def make(config: NetworkConfig, seed: int = 0) -> nn.Module:
        sizes = {"dims": config.dims, "channels": config.channels, "width": config.width, "depth": config.depth}
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would seed the GPUs too, which nothing restores. It takes 64 bits.
            torch.default_generator.manual_seed(seed % 2**64)
            return build(**sizes, **architecture.complete_knobs(config))

    def initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
        module = make(config, seed)
        tensors = {name: tensor.detach() for name, tensor in module.named_parameters() if tensor.requires_grad}
        tensors |= {_FIXED + name: tensor.detach() for name, tensor in _constants(module)}
        complex_ones = [name for name, tensor in tensors.items() if tensor.is_complex()]
        if complex_ones:
            raise ConfigError(f"a module's tensors must be real, but got complex {', '.join(complex_ones)}")
        for name, tensor in tensors.items():
            if not tensor.is_floating_point() and not torch.equal(tensor.float().to(tensor.dtype), tensor):
                raise ConfigError(f"whole numbers in a module must fit into float32, but those of {name} do not")
        return {name: tensor.double() for name, tensor in tensors.items()}

    def forward(config: NetworkConfig) -> Forward:
        module = make(config)
        _check_output(module, config)
        dtypes = {_FIXED + name: tensor.dtype for name, tensor in _constants(module) if not tensor.is_floating_point()}

        def run(tensors: Tensors, factors: Tensors, x: Tensor) -> Tensor:
            outputs = []
            for lane, points in enumerate(x.unbind()):
                state = {
                    name.removeprefix(_FIXED): tensor[lane].to(dtypes.get(name, tensor.dtype))
                    for name, tensor in tensors.items()
                }
                outputs.append(torch.func.functional_call(module, state, (points,)))
            return torch.stack(outputs)

        return run

    def trace(config: NetworkConfig) -> Trace:
        run = forward(config)
        return lambda tensors, factors, x: [run(tensors, factors, x)]

    architecture = Architecture(
        family=f"module {id(build)}",  # unlike any other's: the architecture holds `build`
        knobs=own,
        initial=initial,
        factors=_pick(),
        forward=forward,
        trace=trace,
        fixed=_Fixed(),
        shape_knobs=tuple(own),
    )
    return architecture


_FIXED = "fixed/"
"""Begins the names of a module's tensors that are not trained."""


class _Fixed(Container[str]):
    """The names that begin so: which buffers a module has may depend on its configuration."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.startswith(_FIXED)


def _check_output(module: nn.Module, config: NetworkConfig) -> None:
    """On two points, before any fit begins: a worker then blames the trial and not itself."""
    dtype = next((tensor.dtype for tensor in module.parameters()), torch.float32)
    with torch.no_grad():
        output = tuple(module(torch.zeros((2, config.dims), dtype=dtype)).shape)
    if output != (2, config.channels):
        raise ConfigError(
            f"{config.architecture} must return (points, channels), here {(2, config.channels)}, but got {output}"
        )


def _constants(module: nn.Module) -> list[tuple[str, Tensor]]:
    frozen = [(name, tensor) for name, tensor in module.named_parameters() if not tensor.requires_grad]
    return [*module.named_buffers(), *frozen]


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


def render(config: NetworkConfig, tensors: Tensors, x: Tensor) -> Tensor:
    """Outputs (N, channels) of one network at coordinates x (N, dims); tensors without a lane axis."""
    stacked = {name: tensor.unsqueeze(0) for name, tensor in tensors.items()}
    with torch.no_grad():
        forward = architecture_of(config).forward(config)
        return forward(stacked, lane_factors([config], x), x.unsqueeze(0)).squeeze(0)


def trace(config: NetworkConfig, tensors: Tensors, x: Tensor) -> list[Tensor]:
    """Activations (N, features) of each hidden layer, then the outputs (N, channels), of one network at x (N, dims).

    wire's complex activations are given as real parts, then imaginary parts.
    """
    stacked = {name: tensor.unsqueeze(0) for name, tensor in tensors.items()}
    with torch.no_grad():
        run = architecture_of(config).trace(config)
        return [h.squeeze(0) for h in run(stacked, lane_factors([config], x), x.unsqueeze(0))]


def render_stack(configs: Sequence[NetworkConfig], seeds: Sequence[int], x: Tensor) -> Tensor:
    """Outputs (K, N, channels) of K untrained networks of one stack key at x (N, dims), in the type of x.

    Points go in chunks of `RENDER_ROWS`; where there are fewer points than that, several networks go in one pass.

    Args:
        configs: K networks.
        seeds: of each.
        x: coordinates; decides type and device.

    Raises:
        ConfigError: they cannot share a stack.
    """
    keys = {stack_key(config) for config in configs}
    if len(keys) != 1 or len(seeds) != len(configs):
        raise ConfigError(
            f"as many networks as seeds must share a stack, but got {len(configs)} networks of {len(keys)} keys "
            f"and {len(seeds)} seeds"
        )
    output = x.new_empty((len(configs), len(x), configs[0].channels))
    forward = architecture_of(configs[0]).forward(configs[0])
    rows = RENDER_ROWS[x.device.type]
    lanes = max(1, rows // max(1, len(x)))
    with torch.no_grad():
        for first in range(0, len(configs), lanes):
            group = slice(first, first + lanes)
            networks = [initial_tensors(*pair) for pair in zip(configs[group], seeds[group], strict=True)]
            tensors = {name: torch.stack([each[name] for each in networks]).to(x) for name in networks[0]}
            factors = lane_factors(configs[group], x)
            for start in range(0, len(x), rows):
                chunk = x[start : start + rows].expand(len(networks), -1, -1)
                output[group, start : start + rows] = forward(tensors, factors, chunk)
    return output
