"""References: points that are not proposed, fitted first and compared with what the search finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.storage import Record
from search.trial import State, TrialBuilder, TrialSpec
from spaces.catalog import baseline_w_first, build_space
from spaces.laws import LawError, law_named, laws_for
from spaces.parameters import Value
from spaces.space import Space
from spaces.spectrum import Spectrum

TUNED_LRS = (1e-4, 5e-4, 2e-3)
"""What is tried where a heuristic leaves the learning rate open: it is not blamed for what it does not claim."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A named point, or one for each learning rate that is tried.

    Attributes:
        name: `siren-30`, `winner`, ...
        kind: "baseline" or "prediction".
        source: where it comes from.
        space: that the points are of.
        points: differ in lr alone; the best one counts.
    """

    name: str
    kind: str
    source: str
    space: Space
    points: tuple[Mapping[str, Value], ...]

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


def check_heuristics(names: Sequence[str], spectrum: Spectrum) -> list[str]:
    """The heuristics to compare with: the named ones, or all that apply (variants only where they are named).

    Raises:
        LawError: a named one is unknown or does not apply to such a signal.
    """
    if not names:
        return list(laws_for(spectrum))
    for name in names:
        reason = law_named(name).reason_against(spectrum)
        if reason:
            raise LawError(reason)
    return list(dict.fromkeys(names))


def build_references(
    heuristics: Sequence[str], spectrum: Spectrum, space: Space, *, width: int, depth: int, lr: float | None
) -> list[Reference]:
    """Plain SIREN, each heuristic, and the space's published default where it is none of these.

    Args:
        heuristics: names of laws that apply to the signal.
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
    for name in heuristics:
        law = law_named(name)
        law_space = build_space(law.space, spectrum, width=width)
        point = law.point(spectrum, width=width)
        references.append(_reference(name, "prediction", law.source, law_space, point, lr))
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


def best_of(reference: Reference, records: Sequence[Record]) -> Record | None:
    """The fit that counts for a reference: its best learning rate's; None if all of them failed."""
    own = [r for r in records if r.label == reference.name and r.psnr_db is not None and r.state is not State.FAILED]
    return max(own, key=lambda record: record.psnr_db or 0.0, default=None)


def _reference(
    name: str, kind: str, source: str, space: Space, point: Mapping[str, Value], lr: float | None
) -> Reference:
    rates: Sequence[Value] = (lr,) if lr is not None else (point["lr"],) if "lr" in point else TUNED_LRS
    plain = {key: value for key, value in point.items() if key != "lr"}
    points = tuple(space.check({**plain, "lr": rate}) for rate in rates)
    return Reference(name=name, kind=kind, source=source, space=space, points=points)
