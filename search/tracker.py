"""The thread that writes to MLflow, which no study waits for and whose failures stop none.

Its queue on disk is the storage, which holds all that MLflow shows. So when MLflow fails, what waits in memory is
dropped; when it answers again, every study of the session is compared with storage and gets what it lacks. What is
lacking at the end of a session, the next one logs, or `winnow sync`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from search.connection import connect
from search.errors import first_line
from search.record import Record
from search.study_runs import Stopped, StudyRuns
from search.usage import Sample
from search.view import Child, Status, StudyView

if TYPE_CHECKING:
    from mlflow import MlflowClient

Content = TypeVar("Content")

CLOSE_SECONDS = 120.0
"""How long the end of a session waits for MLflow to take what is left, at most."""

LAST_PROBE_SECONDS = 10.0
"""How long it waits for an MLflow that does not answer."""

PAUSE_SECONDS = (2.0, 60.0)
"""Between two questions whether MLflow is back: the first pause, and the longest; each is twice the one before."""

STANDING_SECONDS = 30.0
"""Between two looks at how a study that runs stands, for its description."""

STANDING_SHARE = 0.02
"""Of a session's time that these looks may take, of all studies together."""

SAID_OUTAGES = 3
"""Of one session; one that comes and goes fills no terminal."""


class Tracker:
    """Writes to MLflow from a thread of its own.

    What waits for it is small however far it is behind: records are read from storage when their turn comes.

    Args:
        uri: tracking server or database.
        artifacts: folder for artifacts, where the server does not keep them; None with a server.
        say: called with one line when MLflow fails, answers again, or lacks something at the end.
        sync_command: gives the command that completes a campaign or study of that name.
        pauses: see PAUSE_SECONDS.
        patience: see CLOSE_SECONDS.
    """

    def __init__(
        self,
        uri: str,
        artifacts: Path | None,
        say: Callable[[str], None],
        *,
        sync_command: Callable[[str], str] = "winnow sync {}".format,
        pauses: tuple[float, float] = PAUSE_SECONDS,
        patience: float = CLOSE_SECONDS,
    ) -> None:
        self._uri = uri
        self._artifacts = artifacts
        self._say = say
        self._sync_command = sync_command
        self._first_pause, self._longest_pause = pauses
        self._patience = patience
        self._client: MlflowClient | None = None
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._studies: list[StudyTracker] = []
        self._doing: StudyTracker | None = None
        self._is_silent = self._is_closed = self._has_said_unread = False
        self._num_outages = 0
        self._pace = _Pace()
        self._pause = self._first_pause
        self._probe_at = self._well_since = self._silent_since = time.monotonic()
        self._stop, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="winnow-mlflow", daemon=True)
        self._thread.start()

    def begin(self, name: str, read: Callable[[Status], StudyView]) -> StudyTracker:
        """Open or reopen a study's runs, and log what storage holds and MLflow does not.

        Args:
            name: of the study, in full.
            read: gives, on the tracker's thread, what MLflow is to show with this status of the study.
        """
        study = StudyTracker(name, self.put, StudyRuns(self._artifacts, self._stop), read, self._say, self._pace)
        self._studies.append(study)
        study.bring_up()
        return study

    def put(self, job: Job) -> None:
        """Have the thread do this."""
        self._queue.put(job)

    def close(self) -> None:
        """Wait until all of it is written, a bounded time; say which command completes what is not. Ends the thread."""
        if self._is_closed:
            return
        self._is_closed = True
        self._queue.put(None)
        began, is_said = time.monotonic(), False
        while not self._ended.wait(0.05):
            now = time.monotonic()
            waited = now - began
            is_hopeless = self._is_silent and now - max(began, self._silent_since) > LAST_PROBE_SECONDS
            if is_hopeless or waited > self._patience:
                break
            if waited > LAST_PROBE_SECONDS / 2 and not is_said and not self._is_silent:
                self._say(f"waiting for MLflow, at most {self._patience:.0f} s")
                is_said = True
        self._stop.set()
        names = self._names_lacking()
        if names:
            name = names[0] if len(names) == 1 else names[0].split("/")[0]
            what = f"runs of {names[0]}" if len(names) == 1 else f"runs of {len(names)} studies"
            self._say(f"warning: MLflow lacks {what}, which storage holds; to complete it: {self._sync_command(name)}")

    def _names_lacking(self) -> list[str]:
        """Studies that MLflow does not show as they are, in the order in which they began."""
        lacking = [self._doing]
        with suppress(queue.Empty):
            while True:
                job = self._queue.get_nowait()
                lacking.append(job.study if job else None)
        for study in lacking:
            if study is not None:
                study.is_lacking = True
        return [study.name for study in list(self._studies) if study.is_lacking]

    def _work(self) -> None:
        try:
            while not self._stop.is_set() and self._step():
                pass
        finally:
            self._ended.set()

    def _step(self) -> bool:
        """Do what comes next; whether more may come."""
        try:
            job = self._queue.get(timeout=max(0.0, self._probe_at - time.monotonic()) if self._is_silent else None)
        except queue.Empty:
            self._catch_up()
            return True
        if job is None:
            self._finish()
            return False
        if self._is_silent:
            self._lack(job.study)
        else:
            self._attempt(job.study, job.do)
        return True

    def _finish(self) -> None:
        """Log what is lacking, again and again as long as MLflow answers in between; `close` ends it in any case."""
        while any(study.is_lacking for study in self._studies) and not self._stop.is_set():
            was_silent = self._is_silent
            answers = self._catch_up()
            if not self._is_silent or (was_silent and not answers):
                return
            self._stop.wait(self._pause)

    def _attempt(self, study: StudyTracker | None, action: Callable[[MlflowClient], None]) -> bool:
        """Whether MLflow took it; what was not written, the study lacks."""
        self._doing = study
        answers = True
        try:
            action(self._connected())
        except _UnreadError as error:  # the loop, which reads and writes the same storage, stops for it
            self._lack(study)
            self._say_unread(error)
        except Stopped:
            self._lack(study)
            answers = False
        except Exception as error:  # MLflow is a view: whatever it raises, the study goes on
            self._lack(study)
            self._fall_silent(error)
            answers = False
        self._doing = None
        if study and study.is_done and not study.is_lacking:
            self._forget(study)
        return answers

    def _lack(self, study: StudyTracker | None) -> None:
        if study:
            study.is_lacking = True
            self._forget(study)  # others come first next time: what fails may be this study alone
            self._studies.append(study)

    def _forget(self, study: StudyTracker) -> None:
        if study in self._studies:
            self._studies.remove(study)

    def _connected(self) -> MlflowClient:
        self._client = self._client or connect(self._uri)
        return self._client

    def _fall_silent(self, error: Exception) -> None:
        """Ask again after a pause, the longer the less MLflow was there; say so where it was thought to be there."""
        now = time.monotonic()
        was_well = not self._is_silent and now - self._well_since > self._longest_pause
        is_first = not self._num_outages
        self._pause = self._first_pause if was_well or is_first else min(2 * self._pause, self._longest_pause)
        self._probe_at = now + self._pause
        if self._is_silent:
            return
        self._is_silent, self._silent_since = True, now
        self._num_outages += 1
        if self._num_outages > SAID_OUTAGES:
            return
        no_more = "; if it comes and goes, this is not said again" if self._num_outages == SAID_OUTAGES else ""
        self._say(
            f"warning: MLflow does not answer ({type(error).__name__}: {first_line(error)[:200]}); the study goes on, "
            f"and MLflow gets what it lacks from storage when it answers{no_more}"
        )

    def _say_unread(self, error: _UnreadError) -> None:
        if not self._has_said_unread:
            self._has_said_unread = True
            self._say(f"warning: MLflow was not written, as what it shows cannot be read: {first_line(error)[:200]}")

    def _catch_up(self) -> bool:
        """Bring every study of which MLflow lacks something in line with storage; whether MLflow answers."""
        lacking = [study for study in self._studies if study.is_lacking]
        if not self._attempt(None, lambda client: client.search_experiments(max_results=1)):
            return False
        if not all(self._attempt(study, study.count) for study in lacking):
            return True
        if self._is_silent:
            self._is_silent = False
            self._well_since = time.monotonic()
            if self._num_outages <= SAID_OUTAGES:
                num = sum(study.num_lacking for study in lacking)
                self._say(f"MLflow answers again: logging {num} run{'' if num == 1 else 's'} that it lacks")
        all(self._attempt(study, study.catch_up) for study in lacking)  # up to the first that it does not take
        return True


class StudyTracker:
    """One study of a session; `Tracker.begin` makes it. What is asked for here is done by the tracker's thread.

    Args:
        name: of the study.
        put: has the thread do something.
        runs: the study's.
        read: see `Tracker.begin`.
        say: called with one line when MLflow refuses the model.
        pace: of all studies' looks at how they stand.
    """

    def __init__(
        self,
        name: str,
        put: Callable[[Job], None],
        runs: StudyRuns,
        read: Callable[[Status], StudyView],
        say: Callable[[str], None],
        pace: _Pace,
    ) -> None:
        self.name = name
        self.is_lacking = self.is_done = False
        self.num_lacking = 0
        self._put = put
        self._runs = runs
        self._read = read
        self._say = say
        self._status = Status.RUNNING
        self._pace = pace
        self._stands_at = time.monotonic() + STANDING_SECONDS

    @property
    def parent_run_id(self) -> str | None:
        """Of the study, once MLflow has told it."""
        return self._runs.parent_id

    def log(self, read: Callable[[], Record], role: str, files: Sequence[Path] = ()) -> None:
        """A child run for a finished trial or reference, read when its turn comes, with these files."""

        def write(client: MlflowClient) -> None:
            record = _reading(read)
            if self._runs.parent_id is None:
                self.is_lacking = True
            else:
                self._runs.log(client, Child(record=record, role=role, files=files))
                self._show_standing(client)

        self._put(Job(self, write))

    def log_usage(self, read: Callable[[], Sequence[Sample]]) -> None:
        """What its workers use of their machines, read when its turn comes."""

        def write(client: MlflowClient) -> None:
            self._runs.log_usage(client, _reading(read))

        self._put(Job(self, write))

    def end(self) -> None:
        """All that the study came to: its summary, confirmed values, pictures and files."""
        self._status = Status.FINISHED
        self.bring_up()

    def abort(self, status: Status) -> None:
        """Close the parent run as KILLED or FAILED; the next session reopens it."""
        self._status = status

        def write(client: MlflowClient) -> None:
            self._runs.close(client, status, None)
            self.is_done = True

        self._put(Job(self, write))

    def _show_standing(self, client: MlflowClient) -> None:
        began = time.monotonic()
        if began < max(self._stands_at, self._pace.free_at):
            return
        self._runs.show_standing(client, _reading(lambda: self._read(self._status)))
        now = time.monotonic()
        self._stands_at = now + STANDING_SECONDS
        self._pace.free_at = now + (now - began) / STANDING_SHARE

    def bring_up(self) -> None:
        """Have MLflow show what storage holds by then."""
        self._put(Job(self, self.catch_up))

    def catch_up(self, client: MlflowClient) -> None:
        """On the tracker's thread: make MLflow show what storage holds now."""
        status = self._status
        self._runs.bring_up(client, _reading(lambda: self._read(status)))
        if self._runs.refusal:
            self._say(f"warning: MLflow shows {self.name} without its model: {self._runs.refusal}")
        self.is_lacking = False
        self.is_done = status is not Status.RUNNING

    def count(self, client: MlflowClient) -> None:
        """On the tracker's thread: how many runs `catch_up` would log."""
        self.num_lacking = self._runs.num_lacking(client, _reading(lambda: self._read(self._status)))


@dataclass(frozen=True)
class Job:
    """Something of a study that is to be written to MLflow."""

    study: StudyTracker
    do: Callable[[MlflowClient], None]


@dataclass
class _Pace:
    """When the next study may look at how it stands."""

    free_at: float = 0.0


class _UnreadError(Exception):
    """What MLflow is to show cannot be read; the message is that of the storage."""


def _reading(read: Callable[[], Content]) -> Content:
    try:
        return read()
    except Exception as error:
        raise _UnreadError(f"{type(error).__name__}: {first_line(error)}") from error
