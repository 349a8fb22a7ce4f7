import cmath
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spaces.catalog import SPACES, build_space
from spaces.parameters import POSITIVE, Float
from spaces.space import Space
from spaces.spectrum import Binning, SpectrumError, spectrum_of
from trainers.config import NetworkConfig
from trainers.fresh import Selection, select
from trainers.networks import initial_tensors, render
from trainers.untrained import draw_seeds, network_on, render_untrained

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    shape: tuple[int, ...]
    coordinates: NDArray[np.float32]
    values: NDArray[np.float32]


def grid_like(shape: tuple[int, ...], values: Array | None = None, channels: int = 1) -> Grid:
    axes = np.meshgrid(*[np.linspace(-1.0, 1.0, num) for num in shape], indexing="ij")
    coordinates = np.stack(axes, axis=-1).reshape(-1, len(shape)).astype(np.float32)
    if values is None:
        values = np.random.default_rng(5).standard_normal((len(coordinates), channels))
    return Grid(shape, coordinates, values.astype(np.float32))


def siren_space(low: float = 2.0, high: float = 60.0) -> Space:
    return Space(
        name="siren",
        architecture="siren",
        parameters=(
            Float(name="w_first", low=low, high=high, log=True, domain=POSITIVE),
            Float(name="lr", low=1e-4, high=1e-2, log=True, domain=POSITIVE),
        ),
        defaults={"w_first": 30.0, "lr": 1e-4},
    )


def dft(x: Array) -> Array:
    """The 1-D DFT by its definition, along the last axis."""
    num = x.shape[-1]
    matrix = np.array([[cmath.exp(-2j * math.pi * j * k / num) for k in range(num)] for j in range(num)])
    return x @ matrix


def literal_bins(values: Array, shape: tuple[int, ...], binning: Binning, n: int) -> list[float]:
    """Channel after channel, frequency after frequency, into n bins."""
    bins = [0.0] * n
    for channel in range(values.shape[1]):
        x = values[:, channel].reshape(shape)
        X = dft(x) if len(shape) == 1 else dft(dft(x).T).T
        for place in np.ndindex(*shape):
            k = [min(i, num - i) for i, num in zip(place, shape, strict=True)]
            if len(shape) == 1:
                index = place[0] if 2 * place[0] <= shape[0] else 0
            elif binning == "sound":
                index = round(math.hypot(*k))
            else:
                i, j = place
                side, half = shape[0], shape[0] // 2
                is_redundant = i + j > side or (i + j == side and i > half)
                is_redundant |= (j == 0 and i > half) or (i == 0 and j > half)
                index = 0 if is_redundant else i + j
            if 1 <= index <= n:
                bins[index - 1] += abs(X[place])
    return bins


def literal_select(
    task: Grid, space: Space, binning: Binning, n: int, *, draws: int, candidates: int, seed: int
) -> tuple[int, list[list[float]]]:
    """FreSh as science tells it: for every candidate, every draw, every bin."""
    target = literal_bins(task.values.astype(np.float64), task.shape, binning, n)
    distances = []
    for point in space.sweep(candidates):
        network = NetworkConfig(
            architecture="siren",
            width=8,
            depth=3,
            dims=len(task.shape),
            channels=task.values.shape[1],
            knobs={"w_first": float(point["w_first"])},
        )
        distances.append([])
        for draw_seed in draw_seeds(seed, draws):
            tensors = {name: tensor.float() for name, tensor in initial_tensors(network, draw_seed).items()}
            output = render(network, tensors, torch.from_numpy(task.coordinates)).numpy().astype(np.float64)
            spectrum = literal_bins(output, task.shape, binning, n)
            distance = cdf_gap = 0.0
            for mine, theirs in zip(spectrum, target, strict=True):
                cdf_gap += mine / sum(spectrum) - theirs / sum(target)
                distance += abs(cdf_gap)
            distances[-1].append(distance)
    means = [sum(each) / len(each) for each in distances]
    return means.index(min(means)), distances


def choose(task: Grid, space: Space, **options: object) -> Selection:
    return select(task, space, width=8, depth=3, **{"draws": 3, "candidates": 5, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "binning", "bins", "num_bins", "channels"),
    [
        ((48,), "sound", None, 24, 1),
        ((49,), "sound", 10, 10, 2),
        ((140,), "published", None, 64, 1),
        ((12, 12), "sound", None, 8, 1),
        ((8, 11), "sound", None, 6, 3),
        ((12, 12), "published", None, 22, 1),
        ((13, 13), "published", 9, 9, 3),
    ],
)
def test_it_agrees_with_a_slow_literal_implementation(
    shape: tuple[int, ...], binning: Binning, bins: int | None, num_bins: int, channels: int
) -> None:
    task, space = grid_like(shape, channels=channels), siren_space()
    chosen = choose(task, space, binning=binning, bins=bins, seed=11)
    best, distances = literal_select(task, space, binning, num_bins, draws=3, candidates=5, seed=11)
    assert chosen.bins == num_bins
    assert chosen.point == chosen.candidates[best].point
    assert [each.distance for each in chosen.candidates] == pytest.approx(np.mean(distances, axis=1), rel=1e-5)
    errors = np.std(distances, axis=1, ddof=1) / math.sqrt(3)
    assert [each.standard_error for each in chosen.candidates] == pytest.approx(errors, rel=1e-4)


@pytest.mark.parametrize("own", [0, 1, 2])
@pytest.mark.parametrize(
    ("shape", "factors"),
    [((512,), (20.0, 80.0, 400.0)), ((24, 24), (4.0, 20.0, 80.0)), ((10, 10, 10), (3.0, 13.0, 60.0))],
)
def test_a_target_that_a_candidate_rendered_picks_that_candidate(
    shape: tuple[int, ...], factors: tuple[float, ...], own: int
) -> None:
    empty, space = grid_like(shape), siren_space(low=2.0, high=400.0)
    points = [{"w_first": factor} for factor in factors]
    network = network_on(empty, space, points[own], width=64, depth=3)
    [(_, [output])] = render_untrained([network], [987], empty)
    task = grid_like(shape, output.astype(np.float64))
    chosen = select(task, space, width=64, depth=3, points=points)
    assert chosen.point == points[own]


def test_a_candidate_of_the_same_seed_has_distance_zero() -> None:
    empty, space = grid_like((64,)), siren_space()
    [seed] = draw_seeds(3, 1)
    network = network_on(empty, space, {"w_first": 20.0}, width=8, depth=2)
    [(_, [output])] = render_untrained([network], [seed], empty)
    task = grid_like((64,), output.astype(np.float64))
    chosen = select(task, space, width=8, depth=2, draws=1, seed=3, points=[{"w_first": 20.0}, {"w_first": 40.0}])
    assert chosen.candidates[0].distance == pytest.approx(0.0, abs=1e-6)
    assert chosen.candidates[0].standard_error is None


def test_the_learning_rate_is_left_open() -> None:
    chosen = choose(grid_like((64,)), siren_space())
    assert all(set(each.point) == {"w_first"} for each in chosen.candidates)
    assert set(chosen.point) == {"w_first"}


def test_candidates_are_spread_evenly_on_the_logarithmic_scale() -> None:
    chosen = choose(grid_like((64,)), siren_space(low=1.0, high=81.0))
    assert [each.point["w_first"] for each in chosen.candidates] == pytest.approx([1, 3, 9, 27, 81])


def test_the_same_seed_gives_the_same_distances_and_another_one_others() -> None:
    task, space = grid_like((64,)), siren_space()
    first, second, other = (choose(task, space, seed=seed).candidates for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_a_candidate_is_judged_on_the_same_networks_whoever_stands_beside_it() -> None:
    task, space = grid_like((64,)), siren_space()
    points = [{"w_first": 5.0}, {"w_first": 50.0}]
    alone, beside = choose(task, space, points=points[1:]), choose(task, space, points=points)
    assert alone.candidates[0] == beside.candidates[1]


def test_more_networks_than_fit_a_pass_are_rendered_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    task, space = grid_like((64,)), siren_space()
    whole = choose(task, space).candidates
    monkeypatch.setattr("trainers.untrained.VALUES_PER_PASS", 4 * 64)
    for mine, theirs in zip(choose(task, space).candidates, whole, strict=True):
        assert mine.distance == pytest.approx(theirs.distance, rel=1e-5)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize(("shape", "kind"), [((256,), "audio"), ((16, 16), "image"), ((6, 6, 6), "volume")])
def test_it_selects_in_every_space_of_the_catalogue(name: str, shape: tuple[int, ...], kind: str) -> None:
    task = grid_like(shape)
    space = build_space(name, spectrum_of(task.values.astype(np.float64), kind=kind, shape=shape), width=8)
    chosen = choose(task, space)
    assert 2 <= len(chosen.candidates) <= 9
    assert all(math.isfinite(each.distance) for each in chosen.candidates)
    assert space.reason_against({**chosen.point, "lr": 1e-3}) is None
    assert chosen.seconds > 0.0


def test_candidates_of_different_architectures_are_compared_with_each_other() -> None:
    class Either(Space):
        def architecture_of(self, point: object) -> str:
            return "finer" if "k" in point else "siren"  # type: ignore[operator]

    space = Either(name="either", architecture="", parameters=siren_space().parameters, defaults={})
    points = [{"w_first": 5.0}, {"w_first": 5.0, "k": 1.0}, {"w_first": 9.0}]
    task = grid_like((64,))
    together = choose(task, space, points=points).candidates
    alone = [choose(task, space, points=[point]).candidates[0] for point in points]
    assert [each.distance for each in together] == pytest.approx([each.distance for each in alone], rel=1e-5)


def test_more_bins_than_the_grid_has_are_refused() -> None:
    with pytest.raises(SpectrumError, match=r"^`1 <= bins <= 32` must hold"):
        choose(grid_like((64,)), siren_space(), bins=33)


def test_the_published_binning_is_refused_on_a_volume() -> None:
    with pytest.raises(SpectrumError, match="the published binning is for 1-D and square 2-D grids"):
        choose(grid_like((6, 6, 6)), siren_space(), binning="published")


@pytest.mark.parametrize(("options", "rule"), [({"draws": 0}, "1 <= draws"), ({"points": []}, "one candidate")])
def test_nothing_to_compare_is_refused(options: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        choose(grid_like((64,)), siren_space(), **options)
