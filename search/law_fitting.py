"""Laws fitted to surfaces: the constants that lose least in the mean, judged on signals that they have not seen.

theta:  constants of a form
regret: of a law's points on surfaces, dB (`surfaces`)

The constants are those of least mean regret (Nelder and Mead, SciPy), and not of least distance to the surfaces'
optima: a regret knows that a landscape is a cliff on one side, a slow decline on the other, and flat where seeds
decide. Features join one by one, each where it saves most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from scipy.optimize import minimize

from search.references import TUNED_LRS
from search.surfaces import Array, Surfaces
from spaces.calibrated import LEAST, Formula
from spaces.laws import WINNER_CONSTANTS

MOST_FEATURES = 3
"""Of the bandwidth, and of the learning rate: a law of more is no formula that one prints."""

SIGNALS_A_FEATURE = 4
"""Landscapes of one signal at several sizes are no further signals: powers of more features follow single signals."""

WORTH_DB = 0.2
"""Mean regret that another feature must save."""

PULL_DB = 0.05
"""Regret for a power of 1: of laws that are as good, the one with the smaller powers."""

S1_START, LR_START = 0.25, 1e-3
"""The bandwidth law's."""

PLAIN_START = (math.log(0.2), math.sqrt(S1_START), math.log(LR_START))
"""Of a form without features: ln B, root of s1, ln lr."""

QUICK, THOROUGH = (0.5,), (0.5, 0.15)
"""Simplexes of a descent: while features are chosen, and for the constants of a law."""


class Formulas(NamedTuple):
    """What a law of powers says."""

    bandwidth: Formula
    s1: Formula
    lr: Formula


class Form(Protocol):
    """A law's shape, with constants to be found."""

    @property
    def start(self) -> Array:
        """Constants to begin with."""

    def regret_db(self, theta: Array, surfaces: Surfaces) -> Array:
        """Regret (surfaces,) of the law with these constants."""

    def penalty_db(self, theta: Array) -> float:
        """What speaks against the constants beside their regret."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PowerForm:
    """B = factor prod(feature^power), at most Nyquist; s1 a constant; lr = factor prod(feature^power).

    theta: (ln factor of B, its powers, root of s1, ln factor of lr, its powers). Features are taken over their
    geometric means on the surfaces, so that factors and powers do not hang together.

    Attributes:
        bandwidth, lr: features of the two.
        centres: geometric mean of each feature.
        start: see `Form`.
    """

    bandwidth: tuple[str, ...]
    lr: tuple[str, ...]
    centres: Mapping[str, float]
    start: Array

    def regret_db(self, theta: Array, surfaces: Surfaces) -> Array:
        """See `Form`."""
        b, lr = self._split(theta)
        s1 = np.full(len(surfaces), theta[1 + len(self.bandwidth)] ** 2)
        band = np.minimum(self._value(b, self.bandwidth, surfaces), 1.0)
        return surfaces.regret_of_band_db(band, s1, self._value(lr, self.lr, surfaces))

    def penalty_db(self, theta: Array) -> float:
        """`PULL_DB` for each unit of a power."""
        b, lr = self._split(theta)
        return PULL_DB * float(np.abs(b[1:]).sum() + np.abs(lr[1:]).sum())

    def widened(self, theta: Array, names: Sequence[str], most: int) -> list[PowerForm]:
        """Forms of one feature more, of `names` and of `most` at most for either formula; each begins at `theta`."""
        b, lr = self._split(theta)
        root_s1 = theta[[1 + len(self.bandwidth)]]
        wider_b = [
            replace(self, bandwidth=(*self.bandwidth, name), start=np.concatenate([b, [0.0], root_s1, lr]))
            for name in names
            if name not in self.bandwidth and len(self.bandwidth) < most
        ]
        wider_lr = [
            replace(self, lr=(*self.lr, name), start=np.concatenate([b, root_s1, lr, [0.0]]))
            for name in names
            if name not in self.lr and len(self.lr) < most
        ]
        return wider_b + wider_lr

    def formulas(self, theta: Array, surfaces: Surfaces) -> Formulas:
        """Of a `CalibratedLaw`; the rate keeps to what was searched."""
        b, lr = self._split(theta)
        ends = np.exp([[surface.low[2], surface.high[2]] for surface in surfaces.surfaces])
        rates = np.round(ends, 12)  # a bound that is off by rounding lies outside the search range
        return Formulas(
            bandwidth=self._formula(b, self.bandwidth, high=1.0),
            s1=Formula(factor=float(theta[1 + len(self.bandwidth)] ** 2)),
            lr=self._formula(lr, self.lr, low=float(rates[:, 0].min()), high=float(rates[:, 1].max())),
        )

    def _split(self, theta: Array) -> tuple[Array, Array]:
        cut = 1 + len(self.bandwidth)
        return theta[:cut], theta[cut + 1 :]

    def _value(self, constants: Array, names: Sequence[str], surfaces: Surfaces) -> Array:
        logs = [np.log(np.maximum(surfaces.features[name], LEAST) / self.centres[name]) for name in names]
        total = constants[0] + sum((power * log for power, log in zip(constants[1:], logs, strict=True)), np.zeros(1))
        return np.asarray(np.exp(np.broadcast_to(total, (len(surfaces),))))

    def _formula(self, constants: Array, names: Sequence[str], *, low: float = 0.0, high: float) -> Formula:
        powers = dict(zip(names, map(float, constants[1:]), strict=True))
        centred = math.fsum(power * math.log(self.centres[name]) for name, power in powers.items())
        return Formula(factor=math.exp(float(constants[0]) - centred), powers=powers, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class PublishedForm:
    """`spaces.laws.Winner`: s0 = s0_max (1 - exp(-a psi / C)), s1 = b psi / C; the best of the rates that are tried.

    theta: (ln s0_max, ln a, ln b).

    Attributes:
        kind: of the signals, one of `spaces.laws.WINNER_CONSTANTS`.
    """

    kind: str

    @property
    def start(self) -> Array:
        """The published constants for this kind."""
        constants = WINNER_CONSTANTS[self.kind]
        return np.log([constants.s0_max, constants.a, constants.b])

    def regret_db(self, theta: Array, surfaces: Surfaces) -> Array:
        """See `Form`."""
        s0_max, a, b = np.exp(theta)
        psi = surfaces.features["psi"] / surfaces.channels
        s0, s1 = s0_max * (1.0 - np.exp(-a * psi)), b * psi
        band = s0 * surfaces.gain(s1) / surfaces.nyquist_rad
        tried = [surfaces.regret_db(band, s1, np.full(len(surfaces), lr)) for lr in TUNED_LRS]
        return np.asarray(np.min(tried, axis=0))

    def penalty_db(self, theta: Array) -> float:
        """None."""
        return 0.0


def power_form(surfaces: Surfaces, candidates: Sequence[str], most: int = MOST_FEATURES) -> PowerForm:
    """The form whose features, one after another, save the most regret.

    Args:
        surfaces: several signals'.
        candidates: features to choose from; those that do not vary are no use.
        most: features of the bandwidth, and of the learning rate; there is one for `SIGNALS_A_FEATURE` signals at most.
    """
    most = min(most, len(set(surfaces.signals)) // SIGNALS_A_FEATURE)
    varying = [name for name in candidates if np.ptp(surfaces.features[name]) > 0.0]
    centres = {name: float(np.exp(np.mean(np.log(np.maximum(surfaces.features[name], LEAST))))) for name in varying}
    best = PowerForm(bandwidth=(), lr=(), centres=centres, start=np.array(PLAIN_START))
    loss, theta = _descend(best, surfaces, best.start, QUICK)
    while True:
        tried = []
        for wider in best.widened(theta, varying, most):
            found = _descend(wider, surfaces, wider.start, QUICK)
            tried.append((found[0], wider, found[1]))
        if not tried:
            return replace(best, start=theta)
        least, wider, at = min(tried, key=lambda each: each[0])
        if least > loss - WORTH_DB:
            return replace(best, start=theta)
        loss, best, theta = least, wider, at


def bandwidth_form(surfaces: Surfaces) -> PowerForm:
    """The bandwidth law: B = kappa psi^exponent, s1 and lr constants; begins at its own."""
    centre = float(np.exp(np.mean(np.log(np.maximum(surfaces.features["psi"], LEAST)))))
    start = [1.5 * math.log(centre), 1.5, math.sqrt(S1_START), math.log(LR_START)]
    return PowerForm(bandwidth=("psi",), lr=(), centres={"psi": centre}, start=np.array(start))


def fit_form(form: Form, surfaces: Surfaces) -> Array:
    """The constants whose mean regret is least."""
    return _descend(form, surfaces, form.start, THOROUGH)[1]


def _descend(form: Form, surfaces: Surfaces, start: Array, steps: Sequence[float]) -> tuple[float, Array]:
    """What the best constants lose in the mean, with `Form.penalty_db`; and these.

    Args:
        steps: sizes of the simplexes that begin, one after another: a second one leaves the first where it has shrunk
            too early.
    """

    def loss(theta: Array) -> float:
        return float(form.regret_db(theta, surfaces).mean()) + form.penalty_db(theta)

    best, least = np.asarray(start, dtype=np.float64), math.inf
    for size in steps:
        simplex = best + np.vstack([np.zeros(len(best)), size * np.eye(len(best))])
        options = {"initial_simplex": simplex, "maxiter": 400 * len(best), "xatol": 1e-3, "fatol": 1e-3}
        found = minimize(loss, best, method="Nelder-Mead", options=options)
        best, least = found.x, float(found.fun)
    return least, np.asarray(best)
