"""Heuristics by name: laws, in closed form from the spectrum, and selectors, which render untrained networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from spaces.catalog import build_space
from spaces.laws import LAWS, LawError, law_named, laws_for
from spaces.parameters import Value
from spaces.space import Space
from spaces.spectrum import Spectrum, has_published_bins
from trainers.tasks import Task

SELECTORS: Mapping[str, Literal["sound", "published"]] = {"fresh": "sound", "fresh-published": "published"}
"""FreSh's two binnings, by the heuristic's name."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A heuristic's point for a signal; a parameter that it leaves open (the learning rate) is missing.

    Attributes:
        name: of the heuristic.
        source: where it comes from.
        space: that the point is of.
        point: its values.
    """

    name: str
    source: str
    space: Space
    point: Mapping[str, Value]


def check_heuristics(names: Sequence[str], spectrum: Spectrum) -> list[str]:
    """The heuristics to compare with: the named ones, or all laws that apply (variants only where they are named).

    Raises:
        LawError: a named one is unknown or does not apply to such a signal.
    """
    if not names:
        return list(laws_for(spectrum))
    check_names(names)
    for name in names:
        reason = _reason_against(name, spectrum)
        if reason:
            raise LawError(reason)
    return list(dict.fromkeys(names))


def check_names(names: Sequence[str]) -> None:
    """Refuse heuristics that nobody knows.

    Raises:
        LawError: one is unknown.
    """
    known = [*LAWS, *SELECTORS]
    for name in names:
        if name not in known:
            raise LawError(f"unknown heuristic {name!r}; known heuristics: {', '.join(known)}")


def predict_point(
    name: str, spectrum: Spectrum, task: Task | None, space: Space, *, width: int, depth: int, seed: int
) -> Prediction:
    """The point of one heuristic that `check_heuristics` let pass.

    Args:
        name: of a law, or of a selector.
        spectrum: of the signal; what laws know.
        task: whose clean grid a selector compares with; laws need none.
        space: in which a selector chooses; a law names its own.
        width, depth: of the networks.
        seed: of a selector's draws.
    """
    if name not in SELECTORS:
        law = law_named(name)
        law_space = build_space(law.space, spectrum, width=width)
        return Prediction(name=name, source=law.source, space=law_space, point=law.point(spectrum, width=width))
    from search.workers import pick_device
    from trainers.fresh import select

    assert task is not None
    binning = SELECTORS[name]
    chosen = select(task, space, width=width, depth=depth, binning=binning, seed=seed, device=pick_device())
    source = f"[Kania2024] FreSh, {binning} binning, {len(chosen.candidates)} candidates x {chosen.draws} draws"
    return Prediction(name=name, source=source, space=space, point=chosen.point)


def _reason_against(name: str, spectrum: Spectrum) -> str | None:
    if name not in SELECTORS:
        return law_named(name).reason_against(spectrum)
    shape = spectrum.shape
    if SELECTORS[name] == "published" and not has_published_bins(shape):
        return f"{name} is for recordings and square images, but the signal has {' x '.join(map(str, shape))} samples"
    return None
