"""SIREN's weight-noise scales, the bandwidth they give, and the change of variables along its ridge.

s0:         std of the noise on the first layer's angular frequency, rad per coordinate unit
s1:         std of the noise on the second layer's weights times w, dimensionless
w:          the hidden layers' frequency factor (30); WINNER divides both scales by it
width:      features of a hidden layer
B:          bandwidth: rms angular frequency after the second layer, rad per coordinate unit
nyquist_rad: pi (N - 1) / 2, the highest angular frequency that N samples on [-1, 1] hold

[Chandravamsi2025] arXiv 2509.09719 (WINNER, SIREN^2). B is this project's own closed form (measured against
0.251 of Nyquist where it predicts 0.265: psi 0.573, N 150,000, width 222).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from spaces.parameters import Float, Parameter, Point, Value

HIDDEN_W = 30.0
"""w of [Sitzmann2020], kept by [Chandravamsi2025] for every layer and every kind of signal."""

S1_MAX = 4.0
"""Largest s1 that is proposed: beyond it the second layer alone spans more than ten octaves at usual widths."""

FIRST_FACTOR = 10.0
"""The first proposals' bandwidth is at most so many times the expected one, and at least its so-manieth part."""

FIRST_S1 = 1.0
"""Largest s1 of the first proposals: where the bandwidth is right, the best points had 0 to 0.8."""

BANDWIDTH_LOW_RAD = 10.0
"""Smallest B that is proposed: below the 17 rad that SIREN's uniform draw gives by itself, noise changes nothing."""


class NoiseScales(NamedTuple):
    """WINNER's pair: N(0, (s0/w)^2) is added to the first layer's weights, N(0, (s1/w)^2) to the second's."""

    s0: float
    s1: float


def gain(s1: float, width: int) -> float:
    """sqrt(1 + width s1^2 / 2): by how much the second layer's noise widens the first layer's band."""
    return math.sqrt(1.0 + width * s1**2 / 2.0)


def bandwidth(scales: NoiseScales, width: int, dims: int = 1, w: float = HIDDEN_W) -> float:
    """B(s0, s1) = sqrt(s0^2 + w^2 / (3 dims^2)) sqrt(1 + width s1^2 / 2), in rad per coordinate unit.

    The second term under the root is the uniform part of SIREN's first layer, W0 ~ U(+-1/dims); it counts
    below an s0 of about 30.
    """
    return math.hypot(scales.s0, w / (math.sqrt(3.0) * dims)) * gain(scales.s1, width)


def noise_bandwidth(scales: NoiseScales, width: int) -> float:
    """s0 sqrt(1 + width s1^2 / 2): B without the uniform part, so that s0 can be solved for exactly."""
    return scales.s0 * gain(scales.s1, width)


def scales_on_ridge(bandwidth_rad: float, s1: float, width: int) -> NoiseScales:
    """The scales with the given s1 whose `noise_bandwidth` is `bandwidth_rad`."""
    return NoiseScales(s0=bandwidth_rad / gain(s1, width), s1=s1)


@dataclass(frozen=True, kw_only=True)
class Ridge:
    """Search coordinates (bandwidth / Nyquist, root of s1) in place of (s0, s1).

    Good points form a ridge of constant B: in these coordinates it is a straight line along s1, which a sampler
    that models the coordinates one by one can follow. Small s1 are mostly the better ones: a root gives those below
    0.25 a quarter of the range, and not a sixteenth.

    Attributes:
        width: features of a hidden layer.
        nyquist_rad: rad per coordinate unit.
        high: largest bandwidth that is proposed, in units of Nyquist.
        low_rad: smallest bandwidth that is proposed, rad per coordinate unit.
        expected: the bandwidth around which the first proposals lie, in units of Nyquist; None: they have all of the
            range, and that of s1.
    """

    width: int
    nyquist_rad: float
    high: float
    low_rad: float = BANDWIDTH_LOW_RAD
    expected: float | None = None

    @property
    def name(self) -> str:
        """What messages call them."""
        return "ridge"

    def describe(self) -> dict[str, Any]:
        """The change of variables, for fingerprints."""
        return {"name": self.name, "width": self.width, "nyquist_rad": self.nyquist_rad}

    @property
    def replaces(self) -> tuple[str, ...]:
        """The noise scales."""
        return ("s0", "s1")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """bandwidth (log, units of Nyquist) and root_s1 (linear)."""
        low = min(self.low_rad / self.nyquist_rad, self.high / 10)
        first = None
        if self.expected is not None:
            first = (max(low, self.expected / FIRST_FACTOR), min(self.high, self.expected * FIRST_FACTOR))
        return (
            Float(name="bandwidth", low=low, high=self.high, log=True, first=first, doc="noise bandwidth over Nyquist"),
            Float(
                name="root_s1",
                low=0.0,
                high=math.sqrt(S1_MAX),
                first=(0.0, math.sqrt(FIRST_S1)) if first else None,
                doc="root of the second layer's noise scale",
            ),
        )

    def at_width(self, width: int) -> Ridge:
        """The ridge of networks of another width, over the same bandwidths."""
        return replace(self, width=width)

    def to_search(self, point: Point) -> dict[str, Value]:
        """(s0, s1) to (bandwidth / Nyquist, root of s1)."""
        scales = NoiseScales(s0=float(point["s0"]), s1=float(point["s1"]))
        return {"bandwidth": noise_bandwidth(scales, self.width) / self.nyquist_rad, "root_s1": math.sqrt(scales.s1)}

    def to_point(self, coordinates: Point) -> dict[str, Value]:
        """(bandwidth / Nyquist, root of s1) to (s0, s1)."""
        bandwidth_rad = float(coordinates["bandwidth"]) * self.nyquist_rad
        scales = scales_on_ridge(bandwidth_rad, float(coordinates["root_s1"]) ** 2, self.width)
        return {"s0": scales.s0, "s1": scales.s1}
