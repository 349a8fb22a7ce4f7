"""How well a fit matches its signal; unit and convention in each docstring."""

from __future__ import annotations

import math

PEAK_TO_PEAK_SCALE = {"audio": 1.0, "image": 0.5, "volume": 1.0, "occupancy": 0.5}
"""Networks are fitted to values in [-1, 1]. Images and occupancy are scored on [0, 1], where they live and where the
same error is half as large; audio and volumes on the values that were fitted, scaled to max |x| = 1."""


def psnr_db(mse: float, kind: str) -> float:
    """-10 log10(MSE) in dB, the signal's peak being 1.

    For audio and volumes on the samples scaled to max |x| = 1; for images and occupancy on [0, 1], so that the same
    error in [-1, 1] reads 6.02 dB higher. Never compare across the two.

    Args:
        mse: mean squared error over all points and channels of values in [-1, 1].
        kind: "audio", "image", "volume" or "occupancy".
    """
    return -10.0 * math.log10(max(mse * PEAK_TO_PEAK_SCALE[kind] ** 2, 1e-300))


def snr_db(mse: float, power: float) -> float:
    """10 log10(power / MSE) in dB, both over all points; 0 dB is what silence scores."""
    return 10.0 * math.log10(power / max(mse, 1e-300))
