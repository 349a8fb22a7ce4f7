"""The spectrum of a signal, reduced to what laws and search ranges need.

x:    samples of one channel on a regular grid, N of them
X:    one-sided FFT of x, no window, mean kept
f:    frequency in cycles per sample, 0 to 0.5
psi:  spectral centroid, 0 to 1 (Nyquist is 1, white noise about 0.5)

[Chandravamsi2025] arXiv 2509.09719.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """What is known of a signal before any training.

    Attributes:
        kind: "audio" or "image"; decides which published constants apply.
        shape: samples per axis.
        channels: values per sample, C.
        centroid: psi of the published variant (mean over channels).
        nyquist_rad: highest angular frequency of the longest axis, rad per coordinate unit.
    """

    kind: str
    shape: tuple[int, ...]
    channels: int
    centroid: float
    nyquist_rad: float

    @property
    def num_samples(self) -> int:
        """Points of the grid."""
        return math.prod(self.shape)

    @property
    def dims(self) -> int:
        """Axes of the grid."""
        return len(self.shape)


def nyquist_rad(num_samples: int) -> float:
    """pi (N - 1) / 2: the Nyquist frequency of N samples on [-1, 1], in rad per coordinate unit."""
    return math.pi * (num_samples - 1) / 2.0


def amplitude(x: Array) -> Array:
    """|X|, the one-sided amplitude spectrum of `x` along its last axis: shape (..., N) to (..., N // 2 + 1)."""
    return np.abs(np.fft.rfft(x))


def centroid(x: Array) -> float:
    """psi = 2 sum f |X(f)| / sum |X(f)| of one channel, shape (N,); amplitude, not power [Chandravamsi2025].

    An all-zero signal has psi 0.
    """
    weights = amplitude(np.asarray(x, dtype=np.float64))
    total = weights.sum()
    if total == 0.0:
        return 0.0
    return float(2.0 * (np.fft.rfftfreq(len(x)) @ weights) / total)


def flattened_centroid(image: Array) -> float:
    """psi of an image of shape (rows, columns) as one raster-scan line: the public script's, the reference."""
    return centroid(np.asarray(image).reshape(-1))


def rowwise_centroid(image: Array) -> float:
    """psi of an image of shape (rows, columns): the mean over its rows (and another value than `flattened`)."""
    return float(np.mean([centroid(row) for row in np.asarray(image)]))


IMAGE_CENTROIDS: dict[str, Callable[[Array], float]] = {
    "flattened": flattened_centroid,
    "rowwise": rowwise_centroid,
}
"""The variants in use for images; the published constants go with the flattened one."""


def spectrum_of(values: Array, *, kind: str, shape: tuple[int, ...]) -> Spectrum:
    """The spectrum of samples of shape (points, channels) on a grid of `shape`."""
    channels = values.shape[1]
    return Spectrum(
        kind=kind,
        shape=shape,
        channels=channels,
        centroid=float(np.mean([centroid(values[:, channel]) for channel in range(channels)])),
        nyquist_rad=nyquist_rad(max(shape)),
    )
