"""Live progress on stderr: what runs, what was stopped, the best so far against prediction and baseline, time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.record import Record
from search.trial import State, TrialSpec, spell
from trainers.config import Progress, Status

PLAIN_SECONDS = 10.0
"""Between two lines where stderr is no terminal."""


class Display:
    """What `run` tells a person while it works: this one says nothing, for scripts."""

    def say(self, line: str) -> None:
        """One line that stays."""

    def phase(self, title: str, total: int, done: int = 0) -> None:
        """A phase of `total` trials begins, of which `done` are there from an earlier session."""

    def watch(self, spec: TrialSpec, progress: Progress) -> None:
        """A running trial moved."""

    def ended(self, record: Record, score_db: float | None) -> None:
        """A trial ended, with this score by the objective."""

    def references(self, best: Mapping[str, float]) -> None:
        """Score in dB of each reference."""

    def close(self) -> None:
        """No more."""


class Terminal(Display):
    """On stderr: a live panel in a terminal, a line every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._title, self._total, self._done, self._before = "", 0, 0, 0
        self._began = self._spoke = time.monotonic()
        self._running: dict[str, tuple[TrialSpec, Progress]] = {}
        self._states: Counter[State] = Counter()
        self._best: tuple[str, float] | None = None
        self._references: Mapping[str, float] = {}

    def say(self, line: str) -> None:
        """One line that stays."""
        self._console.print(line, markup=False, soft_wrap=True)

    def phase(self, title: str, total: int, done: int = 0) -> None:
        """Begin a phase."""
        self._title, self._total, self._done, self._before = title, total, done, done
        self._began = self._spoke = time.monotonic()
        self._running, self._states, self._best = {}, Counter(), None
        if self._console.is_terminal and self._live is None:
            self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)
            self._live.start()
        elif not self._console.is_terminal:
            counted = f": {total} fit{'s' if total > 1 else ''}" if total else ""
            self.say(f"{title}{counted}" + (f", {done} of them done" if done else ""))

    def watch(self, spec: TrialSpec, progress: Progress) -> None:
        """Show a running trial."""
        self._running[spec.key] = (spec, progress)
        if progress.status is not Status.RUNNING:
            del self._running[spec.key]
        if self._live is None and time.monotonic() - self._spoke > PLAIN_SECONDS:
            self._spoke = time.monotonic()
            self.say(f"  {self._counts()}; {self._standing()}{self._left()}")

    def ended(self, record: Record, score_db: float | None) -> None:
        """Count it, and keep the best."""
        self._running.pop(record.key, None)
        self._done += 1
        self._states[record.state] += 1
        if record.state is not State.COMPLETE or score_db is None:
            return
        if self._best is None or score_db > self._best[1]:
            self._best = (record.label, score_db)

    def references(self, best: Mapping[str, float]) -> None:
        """Remember what to compare with."""
        self._references = best

    def close(self) -> None:
        """Take the panel away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self) -> Group:
        if not self._total:
            return Group(Text(self._title, style="bold"))
        bar = Table.grid(padding=(0, 1))
        bar.add_row(Text(self._title, style="bold"), ProgressBar(total=self._total, completed=self._done, width=40))
        running = Table.grid(padding=(0, 2))
        for spec, progress in sorted(self._running.values(), key=lambda pair: pair[0].key)[:8]:
            psnr = f"{progress.psnr_db:.1f} dB" if progress.psnr_db is not None else ""
            running.add_row(f"  {spec.key}", f"step {progress.step}/{spec.fit.steps}", psnr, spell(spec.point))
        return Group(bar, Text(f"  {self._counts()}{self._left()}"), Text(f"  {self._standing()}"), running)

    def _counts(self) -> str:
        parts = [f"{self._done}/{self._total} done", f"{len(self._running)} running"]
        parts += [f"{count} {state}" for state, count in self._states.items() if state is not State.COMPLETE]
        return ", ".join(parts)

    def _standing(self) -> str:
        best = "best {} {:.1f} dB".format(*self._best) if self._best else "nothing complete yet"
        references = ", ".join(f"{name} {value:.1f}" for name, value in self._references.items())
        return f"{best} (against {references})" if references else best

    def _left(self) -> str:
        fresh = self._done - self._before
        if fresh < 1 or self._done >= self._total:
            return ""
        seconds = (time.monotonic() - self._began) / fresh * (self._total - self._done)
        return f"; about {seconds:.0f} s left" if seconds < 120 else f"; about {seconds / 60:.0f} min left"
