"""Which samples of a grid a Crop names: windows of a line, boxes of an image or volume."""

from __future__ import annotations

import math

import numpy as np

from trainers.signals import Array, Crop, SignalError

MIN_SAMPLES = 16
"""Fewer samples have a spectrum of under nine bins, of which a centroid says nothing."""

MIN_PER_AXIS = 4
"""Fewer samples along an axis of several have no spectrum along it: its Nyquist frequency is that of two bins."""


def window(crop: Crop, total: int, rate_hz: float | None, source: str) -> tuple[int, int] | None:
    """First index and length of a crop of `total` samples; None where the samples must be read to know.

    Raises:
        SignalError: the crop does not lie within the recording, or is one for images and volumes.
    """
    if crop.box is not None:
        raise SignalError(f"{source}: --crop is for images and volumes, but this has one axis; use --samples")
    if total < MIN_SAMPLES:
        raise SignalError(f"{source}: at least {MIN_SAMPLES} samples are needed, but it has {total}")
    if crop.samples is not None and not MIN_SAMPLES <= crop.samples <= total:
        raise SignalError(
            f"{source}: --samples must be from {MIN_SAMPLES} to the {total} that there are, but got {crop.samples}"
        )
    if crop.start == "loudest":
        return None if crop.samples else (0, total)
    if crop.start is None:
        samples = crop.samples or total
        return (total - samples) // 2, samples
    start = round(crop.start * (rate_hz or 1.0)) if math.isfinite(crop.start) else -1
    samples = crop.samples or total - start
    if start < 0 or samples < MIN_SAMPLES or start + samples > total:
        wanted = f"{crop.samples} samples" if crop.samples else f"at least {MIN_SAMPLES} samples"
        length = f"{total / rate_hz:.3f} s" if rate_hz else f"{total} samples"
        raise SignalError(
            f"{source}: {wanted} from --start must lie within its {length}, but got --start {crop.start:g}"
        )
    return start, samples


def box(crop: Crop, total: tuple[int, ...], source: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First index and number of samples along each axis of a crop from the middle of a grid of two or three axes.

    Raises:
        SignalError: the grid is too small, the crop does not lie within it, or is one for lines.
    """
    if crop.samples is not None or crop.start is not None:
        option = "--samples" if crop.samples is not None else "--start"
        raise SignalError(f"{source}: {option} is for audio, but this has {len(total)} axes; use --crop")
    spelled = " x ".join(str(num) for num in total)
    if min(total) < MIN_PER_AXIS:
        raise SignalError(f"{source}: at least {MIN_PER_AXIS} samples along each axis are needed, but it has {spelled}")
    if crop.box is None:
        return (0,) * len(total), total
    sizes = crop.box * len(total) if len(crop.box) == 1 else crop.box
    asked = "x".join(str(size) for size in crop.box)
    if len(sizes) != len(total):
        raise SignalError(f"{source}: --crop must name one size or {len(total)}, as this has, but got {asked}")
    if any(not MIN_PER_AXIS <= size <= num for size, num in zip(sizes, total, strict=True)):
        raise SignalError(
            f"{source}: --crop must be from {MIN_PER_AXIS} samples along each axis to the {spelled} that there are, "
            f"but got {asked}"
        )
    return tuple((num - size) // 2 for size, num in zip(sizes, total, strict=True)), sizes


def loudest_start(values: Array, samples: int) -> int:
    """First index of the window of `samples` with the most energy; the first such one."""
    energy = np.concatenate([[0.0], np.cumsum(np.sum(values**2, axis=1))])
    return int(np.argmax(energy[samples:] - energy[:-samples]))
