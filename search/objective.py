"""Objectives: what a study maximises, and how points are ranked by it.

fit:      PSNR over the trained samples
holdout:  PSNR over the held-out samples, at the step that is best on the trained ones
both:     the two of them, a front instead of an order; one point is still recommended
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

FITTED_LOSS_DB = 1.0
"""By how much a point that is recommended for its held-out PSNR may fit worse than the best prediction, dB."""


class Scored(Protocol):
    """What has been fitted and scored: a progress, an outcome, a record, a rung's score."""

    @property
    def psnr_db(self) -> float | None:
        """Over the trained samples."""

    @property
    def held_psnr_db(self) -> float | None:
        """Over the held-out samples."""


AnyScored = TypeVar("AnyScored", bound=Scored)


class Objective(StrEnum):
    """What is maximised."""

    FIT = "fit"
    HOLDOUT = "holdout"
    BOTH = "both"

    @property
    def num_values(self) -> int:
        """Values of a trial in Optuna."""
        return 2 if self is Objective.BOTH else 1

    def values(self, scored: Scored) -> list[float] | None:
        """What Optuna is told: one value, or (fitted, held-out); None where one of them is missing."""
        wanted = {
            Objective.FIT: (scored.psnr_db,),
            Objective.HOLDOUT: (scored.held_psnr_db,),
            Objective.BOTH: (scored.psnr_db, scored.held_psnr_db),
        }[self]
        values = [value for value in wanted if value is not None]
        return values if len(values) == len(wanted) else None

    def score_db(self, scored: Scored) -> float | None:
        """The one number by which points are ranked, chosen and judged: held-out PSNR wherever there is one to seek."""
        return scored.psnr_db if self is Objective.FIT else scored.held_psnr_db


def best_by(objective: Objective, scored: Sequence[AnyScored]) -> AnyScored | None:
    """The one of the highest score, of equal ones the first; None where none has a score."""
    ranked = ranked_by(objective, scored)
    return ranked[0] if ranked else None


def ranked_by(objective: Objective, scored: Sequence[AnyScored]) -> list[AnyScored]:
    """Those that have a score, best first; equal ones keep their order."""
    pairs = [(objective.score_db(one), one) for one in scored]
    known = [(score, one) for score, one in pairs if score is not None]
    return [one for _, one in sorted(known, key=lambda pair: -pair[0])]


def front_of(scored: Sequence[AnyScored]) -> list[AnyScored]:
    """Those that no other beats in both PSNRs, by falling fitted PSNR; of equal ones the first."""
    pairs = [(Objective.BOTH.values(one), one) for one in scored]
    known = [(values, one) for values, one in pairs if values is not None]
    known.sort(key=lambda pair: (-pair[0][0], -pair[0][1]))
    front: list[AnyScored] = []
    best_held = float("-inf")
    for values, one in known:
        if values[1] > best_held:
            front.append(one)
            best_held = values[1]
    return front


def eligible(scored: Sequence[AnyScored], prediction_db: float | None) -> list[AnyScored]:
    """Those that fit within 1 dB as well as the best prediction (or better); all of them, if none does."""
    if prediction_db is None:
        return list(scored)
    fitting = [one for one in scored if one.psnr_db is not None and one.psnr_db >= prediction_db - FITTED_LOSS_DB]
    return fitting or list(scored)
