"""Workers: who fits trials. The protocol that the driver speaks, and the inline one (this process, no Ray)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from search.errors import WorkersError, first_line
from search.trial import Loss, TrialSpec
from search.usage import Meter, Usage
from trainers.checkpoint import CheckpointError
from trainers.config import FitResult, NetworkConfig, Progress, Status
from trainers.tasks import Task

if TYPE_CHECKING:
    from trainers.diagnostics import Diagnosis
    from trainers.fit import FitStack


@dataclass(frozen=True, kw_only=True)
class Start:
    """Put a trial into a lane, where its checkpoint left it if there is one."""

    lane: int
    spec: TrialSpec
    checkpoint: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What one call to a worker does: start some trials, run the named lanes for a while.

    Attributes:
        task: digest of the signal that all its trials fit.
        lanes: that the worker has.
        start: trials to begin.
        until: the step at which each lane is to come back; the first one there ends the segment. Lanes that are not
            named are emptied.
        seconds: after which it ends anyway.
        checkpoint: lanes of which the state after the segment comes back.
    """

    task: str
    lanes: int
    start: tuple[Start, ...] = ()
    until: Mapping[int, int]
    seconds: float
    checkpoint: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """What a segment brought.

    Attributes:
        worker: whose it was.
        progress: where each lane stands.
        results: of kept trials that ended with a score.
        diagnoses: of those that are to be looked into.
        checkpoints: states that were asked for.
        errors: exceptions of our own, of trials that could not begin, by lane.
        usage: what the worker uses of its machine, where that is asked and a sample is due.
    """

    worker: int
    progress: Mapping[int, Progress]
    results: Mapping[int, FitResult] = field(default_factory=dict)
    diagnoses: Mapping[int, Diagnosis] = field(default_factory=dict)
    checkpoints: Mapping[int, bytes] = field(default_factory=dict)
    errors: Mapping[int, str] = field(default_factory=dict)
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A worker that is gone with all its lanes, or whose segment raised.

    Attributes:
        worker: which.
        failure: what happened, one line.
        loss: how; an ERROR is an exception in our own code.
    """

    worker: int
    failure: str
    loss: Loss


@dataclass(frozen=True, kw_only=True)
class Full:
    """A worker whose device has no room for its lanes. All of them are empty now; the worker goes on.

    Attributes:
        worker: which.
        failure: what the device said, one line.
    """

    worker: int
    failure: str


Event = Report | Lost | Full


class Workers(Protocol):
    """A pool. A worker has one segment at a time; ids are never used again."""

    @property
    def lanes(self) -> int:
        """Trials that a worker fits side by side, if its device has room for them."""

    def settle_lanes(self, digest: str, network: NetworkConfig) -> Mapping[int, float]:
        """Choose `lanes` by measuring such a network on one worker.

        Returns:
            Steps per second of all its lanes together, by number of lanes.
        """

    def ids(self) -> Sequence[int]:
        """The workers that can take work; others may still be on their way."""

    def share(self, digest: str, task: Task) -> None:
        """Make a task known to all workers, those to come too."""

    def forget(self, digest: str) -> None:
        """No more trials fit this task."""

    def submit(self, worker: int, segment: Segment) -> None:
        """Begin a segment."""

    def wait(self, seconds: float) -> list[Event]:
        """Segments that ended; waits at most `seconds` for the first."""

    def replace(self, worker: int) -> None:
        """Ask for a new worker in place of a lost one; it appears among `ids` when it is there."""

    def close(self) -> None:
        """End all workers."""


class LaneRunner:
    """What runs inside a worker: lanes, in one stack for each stack key (family and shape of network).

    Args:
        threads: of torch, on a CPU.
        device: "cpu" or "cuda".
        is_metered: whether its reports say what it uses of its machine.
    """

    def __init__(self, *, threads: int, device: str, is_metered: bool = False) -> None:
        import torch

        from trainers.memory import keep_freed_memory

        keep_freed_memory()
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(threads)
        self._num_lanes = 1
        self._device = device
        self._meter = Meter(device) if is_metered else None
        self._task = ""
        self._stacks: dict[Hashable, FitStack] = {}
        self._specs: dict[int, TrialSpec] = {}

    def close(self) -> None:
        """Undo what was set for the whole process."""
        import torch

        torch.set_num_threads(self._threads_before)

    def advance(self, worker: int, segment: Segment, task: Task) -> Report | Full:
        """Run one segment."""
        from trainers.memory import is_out_of_memory, release_memory

        if (segment.task, segment.lanes) != (self._task, self._num_lanes):
            self._clear()
            self._task, self._num_lanes = segment.task, segment.lanes
        try:
            return self._advance(worker, segment, task)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            failure = f"out of memory: {first_line(error)}"
        self._clear()  # here, where the exception no longer holds what its frames had
        release_memory()
        return Full(worker=worker, failure=failure)

    def measure_lanes(self, task: Task, network: NetworkConfig) -> dict[int, float]:
        """Steps per second of all lanes together, by number of lanes."""
        from trainers.lanes import measure_lanes

        return measure_lanes(task, network, self._device)

    def _clear(self) -> None:
        self._stacks.clear()
        self._specs.clear()

    def _advance(self, worker: int, segment: Segment, task: Task) -> Report:
        from trainers.memory import is_out_of_memory

        restarted = {start.lane for start in segment.start}
        for lane in set(self._specs) - (set(segment.until) - restarted):
            self._stack(self._specs.pop(lane), task).stop(lane)
        errors: dict[int, str] = {}
        for start in segment.start:
            try:
                self._start(start, task)
            except Exception as error:  # the worker's edge: this trial is at fault, and not its neighbours
                if is_out_of_memory(error):
                    raise
                errors[start.lane] = f"{type(error).__name__}: {error}"
        stacks = {lane: self._stack(spec, task) for lane, spec in self._specs.items()}
        running = {id(stack): stack for stack in stacks.values()}
        for stack in running.values():
            until = {lane: segment.until[lane] for lane, own in stacks.items() if own is stack}
            stack.advance(until, segment.seconds / len(running))
        progress = {lane: stack.progress(lane) for lane, stack in stacks.items()}
        ended = [lane for lane, at in progress.items() if at.status is not Status.RUNNING and at.psnr_db is not None]
        return Report(
            worker=worker,
            progress=progress,
            results={lane: stacks[lane].result(lane) for lane in ended if self._specs[lane].keep},
            diagnoses={lane: self._diagnose(lane, task) for lane in ended if self._specs[lane].diagnose},
            checkpoints={lane: stacks[lane].checkpoint(lane) for lane in segment.checkpoint if lane in stacks},
            errors=errors,
            usage=self._meter.read() if self._meter else None,
        )

    def _diagnose(self, lane: int, task: Task) -> Diagnosis:
        from trainers.diagnostics import diagnose

        spec = self._specs[lane]
        return diagnose(task, spec.network, spec.seed, self._stack(spec, task).weights(lane), self._device)

    def _start(self, start: Start, task: Task) -> None:
        spec = start.spec
        stack = self._stack(spec, task)
        try:
            stack.start(start.lane, spec.network, spec.fit, spec.seed, start.checkpoint)
        except CheckpointError:  # damaged, or of an older version: the trial is as good from its beginning
            stack.start(start.lane, spec.network, spec.fit, spec.seed)
        self._specs[start.lane] = spec

    def _stack(self, spec: TrialSpec, task: Task) -> FitStack:
        from trainers.fit import FitStack
        from trainers.networks import stack_key

        key = stack_key(spec.network)
        if key not in self._stacks:
            # Stacks without lanes make room first: a search over widths would fill the memory with them.
            used = {stack_key(running.network) for running in self._specs.values()}
            self._stacks = {other: stack for other, stack in self._stacks.items() if other in used}
            self._stacks[key] = FitStack(task, spec.network, num_lanes=self._num_lanes, device=self._device)
        return self._stacks[key]


def pick_device() -> str:
    """ "cuda" where torch sees a device, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class InlineWorkers:
    """One worker in this process: the same driver without Ray."""

    def __init__(self, *, lanes: int = 1, threads: int = 1, is_metered: bool = False) -> None:
        self.lanes = lanes
        self._threads = threads
        self._is_metered = is_metered
        self._worker = 0
        self._runner = self._new_runner()
        self._tasks: dict[str, Task] = {}
        self._segments: deque[Segment] = deque()

    def ids(self) -> Sequence[int]:
        """One."""
        return [self._worker]

    def settle_lanes(self, digest: str, network: NetworkConfig) -> Mapping[int, float]:
        """Measure here."""
        from trainers.lanes import lanes_that_pay

        try:
            rates = self._runner.measure_lanes(self._tasks[digest], network)
        except Exception as error:  # the worker's edge, as on Ray
            raise WorkersError(f"a worker cannot measure its lanes: {first_line(error)}") from error
        self.lanes = lanes_that_pay(rates)
        return rates

    def share(self, digest: str, task: Task) -> None:
        """Keep it."""
        self._tasks[digest] = task

    def forget(self, digest: str) -> None:
        """Drop it."""
        del self._tasks[digest]

    def submit(self, worker: int, segment: Segment) -> None:
        """Remember the segment; `wait` runs it."""
        self._segments.append(segment)

    def wait(self, seconds: float) -> list[Event]:
        """Run what was submitted."""
        if not self._segments:
            time.sleep(seconds)
            return []
        segment = self._segments.popleft()
        try:
            return [self._runner.advance(self._worker, segment, self._tasks[segment.task])]
        except Exception as error:  # the worker's edge: the driver decides what an exception of ours means
            return [Lost(worker=self._worker, failure=f"{type(error).__name__}: {error}", loss=Loss.ERROR)]

    def replace(self, worker: int) -> None:
        """A fresh runner."""
        self._worker += 1
        self._runner = self._new_runner()

    def close(self) -> None:
        """Give torch its threads back."""
        self._runner.close()

    def _new_runner(self) -> LaneRunner:
        return LaneRunner(threads=self._threads, device=pick_device(), is_metered=self._is_metered)
