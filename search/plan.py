"""Check everything that can be checked before the first fit: one Plan a signal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search.config import StudySpec
from search.errors import InputError
from search.references import Reference, build_references, check_heuristics
from search.rungs import rungs_of
from search.trial import TrialBuilder
from spaces.catalog import build_space
from spaces.space import Space
from spaces.spectrum import Spectrum
from trainers.config import FitConfig
from trainers.signals import Crop, Signal, SignalError, read_signal
from trainers.tasks import TASKS, Task


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One study before it starts: all that was checked.

    Attributes:
        name: of the study.
        signal, task, spectrum: what is fitted.
        space: what is searched.
        references: what it is compared with.
        builder: of its trials.
        fingerprint: what decides its results.
    """

    name: str
    signal: Signal
    task: Task
    spectrum: Spectrum
    space: Space
    references: tuple[Reference, ...]
    builder: TrialBuilder
    fingerprint: dict[str, Any]

    @property
    def num_weights(self) -> int:
        """Weights and biases of the published default: with more of them than samples, a fit can memorise."""
        return self.builder.network(self.space, self.space.complete({})).num_weights


def read_signals(sources: Sequence[str], crop: Crop) -> list[Signal]:
    """All of the signals, or a line for each that cannot be used.

    Raises:
        InputError: at least one cannot.
    """
    read, lines = [], []
    for source in sources:
        try:
            read.append(read_signal(source, crop))
        except SignalError as error:
            lines.append(str(error))
    if lines:
        raise InputError(lines)
    return read


def plan_studies(spec: StudySpec) -> list[Plan]:
    """Check everything that can be checked before a fit: one plan a signal.

    Raises:
        InputError: one line for each signal that cannot be used.
        PointError, LawError: unknown space or heuristic, or a learning rate outside its domain.
    """
    if not spec.signals:
        raise InputError(["at least one signal is needed, but none came"])
    crop = Crop(samples=spec.signal.samples, start=spec.signal.start)
    signals = read_signals(spec.signals, crop)
    names = [f"{spec.name}/{_stem(signal)}-{signal.digest[:6]}" for signal in signals]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError([f"the signals of a campaign must differ, but {name} came twice" for name in twice])
    return [_plan_one(spec, name, signal) for name, signal in zip(names, signals, strict=True)]


def _plan_one(spec: StudySpec, name: str, signal: Signal) -> Plan:
    width, search = spec.network.width, spec.search
    spectrum = signal.spectrum()
    space = build_space(search.space, spectrum, width=width, coordinates=search.coordinates)
    if spec.fit.lr is not None:
        space = space.with_fixed("lr", spec.fit.lr)
    heuristics = check_heuristics(search.heuristic, spectrum)
    task = TASKS[search.task](signal)
    builder = TrialBuilder(
        task=task.digest,
        width=width,
        depth=spec.network.depth,
        dims=spectrum.dims,
        channels=spectrum.channels,
        steps=spec.fit.steps,
        study_seed=search.seed,
    )
    fingerprint = {
        **spec.settings_fingerprint(),
        "signal_sha256": signal.digest,
        "space_fingerprint": space.fingerprint(),
        "decay": FitConfig.decay,
        "decay_every": FitConfig.decay_every,
        "rungs": list(rungs_of(spec.fit.steps, search.pruner)),
    }
    return Plan(
        name=name,
        signal=signal,
        task=task,
        spectrum=spectrum,
        space=space,
        references=tuple(
            build_references(heuristics, spectrum, space, width=width, depth=builder.depth, lr=spec.fit.lr)
        ),
        builder=builder,
        fingerprint=fingerprint,
    )


def _stem(signal: Signal) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", signal.name).strip("._-")[:60] or "signal"
