from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from spaces.embeddings import complex_width, positional_frequencies
from trainers.config import LEFT_OUT, WEIGHT_COUNTS, ConfigError, FitConfig, NetworkConfig, Status
from trainers.fit import FitStack, fit_network
from trainers.initialise import apply_siren_
from trainers.modules import module_architecture
from trainers.networks import (
    ARCHITECTURES,
    FREQUENCIES,
    architecture_of,
    initial_tensors,
    lane_factors,
    register_architecture,
    render,
    stack_key,
    trace,
)
from trainers.signals import read_signal
from trainers.tasks import Task, build_task
from trainers.untrained import RENDER_ROWS, render_stack

SIREN = NetworkConfig(architecture="siren", width=16, depth=3)
SIREN2 = NetworkConfig(architecture="siren2", width=16, depth=3, knobs={"s0": 300.0, "s1": 0.5})


class PlainSine(nn.Module):
    """SIREN as one would write it: nn.Linear and sin."""

    def __init__(self, tensors: dict[str, Tensor], w_first: float, w: float) -> None:
        super().__init__()
        self.factors = [w_first] + [w] * (len(tensors) // 2 - 2)
        self.linears = nn.ModuleList()
        for layer in range(len(tensors) // 2):
            weight, bias = tensors[f"weight{layer}"], tensors[f"bias{layer}"]
            module = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
            module.load_state_dict({"weight": weight, "bias": bias})
            self.linears.append(module)

    def forward(self, x: Tensor) -> Tensor:
        for factor, module in zip(self.factors, self.linears[:-1], strict=True):
            x = torch.sin(factor * module(x))
        return self.linears[-1](x)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize(("dims", "channels"), [(1, 1), (2, 3)])
@pytest.mark.parametrize(
    ("architecture", "knobs", "w_first", "w"),
    [
        ("siren", {}, 30.0, 30.0),
        ("siren", {"w_first": 3000.0}, 3000.0, 30.0),
        ("siren", {"w_first": 100.0, "w": 10.0}, 100.0, 10.0),
        ("siren2", {"s0": 300.0, "s1": 0.5}, 30.0, 30.0),
        ("siren2", {"s0": 300.0, "s1": 0.5, "w": 20.0}, 20.0, 20.0),
    ],
)
def test_a_network_renders_what_linear_modules_and_sines_give(
    architecture: str, knobs: dict[str, float], w_first: float, w: float, depth: int, dims: int, channels: int
) -> None:
    network = NetworkConfig(architecture=architecture, width=16, depth=depth, dims=dims, channels=channels, knobs=knobs)
    tensors = initial_tensors(network, seed=3)
    x = torch.rand((50, dims), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    output = render(network, tensors, x)
    assert output.shape == (50, channels)
    torch.testing.assert_close(output, PlainSine(tensors, w_first, w)(x).detach())


class OwnModule(nn.Module):
    """What a user might bring: a module with a buffer, a frozen parameter and a factor that only the forward has."""

    def __init__(self, dims: int, channels: int, width: int, depth: int, slope: float, shift: float = 0.0) -> None:
        super().__init__()
        sizes = [dims, *[width] * depth, channels]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.slope = slope
        self.register_buffer("shift", torch.full((dims,), shift))
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        h = x + self.shift
        for layer in self.layers[:-1]:
            h = torch.tanh(self.slope * layer(h))
        return self.scale * self.layers[-1](h)


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    """`own` is a registered architecture while a test runs."""
    register_architecture("own", module_architecture(OwnModule, {"slope": 4.0, "shift": LEFT_OUT}))
    yield
    del ARCHITECTURES["own"], WEIGHT_COUNTS["own"]


def configured(architecture: str, **knobs: float) -> NetworkConfig:
    return NetworkConfig(architecture=architecture, width=16, depth=3, knobs=knobs)


EVERY = {
    "siren": SIREN,
    "siren2": SIREN2,
    "ws-siren": configured("ws-siren"),
    "finer": configured("finer"),
    "finer with k": configured("finer", k=2.0),
    "fourier": configured("fourier", features=8.0),
    "positional": configured("positional", octaves=4.0),
    "gauss": configured("gauss"),
    "wire": configured("wire"),
    "siren-rff": configured("siren-rff", features=8.0),
    "own": configured("own"),
}

OTHER_KNOBS: dict[str, dict[str, float]] = {
    "siren": {"w_first": 100.0},
    "siren2": {"s0": 30.0, "s1": 1.0},
    "ws-siren": {"alpha": 1.5, "w_first": 60.0},
    "finer": {"w_first": 60.0, "k": 3.0},
    "fourier": {"sigma": 2.0, "features": 8.0},
    "positional": {"octaves": 4.0},
    "gauss": {"s": 10.0},
    "wire": {"w": 10.0, "s": 5.0},
    "siren-rff": {"sigma": 2.0, "w_first": 60.0, "features": 8.0},
    "own": {"slope": 4.0},
}
"""Other knobs with which a network still shares the stack."""

LEARNS: dict[str, tuple[dict[str, float], float]] = {
    "siren": ({}, 1e-3),
    "siren2": ({"s0": 30.0, "s1": 0.2}, 1e-3),
    "ws-siren": ({}, 1e-3),
    "finer": ({}, 1e-3),
    "fourier": ({"sigma": 1.0, "features": 32.0}, 5e-3),
    "positional": ({"octaves": 4.0}, 5e-3),
    "gauss": ({}, 5e-3),
    "wire": ({}, 5e-3),
    "siren-rff": ({"sigma": 1.0, "features": 32.0}, 1e-3),
    "own": ({}, 1e-2),
}
"""Knobs and learning rate with which each learns three cycles of a tone at once."""


@pytest.fixture(scope="module")
def tone_task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """256 samples of three cycles of a sinusoid."""
    path: Path = tmp_path_factory.mktemp("tone") / "tone.wav"
    soundfile.write(path, 0.8 * np.sin(2.0 * np.pi * 3.0 * np.arange(256) / 256 + 0.3), 8000, subtype="DOUBLE")
    return build_task(read_signal(str(path)))


def grid(points: int, dims: int = 1) -> Tensor:
    return torch.rand((points, dims), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def single(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in tensors.items()}


@pytest.mark.parametrize("network", EVERY.values(), ids=EVERY)
class TestEveryArchitecture:
    @pytest.mark.parametrize("extent", [{"dims": 1, "depth": 1}, {"dims": 2, "channels": 3}, {"dims": 3, "width": 5}])
    def test_it_renders_points_and_channels(self, network: NetworkConfig, extent: dict[str, int]) -> None:
        shaped = replace(network, **extent)
        output = render(shaped, initial_tensors(shaped, 0), grid(20, shaped.dims))
        assert output.shape == (20, shaped.channels)
        assert output.isfinite().all()
        assert output.std(dim=0).min() > 0

    def test_one_seed_gives_one_network(self, network: NetworkConfig) -> None:
        first, second = initial_tensors(network, 7), initial_tensors(network, 7)
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_another_seed_gives_another_network(self, network: NetworkConfig) -> None:
        first, second = initial_tensors(network, 7), initial_tensors(network, 8)
        drawn = set(first) - ({FREQUENCIES} if network.architecture == "positional" else set())
        drawn = {name for name in drawn if not name.startswith("fixed/")}
        assert all(not torch.equal(first[name], second[name]) for name in drawn)

    @pytest.mark.parametrize("seed", [-1, 2**63, 2**100])
    def test_every_whole_number_is_a_seed(self, network: NetworkConfig, seed: int) -> None:
        first, second = initial_tensors(network, seed), initial_tensors(network, seed)
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_the_global_generator_is_neither_read_nor_changed(self, network: NetworkConfig) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            before = torch.get_rng_state()
            first = initial_tensors(network, 7)
            render(network, first, grid(4))
            assert torch.equal(torch.get_rng_state(), before)
            torch.manual_seed(2)
            second = initial_tensors(network, 7)
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_its_tensors_are_real_and_double(self, network: NetworkConfig) -> None:
        assert {tensor.dtype for tensor in initial_tensors(network, 0).values()} == {torch.float64}

    def test_networks_of_one_seed_share_their_draws(self, network: NetworkConfig) -> None:
        other = replace(network, knobs=OTHER_KNOBS[network.architecture])
        first, second = initial_tensors(network, 7), initial_tensors(other, 7)
        assert set(first) == set(second)
        last = f"weight{network.depth}"
        if last in first:
            assert torch.equal(first[last], second[last])
        if FREQUENCIES in first:
            scale = other.knobs.get("sigma", 1.0) / architecture_of(network).complete_knobs(network).get("sigma", 1.0)
            torch.testing.assert_close(second[FREQUENCIES], scale * first[FREQUENCIES])

    def test_it_renders_in_float32_and_float64(self, network: NetworkConfig) -> None:
        tensors = initial_tensors(network, 0)
        x = torch.linspace(-1.0, 1.0, 20, dtype=torch.float64)[:, None]
        output = render(network, single(tensors), x.float())
        assert output.dtype == torch.float32
        torch.testing.assert_close(output.double(), render(network, tensors, x), rtol=1e-2, atol=1e-3)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_its_gradients_are_finite(self, network: NetworkConfig, dtype: torch.dtype) -> None:
        architecture = architecture_of(network)
        stacked = {name: tensor.to(dtype)[None] for name, tensor in initial_tensors(network, 0).items()}
        trained = [tensor.requires_grad_() for name, tensor in stacked.items() if name not in architecture.fixed]
        x = grid(50).to(dtype)[None]
        output = architecture.forward(network)(stacked, lane_factors([network], x), x)
        for gradient in torch.autograd.grad(output.square().sum(), trained):
            assert gradient.dtype == dtype
            assert gradient.isfinite().all()

    def test_rendering_keeps_no_graph(self, network: NetworkConfig) -> None:
        tensors = {name: tensor.requires_grad_() for name, tensor in initial_tensors(network, 0).items()}
        assert not render(network, tensors, torch.zeros((4, 1), dtype=torch.float64)).requires_grad

    def test_an_unknown_knob_is_refused_with_the_known_ones(self, network: NetworkConfig) -> None:
        spelt = replace(network, knobs={**network.knobs, "w0": 30.0})
        with pytest.raises(ConfigError, match=rf"^unknown knob 'w0' of {network.architecture}; known knobs: "):
            initial_tensors(spelt, 0)

    def test_its_trace_ends_with_what_it_renders(self, network: NetworkConfig) -> None:
        tensors = initial_tensors(network, 0)
        *hidden, output = trace(network, tensors, grid(20))
        assert torch.equal(output, render(network, tensors, grid(20)))
        features = 2 * complex_width(16) if network.architecture == "wire" else 16
        depth = 0 if network.architecture == "own" else 3
        assert [tuple(h.shape) for h in hidden] == [(20, features)] * depth
        assert not output.requires_grad

    @pytest.mark.parametrize("extent", [{}, {"depth": 1}, {"dims": 2, "channels": 3, "width": 7}])
    def test_its_number_of_weights_is_that_of_its_trained_tensors(
        self, network: NetworkConfig, extent: dict[str, int]
    ) -> None:
        shaped = replace(network, **extent)
        fixed = architecture_of(shaped).fixed
        tensors = initial_tensors(shaped, 0)
        assert shaped.num_weights == sum(tensor.numel() for name, tensor in tensors.items() if name not in fixed)

    def test_a_stack_of_fresh_networks_renders_as_each_alone(self, network: NetworkConfig) -> None:
        networks = [network, replace(network, knobs=OTHER_KNOBS[network.architecture]), network]
        stacked = render_stack(networks, [0, 0, 5], grid(30))
        for output, config, seed in zip(stacked, networks, [0, 0, 5], strict=True):
            torch.testing.assert_close(output, render(config, initial_tensors(config, seed), grid(30)))

    def test_it_learns_a_tone(self, network: NetworkConfig, tone_task: Task) -> None:
        knobs, lr = LEARNS[network.architecture]
        learner = replace(network, knobs={**network.knobs, **knobs}, width=32, depth=2)
        assert fit_network(tone_task, learner, FitConfig(steps=200, lr=lr), 0).progress.psnr_db > 20.0  # type: ignore[operator]

    def test_lanes_fit_as_each_would_alone(self, network: NetworkConfig, tone_task: Task) -> None:
        networks = [network, replace(network, knobs=OTHER_KNOBS[network.architecture]), network]
        fit = FitConfig(steps=20, lr=1e-3)
        stack = FitStack(tone_task, network, num_lanes=3)
        for lane, config in enumerate(networks):
            stack.start(lane, config, fit, seed=lane)
        stack.advance({0: 20, 1: 20, 2: 20})
        for lane, config in enumerate(networks):
            alone = fit_network(tone_task, config, fit, lane).progress
            assert [value for _, value in stack.progress(lane).curve] == pytest.approx(
                [value for _, value in alone.curve], abs=0.05
            )

    def test_a_lane_that_fails_leaves_the_others_as_they_are(self, network: NetworkConfig, tone_task: Task) -> None:
        results = []
        for lr in (1e-3, 1e30):
            stack = FitStack(tone_task, network, num_lanes=2)
            stack.start(0, network, FitConfig(steps=10, lr=1e-3), seed=0)
            stack.start(1, network, FitConfig(steps=10, lr=lr), seed=1)
            while stack.progress(0).status is Status.RUNNING:
                running = [lane for lane in (0, 1) if stack.progress(lane).status is Status.RUNNING]
                stack.advance(dict.fromkeys(running, 10))
            results.append(stack.result(0))
        for name, weights in results[0].weights.items():
            np.testing.assert_array_equal(weights, results[1].weights[name])

    def test_a_checkpoint_continues_exactly(self, network: NetworkConfig, tone_task: Task) -> None:
        fit = FitConfig(steps=12, lr=1e-3)
        first, second = FitStack(tone_task, network), FitStack(tone_task, network)
        first.start(0, network, fit, seed=3)
        first.advance({0: 5})
        second.start(0, network, fit, seed=3, checkpoint=first.checkpoint(0))
        second.advance({0: 12})
        whole = fit_network(tone_task, network, fit, 3)
        assert second.progress(0).curve == whole.progress.curve
        for name, weights in second.result(0).weights.items():
            np.testing.assert_array_equal(weights, whole.weights[name])

    def test_a_fit_leaves_what_is_fixed_and_returns_it(self, network: NetworkConfig, tone_task: Task) -> None:
        result = fit_network(tone_task, network, FitConfig(steps=5, lr=1e-3), 0)
        initial = initial_tensors(network, 0)
        assert set(result.weights) == set(initial)
        for name, tensor in initial.items():
            is_same = np.array_equal(result.weights[name], tensor.float().numpy())
            # wire's last bias has an imaginary part, but still its real one moves.
            assert is_same == (name in architecture_of(network).fixed)
        weights = {name: torch.from_numpy(array) for name, array in result.weights.items()}
        output = render(network, weights, torch.from_numpy(tone_task.coordinates))
        np.testing.assert_array_equal(output.numpy(), result.output)


def test_siren_and_siren2_of_one_seed_share_their_uniform_draw() -> None:
    plain, noisy = initial_tensors(SIREN, 4), initial_tensors(SIREN2, 4)
    same = {name for name in plain if torch.equal(plain[name], noisy[name])}
    assert same == set(plain) - {"weight0", "weight1"}


def test_siren2_without_noise_is_siren_with_w_first_30() -> None:
    quiet = replace(SIREN2, knobs={"s0": 0.0, "s1": 0.0})
    siren = replace(SIREN, knobs={"w_first": 30.0})
    plain, noisy = initial_tensors(siren, 4), initial_tensors(quiet, 4)
    assert all(torch.equal(plain[name], noisy[name]) for name in plain)
    x = torch.linspace(-1.0, 1.0, 50, dtype=torch.float64)[:, None]
    assert torch.equal(render(siren, plain, x), render(quiet, noisy, x))


def test_the_callers_noise_scales_reach_the_weights_as_given() -> None:
    none, once, thrice = (
        initial_tensors(replace(SIREN2, knobs={"s0": s0, "s1": s1}), 4)
        for s0, s1 in ((0.0, 0.0), (100.0, 0.5), (300.0, 1.5))
    )
    for name in ("weight0", "weight1"):
        torch.testing.assert_close(thrice[name] - none[name], 3.0 * (once[name] - none[name]))


def test_w_first_changes_the_forward_pass_and_not_the_weights() -> None:
    at_3000 = replace(SIREN, knobs={"w_first": 3000.0})
    tensors = initial_tensors(SIREN, 4)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in initial_tensors(at_3000, 4).items())
    x = torch.linspace(-1.0, 1.0, 50, dtype=torch.float64)[:, None]
    scaled = {**tensors, "weight0": 100.0 * tensors["weight0"], "bias0": 100.0 * tensors["bias0"]}
    torch.testing.assert_close(render(at_3000, tensors, x), render(SIREN, scaled, x))


def test_the_output_layer_of_a_network_with_one_hidden_layer_gets_no_noise() -> None:
    shallow = replace(SIREN2, depth=1)
    plain = initial_tensors(replace(SIREN, depth=1), 4)
    noisy = initial_tensors(shallow, 4)
    assert torch.equal(plain["weight1"], noisy["weight1"])
    assert not torch.equal(plain["weight0"], noisy["weight0"])


@pytest.mark.parametrize(("knobs", "missing"), [({}, "s0, s1"), ({"s0": 1.0}, "s1"), ({"s1": 1.0, "w": 30.0}, "s0")])
def test_missing_noise_scales_are_named(knobs: dict[str, float], missing: str) -> None:
    with pytest.raises(ConfigError, match=rf"^siren2 needs {missing}$"):
        initial_tensors(replace(SIREN2, knobs=knobs), 0)


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"^unknown architecture 'sirens'; known architectures: siren, siren2"):
        architecture_of(replace(SIREN, architecture="sirens"))


@pytest.mark.parametrize("architecture", ["siren2", "ws-siren"])
def test_networks_of_sines_share_a_stack(architecture: str) -> None:
    assert stack_key(EVERY[architecture]) == stack_key(SIREN)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (SIREN, EVERY["finer"]),
        (EVERY["fourier"], EVERY["siren-rff"]),
        (EVERY["fourier"], EVERY["positional"]),
        (EVERY["fourier"], configured("fourier", features=9.0)),
        (EVERY["positional"], configured("positional", octaves=5.0)),
        (SIREN, replace(SIREN, width=8)),
        (SIREN, replace(SIREN, channels=2)),
    ],
)
def test_networks_of_other_shapes_or_families_share_none(first: NetworkConfig, second: NetworkConfig) -> None:
    assert stack_key(first) != stack_key(second)
    with pytest.raises(ConfigError, match=r"must share a stack, but got 2 networks of 2 keys and 2 seeds$"):
        render_stack([first, second], [0, 0], grid(4))


def test_frequencies_of_another_scale_share_a_stack() -> None:
    assert stack_key(EVERY["fourier"]) == stack_key(configured("fourier", features=8.0, sigma=3.0))


def test_a_default_and_the_same_value_given_share_a_stack() -> None:
    assert stack_key(configured("fourier")) == stack_key(configured("fourier", features=256.0))


def test_a_stack_needs_as_many_seeds_as_networks() -> None:
    with pytest.raises(ConfigError, match=r"but got 2 networks of 1 keys and 1 seeds$"):
        render_stack([SIREN, SIREN], [0], grid(4))


@pytest.mark.parametrize("points", [3, RENDER_ROWS["cpu"] + 7])
def test_a_stack_is_whole_whatever_the_number_of_points(points: int) -> None:
    networks = [replace(SIREN, knobs={"w_first": 10.0 * number}) for number in range(1, 6)]
    stacked = render_stack(networks, range(5), grid(points).float())
    assert stacked.shape == (5, points, 1)
    for seed, config in enumerate(networks):
        expected = render(config, single(initial_tensors(config, seed)), grid(points).float())
        torch.testing.assert_close(stacked[seed], expected, rtol=1e-4, atol=1e-5)


def literal_wire(network: NetworkConfig, tensors: dict[str, Tensor], w: float, s: float) -> Callable[[Tensor], Tensor]:
    """As vishwa91/wire builds it: complex nn.Linear layers behind a real one, torch.exp, the real part."""
    h = complex_width(network.width)
    sizes = [network.dims, *[h] * network.depth, network.channels]
    linears = []
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        module = nn.Linear(fan_in, fan_out, dtype=torch.cdouble if layer else torch.double)
        weight, bias = tensors[f"weight{layer}"], tensors[f"bias{layer}"]
        as_drawn = (torch.view_as_complex(weight), torch.view_as_complex(bias)) if layer else (weight, bias)
        module.load_state_dict({"weight": as_drawn[0], "bias": as_drawn[1]})
        linears.append(module)

    def forward(x: Tensor) -> Tensor:
        for module in linears[:-1]:
            z = module(x)
            x = torch.exp(1j * w * z - (s * z).abs().square())
        return linears[-1](x).real.detach()

    return forward


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize(("dims", "channels"), [(1, 1), (2, 3)])
def test_wire_renders_what_complex_modules_give(depth: int, dims: int, channels: int) -> None:
    network = NetworkConfig(architecture="wire", width=20, depth=depth, dims=dims, channels=channels)
    tensors = initial_tensors(network, 3)
    x = grid(50, dims)
    expected = literal_wire(network, tensors, 20.0, 10.0)(x)
    torch.testing.assert_close(render(network, tensors, x), expected, rtol=1e-6, atol=1e-6)


def literal_layers(tensors: dict[str, Tensor], h: Tensor, activations: list[Callable[[Tensor], Tensor]]) -> Tensor:
    for layer, activation in enumerate(activations):
        h = activation(nn.functional.linear(h, tensors[f"weight{layer}"], tensors[f"bias{layer}"]))
    last = len(activations)
    return nn.functional.linear(h, tensors[f"weight{last}"], tensors[f"bias{last}"])


def sine_of(w: float) -> Callable[[Tensor], Tensor]:
    return lambda z: torch.sin(w * z)


def finer_of(w: float) -> Callable[[Tensor], Tensor]:
    return lambda z: torch.sin(w * (z.abs() + 1).detach() * z)


def plain(x: Tensor, tensors: dict[str, Tensor]) -> Tensor:
    return x


def embedded(x: Tensor, tensors: dict[str, Tensor]) -> Tensor:
    phases = 2 * torch.pi * x @ tensors[FREQUENCIES].T
    return torch.cat([phases.sin(), phases.cos()], dim=1)


def encoded(x: Tensor, tensors: dict[str, Tensor]) -> Tensor:
    phases = torch.cat([2**octave * torch.pi * x for octave in range(4)], dim=1)
    return torch.cat([x, phases.sin(), phases.cos()], dim=1)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize(
    ("architecture", "knobs", "embed", "first", "later"),
    [
        ("ws-siren", {"w_first": 60.0, "w": 20.0}, plain, sine_of(60.0), sine_of(20.0)),
        ("finer", {"w_first": 60.0, "w": 20.0, "k": 2.0}, plain, finer_of(60.0), finer_of(20.0)),
        ("fourier", {"sigma": 3.0, "features": 8.0}, embedded, torch.relu, torch.relu),
        ("positional", {"octaves": 4.0}, encoded, torch.relu, torch.relu),
        ("gauss", {"s": 10.0}, plain, lambda z: torch.exp(-((10 * z) ** 2)), lambda z: torch.exp(-((10 * z) ** 2))),
        ("siren-rff", {"sigma": 3.0, "features": 8.0, "w_first": 60.0}, embedded, sine_of(60.0), sine_of(30.0)),
    ],
)
def test_outputs_and_gradients_are_those_of_a_literal_network(
    architecture: str,
    knobs: dict[str, float],
    embed: Callable[[Tensor, dict[str, Tensor]], Tensor],
    first: Callable[[Tensor], Tensor],
    later: Callable[[Tensor], Tensor],
    dims: int,
) -> None:
    network = NetworkConfig(architecture=architecture, width=16, depth=3, dims=dims, channels=2, knobs=knobs)
    own = architecture_of(network)
    tensors = initial_tensors(network, 3)
    trained = [tensor.requires_grad_() for name, tensor in tensors.items() if name not in own.fixed]
    x = grid(50, dims)
    stacked = {name: tensor[None] for name, tensor in tensors.items()}
    actual = own.forward(network)(stacked, lane_factors([network], x), x[None])[0]
    expected = literal_layers(tensors, embed(x, tensors), [first, later, later])
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)
    fast = torch.autograd.grad(actual.square().sum(), trained)
    slow = torch.autograd.grad(expected.square().sum(), trained)
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "knobs", "std"),
    [
        ("siren", {}, 1 / np.sqrt(3)),
        ("siren2", {"s0": 300.0, "s1": 0.0}, np.hypot(1 / np.sqrt(3), 10.0)),
        ("ws-siren", {"alpha": 2.5}, 2.5 / np.sqrt(3)),
        ("finer", {}, 1 / np.sqrt(3)),
        ("fourier", {"features": 128.0}, np.sqrt(2 / 256)),
        ("positional", {"octaves": 5.0}, np.sqrt(2 / 11)),
        ("gauss", {}, 1 / np.sqrt(3)),
        ("wire", {}, 1 / np.sqrt(3)),
        ("siren-rff", {"features": 128.0}, 1 / 256 / np.sqrt(3)),
    ],
)
def test_the_first_layers_std_is_known(architecture: str, knobs: dict[str, float], std: float) -> None:
    wide = NetworkConfig(architecture=architecture, width=8192, depth=1, knobs=knobs)
    weight = initial_tensors(wide, 0)["weight0"]
    assert weight.std().item() == pytest.approx(std, rel=0.03)
    assert weight.mean().item() == pytest.approx(0.0, abs=0.05 * std)


@pytest.mark.parametrize(("k", "bound"), [(None, 1.0), (0.0, 0.0), (5.0, 5.0)])
def test_finers_first_bias_fills_k_and_is_torchs_without_it(k: float | None, bound: float) -> None:
    wide = NetworkConfig(architecture="finer", width=4096, depth=2, knobs={} if k is None else {"k": k})
    tensors = initial_tensors(wide, 0)
    assert 0.99 * bound <= tensors["bias0"].abs().max() <= bound
    siren = initial_tensors(replace(wide, architecture="siren", knobs={}), 0)
    assert all(torch.equal(tensors[name], siren[name]) for name in set(siren) - {"bias0"})


def test_wires_complex_weights_have_the_distribution_of_torchs_own() -> None:
    drawn = initial_tensors(NetworkConfig(architecture="wire", width=256, depth=2), 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Linear(181, 181, dtype=torch.cdouble)
    for own, theirs in ((drawn["weight1"], module.weight), (drawn["bias1"], module.bias)):
        expected = torch.view_as_real(theirs.detach())
        assert own.shape == expected.shape
        assert own.abs().max() <= 1 / np.sqrt(181)
        torch.testing.assert_close(own.abs().max(), expected.abs().max(), rtol=0.02, atol=0)
        torch.testing.assert_close(own.std(), expected.std(), rtol=0.1, atol=0)


def test_random_frequencies_have_the_std_sigma_and_those_of_octaves_are_known() -> None:
    fourier = configured("fourier", sigma=7.0, features=20_000.0)
    assert initial_tensors(fourier, 0)[FREQUENCIES].std().item() == pytest.approx(7.0, rel=0.02)
    positional = replace(configured("positional", octaves=3.0), dims=2)
    np.testing.assert_array_equal(initial_tensors(positional, 0)[FREQUENCIES].numpy(), positional_frequencies(2, 3))


def test_a_fourier_network_of_one_frequency_holds_its_harmonics_alone() -> None:
    network = NetworkConfig(architecture="fourier", width=16, depth=2, knobs={"features": 1.0})
    tensors = {**initial_tensors(network, 0), FREQUENCIES: torch.tensor([[2.5]], dtype=torch.float64)}
    x = (-1.0 + 2.0 * torch.arange(240, dtype=torch.float64) / 240)[:, None]
    spectrum = torch.fft.rfft(render(network, tensors, x)[:, 0]).abs()
    harmonics = torch.arange(len(spectrum)) % 5 == 0  # 2.5 cycles a unit are 5 over [-1, 1]
    assert spectrum[5] > 1.0
    assert spectrum[~harmonics].max() < 1e-9


@pytest.mark.parametrize("x", [0.01, 0.3, -0.8])
@pytest.mark.parametrize(("s0", "s1"), [(0.0, 0.0), (2.0, 0.3), (300.0, 1.0)])
def test_the_variance_of_siren2s_second_pre_activation_is_known(s0: float, s1: float, x: float) -> None:
    # z2 = w (W1 h + b1), h = sin(w (W0 x + b0)). Given h, Var z2 = w^2 (sum h^2 Var W1 + Var b1), with
    # Var W1 = 2/(width w^2) + (s1/w)^2 and Var b1 = 1/(3 width); so Var z2 = E[h^2] (2 + width s1^2) + w^2/(3 width),
    # which is 1 + width s1^2/2 and the bias' term where E[h^2] = 1/2. E[h^2] = (1 - E cos(2 w (W0 x + b0)))/2 is
    # known too: W0 ~ U(+-1) + N(0, (s0/w)^2), b0 ~ U(+-1) have the characteristic functions sinc and exp.
    w, width, seeds = 30.0, 128, 150
    network = NetworkConfig(architecture="siren2", width=width, depth=2, knobs={"s0": s0, "s1": s1})
    z2 = []
    for seed in range(seeds):
        tensors = initial_tensors(network, seed)
        h = trace(network, tensors, torch.tensor([[x]], dtype=torch.float64))[0][0]
        z2.append(w * (tensors["weight1"] @ h + tensors["bias1"]))
    no_phase = np.sinc(2 * w / np.pi) * np.sinc(2 * w * x / np.pi) * np.exp(-2 * (s0 * x) ** 2)
    expected = (1 - no_phase) / 2 * (2 + width * s1**2) + w**2 / (3 * width)
    assert torch.cat(z2).var().item() == pytest.approx(expected, rel=0.04)
    if s0 == 300.0:
        assert expected == pytest.approx(1 + width * s1**2 / 2 + w**2 / (3 * width), rel=0.02)


@pytest.mark.parametrize(
    ("architecture", "digest", "psnr_db"),
    [("siren", "f19b9f1c08d8f758", 24.8754), ("siren2", "1cd6a656cea09761", 27.7748)],
)
def test_siren_and_siren2_are_what_they_were(architecture: str, digest: str, psnr_db: float, small: Task) -> None:
    # Golden numbers of the version before there were other architectures.
    knobs = {"siren": {"w_first": 300.0}, "siren2": {"s0": 200.0, "s1": 0.25}}[architecture]
    network = NetworkConfig(architecture=architecture, width=16, depth=3, knobs=knobs)
    total = sha256()
    for name, tensor in sorted(initial_tensors(network, 7).items()):
        total.update(name.encode() + tensor.numpy().tobytes())
    assert total.hexdigest().startswith(digest)
    progress = fit_network(small, network, FitConfig(steps=60, lr=2e-3), 7).progress
    assert progress.psnr_db == pytest.approx(psnr_db, abs=0.01)


@pytest.mark.parametrize(
    ("architecture", "knobs", "message"),
    [
        ("positional", {}, r"^positional needs octaves$"),
        ("positional", {"octaves": 2.5}, r"^`1 <= octaves` must hold and octaves must be whole, but got octaves=2.5$"),
        ("fourier", {"features": 0.0}, r"^`1 <= features` must hold and features must be whole, but got features=0.0$"),
        ("siren-rff", {"features": 0.5}, r"features=0.5$"),
    ],
)
def test_counts_that_cannot_be_are_refused(architecture: str, knobs: dict[str, float], message: str) -> None:
    network = configured(architecture, **knobs)
    with pytest.raises(ConfigError, match=message):
        initial_tensors(network, 0)
    with pytest.raises(ConfigError, match=message):
        network.num_weights  # noqa: B018


def test_the_weights_of_an_unknown_architecture_are_not_guessed() -> None:
    with pytest.raises(ConfigError, match=r"^unknown architecture 'mine': register it before its weights are counted$"):
        configured("mine").num_weights  # noqa: B018


class TestAModuleOfOnesOwn:
    def test_it_renders_what_the_module_gives(self) -> None:
        network = configured("own", slope=3.0, shift=0.25)
        tensors = initial_tensors(network, 5)
        with torch.random.fork_rng():
            torch.manual_seed(5)
            module = OwnModule(dims=1, channels=1, width=16, depth=3, slope=3.0, shift=0.25)
        x = grid(20).float()
        torch.testing.assert_close(render(network, single(tensors), x), module(x).detach())

    def test_its_buffers_and_frozen_parameters_are_fixed(self) -> None:
        tensors, fixed = initial_tensors(EVERY["own"], 0), architecture_of(EVERY["own"]).fixed
        assert {name for name in tensors if name in fixed} == {"fixed/shift", "fixed/scale"}
        assert {name for name in tensors if name not in fixed} == {
            f"layers.{layer}.{kind}" for layer in range(4) for kind in ("weight", "bias")
        }

    def test_networks_of_other_knobs_share_no_stack(self) -> None:
        assert stack_key(configured("own", slope=3.0)) != stack_key(configured("own", slope=4.0))
        assert stack_key(configured("own", slope=4.0)) == stack_key(configured("own"))
        assert stack_key(configured("own", shift=0.0)) != stack_key(configured("own"))

    def test_modules_of_other_functions_share_no_stack(self) -> None:
        register_architecture("other", module_architecture(lambda **sizes: OwnModule(**sizes), {"slope": 4.0}))
        try:
            assert stack_key(configured("other")) != stack_key(configured("own", slope=4.0))
        finally:
            del ARCHITECTURES["other"], WEIGHT_COUNTS["other"]

    def test_it_can_count_its_weights_itself(self) -> None:
        register_architecture("own", replace(ARCHITECTURES["own"], count=lambda config: 7))
        assert configured("own").num_weights == 7

    def test_whole_numbers_in_buffers_stay_whole(self) -> None:
        class Permuted(OwnModule):
            def __init__(self, **sizes: int) -> None:
                super().__init__(**sizes, slope=1.0)
                self.register_buffer("order", torch.tensor([1, 0]))

            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x[:, self.order])

        register_architecture("own", module_architecture(Permuted))
        network = replace(configured("own"), dims=2)
        assert render(network, initial_tensors(network, 0), grid(5, 2)).shape == (5, 1)

    @pytest.mark.parametrize("dtype", [torch.cfloat, torch.int64])
    def test_tensors_that_a_stack_cannot_hold_are_refused(self, dtype: torch.dtype) -> None:
        def build(**sizes: int) -> nn.Module:
            module = OwnModule(**sizes, slope=1.0)
            module.register_buffer("odd", torch.tensor([2**24 + 1]).to(dtype))
            return module

        register_architecture("own", module_architecture(build))
        with pytest.raises(ConfigError, match="odd"):
            initial_tensors(configured("own"), 0)

    def test_an_output_of_another_shape_is_refused(self) -> None:
        def build(channels: int, **sizes: int) -> nn.Module:
            return OwnModule(channels=channels + 1, **sizes, slope=1.0)

        register_architecture("own", module_architecture(build))
        network = configured("own")
        with pytest.raises(
            ConfigError, match=r"^own must return \(points, channels\), here \(2, 1\), but got \(2, 2\)$"
        ):
            render(network, initial_tensors(network, 0), grid(5))

    def test_winnows_rules_initialise_it(self) -> None:
        def build(**sizes: int) -> nn.Module:
            module = OwnModule(**sizes, slope=30.0)
            apply_siren_(module, seed=int(torch.randint(2**31, ())))
            return module

        register_architecture("own", module_architecture(build))
        first, second = (initial_tensors(configured("own"), seed)["layers.1.weight"] for seed in (0, 1))
        assert first.abs().max() <= np.sqrt(6 / 16) / 30
        assert not torch.equal(first, second)
