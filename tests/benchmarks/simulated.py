"""A pool of workers that fits nothing: scripted fits on a clock of its own, behind the protocol that the driver speaks.

Its clock jumps from event to event. Where the driver asks for a short wait, because it is drawing for a worker that has
nothing to do, the clock goes as fast as the real one, so that the driver's own time counts.
"""

from __future__ import annotations

import heapq
import math
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from optuna.storages import BaseStorage

from search.campaign import Campaign
from search.checkpoints import Checkpoints
from search.config import StudySpec
from search.display import Display
from search.driver import SEGMENT_SECONDS, Driver
from search.journal import grouped
from search.plan import plan_studies
from search.proposals import Proposals
from search.record import Record
from search.rungs import rungs_of
from search.storage import StudyStorage, open_storage
from search.study import StudyRun
from search.tracker import Tracker
from search.trial import TrialBuilder, TrialSpec
from search.workers import Event, Report, Segment
from spaces.catalog import build_space
from trainers.config import Curve, FitResult, NetworkConfig, Progress, Status
from trainers.signals import Crop, read_signal
from trainers.tasks import Task, build_task

CURVE_POINTS = 100
"""As many as a real fit keeps."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """How a fit goes.

    Attributes:
        seconds: that all its steps take.
        psnr_db: at its end.
    """

    seconds: float
    psnr_db: float

    def progress(self, spec: TrialSpec, step: int) -> Progress:
        """A fit that climbs from 10 dB, fast at first."""
        steps = spec.fit.steps
        curve: Curve = [(at, self._psnr_db(at / steps)) for at in range(0, step, max(1, steps // CURVE_POINTS))]
        done = step >= steps
        return Progress(
            step=step,
            status=Status.DONE if done else Status.RUNNING,
            psnr_db=self._psnr_db(step / steps) if step else None,
            snr_db=self._psnr_db(step / steps) if step else None,
            best_step=max(step - 1, 0),
            curve=curve,
            fit_seconds=self.seconds * step / steps,
        )

    def _psnr_db(self, share: float) -> float:
        return 10.0 + (self.psnr_db - 10.0) * math.sqrt(share)


class SimulatedWorkers:
    """A pool of scripted fits.

    Attributes:
        busy_seconds: inside fits, of all workers.
        idle_seconds: between a worker's segments; before its first one and after its last one nothing counts.

    Args:
        num: of workers.
        script: of a trial's fit.
        segment_seconds: a segment is as long as the driver asks for or, where that is shorter, as this.
    """

    def __init__(
        self, num: int, script: Callable[[TrialSpec], Script], *, segment_seconds: float = SEGMENT_SECONDS
    ) -> None:
        self.lanes = 1
        self.tasks: set[str] = set()
        self.busy_seconds = self.idle_seconds = 0.0
        self._ended: dict[int, float] = {}
        self.first_start: float | None = None
        self.last_end = 0.0
        self._num = num
        self._script = script
        self._segment_seconds = segment_seconds
        self.num_started = 0
        self._clock = 0.0
        self._ends: list[tuple[float, int]] = []
        self._at: dict[int, tuple[TrialSpec, Script, int]] = {}

    @property
    def busy_share(self) -> float:
        """Time inside fits / (workers x (last end - first start))."""
        assert self.first_start is not None
        return self.busy_seconds / (self._num * (self.last_end - self.first_start))

    def ids(self) -> Sequence[int]:
        """All of them, at once."""
        return range(self._num)

    def settle_lanes(self, digest: str, network: NetworkConfig) -> Mapping[int, float]:
        """One: nothing is measured here."""
        return {1: 1.0}

    def share(self, digest: str, task: Task) -> None:
        """Count it."""
        self.tasks.add(digest)

    def forget(self, digest: str) -> None:
        """Count it no more."""
        self.tasks.remove(digest)

    def submit(self, worker: int, segment: Segment) -> None:
        """Know when it ends, and where it then stands."""
        assert segment.task in self.tasks
        for start in segment.start:
            self._at[worker] = (start.spec, self._script(start.spec), 0)
            self.num_started += 1
        spec, script, step = self._at[worker]
        per_step = script.seconds / spec.fit.steps
        num = min(segment.until[0] - step, max(1, int(max(segment.seconds, self._segment_seconds) / per_step)))
        if self.first_start is None:
            self.first_start = self._clock
        self._at[worker] = (spec, script, step + num)
        self.busy_seconds += num * per_step
        self.idle_seconds += self._clock - self._ended.get(worker, self._clock)
        heapq.heappush(self._ends, (self._clock + num * per_step, worker))

    def wait(self, seconds: float) -> list[Event]:
        """The next segment that ends, if it does within `seconds`."""
        if not self._ends or self._ends[0][0] > self._clock + seconds:
            time.sleep(seconds if seconds < 0.1 else 0.0)
            self._clock += seconds
            return []
        self._clock, worker = heapq.heappop(self._ends)
        self._ended[worker] = self.last_end = self._clock
        spec, script, step = self._at[worker]
        progress = script.progress(spec, step)
        has_result = progress.status is Status.DONE and spec.keep
        return [Report(worker=worker, progress={0: progress}, results={0: _result(progress)} if has_result else {})]

    def replace(self, worker: int) -> None:
        """No worker is ever lost."""
        raise AssertionError

    def close(self) -> None:
        """Nothing to end."""


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """What the scripted fits score: a hill over the learning rate and the first scale, with noise by trial.

    Attributes:
        seconds: mean duration of a fit; each takes between a half and three halves of it.
        noise_db: standard deviation of a score.
        seed: of the noise, and of where the top is.
    """

    seconds: float
    noise_db: float = 3.0
    seed: int = 0

    def value_db(self, point: Mapping[str, object]) -> float:
        """Without noise: 80 dB at the top."""
        top = np.random.default_rng(self.seed).uniform(size=2)
        away = [_log10(point["lr"]) + 3.5 + top[0], (_log10(point["s0"]) - 2.0 - top[1])]
        return 80.0 - 15.0 * sum(abs(distance) for distance in away) - 30.0 * abs(_number(point["s1"]) - 0.1)

    def script(self, spec: TrialSpec) -> Script:
        """Of a trial; the same whenever and wherever it runs."""
        rng = np.random.default_rng(zlib.crc32(f"{self.seed}/{spec.study}/{spec.key}".encode()))
        value = self.value_db(spec.point) if "s0" in spec.point else 40.0
        noisy = value + self.noise_db * rng.standard_normal()
        return Script(seconds=self.seconds * rng.uniform(0.5, 1.5), psnr_db=float(max(noisy, 11.0)))


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value


def _log10(value: object) -> float:
    return math.log10(max(_number(value), 1e-9))


def _result(progress: Progress) -> FitResult:
    empty = np.zeros((0, 1), dtype=np.float32)
    return FitResult(progress=progress, weights={"weight0": empty}, output=empty)


def search(
    storage: BaseStorage, workers: SimulatedWorkers, folder: Path, *, trials: int, told: Callable[[Record], None]
) -> StudyStorage:
    """The search of one study on simulated workers: real driver, storage and sampler.

    Args:
        storage: where its trials go.
        workers: that run them.
        folder: for checkpoints.
        trials: budget.
        told: called with each record, by the clerk.
    """
    signal = read_signal("synthetic:bright", Crop(samples=256))
    task = build_task(signal)
    space = build_space("siren2", signal.spectrum(), width=64)
    asked = {"samples": 256, "crop": None, "task": "fit", "width": 64, "depth": 4, "steps": 300, "seed": 0}
    study = StudyStorage.create_or_resume(storage, f"simulated/bright-{trials}", {"objective": "fit", **asked})
    study.set_facts("trials", trials)
    builder = TrialBuilder(
        study=study.name, task=task.digest, width=64, depth=4, dims=1, channels=1, steps=300, study_seed=0
    )
    proposals = Proposals(
        study,
        space,
        builder,
        budget=trials,
        objective=study.objective,
        rungs=rungs_of(builder.steps, "asha"),
        deterministic=False,
        checkpoints=Checkpoints(str(folder)),
        finished=lambda record, outcome: told(record),
    )
    workers.share(task.digest, task)
    assert Driver(workers, threading.Event(), writing=partial(grouped, storage)).run(proposals)
    return study


def campaign_spec(folder: Path, *, studies: int, trials: int) -> StudySpec:
    """A campaign over recordings of 64 samples of noise, written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(studies):
        path = folder / f"clip{number}.npy"
        np.save(path, np.random.default_rng(number).normal(size=64))
        names.append(str(path))
    return StudySpec(
        name="campaign",
        signals=tuple(names),
        fit={"steps": 300},
        search={"trials": trials, "confirm": 2},
        store={"store": folder / "store", "tracking_uri": "nowhere://"},
    )


def run_campaign(spec: StudySpec, workers: SimulatedWorkers) -> StudyStorage:
    """All studies of a campaign, from references to confirmation, without pictures; the last one."""
    storage = open_storage(spec.store.store, None)
    plans = plan_studies(spec)
    tracker = Tracker("nowhere://", None, lambda line: None)
    runs = []
    with grouped(storage):
        for planned in plans:
            study = StudyStorage.create_or_resume(storage, planned.name, planned.fingerprint)
            runs.append(StudyRun(spec, planned, study, workers, tracker, Display()))
            runs[-1].keep_facts()
    ended: list[StudyRun] = []
    campaign = Campaign(runs, ended.append, lambda run, error: None)
    assert Driver(workers, threading.Event(), writing=partial(grouped, storage)).run(campaign)
    assert len(ended) == len(runs)
    tracker.close()
    return study
