"""How busy two Ray workers are: 200 trials of about half a second, MLflow and journal on.

    python tests/benchmarks/bench_busy.py [--trials 200] [--rounds 2] [--seconds 0.5]

Busy share: time inside `advance` / (workers x (last end - first start)). The alternative is what one writes first: the
same actors, storage, sampler and MLflow, one thread that asks, sends, tells and logs in turn.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

import optuna
import ray
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from paired import Row, print_rows, spread

from search.checkpoints import Checkpoints
from search.config import WorkerSettings
from search.connection import default_tracking_uri
from search.driver import Driver
from search.journal import grouped
from search.objective import Objective
from search.proposals import Proposals
from search.ray_workers import FitActor, RayWorkers
from search.record import Record
from search.rungs import rungs_of
from search.storage import StudyStorage, open_storage
from search.tracker import Tracker
from search.trial import Outcome, TrialBuilder
from search.view import view_of
from search.workers import Event, Report, Segment, Start
from spaces.catalog import build_space
from trainers.signals import Crop, read_signal
from trainers.tasks import Task, build_task

NUM_WORKERS = 2
WIDTH, DEPTH = 64, 3
BUSY_ASKED = 0.92
CALIBRATION_STEPS = 100


class Calls:
    """When calls to workers began and ended, by what the workers' own clocks say."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    @property
    def busy_share(self) -> float:
        """Time inside calls / (workers x (last end - first start))."""
        first, last = min(start for start, _ in self.spans), max(end for _, end in self.spans)
        return sum(end - start for start, end in self.spans) / (NUM_WORKERS * (last - first))


@ray.remote
class TimedActor:
    """A worker that says when it was inside `advance`."""

    def __init__(self, *arguments: Any) -> None:
        self._inner = FitActor.__ray_metadata__.modified_class(*arguments)

    def device(self) -> str:
        """Of the worker."""
        return str(self._inner.device())

    def advance(self, worker: int, segment: Segment, task: Task) -> tuple[Report, float, float]:
        """The report, its start and its end."""
        began = time.time()
        report = self._inner.advance(worker, segment, task)
        return report, began, time.time()


class TimedWorkers(RayWorkers):
    """RayWorkers whose actors are timed."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        super().__init__(WorkerSettings(workers=NUM_WORKERS))

    def _collect(self, ref: Any) -> Event:
        worker = self._running.pop(ref)
        report, began, ended = ray.get(ref)
        self._calls.spans.append((began, ended))
        assert report.worker == worker
        return report  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What both fit."""

    task: Task
    builder: TrialBuilder
    space: Any
    trials: int


@contextmanager
def timed_workers(calls: Calls) -> Iterator[TimedWorkers]:
    """Both actors, there and warm: what is measured is a search and no import of torch."""
    import search.ray_workers as module

    plain, module.FitActor = module.FitActor, TimedActor  # type: ignore[misc]
    workers = TimedWorkers(calls)
    try:
        while len(workers.ids()) < NUM_WORKERS:
            workers.wait(1.0)
        yield workers
    finally:
        workers.close()
        module.FitActor = plain  # type: ignore[misc]


def build_setting(trials: int, seconds: float) -> Setting:
    """As many steps as take about `seconds` on both workers at once, now."""
    signal = read_signal("synthetic:bright", Crop(samples=2048))
    task = build_task(signal)
    space = build_space("siren2", signal.spectrum(), width=WIDTH)
    builder = TrialBuilder(
        task=task.digest, width=WIDTH, depth=DEPTH, dims=1, channels=1, steps=CALIBRATION_STEPS, study_seed=0
    )
    spec = builder.build("search/0", label="", space=space, point=space.complete({"lr": 1e-3}))
    calls = Calls()
    with timed_workers(calls) as workers:
        workers.share(task.digest, task)
        for _ in range(2):  # the first warms up
            calls.spans.clear()
            start, until = Start(lane=0, spec=spec), {0: CALIBRATION_STEPS}
            for worker in workers.ids():
                workers.submit(worker, Segment(task=task.digest, lanes=1, start=(start,), until=until, seconds=1e3))
            while len(calls.spans) < NUM_WORKERS:
                workers.wait(10.0)
    per_step = sum(end - start for start, end in calls.spans) / (NUM_WORKERS * CALIBRATION_STEPS)
    return Setting(task=task, builder=replace(builder, steps=round(seconds / per_step)), space=space, trials=trials)


def ours(setting: Setting, folder: Path) -> Calls:
    """The driver and its clerk."""
    calls = Calls()
    storage = open_storage(folder, None)
    study = StudyStorage.create_or_resume(storage, "busy/bright", {"objective": "fit"})
    tracker = Tracker(default_tracking_uri(folder), folder / "artifacts", print)
    tracked = tracker.begin(study.name, partial(view_of, study, folder))

    def finished(record: Record, outcome: Outcome) -> None:
        number = record.number
        tracked.log(lambda: study.trial(number), "trial")

    proposals = Proposals(
        study,
        setting.space,
        setting.builder,
        budget=setting.trials,
        objective=Objective.FIT,
        rungs=rungs_of(setting.builder.steps, "none"),
        deterministic=False,
        checkpoints=Checkpoints(str(folder / "checkpoints")),
        finished=finished,
    )
    with timed_workers(calls) as workers:
        workers.share(setting.task.digest, setting.task)
        assert Driver(workers, threading.Event(), writing=partial(grouped, storage)).run(proposals)
    tracker.close()
    assert len(study.trials()) == setting.trials
    return calls


def bare(setting: Setting, folder: Path) -> Calls:
    """Ask, send, wait, tell and log in one loop."""
    calls = Calls()
    folder.mkdir(parents=True, exist_ok=True)
    journal = optuna.storages.journal.JournalFileBackend(str(folder / "bare.log"))
    study = optuna.create_study(storage=optuna.storages.JournalStorage(journal), direction="maximize")
    client = MlflowClient(default_tracking_uri(folder))
    experiment = client.create_experiment("bare")
    running: dict[int, optuna.Trial] = {}
    left = setting.trials

    with timed_workers(calls) as workers:
        workers.share(setting.task.digest, setting.task)

        def send(worker: int) -> None:
            nonlocal left
            if not left:
                return
            left -= 1
            trial = running[worker] = study.ask()
            drawn = {}
            for one in setting.space.searched:
                drawn[one.name] = trial.suggest_float(one.name, one.low, one.high, log=one.log)
            point = setting.space.from_search(drawn)
            spec = setting.builder.build(f"search/{trial.number}", label="", space=setting.space, point=point)
            start, until = Start(lane=0, spec=spec), {0: spec.fit.steps}
            workers.submit(worker, Segment(task=setting.task.digest, lanes=1, start=(start,), until=until, seconds=1e3))

        for worker in workers.ids():
            send(worker)
        while running:
            for event in workers.wait(10.0):
                assert isinstance(event, Report)
                trial, progress = running.pop(event.worker), event.progress[0]
                assert progress.psnr_db is not None
                study.tell(trial, progress.psnr_db)
                run_id = client.create_run(experiment).info.run_id
                metrics = [Metric("curve_psnr_db", value, 0, step) for step, value in progress.curve]
                client.log_batch(
                    run_id, metrics=metrics, params=[Param(name, str(value)) for name, value in trial.params.items()]
                )
                client.set_terminated(run_id)
                send(event.worker)
    return calls


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args(words)
    setting = build_setting(options.trials, options.seconds)
    own, other, lengths = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(options.rounds):
            first = ours(setting, Path(folder) / f"ours{round_}")
            second = bare(replace(setting, trials=options.trials // 2), Path(folder) / f"bare{round_}")
            own.append(first.busy_share)
            other.append(second.busy_share)
            lengths.append(sum(end - start for start, end in first.spans) / options.trials)
    row = Row(
        what=f"{options.trials} trials of {spread(lengths)} s on {NUM_WORKERS} Ray workers, MLflow and journal on",
        ours=f"{spread([100 * share for share in own], 1)} % busy",
        alternative=f"{spread([100 * share for share in other], 1)} % busy: one loop that asks, tells and logs in turn "
        "(half as many trials)",
        result=f"{100 * min(own):.1f} % busy at least",
        asked=f">= {100 * BUSY_ASKED:.0f} %",
        holds=min(own) >= BUSY_ASKED,
    )
    print_rows([row])


if __name__ == "__main__":
    main()
