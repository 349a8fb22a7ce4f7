"""Persistent Ray actors as Workers: the only door to ray."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Without it Ray hides GPUs from actors that ask for none and warns of a change to come.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import exceptions as ray_exceptions

import search
import spaces
import trainers
from search.config import WorkerSettings
from search.errors import WorkersError
from search.workers import Event, LaneRunner, Lost, Report, Segment, pick_device
from trainers.tasks import Task

PROBE_SECONDS = 5.0
"""Within which something must listen at an address: ray.init itself retries for minutes."""


@ray.remote
class FitActor:
    """A worker: a LaneRunner behind an actor's door."""

    def __init__(self, lanes: int, threads: int) -> None:
        self._runner = LaneRunner(lanes=lanes, threads=threads, device=pick_device())

    def advance(self, worker: int, segment: Segment, task: Task) -> Report:
        """Run one segment; `task` comes out of the object store."""
        return self._runner.advance(worker, segment, task)


class RayWorkers:
    """Actors on this machine, or on the cluster at an address.

    Args:
        settings: how many, with what resources, where.

    Raises:
        WorkersError: no cluster answers at the address, or it can never place a worker.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self.lanes = settings.lanes
        self._cpus = settings.cpus_per_worker
        self._owns_ray = _connect(settings)
        total = ray.cluster_resources()
        num_gpus = total.get("GPU", 0.0)
        self._gpus = settings.gpus_per_worker if settings.gpus_per_worker is not None else float(num_gpus > 0)
        fit = int(num_gpus / self._gpus + 1e-9) if self._gpus else int(total.get("CPU", 1) // self._cpus)
        num_workers = settings.workers if settings.workers is not None else fit
        if num_workers < 1 or fit < 1:
            self.close()
            raise WorkersError(
                f"a worker needs {self._cpus} CPUs and {self._gpus:g} GPUs, "
                f"but the cluster has {total.get('CPU', 0):g} and {num_gpus:g}"
            )
        self._actors: dict[int, Any] = {}
        self._next_id = 0
        self._tasks: dict[str, Any] = {}
        self._running: dict[Any, int] = {}
        for _ in range(num_workers):
            self._add()

    def ids(self) -> Sequence[int]:
        """The actors that live."""
        return list(self._actors)

    def share(self, digest: str, task: Task) -> None:
        """Put the task into the object store, once."""
        if digest not in self._tasks:
            self._tasks[digest] = ray.put(task)

    def submit(self, worker: int, segment: Segment) -> None:
        """Call the actor."""
        ref = self._actors[worker].advance.remote(worker, segment, self._tasks[segment.task])
        self._running[ref] = worker

    def wait(self, seconds: float) -> list[Event]:
        """Reports of segments that ended, and actors that died."""
        if not self._running:
            time.sleep(seconds)
            return []
        refs = list(self._running)
        ready, _ = ray.wait(refs, num_returns=1, timeout=seconds)
        more, _ = ray.wait(refs, num_returns=len(refs), timeout=0) if ready else ([], [])
        return [self._collect(ref) for ref in more]

    def replace(self, worker: int) -> int:
        """Another actor; Ray places it where there is room."""
        actor = self._actors.pop(worker)
        ray.kill(actor)
        return self._add()

    def close(self) -> None:
        """Kill the actors; stop Ray where this process started it."""
        for actor in getattr(self, "_actors", {}).values():
            ray.kill(actor)
        if self._owns_ray:
            ray.shutdown()

    def _add(self) -> int:
        worker = self._next_id
        self._next_id += 1
        # Ray's defaults of no restarts and no retries are kept: the driver owns the retries.
        options = FitActor.options(  # type: ignore[attr-defined]
            num_cpus=self._cpus, num_gpus=self._gpus
        )
        self._actors[worker] = options.remote(self.lanes, self._cpus)
        return worker

    def _collect(self, ref: Any) -> Event:
        worker = self._running.pop(ref)
        try:
            report: Report = ray.get(ref)
        except ray_exceptions.RayTaskError as error:
            cause = error.cause
            return Lost(worker=worker, failure=f"{type(cause).__name__}: {cause}", is_ours=True)
        except ray_exceptions.RayError as error:
            first_line = (str(error).strip() or "no reason given").splitlines()[0]
            return Lost(worker=worker, failure=f"{type(error).__name__}: {first_line}", is_ours=False)
        return report


def _connect(settings: WorkerSettings) -> bool:
    """Make sure that Ray is there; whether this process owns it."""
    if settings.address is not None:
        _probe(settings.address)
    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if settings.address is None:
        workers = settings.workers or 0
        num_cpus = max(os.cpu_count() or 1, workers * settings.cpus_per_worker)
        ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **quiet)
        return True
    try:
        # A cluster may lack our packages: ship them, so that nothing needs a shared disk.
        modules: list[ModuleType] = [spaces, trainers, search]
        ray.init(address=settings.address, runtime_env={"py_modules": modules}, **quiet)
    except (ConnectionError, RuntimeError, ValueError, ray_exceptions.RayError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise WorkersError(f"no Ray cluster answers at {settings.address}: {first_line}") from error
    return True


def _probe(address: str) -> None:
    """Fail at once where nothing listens."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        if address == "auto":
            return
        raise WorkersError(f"an address must be host:port or ray://host:port, but got {address!r}")
    try:
        with socket.create_connection((host, port), timeout=PROBE_SECONDS):
            return
    except OSError as error:
        raise WorkersError(f"no Ray cluster answers at {address}: {error}") from error
