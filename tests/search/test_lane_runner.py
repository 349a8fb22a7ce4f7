"""LaneRunner keeps one stack for each stack key that has lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from search.trial import TrialBuilder, TrialSpec
from search.workers import Full, LaneRunner, Report, Segment, Start
from spaces.space import Space
from trainers.fit import FitStack
from trainers.tasks import Task


@pytest.fixture
def runner() -> Iterator[LaneRunner]:
    made = LaneRunner(threads=1, device="cpu")
    yield made
    made.close()


def spec_of(builder: TrialBuilder, architecture: str, **knobs: float) -> TrialSpec:
    point = {"lr": 1e-3, **knobs}
    space = Space(name=architecture, architecture=architecture, parameters=(), defaults={})
    return builder.build("search/0", label="#0", space=space, point=point)


def run(runner: LaneRunner, task: Task, starts: dict[int, TrialSpec], until: dict[int, int]) -> Report | Full:
    start = tuple(Start(lane=lane, spec=spec) for lane, spec in starts.items())
    return runner.advance(0, Segment(task=task.digest, lanes=2, start=start, until=until, seconds=60), task)


def test_networks_of_one_key_share_a_stack(runner: LaneRunner, builder: TrialBuilder, task: Task) -> None:
    specs = {0: spec_of(builder, "siren"), 1: spec_of(builder, "siren2", s0=30.0, s1=0.1)}
    report = run(runner, task, specs, {0: 5, 1: 5})
    assert not report.errors
    assert len(runner._stacks) == 1


def test_a_stack_without_lanes_goes_before_one_of_another_key_comes(
    runner: LaneRunner, builder: TrialBuilder, task: Task
) -> None:
    run(runner, task, {0: spec_of(builder, "fourier", features=4.0)}, {0: 5})
    for features in (5.0, 6.0, 7.0):
        report = run(runner, task, {0: spec_of(builder, "fourier", features=features)}, {0: 5})
        assert not report.errors
        assert report.progress[0].step == 5
        assert len(runner._stacks) == 1


def test_a_stack_with_a_lane_stays_beside_one_of_another_key(
    runner: LaneRunner, builder: TrialBuilder, task: Task
) -> None:
    run(runner, task, {0: spec_of(builder, "gauss")}, {0: 5})
    report = run(runner, task, {1: spec_of(builder, "wire")}, {0: 10, 1: 10})
    assert {lane: at.step for lane, at in report.progress.items()} == {0: 10, 1: 10}
    assert len(runner._stacks) == 2


def test_a_trial_that_cannot_begin_leaves_its_neighbour(runner: LaneRunner, builder: TrialBuilder, task: Task) -> None:
    report = run(
        runner, task, {0: spec_of(builder, "gauss"), 1: spec_of(builder, "positional", octaves=2.5)}, {0: 5, 1: 5}
    )
    assert report.progress[0].step == 5
    assert report.errors[1].startswith("ConfigError: `1 <= octaves`")


def test_a_worker_without_room_empties_its_lanes_and_goes_on_with_fewer(
    runner: LaneRunner, builder: TrialBuilder, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = {lane: spec_of(builder, "gauss") for lane in range(2)}
    with monkeypatch.context() as patched:
        patched.setattr(FitStack, "advance", raising(torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")))
        event = run(runner, task, specs, {0: 5, 1: 5})
    assert event == Full(worker=0, failure="out of memory: CUDA out of memory.")
    assert not runner._stacks
    report = run(runner, task, {0: specs[0]}, {0: 5})
    assert isinstance(report, Report)
    assert {lane: at.step for lane, at in report.progress.items()} == {0: 5}


@pytest.mark.parametrize(
    "error", [RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 TB"), MemoryError()]
)
def test_no_room_for_a_trial_that_begins_is_told_from_one_that_cannot(
    runner: LaneRunner, builder: TrialBuilder, task: Task, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(FitStack, "start", raising(error))
    assert isinstance(run(runner, task, {0: spec_of(builder, "gauss")}, {0: 5}), Full)


def raising(error: Exception) -> Callable[..., None]:
    def fail(*args: object, **more: object) -> None:
        raise error

    return fail
