"""Heuristics by name: laws, in closed form from the spectrum, and selectors, which render untrained networks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Unpack

from search.law_files import read_law
from spaces.calibrated import CalibratedLaw
from spaces.catalog import build_space
from spaces.laws import LAWS, Fit, LawError, law_named, laws_for, register_law
from spaces.parameters import Value
from spaces.space import Space
from spaces.spectrum import Spectrum, has_published_bins
from trainers.tasks import Task

SELECTORS: Mapping[str, Literal["sound", "published"]] = {"fresh": "sound", "fresh-published": "published"}
"""FreSh's two binnings, by the heuristic's name."""

LAW_SUFFIX = ".json"
"""Of a heuristic's name that is a law's file."""

ALL_LAWS = "laws"
"""Stands for all laws that apply to a signal."""

SHIPPED = Path(__file__).parent / "laws"
"""Laws that this project calibrated itself; their files say on what, and with which command."""

for _path in sorted(SHIPPED.glob(f"*{LAW_SUFFIX}")):
    register_law(_path.stem, replace(read_law(_path), is_variant=False))


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A heuristic's point for a signal; a parameter that it leaves open (the learning rate) is missing.

    Attributes:
        name: of the heuristic.
        source: where it comes from.
        space: that the point is of.
        point: its values.
        seconds: that it took to tell.
    """

    name: str
    source: str
    space: Space
    point: Mapping[str, Value]
    seconds: float


@contextmanager
def known_heuristics(names: Sequence[str], *, beyond_domain: bool = False) -> Iterator[list[str]]:
    """The names of heuristics, where some are laws in files: `law.json`, known by their own names inside the block.

    Args:
        names: of laws and selectors, `laws`, and files.
        beyond_domain: let calibrated laws that are named speak outside what they were calibrated on, inside the block.

    Raises:
        LawError: one is unknown, no law, or another law has its name.
    """
    before, loaded = dict(LAWS), []
    try:
        for name in names:
            law = _read_own(name) if name.endswith(LAW_SUFFIX) else LAWS.get(name)
            if isinstance(law, CalibratedLaw):
                register_law(law.name, replace(law, is_everywhere=beyond_domain))
                name = law.name
            loaded.append(name)
        check_names(loaded)
        yield loaded
    finally:
        for name in LAWS.keys() - before.keys():
            del LAWS[name]
        LAWS.update(before)


def _read_own(name: str) -> CalibratedLaw:
    law = read_law(Path(name))
    known = LAWS.get(law.name)
    if isinstance(known, CalibratedLaw):
        known = replace(known, is_everywhere=law.is_everywhere, is_variant=law.is_variant)
    if law.name in (*SELECTORS, ALL_LAWS) or known not in (None, law):
        raise LawError(f"{name}: another heuristic is called {law.name!r}: the law needs another name")
    return law


def check_heuristics(names: Sequence[str], spectrum: Spectrum, **fit: Unpack[Fit]) -> list[str]:
    """The heuristics to compare with: the named ones; `laws`, and no name, stand for all laws that apply.

    Variants are compared with only where they are named.

    Raises:
        LawError: a named one is unknown or does not apply to such a signal or fit.
    """
    check_names(names)
    chosen: list[str] = []
    for name in names or (ALL_LAWS,):
        if name == ALL_LAWS:
            chosen += laws_for(spectrum, **fit)
            continue
        reason = _reason_against(name, spectrum, **fit)
        if reason:
            raise LawError(reason)
        chosen.append(name)
    return list(dict.fromkeys(chosen))


def silent_laws(spectrum: Spectrum, **fit: Unpack[Fit]) -> dict[str, str]:
    """Why laws that fit without being asked for by name say nothing about such a signal or fit, by their names."""
    reasons = {name: law.reason_against(spectrum, **fit) for name, law in LAWS.items() if not law.is_variant}
    return {name: reason for name, reason in reasons.items() if reason}


def check_names(names: Sequence[str]) -> None:
    """Refuse heuristics that nobody knows.

    Raises:
        LawError: one is unknown.
    """
    known = [*LAWS, *SELECTORS, ALL_LAWS]
    for name in names:
        if name not in known:
            raise LawError(f"unknown heuristic {name!r}; known heuristics: {', '.join(known)}")


def predict_point(
    name: str,
    spectrum: Spectrum,
    task: Task | None,
    space: Space,
    *,
    width: int,
    depth: int,
    steps: int,
    seed: int,
    trained_share: float = 1.0,
) -> Prediction:
    """The point of one heuristic that `check_heuristics` let pass.

    Args:
        name: of a law, or of a selector.
        spectrum: of the signal; what laws know.
        task: whose clean grid a selector compares with; laws need none.
        space: in which a selector chooses; a law names its own.
        width, depth: of the networks.
        steps: of the fits.
        seed: of a selector's draws.
        trained_share: share of the samples that are trained on.
    """
    if name not in SELECTORS:
        law, began = law_named(name), time.perf_counter()
        point = law.point(spectrum, width=width, steps=steps, trained_share=trained_share)
        seconds = time.perf_counter() - began
        law_space = build_space(law.space, spectrum, width=width)
        return Prediction(name=name, source=law.source, space=law_space, point=point, seconds=seconds)
    from search.workers import pick_device
    from trainers.fresh import select

    assert task is not None
    binning = SELECTORS[name]
    chosen = select(task, space, width=width, depth=depth, binning=binning, seed=seed, device=pick_device())
    source = f"[Kania2024] FreSh, {binning} binning, {len(chosen.candidates)} candidates x {chosen.draws} draws"
    return Prediction(name=name, source=source, space=space, point=chosen.point, seconds=chosen.seconds)


def _reason_against(name: str, spectrum: Spectrum, **fit: Unpack[Fit]) -> str | None:
    if name not in SELECTORS:
        return law_named(name).reason_against(spectrum, **fit)
    shape = spectrum.shape
    if SELECTORS[name] == "published" and not has_published_bins(shape):
        return f"{name} is for recordings and square images, but the signal has {' x '.join(map(str, shape))} samples"
    return None
