"""Check everything that can be checked before the first fit: one Plan a signal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from search.config import NetworkSettings, StudySpec
from search.errors import InputError
from search.heuristics import SELECTORS, check_heuristics, known_heuristics, predict_point
from search.plugins import digest_of, load_plugins
from search.references import Reference, build_references
from search.rungs import rungs_of
from search.searched import searched_space
from search.trial import TrialBuilder
from spaces.laws import LawError
from spaces.parameters import PointError
from spaces.space import Space
from spaces.spectrum import Spectrum
from trainers.config import FitConfig
from trainers.signals import Signal, SignalError, read_signal
from trainers.tasks import Task, TaskError, build_task

Read = TypeVar("Read")


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


def read_all(sources: Sequence[str], read: Callable[[str], Read]) -> list[Read]:
    """What `read` makes of each source, or a line for each that cannot be used.

    Raises:
        InputError: at least one cannot.
    """
    results, lines = [], []
    for source in sources:
        try:
            results.append(read(source))
        except (SignalError, TaskError) as error:
            lines.append(str(error))
    if lines:
        raise InputError(lines)
    return results


def plan_studies(spec: StudySpec) -> list[Plan]:
    """Check everything that can be checked before a fit: one plan a signal.

    Raises:
        InputError: one line for each signal that cannot be used.
        PointError, LawError: unknown space or heuristic, a learning rate outside its domain, or too small a budget.
    """
    if not spec.signals:
        raise InputError(["at least one signal is needed, but none came"])
    load_plugins(spec.search.plugin)
    with known_heuristics(spec.search.heuristic, beyond_domain=spec.search.beyond_domain) as heuristics:
        checked = read_all(spec.signals, lambda source: _check(source, spec, heuristics))
        names = [f"{spec.name}/{_stem(one.signal)}-{one.signal.digest[:6]}" for one in checked]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError([f"the signals of a campaign must differ, but {name} came twice" for name in twice])
        return [_plan_one(spec, name, one) for name, one in zip(names, checked, strict=True)]


class _Checked(NamedTuple):
    """A signal that can be searched, and the heuristics that apply to it."""

    signal: Signal
    spectrum: Spectrum
    spectrum_seconds: float
    task: Task
    heuristics: list[str]


def _check(source: str, spec: StudySpec, named: Sequence[str]) -> _Checked:
    signal = read_signal(source, spec.signal.to_crop())
    began = time.perf_counter()
    spectrum = signal.spectrum()
    seconds = time.perf_counter() - began
    task = build_task(signal, spec.task_config)
    try:
        heuristics = check_heuristics(
            named,
            spectrum,
            width=spec.network.width,
            depth=spec.network.depth,
            steps=spec.fit.steps,
            trained_share=task.trained_share,
            objective=spec.search.objective,
        )
    except LawError as error:
        raise SignalError(f"{source}: {error}") from error
    return _Checked(signal, spectrum, seconds, task, heuristics)


def _plan_one(spec: StudySpec, name: str, checked: _Checked) -> Plan:
    search = spec.search
    signal, spectrum, spectrum_seconds, task, heuristics = checked
    space = searched_space(
        spectrum, name=search.space, coordinates=search.coordinates, lr=spec.fit.lr, **spec.network.model_dump()
    )
    builder = TrialBuilder(
        study=name,
        task=task.digest,
        width=spec.network.width,
        depth=spec.network.depth,
        dims=spectrum.dims,
        channels=spectrum.channels,
        steps=spec.fit.steps,
        study_seed=search.seed,
        diagnose=search.diagnose,
    )
    if spec.network.max_weights is not None:
        builder = _within_budget(space, spec.network, builder)
    width, depth = builder.width, builder.depth
    predictions = [
        predict_point(
            heuristic,
            spectrum,
            task,
            space,
            width=width,
            depth=depth,
            steps=spec.fit.steps,
            seed=search.seed,
            trained_share=task.trained_share,
        )
        for heuristic in heuristics
    ]
    # What a law takes is the spectrum.
    predictions = [
        each if each.name in SELECTORS else replace(each, seconds=each.seconds + spectrum_seconds)
        for each in predictions
    ]
    fingerprint = {
        **spec.settings_fingerprint(),
        "signal_sha256": signal.digest,
        "plugin_sha256": digest_of(search.plugin),
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
        references=tuple(build_references(predictions, spectrum, space, width=width, depth=depth, lr=spec.fit.lr)),
        builder=builder,
        fingerprint=fingerprint,
    )


def _within_budget(space: Space, network: NetworkSettings, builder: TrialBuilder) -> TrialBuilder:
    """At the largest width, up to the study's own, that the budget pays: references must be held to it too.

    Raises:
        PointError: the study's depth costs more even at the smallest width that is proposed.
    """
    assert network.max_weights is not None
    default = space.complete({})
    num_weights = builder.network(space, default).num_weights
    if num_weights > network.max_weights:
        raise PointError(
            f"`{num_weights} <= max_weights` must hold for depth={network.depth} at width={default['width']}, "
            f"but got max_weights={network.max_weights}"
        )
    return replace(builder, width=int(default["width"]))


def _stem(signal: Signal) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", signal.name).strip("._-")[:60] or "signal"
