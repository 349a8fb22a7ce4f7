"""What PSNR does not say of a finished fit: similarity of structure, of spectrum, of shape, by kind of signal.

[LeRoux2019] arXiv 1811.02508. [Wang2004] doi 10.1109/TIP.2003.819861.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from trainers.metrics import iou, log_spectral_distance_db, mae
from trainers.tasks import Task

Output = NDArray[np.float32]
Array = NDArray[np.float64]

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
"""Pixels along a side of SSIM's Gaussian window, and its standard deviation; smaller images have no SSIM [Wang2004]."""

SSIM_K1, SSIM_K2 = 0.01, 0.03
"""Shares of the data range that keep SSIM's quotients finite [Wang2004]."""

TINY = float(np.finfo(np.float64).eps)
"""Added to every energy of SI-SNR, as torchmetrics does: the quotient of a perfect or silent output stays finite."""


def measure(output: Output, task: Task) -> dict[str, float]:
    """Every metric of the kind, of an output (points, channels) on the whole grid against the clean signal."""
    values = {name: metric(output, task) for name, metric in METRICS[task.kind].items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def si_snr_db(output: Output, task: Task) -> float:
    """Scale-invariant SNR in dB, mean over channels, zero-mean signals [LeRoux2019].

    10 log10(|a y|^2 / |a y - x|^2) with a = <x, y> / <y, y>, y the target and x the output. torchmetrics has the same,
    but importing it takes a worker two seconds.
    """
    got, wanted = (values - values.mean(axis=0) for values in _doubles(output, task))
    dots = np.sum(got * wanted, axis=0) + TINY
    projected = dots / (np.sum(wanted**2, axis=0) + TINY) * wanted
    noise = np.sum((projected - got) ** 2, axis=0) + TINY
    return float(np.mean(10.0 * np.log10((np.sum(projected**2, axis=0) + TINY) / noise)))


def ssim(output: Output, task: Task) -> float:
    """Structural similarity of an image on [0, 1], mean over pixels and channels [Wang2004].

    Gaussian window of 11 x 11 and standard deviation 1.5, borders mirrored, K1 0.01, K2 0.03, data range 1; not a
    number for images with a side under 11. As torchmetrics has it, without its import.
    """
    if min(task.shape) < SSIM_WINDOW:
        return float("nan")
    x, y = ((values.reshape(*task.shape, -1) + 1.0) / 2.0 for values in _doubles(output, task))
    mean_x, mean_y = _windowed(x), _windowed(y)
    variances = _windowed(x * x) - mean_x**2 + _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    luminance = (2.0 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float(np.mean(luminance * (2.0 * covariance + c2) / (variances + c2)))


def _windowed(image: Array) -> Array:
    """Means of (rows, columns, channels) under the Gaussian window around each pixel."""
    half = SSIM_WINDOW // 2
    window = np.exp(-0.5 * (np.arange(-half, half + 1) / SSIM_SIGMA) ** 2)
    window /= window.sum()
    for axis in (0, 1):
        size = image.shape[axis]
        padded = np.pad(image, [(half, half) if other == axis else (0, 0) for other in range(3)], mode="reflect")
        lines = np.moveaxis(padded, axis, 0)
        total = sum((weight * lines[start : start + size] for start, weight in enumerate(window)), np.zeros(()))
        image = np.moveaxis(total, 0, axis)
    return image


def _doubles(output: Output, task: Task) -> tuple[Array, Array]:
    return output.astype(np.float64), task.values.astype(np.float64)


Metric = Callable[[Output, Task], float]


def _mae(output: Output, task: Task) -> float:
    return mae(output, task.values, task.kind)


def _lsd_db(output: Output, task: Task) -> float:
    return log_spectral_distance_db(output, task.values)


def _iou(output: Output, task: Task) -> float:
    return iou(output, task.values, task.kind)


METRICS: Mapping[str, Mapping[str, Metric]] = {
    "audio": {"mae": _mae, "si_snr_db": si_snr_db, "lsd_db": _lsd_db},
    "image": {"mae": _mae, "ssim": ssim},
    "volume": {"mae": _mae, "iou": _iou},
    "occupancy": {"mae": _mae, "iou": _iou},
}
"""By kind of signal, in the order in which they are shown."""
