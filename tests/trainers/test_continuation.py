import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from trainers.checkpoint import CheckpointError, pack, unpack
from trainers.config import FitConfig, FitResult, NetworkConfig, Status
from trainers.fit import FitStack, fit_network
from trainers.signals import Crop, read_signal
from trainers.tasks import Task, build_task

SEED = 5


@pytest.fixture(scope="module")
def checkpoint_at(small: Task, network: NetworkConfig, brief: FitConfig) -> Callable[[int], bytes]:
    def run_until(step: int) -> bytes:
        stack = FitStack(small, network)
        stack.start(0, network, brief, SEED)
        stack.advance({0: step})
        return stack.checkpoint(0)

    return run_until


def assert_same(first: FitResult, second: FitResult) -> None:
    """Bit for bit, but for the seconds."""
    assert replace(first.progress, fit_seconds=0.0) == replace(second.progress, fit_seconds=0.0)
    for name, weights in first.weights.items():
        np.testing.assert_array_equal(weights, second.weights[name])
    np.testing.assert_array_equal(first.output, second.output)


@pytest.mark.parametrize("step", [0, 1, 19, 20, 37, 59])
def test_a_fit_continues_from_its_checkpoint_bit_for_bit(
    step: int, small: Task, network: NetworkConfig, brief: FitConfig, checkpoint_at: Callable[[int], bytes]
) -> None:
    stack = FitStack(small, network)
    stack.start(0, network, brief, SEED, checkpoint_at(step))
    assert stack.progress(0).step == step
    stack.advance({0: brief.steps})
    assert_same(stack.result(0), fit_network(small, network, brief, SEED))


def test_a_fit_continues_after_every_step_from_a_checkpoint_bit_for_bit(
    small: Task, network: NetworkConfig, brief: FitConfig, checkpoint_at: Callable[[int], bytes]
) -> None:
    data = checkpoint_at(0)
    for step in range(1, brief.steps + 1):
        stack = FitStack(small, network)
        stack.start(0, network, brief, SEED, data)
        stack.advance({0: step})
        data = stack.checkpoint(0)
    assert_same(stack.result(0), fit_network(small, network, brief, SEED))


def test_the_best_weights_survive_a_checkpoint(small: Task, network: NetworkConfig, unsteady: FitConfig) -> None:
    before, after = FitStack(small, network), FitStack(small, network)
    before.start(0, network, unsteady, seed=0)
    before.advance({0: 18})
    assert before.progress(0).best_step < 17
    after.start(0, network, unsteady, 0, before.checkpoint(0))
    assert_same(after.result(0), before.result(0))


def test_a_checkpoint_continues_in_another_lane(
    small: Task, network: NetworkConfig, brief: FitConfig, checkpoint_at: Callable[[int], bytes]
) -> None:
    stack = FitStack(small, network, num_lanes=3)
    stack.start(0, network, brief, seed=1)
    stack.start(2, network, brief, SEED, checkpoint_at(20))
    stack.advance({0: brief.steps, 2: brief.steps})
    assert stack.progress(0).step == 40
    whole = fit_network(small, network, brief, SEED).progress
    assert [value for _, value in stack.progress(2).curve] == pytest.approx(
        [value for _, value in whole.curve], abs=0.01
    )


def test_a_checkpoint_replaces_what_a_lane_held(
    small: Task, network: NetworkConfig, brief: FitConfig, checkpoint_at: Callable[[int], bytes]
) -> None:
    stack = FitStack(small, network)
    stack.start(0, network, brief, seed=99)
    stack.advance({0: 40})
    stack.start(0, network, brief, SEED, checkpoint_at(20))
    stack.advance({0: brief.steps})
    assert_same(stack.result(0), fit_network(small, network, brief, SEED))


def test_taking_a_checkpoint_changes_nothing(small: Task, network: NetworkConfig, brief: FitConfig) -> None:
    stack = FitStack(small, network)
    stack.start(0, network, brief, SEED)
    for step in range(0, brief.steps, 10):
        stack.advance({0: step})
        stack.checkpoint(0)
    stack.advance({0: brief.steps})
    assert_same(stack.result(0), fit_network(small, network, brief, SEED))


def test_a_finished_fit_is_finished_after_its_checkpoint(
    small: Task, network: NetworkConfig, brief: FitConfig, checkpoint_at: Callable[[int], bytes]
) -> None:
    stack = FitStack(small, network)
    stack.start(0, network, brief, SEED, checkpoint_at(brief.steps))
    assert stack.progress(0).status is Status.DONE
    assert_same(stack.result(0), fit_network(small, network, brief, SEED))


@pytest.mark.parametrize("lr", [1e6, 1e30])
def test_a_failed_fit_fails_no_second_time_after_its_checkpoint(lr: float, small: Task, network: NetworkConfig) -> None:
    fit = FitConfig(steps=60, lr=lr)
    first = FitStack(small, network)
    first.start(0, network, fit, SEED)
    first.advance({0: 60})
    second = FitStack(small, network)
    second.start(0, network, fit, SEED, first.checkpoint(0))
    second.advance({0: 60})
    assert_same(second.result(0), first.result(0))


@pytest.mark.parametrize(
    ("network_changes", "fit_changes", "seed"),
    [
        ({}, {}, SEED + 1),
        ({}, {"lr": 1e-3}, SEED),
        ({}, {"steps": 61}, SEED),
        ({}, {"decay": 0.5}, SEED),
        ({"knobs": {"s0": 201.0, "s1": 0.25}}, {}, SEED),
        ({"width": 17}, {}, SEED),
        ({"architecture": "siren", "knobs": {}}, {}, SEED),
    ],
    ids=["seed", "learning rate", "steps", "schedule", "noise scales", "width", "architecture"],
)
def test_a_checkpoint_of_another_fit_is_refused(
    network_changes: dict[str, object],
    fit_changes: dict[str, float],
    seed: int,
    small: Task,
    network: NetworkConfig,
    brief: FitConfig,
    checkpoint_at: Callable[[int], bytes],
) -> None:
    other = replace(network, **network_changes)  # type: ignore[arg-type]
    stack = FitStack(small, other)
    with pytest.raises(CheckpointError, match="a checkpoint must be of the same fit, but got"):
        stack.start(0, other, replace(brief, **fit_changes), seed, checkpoint_at(20))  # type: ignore[arg-type]


def test_a_checkpoint_of_another_signal_is_refused(
    network: NetworkConfig, brief: FitConfig, checkpoint_at: Callable[[int], bytes]
) -> None:
    stack = FitStack(build_task(read_signal("synthetic:tone", Crop(samples=400))), network)
    with pytest.raises(CheckpointError):
        stack.start(0, network, brief, SEED, checkpoint_at(20))


def without(data: bytes, name: str) -> bytes:
    arrays, facts = unpack(data)
    return pack({key: array for key, array in arrays.items() if key != name}, facts)


def with_bias_cut(data: bytes) -> bytes:
    arrays, facts = unpack(data)
    return pack({**arrays, "weights/bias1": arrays["weights/bias1"][:1]}, facts)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"\x00" * len(data),
        lambda data: pickle.dumps({"step": 20}),
        lambda data: pack({}, {}),
        lambda data: pack({}, unpack(data)[1]),
        lambda data: pack(unpack(data)[0], {"identity": unpack(data)[1]["identity"]}),
        lambda data: without(data, "weights/weight1"),
        lambda data: without(data, "best/weight1"),
        lambda data: without(data, "adam/exp_avg/weight1"),
        with_bias_cut,
    ],
    ids=["cut in half", "zeros", "a pickle", "empty", "facts alone", "no step", "a weight missing",
         "a best weight missing", "a moment missing", "a bias too short"],
)  # fmt: skip
def test_a_damaged_checkpoint_is_refused(
    damage: Callable[[bytes], bytes],
    small: Task,
    network: NetworkConfig,
    brief: FitConfig,
    checkpoint_at: Callable[[int], bytes],
) -> None:
    stack = FitStack(small, network)
    with pytest.raises(CheckpointError):
        stack.start(0, network, brief, SEED, damage(checkpoint_at(20)))
