"""The driver's clerk: one thread that writes what ended and draws what comes next, in the order that it was told."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

Drawn = TypeVar("Drawn")
Job = Callable[[], None]

GROUP_SECONDS = 1.0
"""After which what was written goes to disk, though more is to be done."""


class Clerk(Generic[Drawn]):
    """Works off jobs while the loop serves workers. What is drawn after a job knows of it, whatever the timing.

    Args:
        draw: gives the next trial, or None while there is none.
        writing: what is written inside goes to disk together.
    """

    def __init__(self, draw: Callable[[], Drawn | None], writing: Callable[[], AbstractContextManager[None]]) -> None:
        self._draw = draw
        self._writing = writing
        self._jobs: deque[Job] = deque()
        self._drawn: deque[Drawn] = deque()
        self._num_wanted = 0
        self._is_working = self._is_closing = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="winnow-clerk", daemon=True)

    def __enter__(self) -> Clerk[Drawn]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Draw no more, do what is left, and raise what failed, unless something else is on its way already."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()
        if error is None:
            self._raise_failure()

    @property
    def is_idle(self) -> bool:
        """Whether all is written and, of what was ordered, all is drawn that there is for now.

        Raises:
            BaseException: what a job or a draw raised.
        """
        self._raise_failure()
        with self._changed:
            return not self._jobs and not self._is_working

    def do(self, jobs: Iterable[Job]) -> None:
        """Have these done, one after the other; none after one that failed."""
        with self._changed:
            if self._failure is None:
                self._jobs.extend(jobs)
                self._changed.notify_all()

    def order(self, num: int) -> None:
        """Have so many trials drawn, as soon as there are."""

        def want() -> None:
            self._num_wanted += num

        self.do([want])

    def take(self) -> list[Drawn]:
        """What has been drawn since."""
        return [self._drawn.popleft() for _ in range(len(self._drawn))]

    def wait(self, seconds: float) -> None:
        """Until something was drawn or all is done, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._drawn or not (self._jobs or self._is_working), seconds)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while self._next_jobs():
            failure = None
            try:
                with self._writing():
                    self._work_off()
            except BaseException as error:  # the thread's edge: the loop raises it
                failure = error
            with self._changed:
                self._is_working = False
                if failure is not None:
                    self._failure = failure
                    self._jobs.clear()
                self._changed.notify_all()

    def _next_jobs(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._is_closing)
            self._is_working = bool(self._jobs)
            return self._is_working

    def _work_off(self) -> None:
        deadline = time.monotonic() + GROUP_SECONDS
        while self._jobs and time.monotonic() < deadline:
            self._jobs.popleft()()
            while self._num_wanted and not self._is_closing:
                drawn = self._draw()
                if drawn is None:
                    break
                self._num_wanted -= 1
                with self._changed:
                    self._drawn.append(drawn)
                    self._changed.notify_all()
