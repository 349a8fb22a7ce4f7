"""Laws: a point for a signal in closed form, from its spectrum.

psi:  spectral centroid of the signal, 0 to 1
C:    channels of the signal
N:    samples along the longest axis
B:    bandwidth that the noise scales give (spaces.noise), rad per coordinate unit

[Chandravamsi2025] arXiv 2509.09719, equations for s0 and s1; constants from the public code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from spaces.noise import HIDDEN_W, scales_on_ridge
from spaces.spectrum import Spectrum


class LawError(ValueError):
    """A law that is unknown, or asked outside its domain."""


class Law(Protocol):
    """A closed form. Later laws, and laws read from files, have this shape."""

    @property
    def name(self) -> str:
        """What `--heuristic` calls it."""

    @property
    def source(self) -> str:
        """Where it comes from."""

    @property
    def space(self) -> str:
        """The space of the catalogue whose parameters it names."""

    def reason_against(self, spectrum: Spectrum) -> str | None:
        """Why the law says nothing about such a signal, or None if it does."""

    def point(self, spectrum: Spectrum, *, width: int) -> dict[str, float]:
        """The values that the law gives; a parameter that it leaves open is missing."""


@dataclass(frozen=True, kw_only=True)
class WinnerConstants:
    """s0 = s0_max (1 - exp(-a psi / C)), s1 = b psi / C."""

    s0_max: float
    a: float
    b: float


WINNER_CONSTANTS: Mapping[str, WinnerConstants] = {
    # Public code; the paper's text has a = 5 for audio.
    "audio": WinnerConstants(s0_max=3500.0, a=7.0, b=3.0),
    "image": WinnerConstants(s0_max=50.0, a=5.0, b=0.4),
}
"""By kind of signal [Chandravamsi2025]. There are none for volumes: they are set by hand there."""


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The published law: s0 = s0_max (1 - exp(-a psi / C)), s1 = b psi / C. The learning rate is left open.

    Its constants encode 150,000 samples and width 222; it knows neither N nor width.
    """

    name: str = "winner"
    source: str = "[Chandravamsi2025] WINNER, constants of the public code"
    space: str = "siren2"
    constants: Mapping[str, WinnerConstants] = field(default_factory=lambda: WINNER_CONSTANTS)

    def reason_against(self, spectrum: Spectrum) -> str | None:
        """Kinds without published constants have no point."""
        if spectrum.kind in self.constants:
            return None
        return f"{self.name} is published for {', '.join(self.constants)}, but the signal is of kind {spectrum.kind}"

    def point(self, spectrum: Spectrum, *, width: int) -> dict[str, float]:
        """s0 and s1; `width` has no influence."""
        constants = self.constants[spectrum.kind]
        psi = spectrum.centroid / spectrum.channels
        return {"s0": constants.s0_max * (1.0 - math.exp(-constants.a * psi)), "s1": constants.b * psi}


@dataclass(frozen=True, kw_only=True)
class Bandwidth:
    """B = kappa psi^exponent Nyquist, at most Nyquist; s1 and the learning rate fixed; solved for s0.

    Knows N and width. Constants: this project's own first measurements on two recordings, not yet calibrated.
    s0^2 = (B / gain(s1))^2 - w^2 / (3 dims^2): SIREN's own uniform draw gives part of the band. s0 is at least 1 rad,
    where that draw gives all of it.
    """

    name: str = "bandwidth"
    source: str = "winnow: B matched to the centroid, uncalibrated starting constants"
    space: str = "siren2"
    kappa: float = 1.0
    exponent: float = 1.5
    s1: float = 0.25
    lr: float = 1e-3

    def reason_against(self, spectrum: Spectrum) -> str | None:
        """Applies to every grid with more than one sample per axis."""
        return None

    def point(self, spectrum: Spectrum, *, width: int) -> dict[str, float]:
        """s0, s1 and lr."""
        share = min(self.kappa * spectrum.centroid**self.exponent, 1.0)
        needed = scales_on_ridge(share * spectrum.nyquist_rad, self.s1, width).s0
        uniform = HIDDEN_W / (math.sqrt(3.0) * spectrum.dims)
        return {"s0": math.sqrt(max(needed**2 - uniform**2, 1.0)), "s1": self.s1, "lr": self.lr}


LAWS: Mapping[str, Law] = {law.name: law for law in (Winner(), Bandwidth())}
"""The laws that `--heuristic` knows by name."""


def law_named(name: str) -> Law:
    """The law of that name.

    Raises:
        LawError: there is none.
    """
    if name not in LAWS:
        raise LawError(f"unknown heuristic {name!r}; known heuristics: {', '.join(LAWS)}")
    return LAWS[name]
