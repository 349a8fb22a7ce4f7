"""What the landscape of a study expects, from its storage: the surrogate that chose the found point, and two points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.confirm import ranked_trials, seed_values
from search.errors import StudyError
from search.landscape import Placed
from search.objective import Objective
from search.selection import MAX_MODELLED, evidence, race_sizes
from search.smooth import MIN_POINTS, Surrogate, fit_surrogate, scaled
from search.stats import Sample
from search.storage import StudyStorage
from search.summary import best_prediction_db
from search.trial import Purpose
from spaces.parameters import Choice, Float, Int, Point
from spaces.space import Space


@dataclass(frozen=True, kw_only=True)
class End:
    """A point that a slice goes through, or where the way begins or ends.

    Attributes:
        label: `found #17`, or a reference's kind and name.
        point: of the space.
        confirmed: over fresh seeds, of which the surrogate knows nothing; None before there are any.
    """

    label: str
    point: Point
    confirmed: Sample | None


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A surrogate and what is to be seen in it.

    Attributes:
        space: that is searched.
        objective: what the scores are.
        surrogate: through the fits that selection looked at.
        found: the point that is recommended.
        reference: the best prediction that the space contains, else the best baseline; None where it has neither.
    """

    space: Space
    objective: Objective
    surrogate: Surrogate
    found: End
    reference: End | None

    @property
    def numeric(self) -> list[Float | Int]:
        """Search coordinates that have an axis."""
        return [parameter for parameter in self.space.searched if not isinstance(parameter, Choice)]

    def place(self, end: End) -> NDArray[np.float64]:
        """An end's search coordinates in shares of their ranges, (coordinates,)."""
        return np.array(scaled(self.space, self.space.to_search(end.point)))


def expected_of(storage: StudyStorage, space: Space, summary: Mapping[str, Any], references: list[Placed]) -> Expected:
    """The surrogate of a study that has a found point.

    Args:
        storage: of the study.
        space: that it searches.
        summary: as `summarise` gives it.
        references: at their points in the space.

    Raises:
        StudyError: there is no surrogate.
    """
    if any(parameter.when for parameter in space.searched):
        raise StudyError("points of a conditional space have no common coordinates")
    objective, confirmations, trials = storage.objective, storage.confirmations(), storage.trials()
    ranked = ranked_trials(trials, objective, best_prediction_db(storage))[:MAX_MODELLED]
    select = {one.label: seed_values(one.label, Purpose.SELECT, confirmations, objective) for one in ranked}
    rounds = len(race_sizes(len(trials)))
    points, scores = evidence(ranked, storage.told(), select, rounds, objective)
    surrogate = fit_surrogate(space, points, scores)
    if surrogate is None:
        which = "" if objective is not Objective.BOTH else " that fit about as well as the best prediction"
        raise StudyError(f"at least {MIN_POINTS} complete trials{which} are needed, but there are {len(points)}")
    best = summary["best"]
    label, point = f"found #{best['number']}", best["params"]
    return Expected(
        space=space,
        objective=objective,
        surrogate=surrogate,
        found=End(label=label, point=point, confirmed=confirmed_sample(best["confirmed"], objective)),
        reference=_reference(space, summary, references, objective),
    )


def confirmed_sample(confirmed: Mapping[str, Any] | None, objective: Objective) -> Sample | None:
    """Mean and deviation over fresh seeds, of a summary, by the objective; None where there is none."""
    names = ("mean_psnr_db", "sd_db") if objective is Objective.FIT else ("mean_held_psnr_db", "held_sd_db")
    if not confirmed or names[0] not in confirmed:
        return None
    return Sample(mean=confirmed[names[0]], sd=confirmed[names[1]], num=confirmed["seeds"])


def _reference(space: Space, summary: Mapping[str, Any], references: list[Placed], objective: Objective) -> End | None:
    """By the mean over fresh seeds, before there are any by the search's seed."""

    def rank(placed: Placed) -> tuple[bool, float]:
        entry = summary["references"][placed.label]
        sample = confirmed_sample(entry["confirmed"], objective)
        return entry["kind"] == "prediction", sample.mean if sample else placed.score_db

    there = [one for one in references if one.point is not None and space.reason_not_proposed(one.point) is None]
    if not there:
        return None
    best = max(there, key=rank)
    assert best.point is not None
    entry = summary["references"][best.label]
    label = f"{entry['kind']} {best.label}"
    return End(label=label, point=best.point, confirmed=confirmed_sample(entry["confirmed"], objective))
