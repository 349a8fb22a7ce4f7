"""A finished trial as plain data: what storage holds of it, and what everyone else reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from search.trial import Outcome, Score, State, TrialSpec
from spaces.parameters import Value
from trainers.config import Curve


@dataclass(frozen=True, kw_only=True)
class Record:
    """A finished trial as storage holds it.

    Attributes:
        key: of its TrialSpec.
        number: within its Optuna study.
        label: as in its TrialSpec.
    """

    key: str
    number: int
    label: str
    space: str
    point: Mapping[str, Value]
    purpose: str
    repeat: int
    seed: int
    state: State
    psnr_db: float | None
    snr_db: float | None
    held_psnr_db: float | None
    metrics: Mapping[str, float]
    best_step: int
    step: int
    steps: int
    curve: Curve
    rung_scores: Mapping[int, Score]
    attempts: int
    reason: str
    fit_seconds: float
    started: float
    ended: float


OUTCOME_FACTS = (
    "psnr_db",
    "snr_db",
    "held_psnr_db",
    "metrics",
    "best_step",
    "step",
    "reason",
    "fit_seconds",
    "started",
    "ended",
)
"""What a record takes from an outcome as it is."""


def spec_facts(spec: TrialSpec) -> dict[str, Any]:
    """What was asked, JSON-able."""
    return {
        "key": spec.key,
        "label": spec.label,
        "space": spec.space,
        "point": dict(spec.point),
        "purpose": spec.purpose.value,
        "repeat": spec.repeat,
        "seed": spec.seed,
        "steps": spec.fit.steps,
    }


def outcome_facts(outcome: Outcome) -> dict[str, Any]:
    """What came of it, JSON-able."""
    progress = outcome.progress
    return {
        "state": outcome.state.value,
        "reason": outcome.reason,
        "psnr_db": progress.psnr_db if progress else None,
        "snr_db": progress.snr_db if progress else None,
        "held_psnr_db": progress.held_psnr_db if progress else None,
        "metrics": dict(progress.metrics) if progress else {},
        "best_step": progress.best_step if progress else 0,
        "step": progress.step if progress else 0,
        "curve": [[step, value] for step, value in progress.curve if math.isfinite(value)] if progress else [],
        "rung_scores": {str(rung): list(score) for rung, score in outcome.rung_scores.items()},
        "attempts": [asdict(attempt) for attempt in outcome.attempts],
        "fit_seconds": progress.fit_seconds if progress else 0.0,
        "started": outcome.started,
        "ended": outcome.ended,
    }


def to_record(number: int, spec: Mapping[str, Any], outcome: Mapping[str, Any]) -> Record:
    """The record of a trial, from what `spec_facts` and `outcome_facts` gave."""
    return Record(
        **spec,
        number=number,
        state=State(outcome["state"]),
        curve=[(step, value) for step, value in outcome["curve"]],
        rung_scores={int(rung): Score(*score) for rung, score in outcome["rung_scores"].items()},
        attempts=len(outcome["attempts"]),
        **{key: outcome[key] for key in OUTCOME_FACTS},
    )
