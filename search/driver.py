"""The loop: keep every lane busy, decide at rungs, take back what dead workers had, hand on what ended.

Workers and sources are protocols: the loop knows neither Ray nor Optuna. It takes events, decides from memory and
sends; what a source draws and writes (storage, MLflow) is the clerk's, a thread, so a lane never waits for a disk.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from search.clerk import Clerk, Job
from search.errors import DriverError
from search.trial import Attempt, Loss, Outcome, Score, State, TrialSpec
from search.usage import Usage
from search.workers import Event, Full, Lost, Report, Segment, Start, Workers
from trainers.config import FitResult, Progress, Status

SEGMENT_SECONDS = 2.0
"""Longest call to a worker: how stale a progress display, and how late the answer to Ctrl-C, may be."""

POLL_SECONDS = 0.01
"""How often the loop looks for what the clerk has drawn while a worker has nothing to do."""

CHECKPOINT_SECONDS = 20.0
"""A trial has this much worth losing before its state is fetched (again)."""

MAX_DEATHS = 3
"""A trial that was on board of so many workers that died, without getting on in between, is failed: it may be what
kills them. Machines that left are no fault of it."""

MAX_SAME_ERRORS = 3
"""The same kind of exception of our own so many times ends the study: the next trial would raise it too."""

ADVICE = {
    Status.DIVERGED: "the fit diverged: a lower learning rate or smaller scales may hold it",
    Status.NOT_FINITE: "the loss is not finite: the point is outside what float32 can hold",
}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A trial to run.

    Attributes:
        spec: what it is.
        checkpoint: where an earlier session left it; empty for a fresh start.
        rung_scores: PSNR at the rungs that it reached before.
        attempts: that were lost before.
    """

    spec: TrialSpec
    checkpoint: bytes = b""
    rung_scores: Mapping[int, Score] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()


class Source(Protocol):
    """Where trials come from and where their outcomes go. All but `goes_on` is called by the clerk alone."""

    def next(self) -> Drawn | None:
        """The next trial; None if there is none for now."""

    def goes_on(self, spec: TrialSpec, rung: int, progress: Progress) -> bool:
        """Whether a trial continues beyond a rung; called by the loop: must not wait for a disk."""

    def save_checkpoint(self, spec: TrialSpec, data: bytes) -> None:
        """Keep the state of a running trial."""

    def save_attempts(self, spec: TrialSpec, attempts: Sequence[Attempt]) -> None:
        """Keep all tries at a running trial that were lost."""

    def finish(self, outcome: Outcome) -> None:
        """Take an outcome."""


@dataclass(eq=False)
class _Running:
    """A trial on board of a worker."""

    spec: TrialSpec
    checkpoint: bytes
    known_rungs: Mapping[int, Score]
    attempts: list[Attempt]
    has_begun: bool = False
    started: float = 0.0
    saved: float = 0.0
    num_deaths: int = 0
    rung_scores: dict[int, Score] = field(default_factory=dict)
    progress: Progress | None = None

    def outcome(self, state: State, reason: str = "", result: FitResult | None = None) -> Outcome:
        return Outcome(
            spec=self.spec,
            state=state,
            progress=self.progress,
            reason=reason,
            rung_scores=self.rung_scores,
            attempts=tuple(self.attempts),
            result=result,
            started=self.started,
            ended=time.time(),
        )


class Driver:
    """Runs sources on a pool of workers.

    Args:
        workers: the pool; stays open.
        stop: set from outside to end early; running trials are checkpointed and stay unfinished.
        watch: called with the progress of every running trial, for a display.
        writing: what sources write inside goes to disk together.
        checkpoint_seconds: after which a trial's state is worth keeping (again).
        keep_usage: called by the clerk, with a study and one of the workers that fit its trials, with what that uses
            of its machine.
    """

    def __init__(
        self,
        workers: Workers,
        stop: threading.Event,
        watch: Callable[[TrialSpec, Progress], None] | None = None,
        writing: Callable[[], AbstractContextManager[None]] = nullcontext,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        keep_usage: Callable[[str, int, Usage], None] | None = None,
    ) -> None:
        self._workers = workers
        self._stop = stop
        self._watch = watch or (lambda spec, progress: None)
        self._writing = writing
        self._checkpoint_seconds = checkpoint_seconds
        self._keep_usage = keep_usage or (lambda study, worker, usage: None)
        self._errors: Counter[tuple[str, str]] = Counter()
        self._boards: dict[int, dict[int, _Running]] = {}
        self._busy: set[int] = set()
        self._ready: deque[_Running] = deque()
        self._room: dict[int, int] = {}  # lanes of the workers that had no room for all of them

    def run(self, source: Source) -> bool:
        """Run all that a source gives; whether it came to its end (False: it was stopped).

        Raises:
            DriverError: the same exception of our own came three times.
        """
        self._boards, self._busy, self._ready = {}, set(), deque()
        self._num_ordered = self._num_sent = 0
        with Clerk(source.next, self._writing) as self._clerk:
            while not self._stop.is_set():
                is_idle = self._clerk.is_idle
                self._ready += [_fresh(drawn) for drawn in self._clerk.take()]
                self._feed_idle()
                is_settled = not self._order() and is_idle
                if is_settled and not self._busy and not self._ready:
                    return True
                for event in self._wait(is_settled):
                    self._clerk.do(self._take(event, source))
            self._land(source)
        return False

    def _feed_idle(self) -> None:
        for worker in self._workers.ids():
            board = self._boards.setdefault(worker, {})
            if worker not in self._busy:
                self._send(worker, board)

    def _order(self) -> bool:
        """Have the clerk draw for every free lane, and half as many as there are lanes for those that end meanwhile.

        How many it has to draw in all depends on how many were sent, and on nothing that timing has a say in.

        Returns:
            Whether it has something more to do now.
        """
        lanes = sum(self._lanes_of(worker) for worker in self._boards)
        free = lanes - sum(len(board) for board in self._boards.values())
        num = self._num_sent + free + max(1, lanes // 2) - self._num_ordered
        if num <= 0:
            return False
        self._clerk.order(num)
        self._num_ordered += num
        return True

    def _wait(self, is_settled: bool) -> list[Event]:
        """Events; not for long while the clerk may be drawing for a worker that has nothing to do."""
        if is_settled or len(self._busy) == len(self._boards):
            return self._workers.wait(SEGMENT_SECONDS)
        if self._busy:
            return self._workers.wait(POLL_SECONDS)
        self._clerk.wait(POLL_SECONDS)
        return self._workers.wait(0.0)

    def _send(self, worker: int, board: dict[int, _Running]) -> None:
        """Fill a worker's free lanes and send its next segment, if it has any trial."""
        starts = []
        for lane in range(self._lanes_of(worker)):
            if lane in board:
                continue
            running = self._next_ready(board)
            if running is None:
                break
            board[lane] = running
            if not running.has_begun:  # it was drawn ahead: its time begins now
                running.started = time.time()
            running.has_begun, running.saved = True, time.monotonic()
            starts.append(Start(lane=lane, spec=running.spec, checkpoint=running.checkpoint))
        if not board:
            return
        now, seconds = time.monotonic(), min(SEGMENT_SECONDS, self._checkpoint_seconds)
        self._submit(
            worker,
            start=tuple(starts),
            until={lane: running.spec.stop_after(_step(running)) for lane, running in board.items()},
            seconds=seconds,
            # Those that by its end have much to lose.
            checkpoint=tuple(
                lane for lane, running in board.items() if now + seconds - running.saved >= self._checkpoint_seconds
            ),
        )

    def _submit(
        self,
        worker: int,
        *,
        start: tuple[Start, ...] = (),
        until: dict[int, int],
        seconds: float,
        checkpoint: tuple[int, ...],
    ) -> None:
        task = next(iter(self._boards[worker].values())).spec.task
        lanes = self._lanes_of(worker)
        segment = Segment(task=task, lanes=lanes, start=start, until=until, seconds=seconds, checkpoint=checkpoint)
        self._workers.submit(worker, segment)
        self._busy.add(worker)

    def _next_ready(self, board: dict[int, _Running]) -> _Running | None:
        """The next one that a board can take: all its trials fit one task."""
        task = next((running.spec.task for running in board.values()), None)
        fitting = (running for running in self._ready if task is None or running.spec.task == task)
        running = next(fitting, None)
        if running is not None:
            self._ready.remove(running)
            self._num_sent += not running.has_begun
        return running

    def _take(self, event: Event, source: Source) -> list[Job]:
        """Decide what an event means and send the worker on; what is to be written is returned."""
        self._busy.discard(event.worker)
        if isinstance(event, Lost):
            return self._take_lost(event, source)
        if isinstance(event, Full):
            return self._take_full(event, source)
        board = self._boards[event.worker]
        studies = sorted({running.spec.study for running in board.values()}) if event.usage else []
        outcomes: list[Outcome] = []
        for lane, failure in event.errors.items():
            self._count_error(board[lane].spec.study, failure)
            outcomes.append(board.pop(lane).outcome(State.FAILED, reason=failure))
        for lane, progress in event.progress.items():
            running = board[lane]
            running.progress = progress
            self._watch(running.spec, progress)
            outcome = self._decide(running, source, event.results.get(lane))
            if outcome:
                outcomes.append(replace(outcome, diagnosis=event.diagnoses.get(lane)))
                del board[lane]
        saved = [(board[lane], data) for lane, data in event.checkpoints.items() if lane in board]
        for running, data in saved:
            running.checkpoint, running.saved, running.num_deaths = data, time.monotonic(), 0
        if not self._stop.is_set():
            self._send(event.worker, board)
        jobs: list[Job] = [partial(source.save_checkpoint, running.spec, data) for running, data in saved]
        if event.usage:
            jobs += [partial(self._keep_usage, study, event.worker, event.usage) for study in studies]
        return jobs + [partial(source.finish, outcome) for outcome in outcomes]

    def _decide(self, running: _Running, source: Source, result: FitResult | None) -> Outcome | None:
        """An outcome, if the trial is at its end or not worth going on."""
        progress = running.progress
        if progress is None:
            return None
        # A checkpoint beyond a rung: the trial went on there, in an earlier session or on a worker that died.
        for rung, score in running.known_rungs.items():
            if rung < progress.step:
                running.rung_scores.setdefault(rung, score)
        if progress.status is Status.DONE:
            return running.outcome(State.COMPLETE, result=result)
        if progress.status is not Status.RUNNING:
            state = State.PRUNED if progress.psnr_db is not None else State.FAILED
            return running.outcome(state, reason=ADVICE[progress.status], result=result)
        if progress.step not in running.spec.rungs or progress.step in running.rung_scores:
            return None
        if progress.psnr_db is None:
            return None
        running.rung_scores[progress.step] = Score(progress.psnr_db, progress.held_psnr_db)
        if source.goes_on(running.spec, progress.step, progress):
            return None
        return running.outcome(State.PRUNED, reason=f"not among the best at rung {progress.step}")

    def _take_lost(self, event: Lost, source: Source) -> list[Job]:
        board = self._boards.pop(event.worker)
        self._room.pop(event.worker, None)
        self._workers.replace(event.worker)
        if event.loss is Loss.ERROR:
            for study in {running.spec.study for running in board.values()}:
                self._count_error(study, event.failure)
            return [_fail(running, source, event.failure) for running in board.values()]
        jobs = []
        for running in board.values():
            running.num_deaths += event.loss in (Loss.WORKER, Loss.HUNG)
            _note_attempt(running, event.loss, event.failure)
            if running.num_deaths >= MAX_DEATHS:
                reason = f"its worker died {MAX_DEATHS} times; the last time: {event.failure}"
                jobs.append(_fail(running, source, reason))
            else:
                jobs.append(self._take_back(running, source))
        return jobs

    def _take_full(self, event: Full, source: Source) -> list[Job]:
        """Half the lanes from now on, though some were free: a stack has room for all. At one, its trial is failed."""
        board = self._boards[event.worker]
        running_ones, num_lanes = list(board.values()), self._lanes_of(event.worker)
        board.clear()
        self._room[event.worker] = max(1, num_lanes // 2)
        if num_lanes == 1:
            reason = f"{event.failure} (a smaller network may fit, or fewer workers on this device)"
            return [_fail(running, source, reason) for running in running_ones]
        for running in running_ones:
            _note_attempt(running, Loss.MEMORY, event.failure)
        return [self._take_back(running, source) for running in reversed(running_ones)]

    def _take_back(self, running: _Running, source: Source) -> Job:
        """It goes on from its last checkpoint, before any other; the job that keeps how it was lost."""
        running.progress = None
        self._ready.appendleft(running)
        return partial(source.save_attempts, running.spec, tuple(running.attempts))

    def _lanes_of(self, worker: int) -> int:
        return min(self._workers.lanes, self._room.get(worker, self._workers.lanes))

    def _count_error(self, study: str, failure: str) -> None:
        kind = (study, failure.partition(":")[0])
        self._errors[kind] += 1
        if self._errors[kind] >= MAX_SAME_ERRORS:
            raise DriverError(f"the same kind of error came {MAX_SAME_ERRORS} times, the last time: {failure}")

    def _land(self, source: Source) -> None:
        """After a stop: let segments end, then fetch the state of every running trial."""
        deadline = time.monotonic() + 2 * SEGMENT_SECONDS + 1.0
        for worker, board in self._boards.items():
            if board and worker not in self._busy:
                self._fetch_states(worker)
        while self._busy and time.monotonic() < deadline:
            for event in self._workers.wait(0.2):
                self._clerk.do(self._take(event, source))
                board = self._boards.get(event.worker, {})
                if isinstance(event, Report) and not board.keys() <= event.checkpoints.keys():
                    self._fetch_states(event.worker)

    def _fetch_states(self, worker: int) -> None:
        board = self._boards[worker]
        still = {lane: _step(running) for lane, running in board.items()}
        self._submit(worker, until=still, seconds=0.0, checkpoint=tuple(board))


def _fresh(drawn: Drawn) -> _Running:
    return _Running(
        spec=drawn.spec,
        checkpoint=drawn.checkpoint,
        known_rungs=drawn.rung_scores,
        attempts=list(drawn.attempts),
    )


def _fail(running: _Running, source: Source, reason: str) -> Job:
    return partial(source.finish, running.outcome(State.FAILED, reason=reason))


def _note_attempt(running: _Running, loss: Loss, failure: str) -> None:
    lost_seconds = time.monotonic() - running.saved
    running.attempts.append(Attempt(loss=loss, failure=failure, step=_step(running), lost_seconds=lost_seconds))


def _step(running: _Running) -> int:
    return running.progress.step if running.progress else 0
