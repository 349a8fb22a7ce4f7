"""What PSNR does not say of a finished fit: similarity of structure, of spectrum, of shape, by kind of signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.metrics import iou, log_spectral_distance_db, mae
from trainers.tasks import Task

Output = NDArray[np.float32]

SSIM_WINDOW = 11
"""Pixels along a side of SSIM's Gaussian window; smaller images have no SSIM."""


def measure(output: Output, task: Task) -> dict[str, float]:
    """Every metric of the kind, of an output (points, channels) on the whole grid against the clean signal."""
    values = {name: metric(output, task) for name, metric in METRICS[task.kind].items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def si_snr_db(output: Output, task: Task) -> float:
    """Scale-invariant SNR in dB, mean over channels, zero-mean signals, by torchmetrics.

    10 log10(|a y|^2 / |a y - x|^2) with a = <x, y> / <y, y>, y the target and x the output.
    """
    from torchmetrics.functional.audio import scale_invariant_signal_noise_ratio

    got, wanted = (
        torch.from_numpy(np.ascontiguousarray(values.T, dtype=np.float64)) for values in (output, task.values)
    )
    return float(scale_invariant_signal_noise_ratio(got, wanted).mean())


def ssim(output: Output, task: Task) -> float:
    """Structural similarity of an image on [0, 1], mean over channels, by torchmetrics [Wang2004].

    Gaussian window of 11 x 11 and standard deviation 1.5, borders mirrored, mean over all pixels, K1 0.01, K2 0.03,
    data range 1; not a number for images with a side under 11.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(task.shape) < SSIM_WINDOW:
        return float("nan")
    got, wanted = (
        torch.from_numpy((values.astype(np.float64) + 1.0) / 2.0).T.reshape(1, -1, *task.shape)
        for values in (output, task.values)
    )
    return float(structural_similarity_index_measure(got, wanted, data_range=1.0))  # type: ignore[arg-type]


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
