"""Laws of every Workers, and what Ray adds."""

from __future__ import annotations

import os
import signal as signal_module
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow_server import free_port

from search.config import WorkerSettings
from search.driver import Driver
from search.errors import WorkersError
from search.fixed import FixedSource
from search.trial import Loss, Outcome, State, TrialBuilder, TrialSpec
from search.workers import InlineWorkers, Lost, Report, Segment, Start, Workers
from spaces.catalog import build_space
from trainers.config import Status
from trainers.signals import Crop, Signal, read_signal
from trainers.tasks import Task

SIREN2 = build_space("siren2", read_signal("synthetic:bright", Crop(samples=256)).spectrum(), width=16)


def spec_of(builder: TrialBuilder, number: int = 0, **more: object) -> TrialSpec:
    point = {"s0": 30.0 * (number + 1), "s1": 0.2, "lr": 1e-3}
    return builder.build(f"search/{number}", label="#0", space=SIREN2, point=point, **more)  # type: ignore[arg-type]


def first_of(workers: Workers) -> int:
    """The first worker that is there."""
    deadline = time.monotonic() + 60
    while not workers.ids() and time.monotonic() < deadline:
        assert workers.wait(1.0) == []
    return workers.ids()[0]


def events_of(workers: Workers, num: int) -> list[Report | Lost]:
    events: list[Report | Lost] = []
    deadline = time.monotonic() + 60
    while len(events) < num and time.monotonic() < deadline:
        events += workers.wait(1.0)
    return events


@pytest.fixture(params=["inline", "ray"])
def pool(request: pytest.FixtureRequest) -> Iterator[Callable[[int], Workers]]:
    made: list[Workers] = []

    def build(lanes: int) -> Workers:
        if request.param == "inline":
            made.append(InlineWorkers(lanes=lanes))
        else:
            request.getfixturevalue("local_ray")
            from search.ray_workers import RayWorkers

            made.append(RayWorkers(WorkerSettings(workers=1, lanes=lanes)))
        return made[-1]

    yield build
    for workers in made:
        workers.close()


class TestEveryWorkers:
    def test_a_segment_brings_the_same_progress_as_an_inline_one(
        self, pool: Callable[[int], Workers], builder: TrialBuilder, task: Task, signal: Signal
    ) -> None:
        reports = []
        for workers in (pool(2), InlineWorkers(lanes=2)):
            workers.share(task.digest, task)
            starts = (Start(lane=0, spec=spec_of(builder, 0, keep=True)), Start(lane=1, spec=spec_of(builder, 1)))
            worker = first_of(workers)
            until = {0: builder.steps, 1: builder.steps}
            workers.submit(
                worker, Segment(task=task.digest, lanes=2, start=starts, until=until, seconds=60, checkpoint=(1,))
            )
            reports += events_of(workers, 1)
        first, second = reports
        assert isinstance(first, Report)
        assert isinstance(second, Report)
        for lane in (0, 1):
            assert first.progress[lane].psnr_db == second.progress[lane].psnr_db
            assert first.progress[lane].curve == second.progress[lane].curve
            assert first.progress[lane].status is Status.DONE
        assert (first.results[0].output == second.results[0].output).all()
        assert set(first.results) == {0}
        assert set(first.checkpoints) == {1}

    def test_lanes_are_settled_by_measuring(
        self, pool: Callable[[int], Workers], builder: TrialBuilder, task: Task
    ) -> None:
        workers = pool(1)
        workers.share(task.digest, task)
        rates = workers.settle_lanes(task.digest, spec_of(builder, 0).network)
        assert list(rates)[:2] == [1, 2]
        assert min(rates.values()) > 0
        assert workers.lanes in rates

    def test_a_trial_that_cannot_begin_is_an_error_of_its_lane(
        self, pool: Callable[[int], Workers], builder: TrialBuilder, task: Task
    ) -> None:
        workers = pool(2)
        workers.share(task.digest, task)
        good = spec_of(builder)
        bad = replace(good, network=replace(good.network, knobs={"no_such_knob": 1.0}))
        starts = (Start(lane=0, spec=bad), Start(lane=1, spec=good))
        segment = Segment(
            task=task.digest, lanes=2, start=starts, until={0: builder.steps, 1: builder.steps}, seconds=60
        )
        workers.submit(first_of(workers), segment)
        [report] = events_of(workers, 1)
        assert isinstance(report, Report)
        assert "no_such_knob" in report.errors[0]
        assert report.progress[1].status is Status.DONE
        assert set(report.progress) == {1}

    def test_an_exception_of_ours_is_told_apart_from_a_death(
        self, pool: Callable[[int], Workers], builder: TrialBuilder, task: Task
    ) -> None:
        workers = pool(1)
        worker = first_of(workers)
        broken = replace(task, targets=task.targets[:-1])
        workers.share(broken.digest, broken)
        start = Start(lane=0, spec=spec_of(builder))
        workers.submit(worker, Segment(task=broken.digest, lanes=1, start=(start,), until={0: 3}, seconds=1))
        [event] = events_of(workers, 1)
        assert isinstance(event, Lost)
        assert event.loss is Loss.ERROR
        assert "RuntimeError" in event.failure
        workers.replace(worker)
        assert first_of(workers) != worker

    def test_a_damaged_checkpoint_is_left_aside_and_the_trial_begins_anew(
        self, pool: Callable[[int], Workers], builder: TrialBuilder, task: Task
    ) -> None:
        workers = pool(1)
        workers.share(task.digest, task)
        start = Start(lane=0, spec=spec_of(builder), checkpoint=b"not a checkpoint")
        segment = Segment(task=task.digest, lanes=1, start=(start,), until={0: builder.steps}, seconds=60)
        workers.submit(first_of(workers), segment)
        [report] = events_of(workers, 1)
        assert isinstance(report, Report)
        assert (report.progress[0].status, report.progress[0].curve[0][0]) == (Status.DONE, 0)


def test_a_killed_actor_is_replaced_and_its_trial_ends_as_if_nothing_had_happened(
    local_ray: None, builder: TrialBuilder, task: Task, signal: Signal
) -> None:
    import ray

    from search.ray_workers import RayWorkers

    workers = RayWorkers(WorkerSettings(workers=2))
    workers.share(task.digest, task)
    outcomes: list[Outcome] = []
    killed = threading.Event()

    def kill_once(spec: TrialSpec, progress: object) -> None:
        if not killed.is_set():
            killed.set()
            # Both may be in the middle of a segment by now.
            for actor in list(workers._actors.values()):
                ray.kill(actor)

    try:
        specs = [spec_of(builder, number, rungs=(10,)) for number in range(4)]
        assert Driver(workers, threading.Event(), kill_once).run(FixedSource(specs, outcomes.append))
        expected: list[Outcome] = []
        inline = InlineWorkers()
        inline.share(task.digest, task)
        Driver(inline, threading.Event()).run(FixedSource(specs, expected.append))
    finally:
        workers.close()
    assert {o.spec.key: o.psnr_db for o in outcomes} == {o.spec.key: o.psnr_db for o in expected}
    assert {outcome.state for outcome in outcomes} == {State.COMPLETE}
    failures = [attempt.failure for outcome in outcomes for attempt in outcome.attempts]
    assert failures
    assert all("Died" in failure for failure in failures)
    losses = {attempt.loss for outcome in outcomes for attempt in outcome.attempts}
    assert losses == {Loss.WORKER}


def test_workers_that_die_young_are_replaced_for_minutes_where_one_has_started_and_ten_times_where_none_has(
    local_ray: None,
) -> None:
    import ray

    from search.ray_workers import RayWorkers

    def kill_young(workers: RayWorkers, times: int) -> None:
        for _ in range(times):
            ray.kill(next(reversed(workers._actors.values())))
            num = workers._starts_lost
            while workers._starts_lost == num:
                workers.wait(5.0)

    workers = RayWorkers(WorkerSettings(workers=1))
    try:
        with pytest.raises(WorkersError, match="10 workers died before they could start"):
            kill_young(workers, 12)
    finally:
        workers.close()
    workers = RayWorkers(WorkerSettings(workers=1))
    try:
        while not workers.ids():
            workers.wait(5.0)
        workers.replace(workers.ids()[0])
        kill_young(workers, 12)
        while not workers.ids():
            workers.wait(5.0)
    finally:
        workers.close()


def test_an_actor_that_hangs_beyond_its_lease_is_ended_and_makes_room_for_another(
    local_ray: None, builder: TrialBuilder, task: Task, signal: Signal
) -> None:
    from search.ray_workers import RayWorkers

    workers = RayWorkers(WorkerSettings(workers=2, lease=6.0))
    workers.share(task.digest, task)
    outcomes: list[Outcome] = []
    hanging: list[int] = []

    def hang_once(spec: TrialSpec, progress: object) -> None:
        if not hanging:
            hanging.append(workers._places[workers.ids()[0]][1])  # of those that fit: not one that still starts
            os.kill(hanging[0], signal_module.SIGSTOP)

    try:
        specs = [spec_of(builder, number, rungs=(10, 20, 30)) for number in range(6)]
        assert Driver(workers, threading.Event(), hang_once).run(FixedSource(specs, outcomes.append))
        while len(workers.ids()) < 2:  # both CPUs are there again: the one that hung has left its own
            workers.wait(1.0)
        assert not Path(f"/proc/{hanging[0]}").exists()
    finally:
        workers.close()
    assert sorted(outcome.spec.key for outcome in outcomes) == sorted(spec.key for spec in specs)
    assert {outcome.state for outcome in outcomes} == {State.COMPLETE}
    [attempt] = [attempt for outcome in outcomes for attempt in outcome.attempts]
    assert attempt.loss is Loss.HUNG
    assert attempt.failure == "no answer for 6 s"
    assert attempt.lost_seconds is not None
    assert attempt.lost_seconds > 6.0


def test_nothing_at_an_address_is_said_within_seconds() -> None:
    from search.ray_workers import RayWorkers

    port = free_port()
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(WorkersError, match=f"no Ray cluster answers at {address}"):
            RayWorkers(WorkerSettings(workers=1, address=address))
    with pytest.raises(WorkersError, match="an address must be host:port"):
        RayWorkers(WorkerSettings(workers=1, address="nonsense"))


def test_more_than_a_cluster_has_is_refused(local_ray: None) -> None:
    from search.ray_workers import RayWorkers

    with pytest.raises(WorkersError, match="a worker needs 1 CPUs and 1 GPUs, but the cluster has 2 and 0"):
        RayWorkers(WorkerSettings(gpus_per_worker=1))
