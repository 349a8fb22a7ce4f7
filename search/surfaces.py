"""Searched landscapes as laws are fitted to them: the expected PSNR over bandwidth, s1 and learning rate.

b:       bandwidth of the noise scales over Nyquist, without SIREN's own uniform draw
x:       (ln b, root of s1, ln lr), each scaled to [0, 1] over the searched range, (3,)
surface: expected PSNR of a study's surrogate (`smooth`) on a grid of x, dB
regret:  the largest value on that grid minus the value at a law's x, dB
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

from search.confirm import seed_values
from search.errors import StudyError
from search.objective import Objective
from search.record import Record
from search.scoring import task_of
from search.searched import space_of, spectrum_of
from search.selection import SEARCH_SEED
from search.smooth import MIN_POINTS, fit_surrogate, scaled
from search.storage import StudyStorage
from search.trial import Purpose, State
from spaces.calibrated import features_of
from spaces.noise import HIDDEN_W
from spaces.parameters import Float, Point
from spaces.space import Space
from spaces.spectrum import Spectrum

Array = NDArray[np.float64]

COORDINATES = ("bandwidth", "root_s1", "lr")
"""What a law's values are in SIREN^2's search coordinates."""

GRID = (41, 9, 15)
"""Points of a surface along each: an eighth of an octave to a quarter for b, of the order of a surrogate's lengths."""

FOLDS = 5
"""Of the cross-validation of a surrogate."""

MIN_FITS = MIN_POINTS + FOLDS
"""So that every fold has a surrogate."""

OUTSIDE_DB = 30.0
"""Regret for a whole range's length beyond the range, where nothing was searched."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """One landscape.

    Attributes:
        study: that searched it.
        signal: digits of the file's name; landscapes of one signal are left out together.
        features: what a law may know, see `spaces.calibrated`.
        kind, channels, nyquist_rad, dims, width, depth: of the signal and the networks.
        low, high: ends of x in its own units, (3,).
        expected_db: on the grid, `GRID`.
        error_db: cross-validated root mean squared error of the surrogate against single fits.
        spread_db: standard deviation of these fits, which a surrogate that knows nothing would have.
    """

    study: str
    signal: str
    features: Mapping[str, float]
    kind: str
    channels: int
    nyquist_rad: float
    dims: int
    width: int
    depth: int
    low: Array
    high: Array
    expected_db: Array
    error_db: float
    spread_db: float


def surface_of(study: StudyStorage) -> Surface:
    """The surface of a study of siren2 in ridge coordinates that has ended.

    Raises:
        StudyError: another space, too few fits, or a signal that is not where the study found it.
    """
    space, spectrum, fingerprint = space_of(study), spectrum_of(study.facts("spectrum")), study.facts("fingerprint")
    if space.name != "siren2" or tuple(parameter.name for parameter in space.searched) != COORDINATES:
        raise StudyError(
            f"laws are fitted to studies of space siren2 in ridge coordinates with a searched learning rate, "
            f"but {study.name} is of {space.name}"
        )
    points, scores = _scored(study, space, study.objective)
    width, depth, steps = (fingerprint[key] for key in ("width", "depth", "steps"))
    return build_surface(
        space,
        points,
        scores,
        study=study.name,
        signal=str(study.facts("signal")),
        features=features_of(spectrum, width=width, steps=steps, trained_share=task_of(study).trained_share),
        spectrum=spectrum,
        width=width,
        depth=depth,
    )


def build_surface(
    space: Space,
    points: Sequence[Point],
    scores_db: Sequence[Mapping[int, float]],
    *,
    study: str,
    signal: str,
    features: Mapping[str, float],
    spectrum: Spectrum,
    width: int,
    depth: int,
) -> Surface:
    """The surface through fits.

    Args:
        space: siren2 in ridge coordinates.
        points, scores_db: see `smooth.fit_surrogate`.
        study, signal, features: see `Surface`.
        spectrum: of the signal.
        width, depth: of the networks.

    Raises:
        StudyError: fewer fits than a surrogate needs.
    """
    surrogate = fit_surrogate(space, points, scores_db)
    if surrogate is None or len(points) < MIN_FITS:
        raise StudyError(f"at least {MIN_FITS} fits make a landscape, but {study} has {len(points)}")
    axes = [np.linspace(0.0, 1.0, num) for num in GRID]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(GRID))
    expected_db, _ = surrogate.expected_db(cells)
    parameters = [parameter for parameter in space.searched if isinstance(parameter, Float)]
    ends = np.array([[_in_units(p, p.low), _in_units(p, p.high)] for p in parameters])
    return Surface(
        study=study,
        signal=signal,
        features=features,
        kind=spectrum.kind,
        channels=spectrum.channels,
        nyquist_rad=spectrum.nyquist_rad,
        dims=spectrum.dims,
        width=width,
        depth=depth,
        low=ends[:, 0],
        high=ends[:, 1],
        expected_db=expected_db.reshape(GRID),
        error_db=_cross_validated(space, points, scores_db),
        spread_db=float(np.std([scores[min(scores)] for scores in scores_db])),
    )


class Surfaces:
    """Several surfaces, asked together.

    Args:
        surfaces: at least one, all of signals of one kind.
    """

    def __init__(self, surfaces: Sequence[Surface]) -> None:
        self.surfaces = list(surfaces)
        self.signals = [surface.signal for surface in surfaces]
        [self.kind] = {surface.kind for surface in surfaces}
        names = set.intersection(*(set(surface.features) for surface in surfaces))
        self.features = {name: np.array([surface.features[name] for surface in surfaces]) for name in sorted(names)}
        self.channels = np.array([surface.channels for surface in surfaces])
        self.nyquist_rad = np.array([surface.nyquist_rad for surface in surfaces])
        self._width = np.array([surface.width for surface in surfaces])
        self._uniform = HIDDEN_W / (math.sqrt(3.0) * np.array([surface.dims for surface in surfaces]))
        self._low = np.array([surface.low for surface in surfaces])
        self._high = np.array([surface.high for surface in surfaces])
        self._expected_db = np.stack([surface.expected_db for surface in surfaces])
        # Cubic: between the points of a grid that is asked linearly, the best is always one of them.
        self._splines = np.stack([spline_filter(surface.expected_db, order=3, mode="nearest") for surface in surfaces])
        self._best_db = self._expected_db.max(axis=(1, 2, 3))

    def __len__(self) -> int:
        """How many."""
        return len(self.surfaces)

    def subset(self, indices: Sequence[int]) -> Surfaces:
        """Some of them."""
        return Surfaces([self.surfaces[index] for index in indices])

    def regret_db(self, b: Array, s1: Array, lr: Array) -> Array:
        """Regret (surfaces,) of one point for each surface; beyond a range it grows with the distance."""
        x = np.stack([np.log(np.maximum(b, 1e-9)), np.sqrt(np.maximum(s1, 0.0)), np.log(np.maximum(lr, 1e-9))], axis=1)
        unit = (x - self._low) / (self._high - self._low)
        inside = np.clip(unit, 0.0, 1.0)
        value = splines_at(self._splines, inside * (np.array(GRID) - 1))
        return np.asarray(self._best_db - value + OUTSIDE_DB * np.abs(unit - inside).sum(axis=1))

    def regret_of_band_db(self, share: Array, s1: Array, lr: Array) -> Array:
        """Regret (surfaces,) where all of B is `share` of Nyquist, as `spaces.laws.scales_of_band` has it."""
        needed = share * self.nyquist_rad / self.gain(s1)
        s0 = np.sqrt(np.maximum(needed**2 - self._uniform**2, 1.0))
        return self.regret_db(s0 * self.gain(s1) / self.nyquist_rad, s1, lr)

    def gain(self, s1: Array) -> Array:
        """`spaces.noise.gain` of each surface's s1 and width."""
        return np.asarray(np.sqrt(1.0 + self._width * s1**2 / 2.0))


def splines_at(splines: Array, places: Array) -> Array:
    """Cubic splines at one place each: `scipy.ndimage.map_coordinates` of all at once, a law's fit asks thousands.

    Args:
        splines: coefficients (splines, a, b, c) of `scipy.ndimage.spline_filter` in its mode "nearest".
        places: within the grid, in its units, (splines, 3).
    """
    first = np.floor(places).astype(int)
    t = places - first
    basis = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=-1) / 6
    near = first[..., None] + np.arange(-1, 3)
    i, j, k = (np.clip(near[:, axis], 0, splines.shape[axis + 1] - 1) for axis in range(3))
    own = np.arange(len(splines))[:, None, None, None]
    picked = splines[own, i[:, :, None, None], j[:, None, :, None], k[:, None, None, :]]
    return np.asarray(np.einsum("sijk,si,sj,sk->s", picked, basis[:, 0], basis[:, 1], basis[:, 2]))


def _scored(study: StudyStorage, space: Space, objective: Objective) -> tuple[list[Point], list[dict[int, float]]]:
    """Points of the space that were fitted on the search's seed, with their scores by seed: confirm seeds too."""
    confirmations = study.confirmations()
    # Of the references, those of the session alone: a law that was judged here before must not shape its successor.
    best = {name: facts["number"] for name, facts in (study.facts("references") or {}).items()}
    fits: list[tuple[Record, str]] = [(record, record.label) for record in study.trials()]
    fits += [
        (record, record.label if record.number == best[record.label] else "")
        for record in study.references()
        if record.space == space.name and record.label in best
    ]
    points: list[Point] = []
    scores: list[dict[int, float]] = []
    for record, label in fits:
        score = objective.score_db(record)
        if record.state is State.COMPLETE and score is not None and not space.reason_not_proposed(record.point):
            points.append(record.point)
            confirmed = seed_values(label, Purpose.CONFIRM, confirmations, objective)
            scores.append({SEARCH_SEED: score, **confirmed})
    return points, scores


def _cross_validated(space: Space, points: Sequence[Point], scores_db: Sequence[Mapping[int, float]]) -> float:
    """Root mean squared error of predicted fits on their first seed, dB, each by a surrogate of the other folds."""
    errors: list[float] = []
    for fold in range(FOLDS):
        rest = [index for index in range(len(points)) if index % FOLDS != fold]
        surrogate = fit_surrogate(space, [points[i] for i in rest], [scores_db[i] for i in rest])
        assert surrogate is not None
        left = [index for index in range(len(points)) if index % FOLDS == fold]
        predicted, _ = surrogate.expected_db(np.array([scaled(space, space.to_search(points[i])) for i in left]))
        errors += [value - scores_db[i][min(scores_db[i])] for value, i in zip(predicted, left, strict=True)]
    return math.sqrt(math.fsum(error**2 for error in errors) / len(errors))


def _in_units(parameter: Float, value: float) -> float:
    return math.log(value) if parameter.log else value
