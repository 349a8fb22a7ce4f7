"""What points are worth in the mean over seeds: a Gaussian process through all fits of a study.

X:  search coordinates of the points, each scaled to [0, 1] over its range, (points, coordinates)
y:  mean score of a point over its seeds, dB, less what a seed gives to every point
n:  seeds of a point: the noise of its mean is that of one fit over n

Fits at equal points differ by several dB between seeds, and by their chaos between close points; the best of many is
therefore worth less than it seems. Points close to it say by how much.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from spaces.parameters import Choice, Parameter, Point, Value
from spaces.space import Space

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

MIN_POINTS = 8
"""With fewer points there is no landscape to speak of, and scores stay as they are."""

LENGTHS = (0.1, 5.0)
"""Bounds of a length scale, in shares of a range: shorter ones would call noise a landscape."""

NOISES = (0.01, 1.0)
"""Bounds of the noise's variance over that of all scores."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Surrogate:
    """The process through a study's fits.

    Attributes:
        X: see above.
        y_db: see above.
        centre_db, scale_db: mean and standard deviation of `y_db`, between which and the process's own scores it lies.
        process: through (y - centre) / scale.
    """

    X: NDArray[np.float64]
    y_db: NDArray[np.float64]
    centre_db: float
    scale_db: float
    process: GaussianProcessRegressor

    def expected_db(self, X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Expected mean over seeds at `X` (points, coordinates), and its standard deviation: no single fit's."""
        with threadpool_limits(limits=1):
            means, deviations = self.process.predict(X, return_std=True)
        return self.centre_db + self.scale_db * means, self.scale_db * deviations


def smoothed_db(space: Space, points: Sequence[Point], scores_db: Sequence[Mapping[int, float]]) -> list[float]:
    """The expected score of each point, dB; where there is no surrogate, the mean of its own scores.

    Args:
        space, points, scores_db: see `fit_surrogate`.
    """
    surrogate = fit_surrogate(space, points, scores_db)
    if surrogate is None:
        return _adjusted_means(scores_db)[0]
    return [float(value) for value in surrogate.expected_db(surrogate.X)[0]]


def fit_surrogate(space: Space, points: Sequence[Point], scores_db: Sequence[Mapping[int, float]]) -> Surrogate | None:
    """The process through the fits; None where they are fewer than `MIN_POINTS`, or the space is conditional.

    Args:
        space: that the points are of. Where it is conditional, points have no common coordinates.
        points: that were fitted.
        scores_db: of each, by seed; every point has the first seed, and scores over further ones are compared with
            those of the same points over the first.
    """
    if len(points) < MIN_POINTS or any(parameter.when for parameter in space.searched):
        return None
    means, num_seeds = _adjusted_means(scores_db)
    X = np.array([scaled(space, space.to_search(point)) for point in points])
    return _fit(X, np.array(means), np.array(num_seeds))


def _adjusted_means(scores_db: Sequence[Mapping[int, float]]) -> tuple[list[float], list[int]]:
    """Mean of each point over its seeds, less each seed's own part: easy seeds must not favour who met them."""
    first = min((seed for scores in scores_db for seed in scores), default=0)
    seeds = {seed for scores in scores_db for seed in scores}
    offsets = {}
    for seed in seeds:
        pairs = [(scores[seed], scores[first]) for scores in scores_db if seed in scores]
        offsets[seed] = math.fsum(a - b for a, b in pairs) / len(pairs)
    means = [math.fsum(value - offsets[seed] for seed, value in scores.items()) / len(scores) for scores in scores_db]
    return means, [len(scores) for scores in scores_db]


def _fit(X: NDArray[np.float64], y: NDArray[np.float64], n: NDArray[np.int64]) -> Surrogate:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    centre, scale = float(y.mean()), max(float(y.std()), 1e-9)
    standard = (y - centre) / scale
    smooth = ConstantKernel(1.0) * Matern([0.3] * X.shape[1], length_scale_bounds=LENGTHS, nu=2.5)
    # One thread: the sums' order, and with it the last bits, must not depend on the machine's load.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is an answer
        fitted = GaussianProcessRegressor(smooth + WhiteKernel(0.1, NOISES)).fit(X, standard)
        noise = fitted.kernel_.k2.noise_level
        process = GaussianProcessRegressor(fitted.kernel_.k1, alpha=noise / n, optimizer=None).fit(X, standard)
    return Surrogate(X=X, y_db=y, centre_db=centre, scale_db=scale, process=process)


def scaled(space: Space, coordinates: Point) -> list[float]:
    """Search coordinates, each as its share of its range; a choice has an axis for each of its values."""
    return [share for parameter in space.searched for share in _shares(parameter, coordinates[parameter.name])]


def _shares(parameter: Parameter, value: Value) -> list[float]:
    if isinstance(parameter, Choice):
        return [float(value == choice) for choice in parameter.choices]
    low, high, at = float(parameter.low), float(parameter.high), float(value)
    if parameter.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return [(at - low) / (high - low) if high > low else 0.0]
