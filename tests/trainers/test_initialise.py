import math

import pytest
import torch
from torch import Tensor, nn

from spaces.noise import NoiseScales, bandwidth, gain
from trainers.config import ConfigError, NetworkConfig
from trainers.initialise import (
    add_noise_,
    apply_first_bias_,
    apply_noise_,
    apply_siren_,
    apply_weight_scale_,
    he_weights,
    linear_weights,
    siren_weights,
    standard_normal,
    standard_uniform,
    wire_weights,
)
from trainers.networks import initial_tensors

SIZES = (1, 256, 256, 256, 1)


def siren2_weights(seed: int, sizes: tuple[int, ...], s0: float, s1: float) -> dict[str, Tensor]:
    tensors = siren_weights(seed, sizes, 30.0)
    add_noise_(tensors["weight0"], s0, 30.0, seed, "noise0")
    add_noise_(tensors["weight1"], s1, 30.0, seed, "noise1")
    return tensors


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("weight0", 1.0),
        ("bias0", 1.0),
        ("weight1", math.sqrt(6 / 256) / 30),
        ("weight2", math.sqrt(6 / 256) / 30),
        ("weight3", math.sqrt(6 / 256) / 30),
        ("bias1", 1 / 16),
        ("bias2", 1 / 16),
    ],
)
def test_sirens_uniform_draws_fill_their_published_bounds(name: str, bound: float) -> None:
    tensor = siren_weights(0, SIZES, 30.0)[name]
    assert tensor.abs().max() <= bound
    assert tensor.abs().max() > 0.95 * bound
    assert tensor.mean() == pytest.approx(0.0, abs=0.12 * bound)
    assert tensor.std() == pytest.approx(bound / math.sqrt(3), rel=0.12)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_first_layers_bound_is_one_over_the_dims(dims: int) -> None:
    weight = siren_weights(0, (dims, 2048, 1), 30.0)["weight0"]
    assert 0.99 / dims < weight.abs().max() <= 1 / dims


def test_later_weights_shrink_with_w_and_nothing_else_does() -> None:
    at_30, at_60 = siren_weights(0, SIZES, 30.0), siren_weights(0, SIZES, 60.0)
    for name, tensor in at_30.items():
        factor = 2.0 if name in {"weight1", "weight2", "weight3"} else 1.0
        torch.testing.assert_close(at_60[name] * factor, tensor)


def test_the_tensors_have_the_shapes_of_linear_layers() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in siren_weights(0, (2, 8, 5, 3), 30.0).items()}
    assert shapes == {
        "weight0": (8, 2), "bias0": (8,), "weight1": (5, 8), "bias1": (5,), "weight2": (3, 5), "bias2": (3,),
    }  # fmt: skip


def test_the_first_layers_noise_has_a_std_of_s0_over_30() -> None:
    plain, noisy = siren_weights(1, (1, 8192, 8, 1), 30.0), siren2_weights(1, (1, 8192, 8, 1), 300.0, 0.0)
    noise = noisy["weight0"] - plain["weight0"]
    assert noise.std() == pytest.approx(300.0 / 30.0, rel=0.03)
    assert noise.mean() == pytest.approx(0.0, abs=0.4)


def test_the_second_layers_noise_has_a_std_of_s1_over_30() -> None:
    plain, noisy = siren_weights(1, SIZES, 30.0), siren2_weights(1, SIZES, 0.0, 1.5)
    assert (noisy["weight1"] - plain["weight1"]).std() == pytest.approx(1.5 / 30.0, rel=0.02)


def test_the_noise_is_gaussian_and_not_uniform() -> None:
    noise = standard_normal(3, "noise0", (200_000,))
    kurtosis = (noise**4).mean() / (noise**2).mean() ** 2
    assert kurtosis == pytest.approx(3.0, abs=0.1)  # 1.8 for a uniform draw


@pytest.mark.parametrize(("s0", "s1"), [(3000.0, 0.25), (30.0, 4.0), (0.0, 1.0), (300.0, 0.0)])
def test_the_second_layers_band_and_variance_are_those_of_the_closed_form(s0: float, s1: float) -> None:
    # z2 = w (W1 sin(w (W0 x + b0)) + b1): Var over x is gain^2 / 1, and the rms of dz2/dx is B.
    width = 512
    variances, slopes = [], []
    for seed in range(4):
        tensors = siren2_weights(seed, (1, width, width, 1), s0, s1)
        x = torch.linspace(-1.0, 1.0, 2001, dtype=torch.float64)[:, None]
        phase = 30.0 * (x @ tensors["weight0"].T + tensors["bias0"])
        z2 = 30.0 * torch.sin(phase) @ tensors["weight1"].T
        slope = 30.0 * (torch.cos(phase) * 30.0 * tensors["weight0"].T) @ tensors["weight1"].T
        variances.append((z2**2).mean().item())
        slopes.append((slope**2).mean().item())
    assert math.sqrt(sum(variances) / 4) == pytest.approx(gain(s1, width), rel=0.03)
    assert math.sqrt(sum(slopes) / 4) == pytest.approx(bandwidth(NoiseScales(s0, s1), width), rel=0.05)


def test_the_same_seed_draws_the_same_numbers_whatever_the_noise() -> None:
    once, twice, none = (siren2_weights(5, SIZES, s0, 0.5)["weight0"] for s0 in (100.0, 200.0, 0.0))
    torch.testing.assert_close(twice - none, 2.0 * (once - none))
    torch.testing.assert_close(none, siren_weights(5, SIZES, 30.0)["weight0"], rtol=0, atol=0)


def test_a_scale_of_zero_adds_nothing() -> None:
    plain, noisy = siren_weights(5, SIZES, 30.0), siren2_weights(5, SIZES, 0.0, 0.0)
    assert all(torch.equal(plain[name], noisy[name]) for name in plain)


def test_other_seeds_draw_other_numbers() -> None:
    first, second = siren_weights(0, SIZES, 30.0), siren_weights(1, SIZES, 30.0)
    assert all(not torch.equal(first[name], second[name]) for name in first)


def test_layers_of_one_shape_draw_other_numbers() -> None:
    tensors = siren_weights(0, SIZES, 30.0)
    assert not torch.equal(tensors["weight1"], tensors["weight2"])
    assert not torch.equal(standard_normal(0, "noise0", (8,)), standard_normal(0, "noise1", (8,)))


@pytest.mark.parametrize("seed", [-1, 0, 2**63, 2**100])
def test_every_whole_number_is_a_seed(seed: int) -> None:
    assert torch.equal(standard_uniform(seed, "x", (4,)), standard_uniform(seed, "x", (4,)))


def test_the_global_generator_is_not_changed() -> None:
    before = torch.get_rng_state()
    siren2_weights(0, SIZES, 100.0, 1.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_generator_is_not_read() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = siren2_weights(0, SIZES, 100.0, 1.0)
        torch.manual_seed(2)
        second = siren2_weights(0, SIZES, 100.0, 1.0)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_noise_is_added_in_place_to_a_module_of_ones_own(dtype: torch.dtype) -> None:
    layer = nn.Linear(1, 64, dtype=dtype)
    before = layer.weight.detach().clone()
    returned = add_noise_(layer.weight, 300.0, 30.0, seed=0, name="noise0")
    expected = before.double() + 10.0 * standard_normal(0, "noise0", (64, 1))
    assert returned is layer.weight
    assert layer.weight.dtype == dtype
    assert layer.weight.requires_grad
    torch.testing.assert_close(layer.weight.double(), expected, rtol=1e-2, atol=0.1)


def own_module(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """Three hidden layers of 16 and an output, some of it nested."""
    inner = nn.Sequential(nn.Linear(16, 16, dtype=dtype), nn.Tanh(), nn.Linear(16, 16, dtype=dtype))
    return nn.Sequential(nn.Linear(2, 16, dtype=dtype), nn.Tanh(), inner, nn.Linear(16, 3, dtype=dtype))


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    linears = [child for child in module.modules() if isinstance(child, nn.Linear)]
    weights = {f"weight{layer}": linear.weight.detach() for layer, linear in enumerate(linears)}
    return weights | {f"bias{layer}": linear.bias.detach() for layer, linear in enumerate(linears)}


def network(architecture: str, **knobs: float) -> NetworkConfig:
    return NetworkConfig(architecture=architecture, width=16, depth=3, dims=2, channels=3, knobs=knobs)


def assert_same(module: nn.Module, expected: dict[str, Tensor]) -> None:
    actual = tensors_of(module)
    assert set(actual) == set(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor.to(actual[name].dtype), rtol=0, atol=0)


class TestRulesOnAModuleOfOnesOwn:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_sirens_are_those_of_our_siren(self, dtype: torch.dtype) -> None:
        module = own_module(dtype)
        apply_siren_(module, seed=4)
        assert_same(module, initial_tensors(network("siren"), 4))

    def test_sirens_bound_follows_w(self) -> None:
        module = own_module()
        apply_siren_(module, w=10.0, seed=4)
        assert_same(module, initial_tensors(network("siren", w=10.0), 4))

    def test_winners_noise_is_that_of_our_siren2(self) -> None:
        module = own_module()
        apply_siren_(module, seed=4)
        apply_noise_(module, 300.0, 0.5, seed=4)
        assert_same(module, initial_tensors(network("siren2", s0=300.0, s1=0.5), 4))

    def test_winners_noise_adds_to_whatever_is_there(self) -> None:
        module = own_module()
        before = {name: tensor.clone() for name, tensor in tensors_of(module).items()}
        apply_noise_(module, 300.0, 0.5, w=20.0, seed=4)
        before["weight0"] += 15.0 * standard_normal(4, "noise0", (16, 2))
        before["weight1"] += 0.025 * standard_normal(4, "noise1", (16, 16))
        assert_same(module, before)

    def test_the_weight_scale_is_that_of_our_ws_siren(self) -> None:
        module = own_module()
        apply_siren_(module, seed=4)
        apply_weight_scale_(module, 2.5)
        assert_same(module, initial_tensors(network("ws-siren", alpha=2.5), 4))

    def test_the_first_bias_is_that_of_our_finer(self) -> None:
        module = own_module()
        apply_siren_(module, seed=4)
        apply_first_bias_(module, 3.0, seed=4)
        assert_same(module, initial_tensors(network("finer", k=3.0), 4))

    def test_weights_go_on_learning(self) -> None:
        module = own_module()
        apply_siren_(module)
        apply_noise_(module, 1.0, 1.0)
        apply_weight_scale_(module, 2.0)
        apply_first_bias_(module, 1.0)
        assert all(parameter.requires_grad and parameter.is_leaf for parameter in module.parameters())

    def test_layers_without_bias_are_drawn_too(self) -> None:
        module = nn.Sequential(nn.Linear(1, 8, bias=False), nn.Linear(8, 1, bias=False))
        apply_siren_(module, seed=1)
        expected = standard_uniform(1, "weight0", (8, 1)).float()
        torch.testing.assert_close(module[0].weight.detach(), expected)

    def test_a_module_with_fewer_than_two_linears_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"^a module must have at least 2 nn.Linear, but got 1$"):
            apply_noise_(nn.Sequential(nn.Linear(1, 8), nn.Tanh()), 1.0, 1.0)
        with pytest.raises(ConfigError, match=r"at least 2 nn.Linear, but got 1$"):
            apply_weight_scale_(nn.Linear(1, 8), 2.0)
        with pytest.raises(ConfigError, match=r"at least 1 nn.Linear, but got 0$"):
            apply_siren_(nn.Tanh())

    def test_a_first_bias_needs_a_bias(self) -> None:
        with pytest.raises(ConfigError, match=r"^the first nn.Linear must have a bias, but it has none$"):
            apply_first_bias_(nn.Linear(1, 8, bias=False), 1.0)


def test_he_weights_are_normal_with_a_variance_of_two_over_fan_in() -> None:
    tensors = he_weights(0, (11, 512, 512, 1))
    assert tensors["weight0"].std() == pytest.approx(math.sqrt(2 / 11), rel=0.03)
    assert tensors["weight1"].std() == pytest.approx(math.sqrt(2 / 512), rel=0.01)
    assert (tensors["weight1"] ** 4).mean() / tensors["weight1"].var() ** 2 == pytest.approx(3.0, abs=0.1)
    assert tensors["bias1"].abs().max() <= 1 / math.sqrt(512)


def test_linear_weights_have_the_distribution_of_torchs_own() -> None:
    tensors = linear_weights(0, (64, 512, 1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Linear(64, 512)
    for own, theirs in ((tensors["weight0"], module.weight), (tensors["bias0"], module.bias)):
        assert own.shape == theirs.shape
        torch.testing.assert_close(own.abs().max().float(), theirs.detach().abs().max(), rtol=0.02, atol=0)
        torch.testing.assert_close(own.std().float(), theirs.detach().std(), rtol=0.05, atol=0)


def test_wires_first_layer_is_real_and_the_others_are_pairs() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in wire_weights(0, (2, 5, 5, 3)).items()}
    assert shapes == {
        "weight0": (5, 2), "bias0": (5,), "weight1": (5, 5, 2), "bias1": (5, 2), "weight2": (3, 5, 2), "bias2": (3, 2),
    }  # fmt: skip
