"""Spectra: of a signal, reduced to what laws and search ranges need; of many outputs at once, in bands.

x:    samples of one channel on a regular grid, N of them along an axis
X:    FFT of x, no window
f:    frequency in cycles per sample, 0 to 0.5
k:    frequency in whole cycles over the grid, one for each axis
psi:  spectral centroid, 0 to 1 (Nyquist is 1, white noise about 0.5); here the mean of x is kept
B:    bandwidth: rms angular frequency, rad per coordinate unit; here the mean of x is dropped

Everything is computed in float64: the cumulative sums of a long float32 spectrum lose four digits.

[Chandravamsi2025] arXiv 2509.09719. [Kania2024] arXiv 2410.05050 (FreSh).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Binning: TypeAlias = Literal["sound", "published"]

PUBLISHED_BINS = 64
"""n of [Kania2024]: 64 or 128."""


LONG = 1 << 21
"""Samples of a channel beyond which its centroid leaves out a few: 44 s at 48 kHz."""

BLOCK = 1 << 17
"""Samples of a long line that are looked at together for `shape_features`: 3 s at 44.1 kHz."""

ROUNDING = 1e-24
"""Of a grid's energy: a constant's lines carry 1e-31 of it or so, from rounding, and count as silence."""

BINS_AT_ONCE = 1 << 16
"""Of a spectrum whose amplitudes are summed: they stay in cache, and no array as long as the spectrum is made."""


class SpectrumError(ValueError):
    """Bins or a binning that a grid does not have."""


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """What is known of a signal before any training.

    Attributes:
        kind: "audio", "image", "volume", "occupancy"; decides which published constants apply.
        shape: samples per axis.
        channels: values per sample, C.
        centroid: psi of the published variant (mean over channels).
        nyquist_rad: highest angular frequency of the longest axis, rad per coordinate unit.
        centroids: psi by the name of its variant, a name of `CENTROIDS` (each the mean over channels).
        features: more of its shape, by name: see `shape_features`.
    """

    kind: str
    shape: tuple[int, ...]
    channels: int
    centroid: float
    nyquist_rad: float
    centroids: Mapping[str, float] = field(default_factory=dict, hash=False)
    features: Mapping[str, float] = field(default_factory=dict, hash=False)

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


def line_centroids(x: Array) -> Array:
    """psi of every line of `x` along its last axis, shape (..., N) to (...): see `centroid`."""
    lines = np.asarray(x, dtype=np.float64)
    num = lines.shape[-1]
    spectra = np.fft.rfft(lines)
    total, weighted = np.zeros(lines.shape[:-1]), np.zeros(lines.shape[:-1])
    for start in range(0, spectra.shape[-1], BINS_AT_ONCE):
        weights = np.abs(spectra[..., start : start + BINS_AT_ONCE])
        total += weights.sum(axis=-1)
        # No `@`: BLAS wakes its threads for each block, milliseconds where other processes keep the cores busy.
        weighted += (weights * np.arange(start, start + weights.shape[-1])).sum(axis=-1)
    return np.asarray(np.divide(2.0 / num * weighted, total, out=np.zeros_like(total), where=total != 0.0))


def centroid(x: Array) -> float:
    """psi = 2 sum f |X(f)| / sum |X(f)| of one channel, shape (N,); amplitude, not power [Chandravamsi2025].

    An all-zero signal has psi 0. Of a channel of over `LONG` samples the first `smooth_length` of them count, all but
    0.3 % at most: the transform of another length takes up to ten times as long and five times the memory.
    """
    x = np.asarray(x)
    return float(line_centroids(x if len(x) <= LONG else x[: smooth_length(len(x))]))


def smooth_length(num: int) -> int:
    """The greatest product of primes up to 13 that is at most `num`: a length that a Fourier transform takes apart."""
    products = [1]
    for prime in (3, 5, 7, 11, 13):
        powers = [prime**power for power in range(num.bit_length()) if prime**power <= num]
        products = [product * power for product in products for power in powers if product * power <= num]
    return max(product << ((num // product).bit_length() - 1) for product in products)


def flattened_centroid(grid: Array) -> float:
    """psi of a grid as one raster-scan line: the public script's, the reference."""
    return centroid(np.asarray(grid).reshape(-1))


def rowwise_centroid(grid: Array) -> float:
    """The mean psi of the lines along the last axis, an image's rows (and another value than `flattened`)."""
    return float(np.mean(line_centroids(grid)))


def colwise_centroid(grid: Array) -> float:
    """The mean psi of the lines along the first axis: an image's columns."""
    return rowwise_centroid(np.moveaxis(np.asarray(grid), 0, -1))


def axes_centroid(grid: Array) -> float:
    """The mean over axes of the mean psi of the lines along each: the same for an image and its transpose."""
    grid = np.asarray(grid)
    return float(np.mean([rowwise_centroid(np.moveaxis(grid, axis, -1)) for axis in range(grid.ndim)]))


CENTROIDS: Mapping[str, Callable[[Array], float]] = {
    "flattened": flattened_centroid,
    "rowwise": rowwise_centroid,
    "colwise": colwise_centroid,
    "axes": axes_centroid,
}
"""The variants of psi for one channel on a grid; the published constants go with the flattened one. One for 1-D."""


def spectrum_of(values: Array, *, kind: str, shape: tuple[int, ...]) -> Spectrum:
    """The spectrum of samples of shape (points, channels) on a grid of `shape`."""
    channels = to_grid(values, shape)
    flattened = float(np.mean([flattened_centroid(grid) for grid in channels]))
    centroids = dict.fromkeys(CENTROIDS, flattened)  # of a line they are all one
    if len(shape) > 1:
        centroids = {name: float(np.mean([psi(grid) for grid in channels])) for name, psi in CENTROIDS.items()}
    return Spectrum(
        kind=kind,
        shape=shape,
        channels=len(channels),
        centroid=flattened,
        nyquist_rad=nyquist_rad(max(shape)),
        centroids=centroids,
        features=shape_features(values, shape),
    )


def shape_features(values: NDArray[Any], shape: tuple[int, ...]) -> dict[str, float]:
    """What the power spectrum P(f) in sound bins says beside psi, f over the Nyquist frequency of the longest axis.

    power_psi = sum f P / sum P; rms = sqrt(sum f^2 P / sum P); flatness = exp(mean ln P) / mean P, 0 (a line) to 1
    (white), P at least 1e-12 of its largest. Of a line of more than `BLOCK` samples, P is the mean over blocks of so
    many. Silence and constants have 0 in all.
    """
    blocks = values[None]
    if len(shape) == 1 and shape[0] > BLOCK:
        blocks = values[: shape[0] // BLOCK * BLOCK].reshape(-1, BLOCK, values.shape[-1])
        shape = (BLOCK,)
    power = np.mean([power_spectra(block, shape) for block in blocks], axis=0)
    energy = math.prod(shape) * float(np.vdot(blocks, blocks)) / len(blocks)  # of the mean's line, too
    if power.sum() <= ROUNDING * energy:
        return dict.fromkeys(("power_psi", "rms", "flatness"), 0.0)
    f = np.arange(1, len(power) + 1) / (max(shape) / 2.0)
    total, floored = power.sum(), np.maximum(power, 1e-12 * power.max())
    return {
        "power_psi": float((f * power).sum() / total),
        "rms": math.sqrt(float((f**2 * power).sum() / total)),
        "flatness": float(np.exp(np.log(floored).mean()) / floored.mean()),
    }


def to_grid(values: NDArray[Any], shape: tuple[int, ...]) -> Array:
    """Samples (..., points, channels) as float64 of shape (..., channels, *shape)."""
    channels_first = np.moveaxis(np.asarray(values, dtype=np.float64), -1, -2)
    return np.ascontiguousarray(channels_first).reshape(*channels_first.shape[:-1], *shape)


def amplitude_spectra(
    values: NDArray[Any], shape: tuple[int, ...], *, binning: Binning = "sound", bins: int | None = None
) -> Array:
    """Amplitude spectra |X| in bins, summed over channels, without the mean.

    sound: one bin for each frequency k = 1, 2, ... up to Nyquist, |rfft|, in 1-D; in 2-D and 3-D bins of equal radius
    round(|k|), from 1 up to the grid's corner, so that every orientation counts alike.
    published [Kania2024]: 2-D sums over the anti-diagonals k1 + k2 = 1, 2, ... of the unshifted DFT, its conjugates
    removed as the public code does; the first 64. It has no 1-D; there it is |rfft|[1:65] here. What it inherits: see
    `trainers.fresh`.

    Args:
        values: (..., points, channels) on the grid.
        shape: samples per axis.
        binning: of the two.
        bins: only the first so many; None for all (sound) or 64 (published).

    Returns:
        (..., bins), not normalised.

    Raises:
        SpectrumError: the grid has fewer bins, or the published binning has none for it.
    """
    if binning == "published" and not has_published_bins(shape):
        raise SpectrumError(f"the published binning is for 1-D and square 2-D grids, but the grid is {shape}")
    grid = to_grid(values, shape)
    if len(shape) == 1 or binning == "sound":
        spectra = _sound_spectra(grid, len(shape), 1)
    else:
        spectra = _sum_bins(np.abs(np.fft.fft2(grid)).sum(axis=-3), *_antidiagonal_bins(shape[0]))
    num_bins = spectra.shape[-1]
    if bins is None:
        bins = num_bins if binning == "sound" else min(PUBLISHED_BINS, num_bins)
    if not 1 <= bins <= num_bins:
        raise SpectrumError(f"`1 <= bins <= {num_bins}` must hold on a grid of {shape}, but got bins={bins}")
    return np.asarray(spectra[..., :bins])


def has_published_bins(shape: tuple[int, ...]) -> bool:
    """Whether the published binning is defined on such a grid: on lines and squares."""
    return len(shape) <= 2 and len(set(shape)) == 1


def power_spectra(values: NDArray[Any], shape: tuple[int, ...]) -> Array:
    """|X|^2 in the sound bins of `amplitude_spectra`, summed over channels, without the mean."""
    return _sound_spectra(to_grid(values, shape), len(shape), 2)


def normalised(spectra: Array) -> Array:
    """Spectra (..., bins) divided by their sums; one without any energy counts as lying in its first bin.

    What is not finite stays so.
    """
    total = spectra.sum(axis=-1, keepdims=True)
    lowest = np.zeros(spectra.shape)
    lowest[..., 0] = 1.0
    return np.asarray(np.divide(spectra, total, out=lowest, where=total != 0.0))


def wasserstein_1(p: Array, q: Array) -> Array:
    """sum |CDF_p - CDF_q| in bins: the Wasserstein-1 distance of spectra (..., bins), normalised here."""
    return np.asarray(np.abs(np.cumsum(normalised(p) - normalised(q), axis=-1)).sum(axis=-1))


def in_bands(spectra: Array, num_bands: int) -> Array:
    """The mean of spectra (..., bins) in at most `num_bands` bands of equal width: (..., bands)."""
    bins = spectra.shape[-1]
    if bins <= num_bands:
        return np.asarray(spectra)
    starts = np.arange(num_bands) * bins // num_bands
    return np.asarray(np.add.reduceat(spectra, starts, axis=-1) / np.diff(starts, append=bins))


def rms_frequency(values: NDArray[Any], shape: tuple[int, ...]) -> Array:
    """B = sqrt(sum |omega|^2 |X|^2 / sum |X|^2) of samples (..., points, channels): power, without the mean.

    omega = pi k (N - 1) / N along each axis, rad per coordinate unit. It is the B that `spaces.noise` predicts for an
    untrained network. Without any frequency: 0.
    """
    axes = tuple(range(-len(shape), 0))
    power = (np.abs(np.fft.fftn(to_grid(values, shape), axes=axes)) ** 2).sum(axis=axes[0] - 1)
    omega = [math.pi * (num - 1) * np.fft.fftfreq(num) for num in shape]
    squared = sum(each**2 for each in np.meshgrid(*omega, indexing="ij"))
    energy = power.sum(axis=axes)
    power[(..., *[0] * len(shape))] = 0.0
    total = power.sum(axis=axes)
    weighted = (power * squared).sum(axis=axes)
    is_rounding = (total == 0.0) | (total < ROUNDING * energy)  # what is not finite stays so
    return np.asarray(np.sqrt(np.divide(weighted, total, out=np.zeros_like(total), where=~is_rounding)))


_Bins: TypeAlias = tuple[NDArray[np.intp], Array, int]
"""For each frequency of a DFT, flattened: its bin, its weight; how many bins (bin 0 is the mean)."""


def _sound_spectra(grid: Array, dims: int, exponent: int) -> Array:
    """|X|^exponent of (..., channels, *shape) in bins of equal |k|, (..., bins)."""
    axes = tuple(range(-dims, 0))
    lines = (np.abs(np.fft.rfftn(grid, axes=axes)) ** exponent).sum(axis=axes[0] - 1)
    if dims == 1:
        return np.asarray(lines[..., 1:])
    return _sum_bins(lines, *_radial_bins(grid.shape[-dims:]))


def _sum_bins(amplitudes: Array, index: NDArray[np.intp], weights: Array, num: int) -> Array:
    leading = amplitudes.shape[: amplitudes.ndim - weights.ndim]
    lines = (amplitudes * weights).reshape(-1, index.size)
    sums = [np.bincount(index.ravel(), weights=line, minlength=num)[1:] for line in lines]
    return np.asarray(sums, dtype=np.float64).reshape(*leading, num - 1)


@lru_cache(maxsize=4)
def _radial_bins(shape: tuple[int, ...]) -> _Bins:
    """For rfftn: the last axis is one-sided, so that what has a conjugate elsewhere counts twice."""
    last = shape[-1]
    axes = [np.fft.fftfreq(num, 1.0 / num) for num in shape[:-1]] + [np.fft.rfftfreq(last, 1.0 / last)]
    k = np.meshgrid(*axes, indexing="ij")
    index = np.rint(np.sqrt(sum(each**2 for each in k))).astype(np.intp)
    is_own_conjugate = (k[-1] == 0) | (2 * k[-1] == last)
    return index, np.where(is_own_conjugate, 1.0, 2.0), int(index.max()) + 1


@lru_cache(maxsize=4)
def _antidiagonal_bins(side: int) -> _Bins:
    """The public mask: k1 + k2 < side, half of the line k1 + k2 = side, and half of both axes [Kania2024]."""
    k1, k2 = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    half = side // 2
    kept = (k1 + k2 < side) | ((k1 + k2 == side) & (k1 <= half))
    kept &= ((k1 > 0) | (k2 <= half)) & ((k2 > 0) | (k1 <= half))
    return k1 + k2, kept.astype(np.float64), 2 * side - 1
