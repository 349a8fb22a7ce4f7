"""Calibrated laws: products of powers of what is known before training.

psi, power_psi, rms, flatness: of the signal's spectrum (`spaces.spectrum`); psi and flatness 0 to 1, the other two
                               beyond 1 where a grid's corners lie beyond the Nyquist frequency of its axes
samples, width, steps:         of the fit
trained_share:                 share of the samples that are trained on, 1 where none is held out
load:                          trained samples / width^2: samples for each weight of a hidden layer
psi_matched:                   psi^m with m = 1 / (1 + (2 / load)^4), from 0 where there are many more weights than
                               samples to 1 where there are as many or fewer
B:                             bandwidth that the noise scales give (`spaces.noise`), in units of Nyquist

A law gives B, s1 and the learning rate, each as factor * prod(feature^power) within bounds; s0 is solved for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Unpack

from spaces.laws import STEPS, Fit, LawError, scales_of_band
from spaces.spectrum import Spectrum

FEATURES = ("psi", "power_psi", "rms", "flatness", "samples", "width", "steps", "trained_share", "psi_matched")
"""What a formula may use."""

EVEN_LOAD, STEEPNESS = 2.0, 4.0
"""Of m. Networks of a load of 1 memorise, and want one bandwidth for every signal; at a load of 4 the best bandwidth
follows psi: between them no more is known than that it changes."""

LEAST = 1e-6
"""A silent spectrum has features of 0, which have no negative power."""

SPELLED: Mapping[str, str] = {"samples": "d", "width": "d", "depth": "d", "steps": "d", "load": ".4g"}
"""How the ends of a domain are written."""

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"
"""A law's name stands in keys, tables and MLflow."""


STRICT: Mapping[str, Any] = {"extra": "forbid", "allow_inf_nan": False, "strict": True}
"""How pydantic reads these classes from a file (`search.law_files`)."""


def load_of(spectrum: Spectrum, *, width: int, trained_share: float) -> float:
    """Trained samples / width^2."""
    return trained_share * spectrum.num_samples / width**2


def features_of(spectrum: Spectrum, *, width: int, steps: int, trained_share: float) -> dict[str, float]:
    """Every feature that is known, by its name in `FEATURES`."""
    load = load_of(spectrum, width=width, trained_share=trained_share)
    matched = 1.0 / (1.0 + (EVEN_LOAD / load) ** STEEPNESS)
    return {
        "psi": spectrum.centroid,
        **spectrum.features,
        "samples": float(spectrum.num_samples),
        "width": float(width),
        "steps": float(steps),
        "trained_share": trained_share,
        "psi_matched": max(spectrum.centroid, LEAST) ** matched,
    }


@dataclass(frozen=True, kw_only=True)
class Formula:
    """factor * prod(feature^power), cut at `low` and `high`.

    Attributes:
        factor: at least 0.
        powers: by feature, a name of `FEATURES`.
        low, high: bounds of the value; None: there is none.
    """

    __pydantic_config__: ClassVar = STRICT

    factor: float
    powers: Mapping[str, float] = field(default_factory=dict)
    low: float = 0.0
    high: float | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.powers) - set(FEATURES))
        if unknown:
            raise LawError(f"unknown feature {unknown[0]!r}; known features: {', '.join(FEATURES)}")
        high = float("inf") if self.high is None else self.high
        if self.factor < 0 or not 0 <= self.low <= high:
            raise LawError(
                "`0 <= factor` and `0 <= low <= high` must hold, but got "
                f"factor={self.factor:g}, low={self.low:g}, high={high:g}"
            )

    def __call__(self, features: Mapping[str, float]) -> float:
        """The value at these features, of which those that have a power must be there."""
        value = self.factor
        for name, power in self.powers.items():
            value *= max(features[name], LEAST) ** power
        value = max(value, self.low)
        return value if self.high is None else min(value, self.high)

    def spell(self) -> str:
        """As a formula: `0.83 psi^1.4 samples^-0.2, at most 1`."""
        text = " ".join([f"{self.factor:.3g}", *(f"{name}^{power:.3g}" for name, power in self.powers.items())])
        text += f", at least {self.low:.3g}" if self.low > 0 else ""
        return text + (f", at most {self.high:.3g}" if self.high is not None else "")


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What a law was calibrated on; outside, it says nothing unless it is told to.

    Attributes:
        kinds: of signal.
        samples, width, steps: least and most.
        depth, load: likewise; None: not known, and not checked.
    """

    __pydantic_config__: ClassVar = STRICT

    kinds: tuple[str, ...]
    samples: tuple[int, int]
    width: tuple[int, int]
    steps: tuple[int, int]
    depth: tuple[int, int] | None = None
    load: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("samples", "width", "steps", "depth"):
            low, high = getattr(self, name) or (1, 1)
            if not 1 <= low <= high:
                raise LawError(f"`1 <= least <= most` must hold for {name}, but got {low} and {high}")
        least, most = self.load or (1.0, 1.0)
        if not 0 < least <= most:
            raise LawError(f"`0 < least <= most` must hold for load, but got {least:g} and {most:g}")

    def reason_against(self, spectrum: Spectrum, **fit: Unpack[Fit]) -> str | None:
        """Why a law of this domain says nothing; what is not known is not checked."""
        if spectrum.kind not in self.kinds:
            return f"is for {', '.join(self.kinds)}, but the signal is of kind {spectrum.kind}"
        values = {"samples": spectrum.num_samples, **{key: fit.get(key) for key in ("width", "depth", "steps")}}
        if "width" in fit and "trained_share" in fit:
            values["load"] = load_of(spectrum, width=fit["width"], trained_share=fit["trained_share"])
        for name, value in values.items():
            ends = getattr(self, name)
            if value is not None and ends and not ends[0] <= value <= ends[1]:
                said = " to ".join(f"{end:{SPELLED[name]}}" for end in dict.fromkeys(ends))
                return f"is for {said} {name}, but got {name}={value:{SPELLED[name]}}"
        return None


@dataclass(frozen=True, kw_only=True)
class CalibratedLaw:
    """A law of fitted constants.

    Attributes:
        bandwidth, s1, lr: formulas; a learning rate of None is left open.
        domain: where it was calibrated.
        objective: "fit" or "holdout": whose PSNR its points maximise.
        facts: what is known of its making, JSON-able: corpus, measured regret.
        is_everywhere: whether it speaks outside its domain too.
        is_variant: whether it applies only where it is asked for by name.
    """

    __pydantic_config__: ClassVar = STRICT

    name: str
    source: str
    bandwidth: Formula
    s1: Formula
    lr: Formula | None
    domain: Domain
    objective: Literal["fit", "holdout"] = "fit"
    facts: Mapping[str, Any] = field(default_factory=dict)
    space: Literal["siren2"] = "siren2"
    is_everywhere: bool = False
    is_variant: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME_PATTERN, self.name):
            raise LawError(
                "a law's name must begin with a letter or digit and hold at most 40 of those, '.', '_' and '-', "
                f"but got {self.name!r}"
            )

    def reason_against(self, spectrum: Spectrum, **fit: Unpack[Fit]) -> str | None:
        """Signals, fits and objectives that it is not for, and spectra stored without a feature that it needs."""
        known = features_of(spectrum, width=1, steps=1, trained_share=1.0)
        formulas = [formula for formula in (self.bandwidth, self.s1, self.lr) if formula]
        missing = sorted({name for formula in formulas for name in formula.powers} - set(known))
        if missing:
            return f"{self.name} needs {', '.join(missing)} of the spectrum, which was stored without"
        if self.is_everywhere:
            return None
        asked = fit.get("objective", self.objective)
        if asked not in (self.objective, "both"):
            return f"{self.name} is for objective {self.objective}, but got objective={asked}"
        reason = self.domain.reason_against(spectrum, **fit)
        return f"{self.name} {reason}" if reason else None

    def point(
        self, spectrum: Spectrum, *, width: int, steps: int = STEPS, trained_share: float = 1.0
    ) -> dict[str, float]:
        """s0, s1 and, unless it is left open, lr."""
        features = features_of(spectrum, width=width, steps=steps, trained_share=trained_share)
        s1 = self.s1(features)
        scales = scales_of_band(spectrum, self.bandwidth(features), s1, width)
        return scales if self.lr is None else {**scales, "lr": self.lr(features)}

    def spell(self) -> list[str]:
        """A line for each formula."""
        lines = [f"B / Nyquist = {self.bandwidth.spell()}", f"s1 = {self.s1.spell()}"]
        return lines if self.lr is None else [*lines, f"lr = {self.lr.spell()}"]
