from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from trainers.config import ConfigError, NetworkConfig
from trainers.networks import ARCHITECTURES, architecture_of, initial_tensors, render

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


@pytest.mark.parametrize("network", [SIREN, SIREN2], ids=["siren", "siren2"])
class TestEveryArchitecture:
    def test_one_seed_gives_one_network(self, network: NetworkConfig) -> None:
        first, second = initial_tensors(network, 7), initial_tensors(network, 7)
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_another_seed_gives_another_network(self, network: NetworkConfig) -> None:
        first, second = initial_tensors(network, 7), initial_tensors(network, 8)
        assert all(not torch.equal(first[name], second[name]) for name in first)

    def test_the_global_generator_is_neither_read_nor_changed(self, network: NetworkConfig) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            before = torch.get_rng_state()
            first = initial_tensors(network, 7)
            assert torch.equal(torch.get_rng_state(), before)
            torch.manual_seed(2)
            second = initial_tensors(network, 7)
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_it_renders_in_float32_and_float64(self, network: NetworkConfig) -> None:
        tensors = initial_tensors(network, 0)
        x = torch.linspace(-1.0, 1.0, 20, dtype=torch.float64)[:, None]
        single = render(network, {name: tensor.float() for name, tensor in tensors.items()}, x.float())
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), render(network, tensors, x), rtol=1e-2, atol=1e-3)

    def test_rendering_keeps_no_graph(self, network: NetworkConfig) -> None:
        tensors = {name: tensor.requires_grad_() for name, tensor in initial_tensors(network, 0).items()}
        assert not render(network, tensors, torch.zeros((4, 1), dtype=torch.float64)).requires_grad

    def test_an_unknown_knob_is_refused_with_the_known_ones(self, network: NetworkConfig) -> None:
        spelt = replace(network, knobs={**network.knobs, "w0": 30.0})
        with pytest.raises(ConfigError, match=rf"^unknown knob 'w0' of {network.architecture}; known knobs: "):
            initial_tensors(spelt, 0)


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


def test_siren_and_siren2_share_a_stack() -> None:
    assert ARCHITECTURES["siren"].family == ARCHITECTURES["siren2"].family
