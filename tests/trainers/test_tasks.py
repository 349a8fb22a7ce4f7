"""What each task trains on and holds out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.config import TaskSettings
from trainers.config import ConfigError
from trainers.signals import Crop, Signal, read_signal
from trainers.tasks import TASK_OPTIONS, TASKS, TaskConfig, TaskError, build_task


@pytest.fixture(scope="module")
def clip() -> Signal:
    return read_signal("synthetic:pink", Crop(samples=1000))


def grid(*shape: int, kind: str = "image") -> Signal:
    """A smooth random grid; built by hand, so that no reader has a say."""
    values = np.random.default_rng(0).uniform(-1, 1, (int(np.prod(shape)), 1))
    return replace(read_signal("synthetic:pink", Crop(samples=16)), kind=kind, values=values, shape=shape)


CONFIGS = [
    TaskConfig(name="holdout", holdout=0.25),
    TaskConfig(name="holdout", holdout=0.25, pattern="every"),
    TaskConfig(name="upsample", factor=3),
    TaskConfig(name="inpaint", holdout=0.2),
    TaskConfig(name="inpaint", holdout=0.2, gap=5),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("shape", [(1000,), (40, 30), (12, 10, 11)])
class TestHoldingOut:
    """Laws of the tasks that hold samples out, on grids of one to three axes."""

    def test_every_sample_is_trained_on_or_held_out_and_none_is_both(
        self, config: TaskConfig, shape: tuple[int, ...]
    ) -> None:
        task = build_task(grid(*shape), config)
        both = np.concatenate([task.trained, task.held])
        np.testing.assert_array_equal(np.sort(both), np.arange(np.prod(shape)))
        assert task.has_held

    def test_targets_are_the_values_of_the_trained_samples(self, config: TaskConfig, shape: tuple[int, ...]) -> None:
        task = build_task(grid(*shape), config)
        np.testing.assert_array_equal(task.targets, task.values[task.trained])

    def test_the_same_task_is_built_again(self, config: TaskConfig, shape: tuple[int, ...]) -> None:
        assert build_task(grid(*shape), config).digest == build_task(grid(*shape), config).digest

    def test_another_seed_of_a_random_task_holds_out_others(self, config: TaskConfig, shape: tuple[int, ...]) -> None:
        is_random = config.name == "inpaint" or (config.name, config.pattern) == ("holdout", "random")
        first, second = build_task(grid(*shape), config), build_task(grid(*shape), replace(config, seed=1))
        assert (first.digest != second.digest) == is_random


def test_a_fit_trains_on_every_sample(clip: Signal) -> None:
    task = build_task(clip)
    np.testing.assert_array_equal(task.trained, np.arange(1000))
    assert not task.has_held
    assert task.power == pytest.approx(clip.power, rel=1e-6)


def test_a_share_is_held_out_at_random(clip: Signal) -> None:
    task = build_task(clip, TaskConfig(name="holdout", holdout=0.3))
    assert len(task.held) == 300
    assert len(set(np.diff(task.held))) > 3


def test_every_second_sample_is_held_out(clip: Signal) -> None:
    task = build_task(clip, TaskConfig(name="holdout", holdout=0.5, pattern="every"))
    np.testing.assert_array_equal(task.held, np.arange(1, 1000, 2))


def test_every_k_th_of_an_image_is_no_column() -> None:
    task = build_task(grid(12, 12), TaskConfig(name="holdout", holdout=1 / 3, pattern="every"))
    held = np.zeros(144, dtype=bool)
    held[task.held] = True
    assert set(held.reshape(12, 12).sum(axis=0)) == set(held.reshape(12, 12).sum(axis=1)) == {4}


def test_upsampling_trains_on_a_coarser_grid_of_every_axis() -> None:
    task = build_task(grid(10, 9), TaskConfig(name="upsample", factor=3))
    rows, columns = np.divmod(task.trained, 9)
    assert set(rows) == {0, 3, 6, 9}
    assert set(columns) == {0, 3, 6}


def test_noise_has_the_ratio_that_was_asked_for_and_the_clean_signal_is_scored(clip: Signal) -> None:
    task = build_task(clip, TaskConfig(name="denoise", noise_db=10.0))
    noise = task.targets.astype(np.float64) - clip.values
    assert 10 * np.log10(np.var(clip.values) / np.var(noise)) == pytest.approx(10.0, abs=0.4)
    np.testing.assert_array_equal(task.held, np.arange(1000))
    np.testing.assert_array_equal(task.values, clip.values.astype(np.float32))


def test_gaps_are_whole_runs_of_the_length_asked_for(clip: Signal) -> None:
    task = build_task(clip, TaskConfig(name="inpaint", holdout=0.2, gap=20))
    runs = np.split(task.held, np.flatnonzero(np.diff(task.held) > 1) + 1)
    assert all(len(run) % 20 == 0 for run in runs)
    assert len(task.held) == 200


def test_gaps_of_an_image_are_boxes() -> None:
    task = build_task(grid(32, 32), TaskConfig(name="inpaint", holdout=0.01, gap=4))
    rows, columns = np.divmod(task.held, 32)
    assert np.ptp(rows) == np.ptp(columns) == 3


def test_each_part_of_a_task_is_in_its_digest(clip: Signal) -> None:
    task = build_task(clip, TaskConfig(name="holdout"))
    other = replace(task, held=task.held[:-1])
    noisy = replace(task, targets=task.targets + np.float32(0.1))
    assert len({task.digest, other.digest, noisy.digest, build_task(clip).digest}) == 4


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"name": "holdout", "holdout": 0.0}, "`0 < holdout < 1` must hold, but got holdout=0"),
        ({"name": "holdout", "holdout": 1.0}, "`0 < holdout < 1` must hold, but got holdout=1"),
        ({"name": "holdout", "holdout": float("nan")}, "`0 < holdout < 1` must hold, but got holdout=nan"),
        ({"name": "holdout", "pattern": "some"}, "pattern must be one of random, every, but got 'some'"),
        ({"name": "upsample", "factor": 1}, "`2 <= factor` must hold, but got factor=1"),
        ({"name": "denoise", "noise_db": float("inf")}, "noise_db must be finite"),
        ({"name": "inpaint", "gap": 0}, "`1 <= gap` must hold, but got gap=0"),
        ({"name": "dream"}, "unknown task 'dream'; known tasks: fit, holdout, upsample, denoise, inpaint"),
    ],
)
def test_an_absurd_task_is_refused_with_its_rule(options: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TaskConfig(**options)  # type: ignore[arg-type]
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        TaskConfig(name="holdout", holdout=1e-6),
        TaskConfig(name="holdout", holdout=1 - 1e-9),
        TaskConfig(name="holdout", holdout=0.9, pattern="every"),
        TaskConfig(name="inpaint", gap=900),
    ],
    ids=str,
)
def test_a_task_that_leaves_nothing_is_refused(clip: Signal, config: TaskConfig) -> None:
    with pytest.raises(TaskError, match="must"):
        build_task(clip, config)


def test_trained_samples_must_not_be_silent() -> None:
    values = np.zeros((100, 1))
    values[1::2] = 1.0
    signal = replace(grid(100, kind="audio"), values=values)
    with pytest.raises(TaskError, match="must not be silent"):
        build_task(signal, TaskConfig(name="holdout", holdout=0.5, pattern="every"))


def test_the_settings_offer_every_task_and_option() -> None:
    offered = TaskSettings.model_fields
    assert set(offered) - {"task"} == {option for options in TASK_OPTIONS.values() for option in options}
    assert TASKS.keys() == TASK_OPTIONS.keys()
    for name in TASKS:
        TaskSettings.model_validate({"task": name})
