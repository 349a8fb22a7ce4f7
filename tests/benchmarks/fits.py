"""Fits that are kept: what was once fitted for one signal is read the next time, by whichever way of searching."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.trial import TrialSpec
from search.workers import Event, Report, Segment
from trainers.config import FitConfig, NetworkConfig, Progress, Status
from trainers.fit import FitStack
from trainers.tasks import Task


class KeptFits:
    """Progress of fits of one task at the steps where it was asked for, kept as JSON lines.

    Args:
        task: the samples.
        path: of the file; read first, then appended to.
    """

    def __init__(self, task: Task, path: Path) -> None:
        self._task = task
        self._path = path
        self._known: dict[tuple[str, int], Progress] = {}
        self._live: tuple[str, FitStack] | None = None
        for entry in read_entries(path):
            self._remember(entry["fit"], _to_progress(entry["progress"]))

    def progress(self, network: NetworkConfig, fit: FitConfig, seed: int, step: int) -> Progress:
        """Where the fit stands at `step`, or where it ended before."""
        key = _key_of(network, fit, seed)
        if (key, step) not in self._known:
            if self._live is None or self._live[0] != key:
                stack = FitStack(self._task, network)
                stack.start(0, network, fit, seed)
                self._live = (key, stack)
            stack = self._live[1]
            if stack.progress(0).step > step:
                stack.start(0, network, fit, seed)
            stack.advance({0: step})
            self._keep(key, step, stack.progress(0))
        return self._known[key, step]

    def _keep(self, key: str, step: int, progress: Progress) -> None:
        self._remember(key, progress)
        self._known[key, step] = progress
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"fit": key, "progress": asdict(progress)}) + "\n")

    def _remember(self, key: str, progress: Progress) -> None:
        self._known[key, progress.step] = progress


class KeptWorkers:
    """The driver's pool of one worker with one lane, in this process, that reads what is kept.

    Args:
        fits: of the task that its trials fit.
    """

    lanes = 1

    def __init__(self, fits: KeptFits) -> None:
        self._fits = fits
        self._segment: Segment | None = None
        self._spec: TrialSpec | None = None

    def ids(self) -> Sequence[int]:
        """One."""
        return [0]

    def share(self, digest: str, task: Task) -> None:
        """It has its task."""

    def submit(self, worker: int, segment: Segment) -> None:
        """Remember the segment; `wait` runs it."""
        self._segment = segment

    def wait(self, seconds: float) -> list[Event]:
        """Run what was submitted, to the lane's step however long it takes."""
        if self._segment is None:
            return []
        segment, self._segment = self._segment, None
        for start in segment.start:
            self._spec = start.spec
        assert self._spec is not None
        progress = self._fits.progress(self._spec.network, self._spec.fit, self._spec.seed, segment.until[0])
        return [Report(worker=0, progress={0: progress})]

    def replace(self, worker: int) -> None:
        """Never lost."""

    def close(self) -> None:
        """Nothing to close."""


def read_entries(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file, none where it is not there; a last line that a crash tore is cut off."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def _key_of(network: NetworkConfig, fit: FitConfig, seed: int) -> str:
    facts = {"network": {**asdict(network), "knobs": dict(network.knobs)}, "fit": asdict(fit), "seed": seed}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _to_progress(facts: dict[str, Any]) -> Progress:
    curve = [(step, value) for step, value in facts["curve"] if math.isfinite(value)]
    return Progress(**{**facts, "status": Status(facts["status"]), "curve": curve})
