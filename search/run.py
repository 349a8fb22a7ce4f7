"""Composition root and Python API: from a StudySpec to searched, confirmed and recorded studies."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from types import FrameType

from search.campaign import Campaign
from search.config import StudySpec
from search.connection import artifact_folder, default_tracking_uri
from search.display import Display
from search.driver import Driver
from search.errors import Interrupted, NothingFoundError
from search.journal import grouped
from search.lock import check_storage_url, driving
from search.plan import Plan, plan_studies
from search.result import Studies
from search.storage import StudyStorage, open_storage, storage_errors
from search.study import StudyRun
from search.summary import summarise
from search.sync import sync_command
from search.tracker import Tracker
from search.workers import InlineWorkers, Workers
from spaces.parameters import Choice, Int
from trainers.config import KNOBS


def run_study(spec: StudySpec, *, display: Display | None = None) -> Studies:
    """Search every signal of `spec`, the campaign's studies, which share the workers; again, it resumes.

    Returns:
        The document that `winnow run --json` prints; where every trial of a study failed, its `best` is None.

    Raises:
        InputError: signals that cannot be used, before anything starts.
        SpecError, PointError, LawError, StudyError: settings that cannot be used, likewise.
        StorageError, WorkersError, DriverError: the world failed.
        Interrupted: stopped by SIGINT or SIGTERM; the same call continues.
    """
    display = display or Display()
    spec = spec.model_copy(update={"name": spec.name or spec.default_name(f"{datetime.now(UTC):%Y%m%d}")})
    check_storage_url(spec.store.storage)
    plans = plan_studies(spec)
    for line in spec.idle_task_options:
        display.say(f"warning: {line}")
    # Workers first: where no cluster answers, nothing has been written.
    display.phase("", "starting workers", 0)
    try:
        workers = _build_workers(spec, display)
    except BaseException:  # Ctrl-C while Ray starts, too
        display.close()
        raise
    try:
        for planned in plans:
            display.say(f"{planned.name}: {planned.signal.num_samples:,} samples, {planned.num_weights:,} weights")
            if planned.builder.width < spec.network.width:
                beyond = f"--width {spec.network.width} is beyond --max-weights {spec.network.max_weights}"
                display.say(f"warning: {beyond}: references have width {planned.builder.width}")
        if spec.workers.lanes == "auto":
            _settle_lanes(workers, plans[0], display)
        with (
            storage_errors(spec.store.store),
            driving(spec.store.store, spec.store.storage, [planned.name for planned in plans]) as check_driving,
            _stop_on_signal() as stop,
            _tracking(spec, display) as tracker,
        ):
            storage = open_storage(spec.store.store, spec.store.storage)
            with grouped(storage):
                studies = [StudyStorage.create_or_resume(storage, plan.name, plan.fingerprint) for plan in plans]
                runs = [
                    StudyRun(spec, planned, study, workers, tracker, display)
                    for planned, study in zip(plans, studies, strict=True)
                ]
                by_name = {run.name: run for run in runs}
                for run in runs:
                    run.check_references()
                for run in runs:
                    run.keep_facts()
            driver = Driver(
                workers,
                stop,
                display.watch,
                partial(_writing, check_driving, partial(grouped, storage)),
                checkpoint_seconds=spec.store.checkpoint_seconds,
                keep_usage=lambda study, worker, usage: by_name[study].keep_usage(worker, usage),
            )
            _run_campaign(runs, driver, workers, display, stop)
            tracker.close()
            for run in runs:
                run.keep_run_id()
    finally:
        display.close()
        workers.close()
    return Studies(studies=[summarise(study) for study in studies])


def _run_campaign(
    runs: Sequence[StudyRun], driver: Driver, workers: Workers, display: Display, stop: threading.Event
) -> None:
    """Fit what the studies ask for; what follows their last fits is done beside the fits of the others."""
    records: list[Future[None]] = []
    num_open = Counter(run.task for run in runs)  # files of one content have one task

    def record(run: StudyRun) -> None:
        if stop.is_set():
            interrupted = Interrupted(f"all fits of {run.name} ended")
            run.abort(interrupted)
            raise interrupted
        run.record()

    def leave(run: StudyRun) -> None:
        display.study_ended(run.name)
        num_open[run.task] -= 1
        if not num_open[run.task]:
            workers.forget(run.task)

    def ended(run: StudyRun) -> None:
        leave(run)
        while records and records[0].done():
            records.pop(0).result()
        records.append(recorder.submit(record, run))

    def nothing_found(run: StudyRun, error: NothingFoundError) -> None:
        """A signal for which nothing is found does not stop the rest of its campaign."""
        leave(run)
        display.say(f"warning: {error}")

    campaign = Campaign(runs, ended, nothing_found)
    with ThreadPoolExecutor(1, thread_name_prefix="winnow-record") as recorder:
        try:
            if not driver.run(campaign):
                standing = [run.standing for run in campaign.open_studies]
                raise Interrupted("; ".join(standing[:1]) or "all fits are kept")
        except BaseException as error:
            campaign.abort(error)
            raise
        for future in records:
            future.result()


def _build_workers(spec: StudySpec, display: Display) -> Workers:
    settings = spec.workers
    if settings.workers == 0:
        return InlineWorkers(
            lanes=settings.first_lanes, threads=settings.cpus_per_worker, is_metered=settings.system_metrics
        )
    from search.ray_workers import RayWorkers

    return RayWorkers(settings, lambda line: display.say(f"warning: {line}"))


def _settle_lanes(workers: Workers, planned: Plan, display: Display) -> None:
    """As many as pay for the campaign's first signal and the space's published default."""
    space = planned.space
    network = planned.builder.network(space, space.complete({}))
    if network.architecture not in KNOBS or any(isinstance(parameter, (Int, Choice)) for parameter in space.searched):
        display.say("lanes of each worker: 1 (networks of several shapes, as this search has them, share no pass)")
        return
    display.phase("", "measuring lanes", 0)
    workers.share(planned.task.digest, planned.task)
    rates = workers.settle_lanes(planned.task.digest, network)
    measured = ", ".join(f"{lanes}: {rate:.3g}" for lanes, rate in rates.items())
    display.say(f"lanes of each worker: {workers.lanes} (fit steps per second of all together, by lanes: {measured})")


@contextmanager
def _tracking(spec: StudySpec, display: Display) -> Iterator[Tracker]:
    uri = spec.store.tracking_uri or default_tracking_uri(spec.store.store)
    tracker = Tracker(
        uri, artifact_folder(uri, spec.store.store), display.say, sync_command=partial(sync_command, spec.store)
    )
    try:
        yield tracker
    finally:
        tracker.close()


@contextmanager
def _writing(check_driving: Callable[[], None], group: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """What is written inside goes to disk together, and only by the studies' driver."""
    check_driving()
    with group():
        yield


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM ask for an end; a second one ends at once. Outside the main thread nothing is caught."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    caught = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, ask) for number in caught}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
