"""TrialSpec, and what comes of it: all that crosses a process border."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from spaces.parameters import Point, Value
from spaces.space import Space
from trainers.config import FitConfig, FitResult, NetworkConfig, Progress, network_of

if TYPE_CHECKING:
    from trainers.diagnostics import Diagnosis


class Purpose(StrEnum):
    """What a seed is for: search seeds propose, select seeds choose, confirm seeds judge."""

    SEARCH = "search"
    SELECT = "select"
    CONFIRM = "confirm"


def derive_seed(study_seed: int, purpose: str, repeat: int) -> int:
    """hash(study seed, purpose, repeat), 63 bits: depends on nothing else, so a retried trial keeps its seed."""
    digest = hashlib.sha256(f"winnow/{study_seed}/{purpose}/{repeat}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def spell(point: Mapping[str, Value]) -> str:
    """A point as people read it: `s0=1100 s1=0.0478 lr=0.00048`."""
    return " ".join(f"{name}={_spell_value(value)}" for name, value in point.items())


def _spell_value(value: Value) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.3g}"


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """One fit of one point with one seed.

    Attributes:
        study: name of its study; empty where there is none.
        key: unique within its study: `search/17`, `references/winner/lr=0.0005`, `confirm/found/3`.
        label: what people read: `#17`, or a reference's name.
        task: digest of the Task that it fits.
        space: the space that the point is of.
        point: one value for each parameter.
        network: what is built.
        fit: how it is trained.
        purpose: what its seed is for.
        repeat: which of the purpose's seeds.
        seed: derived from both.
        rungs: steps at which the driver decides whether it goes on.
        keep: whether the best weights and their output come back with the outcome.
        diagnose: whether a look into the network at start and end does.
    """

    study: str = ""
    key: str
    label: str
    task: str
    space: str
    point: Mapping[str, Value]
    network: NetworkConfig
    fit: FitConfig
    purpose: Purpose
    repeat: int
    seed: int
    rungs: tuple[int, ...] = ()
    keep: bool = False
    diagnose: bool = False

    def stop_after(self, step: int) -> int:
        """The next step at which a decision is due: a rung, or the end."""
        return next((rung for rung in self.rungs if rung > step), self.fit.steps)


class Score(NamedTuple):
    """PSNR of the best step so far, over the trained and over the held-out samples, dB."""

    psnr_db: float
    held_psnr_db: float | None = None


class State(StrEnum):
    """How a trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


class Loss(StrEnum):
    """How a worker, or a try at a trial, was lost."""

    WORKER = "worker"  # its process died
    HUNG = "hung"  # it gave no answer within its lease
    NODE = "node"  # its machine left
    PREEMPTED = "preempted"  # its machine was taken back
    MEMORY = "memory"  # its device had no room for so many lanes
    DRIVER = "driver"  # the session ended
    ERROR = "error"  # an exception of our own


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A try at a trial that did not end it.

    Attributes:
        loss: how it was lost.
        failure: what was said, one line.
        step: that it had reached, as far as is known.
        lost_seconds: since its state was last kept; None where nobody knows when it ended.
    """

    loss: Loss
    failure: str
    step: int
    lost_seconds: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """How a trial ended.

    Attributes:
        spec: what was asked.
        state: complete, pruned or failed.
        progress: its last progress; None if it never reported.
        reason: one sentence where it is not complete.
        rung_scores: PSNR of the best step so far, by rung.
        attempts: tries that were lost before.
        result: weights and output, where the spec asks for them.
        diagnosis: likewise.
        started, ended: seconds since the epoch.
    """

    spec: TrialSpec
    state: State
    progress: Progress | None
    reason: str = ""
    rung_scores: Mapping[int, Score] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    result: FitResult | None = None
    diagnosis: Diagnosis | None = None
    started: float = 0.0
    ended: float = 0.0

    @property
    def psnr_db(self) -> float | None:
        """Of the best step, over the trained samples."""
        return self.progress.psnr_db if self.progress else None

    @property
    def held_psnr_db(self) -> float | None:
        """Of the same step, over the held-out samples."""
        return self.progress.held_psnr_db if self.progress else None


@dataclass(frozen=True, kw_only=True)
class TrialBuilder:
    """Makes the TrialSpecs of one study: what is the same in all of them."""

    study: str = ""
    task: str
    width: int
    depth: int
    dims: int
    channels: int
    steps: int
    study_seed: int
    diagnose: bool = False

    def network(self, space: Space, point: Point) -> NetworkConfig:
        """The network that a point describes; its width and depth are the study's where the point names none."""
        return network_of(space, point, width=self.width, depth=self.depth, dims=self.dims, channels=self.channels)

    def build(
        self,
        key: str,
        *,
        label: str,
        space: Space,
        point: Point,
        purpose: Purpose = Purpose.SEARCH,
        repeat: int = 0,
        rungs: tuple[int, ...] = (),
        keep: bool = False,
    ) -> TrialSpec:
        """The spec of a point of `space`: its `lr` goes to the fit, everything else to the network."""
        return TrialSpec(
            study=self.study,
            key=key,
            label=label,
            task=self.task,
            space=space.name,
            point=dict(point),
            network=self.network(space, point),
            fit=FitConfig(steps=self.steps, lr=float(point["lr"])),
            purpose=purpose,
            repeat=repeat,
            seed=derive_seed(self.study_seed, purpose, repeat),
            rungs=rungs,
            keep=keep,
            diagnose=self.diagnose and purpose is Purpose.SEARCH,
        )
