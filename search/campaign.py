"""The studies of a campaign as one source of trials: they share the pool, earlier ones first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from search.driver import Drawn, Source
from search.errors import NothingFoundError
from search.trial import Attempt, Outcome, TrialSpec
from trainers.config import Progress

Phases = Generator[Source, None, None]
"""Gives sources of trials; goes on when all of a source's have ended."""


class Phased(Protocol):
    """A study: source after source, each of which runs to its end before the next is asked for."""

    @property
    def name(self) -> str:
        """The study that its trials name."""

    def phases(self) -> Phases:
        """Its sources in turn.

        Raises:
            NothingFoundError: every trial failed.
        """


Study = TypeVar("Study", bound=Phased)


class _Open(Generic[Study]):
    """A study that has begun: its phase, and how many of its trials are on their way."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.phases = study.phases()
        self.source = next(self.phases, None)
        self._num_drawn = 0

    def next(self) -> Drawn | None:
        """Its next trial; None while its phase waits for those on their way, or where it has ended."""
        while self.source is not None:
            drawn = self.source.next()
            if drawn is not None:
                self._num_drawn += 1
                return drawn
            if self._num_drawn:
                return None
            self.source = next(self.phases, None)
        return None

    def finish(self, outcome: Outcome) -> None:
        """Hand it to its phase."""
        assert self.source is not None
        self.source.finish(outcome)
        self._num_drawn -= 1


class Campaign(Generic[Study]):
    """Studies as a source. Another one begins when those that have begun leave a lane without a trial.

    So as many are open as the pool is large: neither their tails nor the few fits of a selection let it idle.

    Args:
        studies: in the order in which they begin.
        ended: called with each that came to its end.
        nothing_found: called with what a study says of which every trial failed; the others go on.
    """

    def __init__(
        self,
        studies: Iterable[Study],
        ended: Callable[[Study], None],
        nothing_found: Callable[[Study, NothingFoundError], None],
    ) -> None:
        self._waiting = deque(studies)
        self._open: dict[str, _Open[Study]] = {}
        self._ended = ended
        self._nothing_found = nothing_found

    @property
    def open_studies(self) -> list[Study]:
        """Those that have begun and not ended."""
        return [opened.study for opened in self._open.values()]

    def next(self) -> Drawn | None:
        """The next trial of the earliest study that has one."""
        for opened in list(self._open.values()):
            drawn = self._step(opened)
            if drawn is not None:
                return drawn
        while self._waiting:
            drawn = self._begin(self._waiting.popleft())
            if drawn is not None:
                return drawn
        return None

    def goes_on(self, spec: TrialSpec, rung: int, progress: Progress) -> bool:
        """As its study's phase decides."""
        source = self._open[spec.study].source
        assert source is not None
        return source.goes_on(spec, rung, progress)

    def save_checkpoint(self, spec: TrialSpec, data: bytes) -> None:
        """As its study's phase does."""
        source = self._open[spec.study].source
        assert source is not None
        source.save_checkpoint(spec, data)

    def save_attempts(self, spec: TrialSpec, attempts: Sequence[Attempt]) -> None:
        """As its study's phase does."""
        source = self._open[spec.study].source
        assert source is not None
        source.save_attempts(spec, attempts)

    def finish(self, outcome: Outcome) -> None:
        """Hand it to its study."""
        self._open[outcome.spec.study].finish(outcome)

    def abort(self, error: BaseException) -> None:
        """Let every open study know what ended the campaign, whatever one of them answers."""
        for opened in self._open.values():
            with suppress(BaseException):
                opened.phases.throw(error)
        self._open.clear()

    def _begin(self, study: Study) -> Drawn | None:
        try:
            opened = _Open(study)
        except NothingFoundError as error:
            self._nothing_found(study, error)
            return None
        self._open[study.name] = opened
        return self._step(opened)

    def _step(self, opened: _Open[Study]) -> Drawn | None:
        try:
            drawn = opened.next()
        except NothingFoundError as error:
            del self._open[opened.study.name]
            self._nothing_found(opened.study, error)
            return None
        if opened.source is None:
            del self._open[opened.study.name]
            self._ended(opened.study)
        return drawn
