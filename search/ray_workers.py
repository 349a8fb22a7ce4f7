"""Persistent Ray actors as Workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray import cloudpickle
from ray import exceptions as ray_exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.config import WorkerSettings
from search.errors import WorkersError, first_line, redact
from search.placement import Demand, WorkerKind, demands_of, never_placed
from search.plugins import loaded_plugins, own_architectures
from search.ray_session import can_grow, connect, look_around
from search.trial import Loss
from search.workers import Event, Full, LaneRunner, Lost, Report, Segment, pick_device
from trainers.config import NetworkConfig
from trainers.tasks import Task

if TYPE_CHECKING:
    from trainers.networks import Architecture

NAMES = ("CPU", "GPU")
"""Of the resources that a worker takes."""

WAIT_ALOUD_SECONDS = 20.0
"""After which it is said that workers wait for room."""

MAX_LOST_STARTS = 10
"""Workers in a row that died before their first answer: the next would too."""

LOST_STARTS_SECONDS = 120.0
"""How long more are tried once one has started: where machines come and go, many may die young."""


@ray.remote
class FitActor:
    """A worker: a LaneRunner behind an actor's door."""

    def __init__(self, threads: int, has_gpu: bool, is_metered: bool, own: Mapping[str, Architecture]) -> None:
        self._threads = threads
        self._has_gpu = has_gpu
        self._is_metered = is_metered
        self._own = own

    def place(self) -> tuple[str, int]:
        """Ids of the node and of the process, at once: from now on the actor has a lease."""
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def prepare(self) -> str:
        """Load torch; the device, "cuda" or "cpu"."""
        from trainers.networks import register_architecture

        for name, architecture in self._own.items():
            register_architecture(name, architecture)
        device = pick_device() if self._has_gpu else "cpu"
        self._runner = LaneRunner(threads=self._threads, device=device, is_metered=self._is_metered)
        return device

    def advance(self, worker: int, segment: Segment, task: Task) -> Report | Full:
        """Run one segment; `task` comes out of the object store."""
        return self._runner.advance(worker, segment, task)

    def measure_lanes(self, task: Task, network: NetworkConfig) -> dict[int, float]:
        """As a LaneRunner does."""
        return self._runner.measure_lanes(task, network)


@ray.remote(num_cpus=0, max_retries=0)  # type: ignore[untyped-decorator]
def end_process(pid: int) -> None:
    """End a process of the node that this runs on."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class RayWorkers:
    """Actors on this machine, or on the cluster at an address.

    Args:
        settings: how many, with what resources, where.
        warn: called with one line where workers wait for room, or hold a GPU that torch does not see.

    Raises:
        WorkersError: no cluster answers at the address, or it can never place a worker.
    """

    def __init__(self, settings: WorkerSettings, warn: Callable[[str], None] = lambda line: None) -> None:
        self.lanes = settings.first_lanes
        self._is_metered = settings.system_metrics
        self._lease = settings.lease
        self._warn = warn
        self._actors: dict[int, Any] = {}
        self._kinds: dict[int, WorkerKind] = {}
        self._placing: dict[Any, int] = {}
        self._preparing: dict[Any, int] = {}
        self._places: dict[int, tuple[str, int]] = {}  # node and process, of those that are placed
        self._running: dict[Any, int] = {}
        self._deadlines: dict[Any, float] = {}
        self._tasks: dict[str, Any] = {}
        self._next_id = self._starts_lost = 0
        self._started = float("-inf")
        self._waiting, self._waiting_since, self._waiting_said = 0, time.monotonic(), 0
        self._leave = connect(settings)
        for module in loaded_plugins():
            cloudpickle.register_pickle_by_value(module)  # a worker cannot import it
        try:
            for demand in self._demands(settings):
                for _ in range(demand.num):
                    self._add(demand.kind)
        except BaseException:
            self.close()
            raise

    def ids(self) -> Sequence[int]:
        """The actors that are prepared."""
        starting = {*self._placing.values(), *self._preparing.values()}
        return [worker for worker in self._actors if worker not in starting]

    def share(self, digest: str, task: Task) -> None:
        """Put the task into the object store, once."""
        if digest not in self._tasks:
            self._tasks[digest] = ray.put(task)

    def forget(self, digest: str) -> None:
        """Let the object store have its room back."""
        del self._tasks[digest]

    def settle_lanes(self, digest: str, network: NetworkConfig) -> Mapping[int, float]:
        """Measure on the first actor that is there."""
        from trainers.lanes import lanes_that_pay

        while not self.ids():
            self.wait(WAIT_ALOUD_SECONDS)
        worker = self.ids()[0]
        try:
            measured = self._actors[worker].measure_lanes.remote(self._tasks[digest], network)
            rates: dict[int, float] = ray.get(measured, timeout=self._lease)
        except ray_exceptions.GetTimeoutError as error:
            raise WorkersError(
                f"a worker must measure its lanes within its lease of {self._lease:g} s, but did not answer"
            ) from error
        except ray_exceptions.RayTaskError as error:
            raise WorkersError(f"a worker cannot measure its lanes: {first_line(error.cause)}") from error
        except ray_exceptions.RayError as error:
            raise WorkersError(f"a worker died while it measured its lanes: {first_line(error)}") from error
        self.lanes = lanes_that_pay(rates)
        return rates

    def submit(self, worker: int, segment: Segment) -> None:
        """Call the actor."""
        ref = self._actors[worker].advance.remote(worker, segment, self._tasks[segment.task])
        self._running[ref] = worker
        self._deadlines[ref] = time.monotonic() + segment.seconds + self._lease

    def wait(self, seconds: float) -> list[Event]:
        """Reports of segments that ended, and actors that died or hang; an actor that starts ends the wait too."""
        refs = [*self._running, *self._placing, *self._preparing]
        if not refs:
            time.sleep(seconds)
            return []
        try:
            ready, _ = ray.wait(refs, num_returns=1, timeout=seconds)
            if ready:
                ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        except (ray_exceptions.RayError, ConnectionError) as error:
            raise WorkersError(f"the Ray cluster does not answer any more: {first_line(error)}") from error
        for ref in ready:
            if ref in self._placing:
                self._prepare(ref)
            elif ref in self._preparing:
                self._welcome(ref)
        self._tell_of_waiting()
        events = [self._collect(ref) for ref in ready if ref in self._running]
        return events + self._collect_hung()

    def replace(self, worker: int) -> None:
        """Another actor of its kind; Ray places it where there is room."""
        self._places.pop(worker, None)
        ray.kill(self._actors.pop(worker))
        self._add(self._kinds.pop(worker))

    def close(self) -> None:
        """Kill the actors; leave Ray, or stop it where this process started it."""
        for actor in self._actors.values():
            with suppress(ray_exceptions.RayError, ConnectionError):  # a cluster that is gone has none of them
                ray.kill(actor)
        self._actors.clear()
        self._leave()

    def _demands(self, settings: WorkerSettings) -> list[Demand]:
        """What is asked of the cluster. It may have no room yet: actors that wait are what an autoscaler looks at."""
        nodes = look_around()
        demands = demands_of(settings, nodes)
        kind = never_placed(demands, nodes)
        if kind is not None:
            num_cpus, num_gpus = (sum(node.total.get(name, 0.0) for node in nodes if node.is_alive) for name in NAMES)
            has = f"the cluster has {num_cpus:g} and {num_gpus:g}"
            if not can_grow(settings):
                enough = num_cpus >= kind.cpus and num_gpus >= kind.gpus
                raise WorkersError(f"a worker needs {kind}, but {has}{', and no node has them' if enough else ''}")
            self._warn(f"a worker needs {kind}, and {has}: waiting for the cluster to grow")
        return demands

    def _add(self, kind: WorkerKind) -> None:
        worker, self._next_id = self._next_id, self._next_id + 1
        # Ray's defaults of no restarts and no retries are kept: the driver owns the retries.
        options = FitActor.options(  # type: ignore[attr-defined]
            num_cpus=kind.cpus, num_gpus=kind.gpus, label_selector=dict(kind.labels)
        )
        actor = options.remote(kind.cpus, kind.gpus > 0, self._is_metered, own_architectures())
        self._actors[worker], self._kinds[worker] = actor, kind
        self._placing[actor.place.remote()] = worker

    def _tell_of_waiting(self) -> None:
        """Say it where workers have waited for room for a while, and where that is over."""
        now, num = time.monotonic(), len(self._placing)
        if num != self._waiting:
            self._waiting, self._waiting_since = num, now
        if not num and self._waiting_said:
            self._waiting_said = 0
            self._warn("all workers have room now")
        elif num != self._waiting_said and now - self._waiting_since > WAIT_ALOUD_SECONDS:
            self._waiting_said = num
            self._warn(f"{num} of {len(self._actors)} workers wait for room in the cluster")

    def _prepare(self, ref: Any) -> None:
        """An actor is placed, or died before it could answer."""
        worker = self._placing.pop(ref)
        try:
            self._places[worker] = ray.get(ref)
        except ray_exceptions.RayError as error:
            self._take_lost_start(worker, _reason(error))
            return
        preparing = self._actors[worker].prepare.remote()
        self._preparing[preparing] = worker
        self._deadlines[preparing] = time.monotonic() + self._lease

    def _welcome(self, ref: Any) -> None:
        """An actor is prepared, or cannot be."""
        worker = self._preparing.pop(ref)
        del self._deadlines[ref]
        try:
            device = ray.get(ref)
        except ray_exceptions.RayTaskError as error:
            raise WorkersError(f"a worker cannot start: {first_line(error.cause)}") from error
        except ray_exceptions.RayError as error:
            self._take_lost_start(worker, _reason(error))
            return
        self._starts_lost, self._started = 0, time.monotonic()
        if self._kinds[worker].gpus and device == "cpu":
            self._warn("a worker holds a GPU that torch does not see: it fits on the CPU")

    def _take_lost_start(self, worker: int, reason: str) -> None:
        self._starts_lost += 1
        if self._starts_lost >= MAX_LOST_STARTS and time.monotonic() - self._started > LOST_STARTS_SECONDS:
            raise WorkersError(f"{self._starts_lost} workers died before they could start: {reason}")
        self.replace(worker)

    def _collect(self, ref: Any) -> Event:
        worker = self._running.pop(ref)
        del self._deadlines[ref]
        try:
            report: Report | Full = ray.get(ref)
        except ray_exceptions.RayTaskError as error:
            return Lost(worker=worker, failure=f"{type(error.cause).__name__}: {error.cause}", loss=Loss.ERROR)
        except ray_exceptions.RayError as error:
            return Lost(worker=worker, failure=f"{type(error).__name__}: {_reason(error)}", loss=_loss_of(error))
        return report

    def _collect_hung(self) -> list[Event]:
        """Those beyond their lease. Ray asks a process to end itself, which one that hangs does not."""
        now = time.monotonic()
        late = [ref for ref, deadline in self._deadlines.items() if deadline < now]
        events: list[Event] = []
        for ref in late:
            del self._deadlines[ref]
            is_running, failure = ref in self._running, f"no answer for {self._lease:g} s"
            worker = self._running.pop(ref) if is_running else self._preparing.pop(ref)
            node, pid = self._places[worker]
            there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
            end_process.options(scheduling_strategy=there).remote(pid)
            if is_running:
                events.append(Lost(worker=worker, failure=failure, loss=Loss.HUNG))
            else:
                self._take_lost_start(worker, failure)
        return events


def _reason(error: ray_exceptions.RayError) -> str:
    """Ray puts what happened last, after ids and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return redact(lines[-1]) if lines else "no reason given"


def _loss_of(error: ray_exceptions.RayError) -> Loss:
    if isinstance(error, ray_exceptions.RayActorError) and error.preempted:
        return Loss.PREEMPTED
    is_node = isinstance(error, ray_exceptions.NodeDiedError) or "node has died" in str(error)
    return Loss.NODE if is_node else Loss.WORKER
