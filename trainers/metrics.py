"""How well an output matches its signal; unit and convention in each docstring.

PSNR and SNR are computed at every step from the MSE; the others once, from the output on the whole grid, by
`trainers.quality`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

PEAK_TO_PEAK_SCALE = {"audio": 1.0, "image": 0.5, "volume": 1.0, "occupancy": 0.5}
"""Networks are fitted to values in [-1, 1]. Images and occupancies are scored on [0, 1], where the same error is half
as large."""

LSD_WINDOW, LSD_HOP = 512, 128
"""Samples of a frame of the log-spectral distance, and between two frames."""

LSD_FLOOR = 1e-10
"""Power below this share of the target's highest bin (-100 dB) counts as this: silence has no spectrum."""

Array = NDArray[np.floating[Any]]


def psnr_db(mse: float, kind: str) -> float:
    """-10 log10(MSE) in dB, the signal's peak being 1.

    For audio and signed distances on values scaled to max |x| = 1; for images and occupancies on [0, 1], so that the
    same error in [-1, 1] reads 6.02 dB higher. Never compare across the two.

    Args:
        mse: mean squared error over all points and channels of values in [-1, 1].
        kind: "audio", "image", "volume" or "occupancy".
    """
    return -10.0 * math.log10(max(mse * PEAK_TO_PEAK_SCALE[kind] ** 2, 1e-300))


def snr_db(mse: float, power: float) -> float:
    """10 log10(power / MSE) in dB, both over all points; 0 dB is what silence scores."""
    return 10.0 * math.log10(power / max(mse, 1e-300))


def mae(output: Array, target: Array, kind: str) -> float:
    """mean |output - target| over points and channels, on the scale on which the kind's PSNR is taken."""
    error = np.abs(output.astype(np.float64) - target.astype(np.float64))
    return float(error.mean() * PEAK_TO_PEAK_SCALE[kind])


def log_spectral_distance_db(output: Array, target: Array) -> float:
    """Mean over frames and channels of sqrt(mean_f (10 log10(P(f) / Q(f)))^2), dB; 0 is best [Gray1976].

    P, Q: power spectra of frames of 512 samples (the whole clip where it is shorter), Hann window, hop 128, no padding;
    both are raised to -100 dB below the target's highest bin.

    Args:
        output, target: (points, channels) of a 1-D signal.
    """
    frame = min(LSD_WINDOW, len(target))
    hann = np.hanning(frame + 1)[:-1]

    def power(values: Array) -> NDArray[np.float64]:
        frames = np.lib.stride_tricks.sliding_window_view(values.astype(np.float64), frame, axis=0)[::LSD_HOP]
        return np.asarray(np.abs(np.fft.rfft(frames * hann)) ** 2)  # (frames, channels, bins)

    wanted, got = power(target), power(output)
    floor = LSD_FLOOR * wanted.max()
    ratio = 10.0 * np.log10(np.maximum(got, floor) / np.maximum(wanted, floor))
    return float(np.sqrt(np.mean(ratio**2, axis=-1)).mean())


def iou(output: Array, target: Array, kind: str) -> float:
    """Intersection over union of the insides, 0 to 1: values above 0 (0.5 of [0, 1]) for an occupancy, below 0 for
    signed distances; 1 where both are empty."""
    inside, wanted = (values < 0 if kind == "volume" else values > 0 for values in (output, target))
    union = np.sum(inside | wanted)
    return float(np.sum(inside & wanted) / union) if union else 1.0
