"""Laws fitted to surfaces: the constants that lose least in the mean, judged on signals that they have not seen.

theta:  constants of a form
regret: of a law's points on surfaces, dB (`surfaces`)

Which features a law of several needs, and where its constants begin, linear regression of the surfaces' optima on the
features' logarithms says (scikit-learn), the sharper an optimum the heavier its weight; the constants then go where the
mean regret is least (Nelder and Mead, SciPy): a regret knows, and a distance does not, that a landscape is a cliff on
one side, a slow decline on the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy.optimize import minimize

from search.references import TUNED_LRS
from search.surfaces import Array, Surfaces
from spaces.calibrated import LEAST, Formula
from spaces.laws import WINNER_CONSTANTS

TEMPERATURE_DB = 3.0
"""Of a surface's optimum: points within the noise of a fit count as about as good."""

LEAST_SPREAD = 0.1
"""Of an optimum, in units of ln B, root s1 and ln lr: no landscape of a few dozen fits knows it better."""

MOST_FEATURES = 3
"""A law of more is no formula that one prints."""

WORTH = 0.1
"""Share of the targets' variance that another feature must explain of signals it has not seen."""

PULL_DB = 0.05
"""Regret for a power of 1: of laws that are as good, the one with the smaller powers."""

S1_START, LR_START = 0.25, 1e-3
"""The bandwidth law's."""


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

    def formulas(self, theta: Array, surfaces: Surfaces) -> Formulas:
        """Of a `CalibratedLaw`; the rate keeps to what was searched."""
        b, lr = self._split(theta)
        rates = np.exp([[surface.low[2], surface.high[2]] for surface in surfaces.surfaces])
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
    """s0 = s0_max (1 - exp(-a psi)), s1 = b psi [Chandravamsi2025], the learning rate the best of those that are tried.

    theta: (ln s0_max, ln a, ln b).
    """

    @property
    def start(self) -> Array:
        """The published constants for audio."""
        constants = WINNER_CONSTANTS["audio"]
        return np.log([constants.s0_max, constants.a, constants.b])

    def regret_db(self, theta: Array, surfaces: Surfaces) -> Array:
        """See `Form`."""
        s0_max, a, b = np.exp(theta)
        psi = surfaces.features["psi"]
        s0, s1 = s0_max * (1.0 - np.exp(-a * psi)), b * psi
        band = s0 * surfaces.gain(s1) / surfaces.nyquist_rad
        tried = [surfaces.regret_db(band, s1, np.full(len(surfaces), lr)) for lr in TUNED_LRS]
        return np.asarray(np.min(tried, axis=0))

    def penalty_db(self, theta: Array) -> float:
        """None."""
        return 0.0


def power_form(surfaces: Surfaces, candidates: Sequence[str], most: int = MOST_FEATURES) -> PowerForm:
    """The form whose features explain the surfaces' optima of signals that they were not chosen on.

    Args:
        surfaces: several signals'.
        candidates: features to choose from; those that do not vary are no use.
        most: features of the bandwidth, and of the learning rate.
    """
    optima, spreads = surfaces.optima(TEMPERATURE_DB)
    weights = 1.0 / (spreads**2 + LEAST_SPREAD**2)
    centres = {name: float(np.exp(np.mean(np.log(np.maximum(surfaces.features[name], LEAST))))) for name in candidates}
    logs = {
        name: np.log(np.maximum(surfaces.features[name], LEAST) / centres[name])
        for name in candidates
        if np.ptp(surfaces.features[name]) > 0.0
    }
    chosen, constants = {}, {}
    for name, column in (("bandwidth", 0), ("lr", 2)):
        chosen[name] = _chosen(logs, optima[:, column], weights[:, column], surfaces.signals, most)
        columns = [logs[feature] for feature in chosen[name]]
        constants[name] = _regressed(columns, optima[:, column], weights[:, column])
    root_s1 = float(np.average(optima[:, 1], weights=weights[:, 1]))
    return PowerForm(
        bandwidth=chosen["bandwidth"],
        lr=chosen["lr"],
        centres=centres,
        start=np.array([*constants["bandwidth"], root_s1, *constants["lr"]]),
    )


def bandwidth_form(surfaces: Surfaces) -> PowerForm:
    """The bandwidth law: B = kappa psi^exponent, s1 and lr constants; begins at its own."""
    centre = float(np.exp(np.mean(np.log(np.maximum(surfaces.features["psi"], LEAST)))))
    start = [1.5 * math.log(centre), 1.5, math.sqrt(S1_START), math.log(LR_START)]
    return PowerForm(bandwidth=("psi",), lr=(), centres={"psi": centre}, start=np.array(start))


def fit_form(form: Form, surfaces: Surfaces) -> Array:
    """The constants whose mean regret is least."""

    def loss(theta: Array) -> float:
        return float(form.regret_db(theta, surfaces).mean()) + form.penalty_db(theta)

    best = np.asarray(form.start, dtype=np.float64)
    for size in (0.5, 0.15):  # the second start leaves a simplex that has shrunk too early
        simplex = best + np.vstack([np.zeros(len(best)), size * np.eye(len(best))])
        options = {"initial_simplex": simplex, "maxiter": 400 * len(best), "xatol": 1e-3, "fatol": 1e-3}
        best = minimize(loss, best, method="Nelder-Mead", options=options).x
    return np.asarray(best)


def _chosen(
    logs: Mapping[str, Array], target: Array, weights: Array, signals: Sequence[str], most: int
) -> tuple[str, ...]:
    """Forward selection by the error on left-out signals."""
    chosen: list[str] = []
    error = _left_out_error([], target, weights, signals)
    least = WORTH * error
    while len(chosen) < most:
        errors = {
            name: _left_out_error([logs[each] for each in (*chosen, name)], target, weights, signals)
            for name in logs
            if name not in chosen
        }
        if not errors:
            break
        name = min(errors, key=lambda each: errors[each])
        if errors[name] > error - least:
            break
        chosen.append(name)
        error = errors[name]
    return tuple(chosen)


def _left_out_error(columns: Sequence[Array], target: Array, weights: Array, signals: Sequence[str]) -> float:
    """Weighted mean squared error of a linear regression on each signal, fitted on the others."""
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import LeaveOneGroupOut

    X = np.stack(columns, axis=1) if columns else np.zeros((len(target), 1))
    errors = np.zeros(len(target))
    for rest, own in LeaveOneGroupOut().split(X, target, groups=list(signals)):
        fitted = LinearRegression().fit(X[rest], target[rest], sample_weight=weights[rest])
        errors[own] = fitted.predict(X[own]) - target[own]
    return float(np.average(errors**2, weights=weights))


def _regressed(columns: Sequence[Array], target: Array, weights: Array) -> list[float]:
    """Intercept and slopes."""
    from sklearn.linear_model import LinearRegression

    if not columns:
        return [float(np.average(target, weights=weights))]
    fitted = LinearRegression().fit(np.stack(columns, axis=1), target, sample_weight=weights)
    return [float(fitted.intercept_), *map(float, fitted.coef_)]
