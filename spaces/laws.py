"""Laws: a point for a signal in closed form, from its spectrum.

psi:  spectral centroid of the signal, 0 to 1
C:    channels of the signal
N:    samples along the longest axis
B:    bandwidth that the noise scales give (spaces.noise), rad per coordinate unit
variant: another reading of a published law, compared with only where it is named

[Chandravamsi2025] arXiv 2509.09719, equations for s0 and s1; constants from the public code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypedDict, Unpack

from spaces.noise import HIDDEN_W, scales_on_ridge
from spaces.spectrum import Spectrum

PUBLISHED = "winner"
"""The law of [Chandravamsi2025]."""

STEPS = 500
"""Of a fit, where nobody says; as `winnow run` has it."""


class LawError(ValueError):
    """A law that is unknown, or asked outside its domain."""


class Fit(TypedDict, total=False):
    """What is known of a fit; a law that looks at what is not known speaks.

    Attributes:
        width, depth: of the networks.
        steps: of the fit.
        trained_share: share of the samples that are trained on.
        objective: of the study: "fit", "holdout" or "both".
    """

    width: int
    depth: int
    steps: int
    trained_share: float
    objective: str


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

    @property
    def is_variant(self) -> bool:
        """Whether it applies only where it is asked for by name."""

    def reason_against(self, spectrum: Spectrum, **fit: Unpack[Fit]) -> str | None:
        """Why the law says nothing about such a signal or fit, as far as that is known; None if it does."""

    def point(
        self, spectrum: Spectrum, *, width: int, steps: int = STEPS, trained_share: float = 1.0
    ) -> dict[str, float]:
        """The values that the law gives; a parameter that it leaves open is missing.

        Args:
            spectrum: of the signal.
            width: features of a hidden layer.
            steps: of the fit.
            trained_share: share of the samples that are trained on.
        """


@dataclass(frozen=True, kw_only=True)
class WinnerConstants:
    """s0 = s0_max (1 - exp(-a psi / C)), s1 = b psi / C; s0 in rad per coordinate unit."""

    s0_max: float
    a: float
    b: float


WINNER_CONSTANTS: Mapping[str, WinnerConstants] = {
    # Public code; the paper's text has a = 5 for audio.
    "audio": WinnerConstants(s0_max=3500.0, a=7.0, b=3.0),
    "image": WinnerConstants(s0_max=50.0, a=5.0, b=0.4),
}
"""By kind of signal [Chandravamsi2025]. There are none for volumes: they are set by hand there."""


PAPER_AUDIO_CONSTANTS = WinnerConstants(s0_max=3500.0, a=5.0, b=3.0)
"""The paper's text [Chandravamsi2025]; it agrees with the public code on images."""


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The published law: s0 = s0_max (1 - exp(-a psi / C)), s1 = b psi / C. The learning rate is left open.

    Its constants encode 150,000 samples and width 222; it knows neither N nor width.

    Attributes:
        constants: by kind of signal; other kinds are outside its domain.
        centroid: the variant of psi, a name of `spaces.spectrum.CENTROIDS`.
        channel_power: p in psi / C^p.
    """

    name: str = PUBLISHED
    source: str = "[Chandravamsi2025] WINNER, constants of the public code"
    space: str = "siren2"
    is_variant: bool = False
    constants: Mapping[str, WinnerConstants] = field(default_factory=lambda: WINNER_CONSTANTS)
    centroid: str = "flattened"
    channel_power: int = 1

    def reason_against(self, spectrum: Spectrum, **fit: Unpack[Fit]) -> str | None:
        """Kinds without published constants have no point."""
        if spectrum.kind in self.constants:
            return None
        return f"{self.name} is published for {', '.join(self.constants)}, but the signal is of kind {spectrum.kind}"

    def point(
        self, spectrum: Spectrum, *, width: int, steps: int = STEPS, trained_share: float = 1.0
    ) -> dict[str, float]:
        """s0 and s1; nothing but the spectrum has an influence.

        Raises:
            LawError: the kind of signal is outside the law's domain.
        """
        reason = self.reason_against(spectrum)
        if reason:
            raise LawError(reason)
        constants = self.constants[spectrum.kind]
        centroid = spectrum.centroid if self.centroid == "flattened" else spectrum.centroids[self.centroid]
        psi = centroid / spectrum.channels**self.channel_power
        return {"s0": constants.s0_max * (1.0 - math.exp(-constants.a * psi)), "s1": constants.b * psi}


@dataclass(frozen=True, kw_only=True)
class Bandwidth:
    """B = kappa psi^exponent Nyquist, at most Nyquist; s1 and the learning rate fixed; solved for s0.

    Knows N and width. Constants: this project's own first measurements on two recordings, not calibrated.
    """

    name: str = "bandwidth"
    source: str = "winnow: B matched to the centroid, uncalibrated starting constants"
    space: str = "siren2"
    is_variant: bool = False
    kappa: float = 1.0
    exponent: float = 1.5
    s1: float = 0.25
    lr: float = 1e-3

    def reason_against(self, spectrum: Spectrum, **fit: Unpack[Fit]) -> str | None:
        """Applies to every grid with more than one sample per axis."""
        return None

    def point(
        self, spectrum: Spectrum, *, width: int, steps: int = STEPS, trained_share: float = 1.0
    ) -> dict[str, float]:
        """s0, s1 and lr."""
        share = min(self.kappa * spectrum.centroid**self.exponent, 1.0)
        return {**scales_of_band(spectrum, share, self.s1, width), "lr": self.lr}


def scales_of_band(spectrum: Spectrum, share: float, s1: float, width: int) -> dict[str, float]:
    """The s0 and s1 whose bandwidth B is `share` of Nyquist: s0^2 = (B / gain(s1))^2 - w^2 / (3 dims^2).

    SIREN's own uniform draw gives part of the band. s0 is at least 1 rad, where that draw gives all of it.
    """
    needed = scales_on_ridge(share * spectrum.nyquist_rad, s1, width).s0
    uniform = HIDDEN_W / (math.sqrt(3.0) * spectrum.dims)
    return {"s0": math.sqrt(max(needed**2 - uniform**2, 1.0)), "s1": s1}


@dataclass(frozen=True, kw_only=True)
class OwnLaw:
    """A law of one's own from a function.

    Attributes:
        rule: (spectrum, width) to the values that it gives; what it leaves out is left open.
        kinds: of signal that it is for; none named: all.
    """

    name: str
    rule: Callable[[Spectrum, int], dict[str, float]]
    kinds: tuple[str, ...] = ()
    source: str = "one's own"
    space: str = "siren2"
    is_variant: bool = False

    def reason_against(self, spectrum: Spectrum, **fit: Unpack[Fit]) -> str | None:
        """Kinds that it is not for."""
        if not self.kinds or spectrum.kind in self.kinds:
            return None
        return f"{self.name} is for {', '.join(self.kinds)}, but the signal is of kind {spectrum.kind}"

    def point(
        self, spectrum: Spectrum, *, width: int, steps: int = STEPS, trained_share: float = 1.0
    ) -> dict[str, float]:
        """What the rule says."""
        return self.rule(spectrum, width)


BUILT_IN: tuple[Law, ...] = (
    Winner(),
    Bandwidth(),
    Winner(
        name="winner-a5",
        source="[Chandravamsi2025] WINNER, the paper's text: a = 5 for audio",
        is_variant=True,
        constants={"audio": PAPER_AUDIO_CONSTANTS},
    ),
    Winner(
        name="winner-c2",
        source="[Chandravamsi2025] WINNER as the public code computes it: its psi already holds 1/C, so 1/C^2 in all",
        is_variant=True,
        channel_power=2,
    ),
    Winner(
        name="winner-rowwise",
        source="[Chandravamsi2025] WINNER with the mean centroid of an image's rows in place of the raster-scan line's",
        is_variant=True,
        constants={"image": WINNER_CONSTANTS["image"]},
        centroid="rowwise",
    ),
)
"""Search ranges follow these alone: a study's fingerprint must not depend on what a script registered."""

LAWS: dict[str, Law] = {law.name: law for law in BUILT_IN}
"""The laws that `--heuristic` knows by name."""


def register_law(name: str, law: Law) -> None:
    """Make a law of one's own known by name, as a heuristic: `register_law("mine", OwnLaw(name="mine", rule=...))`."""
    LAWS[name] = law


def laws_for(
    spectrum: Spectrum,
    among: Iterable[Law] | None = None,
    **fit: Unpack[Fit],
) -> dict[str, Law]:
    """The laws that apply to such a signal and fit without being asked for by name: no variants; of all or some."""
    laws = LAWS if among is None else {law.name: law for law in among}
    return {
        name: law for name, law in laws.items() if not law.is_variant and law.reason_against(spectrum, **fit) is None
    }


def law_named(name: str) -> Law:
    """The law of that name.

    Raises:
        LawError: there is none.
    """
    if name not in LAWS:
        raise LawError(f"unknown heuristic {name!r}; known heuristics: {', '.join(LAWS)}")
    return LAWS[name]
