"""Trials that are known beforehand as the driver's source: references, selection, confirmation."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from search.checkpoints import Checkpoints
from search.driver import Drawn
from search.trial import Attempt, Outcome, TrialSpec
from trainers.config import Progress


class FixedSource:
    """A list of trials, all of which run to their end.

    Args:
        specs: what to run.
        finish: called with each outcome.
        checkpoints: where states of running ones are kept, if anywhere.
    """

    def __init__(
        self, specs: list[TrialSpec], finish: Callable[[Outcome], None], checkpoints: Checkpoints | None = None
    ) -> None:
        self._specs = deque(specs)
        self._finish = finish
        self._checkpoints = checkpoints

    def next(self) -> Drawn | None:
        """The next of the list, from where an earlier session left it."""
        if not self._specs:
            return None
        spec = self._specs.popleft()
        return Drawn(spec=spec, checkpoint=self._checkpoints.read(spec.key) if self._checkpoints else b"")

    def goes_on(self, spec: TrialSpec, rung: int, progress: Progress) -> bool:
        """Always."""
        return True

    def save_checkpoint(self, spec: TrialSpec, data: bytes) -> None:
        """Keep it for the next session."""
        if self._checkpoints:
            self._checkpoints.write(spec.key, data)

    def save_attempts(self, spec: TrialSpec, attempts: Sequence[Attempt]) -> None:
        """They come with the outcome; a later session does not know of them."""

    def finish(self, outcome: Outcome) -> None:
        """Hand it on."""
        self._finish(outcome)
        if self._checkpoints:
            self._checkpoints.delete(outcome.spec.key)
