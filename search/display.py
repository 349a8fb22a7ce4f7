"""Live progress on stderr: what runs, what was stopped, the best so far against prediction and baseline, time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.errors import redact
from search.record import Record
from search.trial import State, TrialSpec, spell
from trainers.config import Progress, Status

PLAIN_SECONDS = 10.0
"""Between two lines where stderr is no terminal."""

MAX_SHOWN = 3
"""Studies that are shown at once: the earliest of those that are open."""


class Display:
    """What `run` tells a person while it works: this one says nothing, for scripts."""

    def say(self, line: str) -> None:
        """One line that stays."""

    def phase(self, study: str, title: str, total: int, done: int = 0) -> None:
        """A phase of `total` trials begins, of which `done` are there from an earlier session; "" is of no study."""

    def watch(self, spec: TrialSpec, progress: Progress) -> None:
        """A running trial moved."""

    def ended(self, study: str, record: Record, score_db: float | None) -> None:
        """A trial ended, with this score by the objective."""

    def references(self, study: str, best: Mapping[str, float]) -> None:
        """Score in dB of each reference."""

    def study_ended(self, study: str) -> None:
        """A study has no more phases."""

    def close(self) -> None:
        """No more."""


@dataclass
class _Phase:
    """What one study is at."""

    study: str
    title: str
    total: int
    done: int
    references: Mapping[str, float]
    num_fresh: int = 0
    began: float = field(default_factory=time.monotonic)
    states: Counter[State] = field(default_factory=Counter)
    best: tuple[str, float] | None = None

    def counts(self) -> str:
        parts = [f"{self.done}/{self.total} done"]
        parts += [f"{count} {state}" for state, count in list(self.states.items()) if state is not State.COMPLETE]
        return ", ".join(parts)

    def standing(self) -> str:
        best = "best {} {:.1f} dB".format(*self.best) if self.best else "nothing complete yet"
        references = ", ".join(f"{name} {value:.1f}" for name, value in self.references.items())
        return f"{best} (against {references})" if references else best

    def left(self) -> str:
        if self.num_fresh < 1 or self.done >= self.total:
            return ""
        seconds = (time.monotonic() - self.began) / self.num_fresh * (self.total - self.done)
        return f"; about {seconds:.0f} s left" if seconds < 120 else f"; about {seconds / 60:.0f} min left"


class Terminal(Display):
    """On stderr: a live panel in a terminal, a line every ten seconds elsewhere; of each study that is open."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._phases: dict[str, _Phase] = {}
        self._spoke = time.monotonic()
        self._running: dict[tuple[str, str], tuple[TrialSpec, Progress]] = {}

    def say(self, line: str) -> None:
        """One line that stays."""
        self._console.print(redact(line), markup=False, soft_wrap=True)

    def phase(self, study: str, title: str, total: int, done: int = 0) -> None:
        """Begin a phase."""
        before = self._phases.get(study)
        self._phases.pop("", None)
        self._phases[study] = _Phase(study, title, total, done, before.references if before else {})
        self._spoke = time.monotonic()
        if self._console.is_terminal and self._live is None:
            self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)
            self._live.start()
        elif not self._console.is_terminal:
            counted = f": {total} fit{'s' if total > 1 else ''}" if total else ""
            self.say(f"{self._named(study)}{title}{counted}" + (f", {done} of them done" if done else ""))

    def watch(self, spec: TrialSpec, progress: Progress) -> None:
        """Show a running trial."""
        self._running[spec.study, spec.key] = (spec, progress)
        if progress.status is not Status.RUNNING:
            del self._running[spec.study, spec.key]
        if self._live is None and time.monotonic() - self._spoke > PLAIN_SECONDS:
            self._spoke = time.monotonic()
            for phase in list(self._phases.values())[:MAX_SHOWN]:
                self.say(f"  {self._named(phase.study)}{self._counts(phase)}; {phase.standing()}{phase.left()}")

    def ended(self, study: str, record: Record, score_db: float | None) -> None:
        """Count it, and keep the best."""
        self._running.pop((study, record.key), None)
        phase = self._phases[study]
        phase.done += 1
        phase.num_fresh += 1
        phase.states[record.state] += 1
        if record.state is not State.COMPLETE or score_db is None:
            return
        if phase.best is None or score_db > phase.best[1]:
            phase.best = (record.label, score_db)

    def references(self, study: str, best: Mapping[str, float]) -> None:
        """Remember what to compare with."""
        if study in self._phases:  # it is not where all references come from an earlier session
            self._phases[study].references = best
        else:
            self._phases[study] = _Phase(study, "references", len(best), len(best), best)

    def study_ended(self, study: str) -> None:
        """Show it no more."""
        self._phases.pop(study, None)

    def close(self) -> None:
        """Take the panel away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self) -> Group:
        shown: list[Text | Table] = []
        phases = list(self._phases.values())
        for phase in phases[:MAX_SHOWN]:
            title = Text(f"{self._named(phase.study)}{phase.title}", style="bold")
            if not phase.total:
                shown.append(title)
                continue
            bar = Table.grid(padding=(0, 1))
            bar.add_row(title, ProgressBar(total=phase.total, completed=phase.done, width=40))
            shown += [bar, Text(f"  {self._counts(phase)}{phase.left()}"), Text(f"  {phase.standing()}")]
        if len(phases) > MAX_SHOWN:
            shown.append(Text(f"and {len(phases) - MAX_SHOWN} more studies"))
        running = Table.grid(padding=(0, 2))
        for spec, progress in sorted(self._running.values(), key=lambda pair: (pair[0].study, pair[0].key))[:8]:
            psnr = f"{progress.psnr_db:.1f} dB" if progress.psnr_db is not None else ""
            name = f"  {self._named(spec.study)}{spec.key}"
            running.add_row(name, f"step {progress.step}/{spec.fit.steps}", psnr, spell(spec.point))
        return Group(*shown, running)

    def _named(self, study: str) -> str:
        """Which study is meant, where there are several."""
        return f"{study.partition('/')[2]}: " if len(self._phases) > 1 else ""

    def _counts(self, phase: _Phase) -> str:
        num_running = sum(spec.study == phase.study for spec, _ in list(self._running.values()))
        return f"{phase.counts()}, {num_running} running"
