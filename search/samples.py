"""Reconstruction and target as files: an array that loses nothing, and what ears and eyes take.

grid: values (samples of each axis..., channels), in [-1, 1] but for what a network overshoots
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.audio import write_audio
from trainers.images import write_image
from trainers.signals import Signal

HEARD_SECONDS, PAUSE_SECONDS, FADE_SECONDS = 1.5, 0.4, 0.004
"""A clip of a few thousand samples is over before one listens."""

Grid = NDArray[np.floating[Any]]

VIEWED_CHANNELS = 4
"""More channels than RGBA has are no picture: the first is shown."""

SLICE_SIDE = 256
"""Pixels at least along a slice of a volume: each sample becomes a square of pixels."""


def write_samples(folder: Path, stem: str, values: Grid, signal: Signal) -> list[str]:
    """Write values (points, channels) on a signal's grid; the names of the files.

    `STEM.npy` always, (samples of each axis..., channels) as float32; `STEM.wav` where there is a rate; `STEM.png` of
    images, and of volumes (the middle slice along each axis, side by side).
    """
    grid = np.asarray(values, dtype=np.float32).reshape(*signal.shape, -1)
    np.save(folder / f"{stem}.npy", grid)
    names = [f"{stem}.npy"]
    if signal.kind == "audio":
        if signal.rate_hz:
            write_audio(folder / f"{stem}.wav", grid, signal.rate_hz)
            names.append(f"{stem}.wav")
        return names
    write_image(folder / f"{stem}.png", grid_view(grid) if grid.ndim == 3 else _side_by_side(grid))
    return [*names, f"{stem}.png"]


def write_listening(path: Path, target: Grid, reconstruction: Grid, signal: Signal) -> bool:
    """Write the target, a pause, and the reconstruction, each repeated until it lasts `HEARD_SECONDS`.

    Repetitions fade in and out, or their seams would be louder than what differs.

    Returns:
        Whether it was written: what lasts longer is heard as it is.
    """
    if signal.kind != "audio" or not signal.rate_hz or len(target) >= HEARD_SECONDS * signal.rate_hz:
        return False
    faded = round(min(FADE_SECONDS * signal.rate_hz, len(target) / 4))
    rise = np.sin(0.5 * np.pi * (np.arange(faded) + 0.5) / max(faded, 1)) ** 2
    envelope = np.concatenate([rise, np.ones(len(target) - 2 * faded), rise[::-1]])[:, None]
    num = -(-round(HEARD_SECONDS * signal.rate_hz) // len(target))
    pause = np.zeros((round(PAUSE_SECONDS * signal.rate_hz), signal.channels))
    heard = [np.tile(envelope * values.reshape(len(target), -1), (num, 1)) for values in (target, reconstruction)]
    write_audio(path, np.concatenate([heard[0], pause, heard[1]]), signal.rate_hz)
    return True


def grid_view(grid: Grid) -> Grid:
    """The channels of an image that can be shown: one (grey), two (with alpha), three or four, or else the first."""
    return grid if grid.shape[-1] <= VIEWED_CHANNELS else grid[..., :1]


def middle_slices(grid: Grid) -> list[tuple[str, Grid]]:
    """A caption and the samples (rows, columns) of the first channel's middle slice along each axis of a volume."""
    volume = grid[..., 0]
    middles = [size // 2 for size in volume.shape]
    return [
        (f"axis {axis}, slice {middle} of {volume.shape[axis]}", np.take(volume, middle, axis=axis))
        for axis, middle in enumerate(middles)
    ]


def _side_by_side(grid: Grid) -> Grid:
    """(rows, columns, 1): the slices on black, with a gap of a sample between them."""
    slices = [samples for _, samples in middle_slices(grid)]
    rows = max(len(samples) for samples in slices)
    padded = [
        np.pad(samples, ((0, rows - len(samples)), (0, int(number < 2))), constant_values=-1.0)
        for number, samples in enumerate(slices)
    ]
    scale = -(-SLICE_SIDE // max(grid.shape[:-1]))
    return np.asarray(np.kron(np.concatenate(padded, axis=1), np.ones((scale, scale)))[..., None])
