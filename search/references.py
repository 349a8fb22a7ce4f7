"""References: points that are not proposed, fitted first and compared with what the search finds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search.heuristics import Prediction
from search.objective import Objective, best_by
from search.record import Record
from search.trial import State, TrialBuilder, TrialSpec
from spaces.catalog import baseline_w_first, build_space
from spaces.parameters import Point, Value
from spaces.space import Space
from spaces.spectrum import Spectrum

TUNED_LRS = (1e-4, 5e-4, 2e-3)
"""What is tried where a heuristic leaves the learning rate open: it is not blamed for what it does not claim. The first
is the rate of the papers' protocols."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A named point, or one for each learning rate that is tried.

    Attributes:
        name: `siren-30`, `winner`, ...
        kind: "baseline" or "prediction".
        source: where it comes from.
        space: that the points are of.
        points: differ in lr alone; the best one counts.
        seconds: that a heuristic took to name it; 0 for what is known beforehand.
    """

    name: str
    kind: str
    source: str
    space: Space
    points: tuple[Mapping[str, Value], ...]
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether it names its learning rate; then the sampler is told of it. What leaves it open teaches little."""
        return len(self.points) == 1

    def specs(self, builder: TrialBuilder) -> list[TrialSpec]:
        """One trial for each point, on the seed that the search uses."""
        return [
            builder.build(
                reference_key(self.name, point),
                label=self.name,
                space=self.space,
                point=point,
            )
            for point in self.points
        ]


def reference_key(name: str, point: Mapping[str, Value]) -> str:
    """Key of a reference's trial: its points differ in the learning rate."""
    return f"references/{name}/lr={point['lr']:g}"


def build_references(
    predictions: Sequence[Prediction], spectrum: Spectrum, space: Space, *, width: int, depth: int, lr: float | None
) -> list[Reference]:
    """Plain SIREN, each prediction, and the space's published default where it is none of these.

    Args:
        predictions: the heuristics' points for the signal.
        spectrum: of the signal.
        space: that is searched.
        width, depth: of the networks.
        lr: the rate that the user fixed for the whole study, for references too; None tries several.
    """
    siren = build_space("siren", spectrum, width=width)
    references = [
        _reference(f"siren-{w_first:g}", "baseline", "[Sitzmann2020]", siren, {"w_first": w_first}, lr)
        for w_first in baseline_w_first(spectrum)
    ]
    references += [
        replace(_reference(p.name, "prediction", p.source, p.space, p.point, lr), seconds=p.seconds)
        for p in predictions
    ]
    default = space.complete({})
    # The same point may be there as one of another space: SIREN^2's default, in `any`, is siren2's.
    known = [
        space.translate(reference.space.name, point, width=width, depth=depth)
        for reference in references
        for point in reference.points
    ]
    if default not in known:
        references.append(_reference(f"{space.name}-default", "baseline", "published default", space, default, lr))
    return references


def best_of(reference: Reference, records: Sequence[Record], objective: Objective) -> Record | None:
    """The fit that counts for a reference: its best learning rate's by the objective; None if all of them failed."""
    own = [record for record in records if record.label == reference.name and record.state is not State.FAILED]
    return best_by(objective, own)


def untuned_of(reference: Reference, records: Sequence[Record]) -> Record | None:
    """The fit of a prediction that leaves the learning rate open at the papers' rate; None for others."""
    if reference.kind != "prediction" or reference.is_complete:
        return None
    key = reference_key(reference.name, reference.points[0])
    return next((record for record in records if record.key == key), None)


def facts_of(
    references: Sequence[Reference], records: Sequence[Record], objective: Objective, kept: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """What storage holds of each reference that has a fit: the numbers of the one that counts and of the untuned one.

    Args:
        references: of the session.
        records: of their fits.
        objective: by which a learning rate is the best.
        kept: what storage held before: what was measured first stays, and again nothing changes.
    """
    facts = {}
    for reference in references:
        best, untuned = best_of(reference, records, objective), untuned_of(reference, records)
        if best:
            facts[reference.name] = {
                "number": best.number,
                "kind": reference.kind,
                "untuned": untuned.number if untuned else None,
                "seconds": kept.get(reference.name, {}).get("seconds", reference.seconds),
            }
    return facts


def is_same_point(one: Point, other: Point) -> bool:
    """Whether they differ by no more than the last digits, which are another machine's."""

    def is_same(value: Value, now: Value) -> bool:
        if isinstance(value, str) or isinstance(now, str):
            return value == now
        return math.isclose(value, now, rel_tol=1e-9)

    return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)


def _reference(
    name: str, kind: str, source: str, space: Space, point: Mapping[str, Value], lr: float | None
) -> Reference:
    rates: Sequence[Value] = (lr,) if lr is not None else (point["lr"],) if "lr" in point else TUNED_LRS
    plain = {key: value for key, value in point.items() if key != "lr"}
    points = tuple(space.complete({**plain, "lr": rate}) for rate in rates)
    return Reference(name=name, kind=kind, source=source, space=space, points=points)
