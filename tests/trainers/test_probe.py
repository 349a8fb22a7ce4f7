import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from spaces.parameters import POSITIVE, Float
from spaces.scores import SCORES, Score, ScoreError
from spaces.space import Space
from trainers.config import NetworkConfig
from trainers.networks import (
    Architecture,
    architecture_of,
    initial_tensors,
    lane_factors,
    register_architecture,
    render,
)
from trainers.probe import activations_of, kernel_block, sampled_points, score_points, tangent_kernel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    shape: tuple[int, ...]
    coordinates: NDArray[np.float32]
    values: NDArray[np.float32]


def grid_like(shape: tuple[int, ...], channels: int = 1) -> Grid:
    axes = np.meshgrid(*[np.linspace(-1.0, 1.0, num) for num in shape], indexing="ij")
    coordinates = np.stack(axes, axis=-1).reshape(-1, len(shape)).astype(np.float32)
    values = np.random.default_rng(5).standard_normal((len(coordinates), channels))
    return Grid(shape, coordinates, values.astype(np.float32))


SPACE = Space(
    name="siren",
    architecture="siren",
    parameters=(Float(name="w_first", low=2.0, high=60.0, log=True, domain=POSITIVE),),
    defaults={"w_first": 30.0},
)
POINTS = [{"w_first": 3.0}, {"w_first": 30.0}, {"w_first": 300.0}]

NETWORKS = {
    "siren": NetworkConfig(architecture="siren", width=6, depth=3, dims=2, channels=2),
    "finer": NetworkConfig(architecture="finer", width=6, depth=2, dims=2, channels=1, knobs={"k": 1.0}),
    "fourier": NetworkConfig(architecture="fourier", width=6, depth=2, dims=2, channels=3, knobs={"features": 4.0}),
    "wire": NetworkConfig(architecture="wire", width=6, depth=2, dims=2, channels=1),
    "gauss": NetworkConfig(architecture="gauss", width=6, depth=2, dims=2, channels=1, knobs={"s": 2.0}),
}


def naive_kernel(network: NetworkConfig, tensors: dict[str, Tensor], x: Tensor, fixed: set[str]) -> Array:
    """J by central differences, weight after weight."""
    columns = []
    for name, tensor in tensors.items():
        for place in np.ndindex(*tensor.shape) if name not in fixed else ():
            sides = []
            for step in (1e-6, -1e-6):
                moved = {key: value.clone() for key, value in tensors.items()}
                moved[name][place] += step
                sides.append(render(network, moved, x).numpy())
            columns.append((sides[0] - sides[1]) / 2e-6)
    J = np.stack(columns, axis=-1)  # (points, channels, weights)
    return np.einsum("icw,jcw->ij", J, J)


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryKernel:
    def test_it_agrees_with_one_backward_pass_after_the_other(self, name: str) -> None:
        network = NETWORKS[name]
        tensors = initial_tensors(network, 1)
        x = torch.rand((7, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
        lanes = {key: tensor[None].requires_grad_(key != "frequencies") for key, tensor in tensors.items()}
        trained = [tensor for tensor in lanes.values() if tensor.requires_grad]
        output = architecture_of(network).forward(network)(lanes, lane_factors([network], x), x[None])
        kernel = torch.zeros((7, 7), dtype=torch.float64)
        for channel in range(network.channels):
            values = output[0, :, channel]
            gradients = [torch.autograd.grad(value, trained, retain_graph=True) for value in values]
            J = torch.stack([torch.cat([each.flatten() for each in row]) for row in gradients])
            kernel += J @ J.T
        np.testing.assert_allclose(tangent_kernel(network, tensors, x), kernel.numpy(), rtol=1e-9)

    def test_it_is_symmetric_and_has_no_negative_eigenvalue(self, name: str) -> None:
        network = NETWORKS[name]
        x = torch.rand((12, 2), generator=torch.Generator().manual_seed(0)) * 2 - 1
        tensors = {key: tensor.float() for key, tensor in initial_tensors(network, 1).items()}
        kernel = tangent_kernel(network, tensors, x)
        assert kernel.dtype == np.float64
        np.testing.assert_allclose(kernel, kernel.T, rtol=1e-4, atol=1e-5 * np.trace(kernel))
        assert np.linalg.eigvalsh(kernel).min() > -1e-5 * np.trace(kernel)

    def test_it_leaves_the_weights_as_they_were(self, name: str) -> None:
        tensors = initial_tensors(NETWORKS[name], 1)
        before = {key: tensor.clone() for key, tensor in tensors.items()}
        tangent_kernel(NETWORKS[name], tensors, torch.zeros((3, 2), dtype=torch.float64))
        assert all(torch.equal(before[key], tensor) and not tensor.requires_grad for key, tensor in tensors.items())


# FINER's factor |z| + 1 is held without gradient, as published: descent follows another slope than the function's.
@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"finer"}))
def test_a_kernel_agrees_with_finite_differences(name: str) -> None:
    network = NETWORKS[name]
    tensors = initial_tensors(network, 1)
    x = torch.rand((7, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    kernel = tangent_kernel(network, tensors, x)
    expected = naive_kernel(network, tensors, x, {"frequencies"})
    np.testing.assert_allclose(kernel, expected, rtol=1e-5, atol=1e-6 * np.trace(expected))


def test_the_kernel_of_a_linear_model_is_one_plus_the_inner_product(monkeypatch: pytest.MonkeyPatch) -> None:
    # f(x) = W x + b: J = (x, 1) for each output, so K = C (x x' + 1).
    def forward(tensors: dict[str, Tensor], factors: object, x: Tensor) -> Tensor:
        return x @ tensors["W"].mT + tensors["b"].unsqueeze(1)

    def initial(config: NetworkConfig, knobs: object, seed: int) -> dict[str, Tensor]:
        return {"W": torch.ones((config.channels, config.dims)).double(), "b": torch.zeros(config.channels).double()}

    monkeypatch.setattr("trainers.networks.ARCHITECTURES", {})
    linear = Architecture(
        family="linear",
        knobs={},
        initial=initial,
        factors=lambda knobs: {},
        forward=lambda config: forward,  # type: ignore[arg-type, return-value]
        trace=lambda config: lambda tensors, factors, x: [forward(tensors, factors, x)],  # type: ignore[arg-type]
    )
    register_architecture("linear", linear)
    network = NetworkConfig(architecture="linear", width=1, depth=1, dims=2, channels=3)
    x = torch.tensor([[0.5, -1.0], [2.0, 0.25], [0.0, 0.0]], dtype=torch.float64)
    kernel = tangent_kernel(network, initial_tensors(network, 0), x)
    np.testing.assert_allclose(kernel, 3.0 * (x @ x.T + 1.0).numpy())


def test_activations_are_those_of_the_hidden_layers() -> None:
    network = NETWORKS["siren"]
    tensors = initial_tensors(network, 1)
    x = torch.rand((9, 2), dtype=torch.float64)
    hidden = activations_of(network, tensors, x)
    assert [layer.shape for layer in hidden] == [(9, 6)] * 3
    first = torch.sin(30.0 * (x @ tensors["weight0"].T + tensors["bias0"]))
    np.testing.assert_allclose(hidden[0], first.numpy(), rtol=1e-6, atol=1e-9)


def test_points_are_sampled_without_replacement_and_all_where_they_are_few() -> None:
    sampled = sampled_points(grid_like((100,)), 30, seed=4)
    assert len(set(sampled.tolist())) == 30
    assert sampled.tolist() == sorted(sampled.tolist())
    assert sampled_points(grid_like((100,)), 30, seed=4).tolist() == sampled.tolist()
    assert sampled_points(grid_like((20,)), 30, seed=4).tolist() == list(range(20))


@pytest.mark.parametrize(
    ("shape", "num", "block"),
    [
        ((100,), 16, (16,)),
        ((20, 30), 16, (4, 4)),
        ((9, 9, 9), 27, (3, 3, 3)),
        ((3, 50), 16, (3, 4)),
        ((10,), 16, (10,)),
    ],
)
def test_a_kernel_block_is_the_cell_of_neighbours_with_the_most_energy(
    shape: tuple[int, ...], num: int, block: tuple[int, ...]
) -> None:
    task = grid_like(shape)
    task.values[:] *= 0.01
    loud = tuple(min(size // length, 2) * length - 1 for size, length in zip(shape, block, strict=True))
    task.values.reshape(shape)[loud] = 5.0
    indices, found = kernel_block(task, num)
    assert found == block
    places = np.stack(np.unravel_index(indices, shape), axis=1)
    assert len(indices) == math.prod(block)
    assert (np.ptp(places, axis=0) + 1).tolist() == list(block)
    assert loud in set(map(tuple, places.tolist()))


@pytest.mark.parametrize(("shape", "channels"), [((200,), 1), ((200,), 2), ((12, 14), 3), ((6, 6, 6), 1)])
def test_every_score_of_every_point_is_finite_on_any_grid(shape: tuple[int, ...], channels: int) -> None:
    scored = score_points(grid_like(shape, channels), SPACE, POINTS, width=16, depth=3)
    assert [set(each) for each in scored] == [set(SCORES)] * 3
    assert all(math.isfinite(value.mean) and value.standard_error is None for each in scored for value in each.values())


def test_draws_give_a_mean_and_a_standard_error() -> None:
    task = grid_like((100,))
    single = [score_points(task, SPACE, POINTS[:1], width=8, depth=2, names=["fresh"], draws=n)[0] for n in (1, 3)]
    assert single[0]["fresh"].standard_error is None
    assert single[1]["fresh"].standard_error is not None
    assert single[1]["fresh"].standard_error > 0.0


def test_a_point_has_the_same_scores_whoever_stands_beside_it() -> None:
    task = grid_like((100,))
    beside = score_points(task, SPACE, POINTS, width=8, depth=2, draws=2)
    alone = score_points(task, SPACE, POINTS[1:2], width=8, depth=2, draws=2)
    for name, value in alone[0].items():
        assert beside[1][name] == pytest.approx(value, rel=1e-4)


def test_only_what_is_named_is_computed_and_nothing_is_rendered_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.probe.render_untrained", None)
    scored = score_points(grid_like((100,)), SPACE, POINTS, width=8, depth=2, names=["rankme", "ntk_energy"])
    assert [list(each) for each in scored] == [["rankme", "ntk_energy"]] * 3


def test_the_learning_rate_does_not_matter() -> None:
    task = grid_like((100,))
    slow, fast = score_points(
        task, SPACE, [{"w_first": 9.0, "lr": 1e-4}, {"w_first": 9.0, "lr": 1e-2}], width=8, depth=2
    )
    assert slow == fast


def test_a_score_of_ones_own_is_computed_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Score(name="loudness", direction="higher", needs=("output",), compute=lambda n: float(np.std(n.output)))
    monkeypatch.setitem(SCORES, "loudness", own)
    [scored] = score_points(grid_like((100,)), SPACE, POINTS[:1], width=8, depth=2, names=["loudness"])
    assert scored["loudness"].mean > 0.0


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(ScoreError, match="unknown score 'fesh'"):
        score_points(grid_like((100,)), SPACE, POINTS, width=8, depth=2, names=["fesh"])


def test_a_network_of_high_frequency_has_the_higher_rank_and_the_flatter_spectrum() -> None:
    low, _, high = score_points(grid_like((400,)), SPACE, POINTS, width=32, depth=3, draws=3)
    assert low["rankme"].mean < high["rankme"].mean
    assert low["alpha_req"].mean > high["alpha_req"].mean
    assert low["dse"].mean < high["dse"].mean


def test_the_number_of_threads_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = torch.get_num_threads(), []
    own = Score(
        name="t", direction="lower", needs=(), compute=lambda n: float(seen.append(torch.get_num_threads()) or 0)
    )
    monkeypatch.setitem(SCORES, "t", own)
    score_points(grid_like((100,)), SPACE, POINTS[:1], width=8, depth=2, names=["t"], threads=before + 1)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before
