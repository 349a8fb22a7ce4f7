import math
from typing import Any

import pytest

from trainers.config import ConfigError, FitConfig, NetworkConfig
from trainers.networks import initial_tensors

NETWORK = {"architecture": "siren", "width": 8, "depth": 3}


@pytest.mark.parametrize("name", ["width", "depth", "dims", "channels"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_network_without_extent_is_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"^`1 <= {name}` must hold, but got {name}={value}$"):
        NetworkConfig(**{**NETWORK, name: value})


@pytest.mark.parametrize("steps", [0, -5])
def test_a_fit_without_steps_is_refused(steps: int) -> None:
    with pytest.raises(ConfigError, match=rf"^`1 <= steps` must hold, but got steps={steps}$"):
        FitConfig(steps=steps, lr=1e-3)


@pytest.mark.parametrize("lr", [0.0, -1e-3, math.nan, math.inf])
def test_a_learning_rate_that_is_not_positive_and_finite_is_refused(lr: float) -> None:
    with pytest.raises(ConfigError, match=rf"^`0 < lr` must hold, but got lr={lr}$"):
        FitConfig(steps=10, lr=lr)


@pytest.mark.parametrize("changes", [{"decay": 0.0}, {"decay": 1.1}, {"decay": math.nan}, {"decay_every": 0}])
def test_a_schedule_that_does_not_decay_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="`0 < decay <= 1` and `1 <= decay_every` must hold, but got"):
        FitConfig(steps=10, lr=1e-3, **changes)


@pytest.mark.parametrize(("step", "rungs"), [(0, 0), (19, 0), (20, 1), (39, 1), (40, 2), (999, 49)])
def test_the_learning_rate_falls_by_one_percent_every_twenty_steps(step: int, rungs: int) -> None:
    assert FitConfig(steps=1000, lr=1e-4).lr_at(step) == pytest.approx(1e-4 * 0.99**rungs, rel=1e-12)


def test_the_schedule_can_be_another() -> None:
    fit = FitConfig(steps=100, lr=1.0, decay=0.5, decay_every=10)
    assert [fit.lr_at(step) for step in (0, 9, 10, 25)] == [1.0, 1.0, 0.5, 0.25]


def test_a_decay_of_one_keeps_the_learning_rate() -> None:
    assert FitConfig(steps=100, lr=1e-3, decay=1.0).lr_at(99) == 1e-3


@pytest.mark.parametrize(
    ("steps", "every"), [(1, 1), (99, 1), (100, 1), (101, 2), (200, 2), (1000, 10), (1001, 11), (4000, 40)]
)
def test_a_curve_has_at_most_a_hundred_points(steps: int, every: int) -> None:
    fit = FitConfig(steps=steps, lr=1e-3)
    assert fit.curve_every == every
    assert len(range(0, steps, every)) <= 100


@pytest.mark.parametrize(
    "extent",
    [
        {"width": 8, "depth": 3},
        {"width": 222, "depth": 4},
        {"width": 5, "depth": 1},
        {"width": 7, "depth": 2, "dims": 2, "channels": 3},
        {"width": 1, "depth": 4, "dims": 3},
    ],
)
def test_the_number_of_weights_is_that_of_the_initial_tensors(extent: dict[str, int]) -> None:
    network = NetworkConfig(architecture="siren", **extent)
    assert network.num_weights == sum(tensor.numel() for tensor in initial_tensors(network, seed=0).values())
