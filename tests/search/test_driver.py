"""The loop: outcomes, rungs, lost workers, errors of our own, stop and resume."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from search.driver import MAX_DEATHS, Drawn, Driver
from search.errors import DriverError
from search.fixed import FixedSource
from search.trial import Loss, Outcome, State, TrialBuilder, TrialSpec
from search.workers import Event, Full, InlineWorkers, Lost, Workers
from spaces.catalog import build_space
from trainers.config import Progress
from trainers.fit import fit_network
from trainers.signals import Crop, Signal, read_signal
from trainers.tasks import Task

SPECTRUM = read_signal("synthetic:bright", Crop(samples=256)).spectrum()
SIREN = build_space("siren", SPECTRUM, width=16)
SIREN2 = build_space("siren2", SPECTRUM, width=16)


def specs_of(builder: TrialBuilder, num: int, **more: object) -> list[TrialSpec]:
    points = [{"w_first": 30.0 * (k + 1), "lr": 1e-3} for k in range(num)]
    return [
        builder.build(f"search/{k}", label="#0", space=SIREN, point=point, **more)  # type: ignore[arg-type]
        for k, point in enumerate(points)
    ]


def drive(workers: Workers, source: FixedSource, task: Task, signal: Signal) -> bool:
    workers.share(task.digest, task)
    return Driver(workers, threading.Event()).run(source)


class Losing(InlineWorkers):
    """Inline workers that lose the segments whose turn `is_lost` names."""

    def __init__(self, is_lost: Callable[[int], bool], loss: Loss = Loss.WORKER) -> None:
        super().__init__()
        self.is_lost, self.loss, self.turn = is_lost, loss, 0

    def wait(self, seconds: float) -> list[Event]:
        self.turn += bool(self._segments)
        if self._segments and self.is_lost(self.turn):
            self._segments.clear()
            return [Lost(worker=self.ids()[0], failure="ActorDiedError: gone", loss=self.loss)]
        return super().wait(seconds)


class Small(InlineWorkers):
    """Inline workers whose device has room for stacks of so many lanes, taken or not."""

    def __init__(self, lanes: int, room: int) -> None:
        super().__init__(lanes=lanes)
        self.room, self.lanes_of_segments = room, list[int]()

    def wait(self, seconds: float) -> list[Event]:
        if self._segments:
            self.lanes_of_segments.append(self._segments[0].lanes)
            if self._segments[0].lanes > self.room:
                self._segments.clear()
                return [Full(worker=self.ids()[0], failure="out of memory: no room")]
        return super().wait(seconds)


class Picky(FixedSource):
    """Stops at rungs whom `stops` names, and keeps checkpoints."""

    def __init__(self, specs: list[TrialSpec], finish: Callable[[Outcome], None], stops: Sequence[str] = ()) -> None:
        super().__init__(specs, finish)
        self.stops, self.saved = stops, dict[str, bytes]()

    def goes_on(self, spec: TrialSpec, rung: int, progress: Progress) -> bool:
        return spec.key not in self.stops

    def save_checkpoint(self, spec: TrialSpec, data: bytes) -> None:
        self.saved[spec.key] = data


@pytest.mark.parametrize("lanes", [1, 3])
def test_every_trial_ends_once_whatever_the_number_of_lanes(
    builder: TrialBuilder, task: Task, signal: Signal, lanes: int
) -> None:
    outcomes: list[Outcome] = []
    assert drive(InlineWorkers(lanes=lanes), FixedSource(specs_of(builder, 5), outcomes.append), task, signal)
    assert sorted(outcome.spec.key for outcome in outcomes) == [f"search/{k}" for k in range(5)]
    assert {outcome.state for outcome in outcomes} == {State.COMPLETE}


def test_a_trial_with_a_rung_scores_what_a_plain_fit_scores(builder: TrialBuilder, task: Task, signal: Signal) -> None:
    outcomes: list[Outcome] = []
    [spec] = specs_of(builder, 1, rungs=(20,), keep=True)
    drive(InlineWorkers(), Picky([spec], outcomes.append), task, signal)
    plain = fit_network(task, spec.network, spec.fit, spec.seed)
    assert outcomes[0].psnr_db == plain.progress.psnr_db
    assert set(outcomes[0].rung_scores) == {20}
    assert outcomes[0].result is not None
    assert outcomes[0].result.output.shape == task.values.shape


def test_a_trial_that_is_stopped_at_a_rung_is_pruned_there(builder: TrialBuilder, task: Task, signal: Signal) -> None:
    outcomes: list[Outcome] = []
    specs = specs_of(builder, 3, rungs=(20,))
    drive(InlineWorkers(), Picky(specs, outcomes.append, stops=["search/1"]), task, signal)
    by_key = {outcome.spec.key: outcome for outcome in outcomes}
    assert by_key["search/1"].state is State.PRUNED
    assert by_key["search/1"].progress is not None
    assert by_key["search/1"].progress.step == 20
    assert by_key["search/2"].state is State.COMPLETE


def test_a_trial_of_a_lost_worker_is_fitted_by_another_with_the_same_result(
    builder: TrialBuilder, task: Task, signal: Signal
) -> None:
    outcomes: list[Outcome] = []
    workers = Losing(lambda turn: turn == 2)
    drive(workers, FixedSource(specs_of(builder, 3, rungs=(20,)), outcomes.append), task, signal)
    undisturbed: list[Outcome] = []
    drive(InlineWorkers(), FixedSource(specs_of(builder, 3, rungs=(20,)), undisturbed.append), task, signal)
    assert {o.spec.key: o.psnr_db for o in outcomes} == {o.spec.key: o.psnr_db for o in undisturbed}
    assert sum(len(outcome.attempts) for outcome in outcomes) == 1
    assert workers.ids() == [1]


def test_a_trial_on_board_of_three_deaths_is_failed(builder: TrialBuilder, task: Task, signal: Signal) -> None:
    outcomes: list[Outcome] = []
    drive(Losing(lambda turn: turn <= MAX_DEATHS), FixedSource(specs_of(builder, 2), outcomes.append), task, signal)
    assert [outcome.state for outcome in outcomes] == [State.FAILED, State.COMPLETE]
    assert "died 3 times" in outcomes[0].reason


def test_a_worker_without_room_fits_half_as_many_trials_at_once_and_loses_none(
    builder: TrialBuilder, task: Task, signal: Signal
) -> None:
    outcomes: list[Outcome] = []
    workers = Small(lanes=8, room=3)
    specs = specs_of(builder, 12)
    drive(workers, FixedSource(list(specs), outcomes.append), task, signal)
    assert workers.lanes_of_segments[:3] == [8, 4, 2]
    assert set(workers.lanes_of_segments[2:]) == {2}
    assert sorted(outcome.spec.key for outcome in outcomes) == sorted(spec.key for spec in specs)
    assert {outcome.state for outcome in outcomes} == {State.COMPLETE}
    assert [attempt.failure for attempt in outcomes[0].attempts] == ["out of memory: no room"] * 2


def test_a_trial_that_has_no_room_alone_is_failed_and_the_next_is_tried(
    builder: TrialBuilder, task: Task, signal: Signal
) -> None:
    outcomes: list[Outcome] = []
    drive(Small(lanes=2, room=0), FixedSource(specs_of(builder, 3), outcomes.append), task, signal)
    assert {outcome.state for outcome in outcomes} == {State.FAILED}
    assert outcomes[0].reason.startswith("out of memory: no room (a smaller network may fit")


def test_a_trial_alone_in_too_large_a_stack_is_not_failed(builder: TrialBuilder, task: Task, signal: Signal) -> None:
    outcomes: list[Outcome] = []
    drive(Small(lanes=8, room=4), FixedSource(specs_of(builder, 1), outcomes.append), task, signal)
    assert [outcome.state for outcome in outcomes] == [State.COMPLETE]


def test_the_same_exception_of_ours_three_times_ends_the_study(
    builder: TrialBuilder, task: Task, signal: Signal
) -> None:
    outcomes: list[Outcome] = []
    with pytest.raises(DriverError, match="the same kind of error came 3 times"):
        drive(
            Losing(lambda turn: True, loss=Loss.ERROR), FixedSource(specs_of(builder, 9), outcomes.append), task, signal
        )
    assert [outcome.state for outcome in outcomes] == [State.FAILED] * 2


@pytest.mark.parametrize("lanes", [1, 2])
def test_an_exception_in_a_fit_fails_its_trial_alone(
    builder: TrialBuilder, task: Task, signal: Signal, lanes: int
) -> None:
    outcomes: list[Outcome] = []
    first, second = specs_of(builder, 2)
    broken = replace(first, network=replace(first.network, knobs={"no_such_knob": 1.0}))
    drive(InlineWorkers(lanes=lanes), FixedSource([broken, second], outcomes.append), task, signal)
    assert [outcome.state for outcome in outcomes] == [State.FAILED, State.COMPLETE]
    assert "no_such_knob" in outcomes[0].reason


def test_a_point_that_float32_cannot_hold_is_failed_with_advice(
    builder: TrialBuilder, task: Task, signal: Signal
) -> None:
    outcomes: list[Outcome] = []
    spec = builder.build("search/0", label="#0", point={"s0": 1e300, "s1": 0.1, "lr": 1e-3}, space=SIREN2)
    drive(InlineWorkers(), FixedSource([spec], outcomes.append), task, signal)
    assert outcomes[0].state is State.FAILED
    assert "float32" in outcomes[0].reason


def test_a_fit_that_leaves_for_good_is_pruned_with_its_best_value(
    builder: TrialBuilder, task: Task, signal: Signal
) -> None:
    outcomes: list[Outcome] = []
    spec = builder.build("search/0", label="#0", point={"w_first": 30.0, "lr": 1e3}, space=SIREN)
    drive(InlineWorkers(), FixedSource([spec], outcomes.append), task, signal)
    assert outcomes[0].state is State.PRUNED
    assert outcomes[0].psnr_db is not None
    assert "learning rate" in outcomes[0].reason


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_stopped_trial_continues_from_its_checkpoint_to_the_same_result(
    task: Task, signal: Signal, builder: TrialBuilder, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    monkeypatch.setattr("search.driver.SEGMENT_SECONDS", 0.02)
    long = replace(builder, steps=400)
    specs = specs_of(long, lanes)
    stop = threading.Event()
    workers = InlineWorkers(lanes=lanes)
    workers.share(task.digest, task)
    source = Picky(list(specs), lambda outcome: pytest.fail("it was stopped before its end"))

    def stop_soon(spec: TrialSpec, progress: Progress) -> None:
        if progress.step > 5:
            stop.set()

    assert not Driver(workers, stop, stop_soon).run(source)
    assert sorted(source.saved) == sorted(spec.key for spec in specs)

    class Resumed(Picky):
        def next(self) -> Drawn | None:
            drawn = super().next()
            return drawn and Drawn(spec=drawn.spec, checkpoint=source.saved[drawn.spec.key])

    outcomes: list[Outcome] = []
    drive(InlineWorkers(lanes=lanes), Resumed(list(specs), outcomes.append), task, signal)
    whole: list[Outcome] = []
    drive(InlineWorkers(lanes=lanes), Picky(list(specs), whole.append), task, signal)
    assert {o.spec.key: o.psnr_db for o in outcomes} == {o.spec.key: o.psnr_db for o in whole}


def test_a_segment_empties_the_lanes_that_it_does_not_name(builder: TrialBuilder, task: Task, signal: Signal) -> None:
    workers = InlineWorkers(lanes=2)
    drive(workers, FixedSource(specs_of(builder, 4), lambda outcome: None), task, signal)
    outcomes: list[Outcome] = []
    drive(workers, FixedSource(specs_of(builder, 1), outcomes.append), task, signal)
    assert [outcome.state for outcome in outcomes] == [State.COMPLETE]
