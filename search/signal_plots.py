"""Pictures of a winner's output beside its target: spectra, and images and slices side by side.

grid: values (samples of each axis..., channels) in [-1, 1]
f:    frequency in cycles per sample, on a grid of several axes the length of its vector
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from search.plots import save
from search.samples import Grid, grid_view, middle_slices
from trainers.metrics import psnr_db

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPECTRUM_BANDS = 200
"""Bands of the spectrum's picture: single bins of a noisy spectrum hide its shape."""

ERROR_GAIN = 4.0
"""The error's picture is this many times the error, around grey."""

PICTURE_INCHES = 3.1


def spectra(
    path: Path, *, title: str, target: Grid, output: Grid, rate_hz: float | None = None, centroid: float | None = None
) -> None:
    """Amplitude spectra of the target, the reconstruction and their difference, in bands; means over channels.

    Args:
        target, output: grids.
        rate_hz: samples per second; frequencies are in cycles per sample without.
        centroid: psi of the target, drawn as a line.
    """
    dims, scale = target.ndim - 1, rate_hz or 1.0
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axes = figure.subplots()
    series = (("target", target, "-", "black"), ("reconstruction", output, "--", "tab:orange"))
    for label, grid, style, colour in (*series, ("error", target - output, ":", "tab:blue")):
        f, level_db = band_levels(np.asarray(grid, dtype=np.float64))
        axes.plot(f * scale, level_db, linestyle=style, color=colour, linewidth=1.5, label=label)
    if centroid is not None:
        label = f"centroid $\\psi$ = {centroid:.3f}"
        axes.axvline(centroid * scale / 2, color="0.5", linewidth=1.0, label=label)
    if dims > 1:
        axes.axvline(0.5, color="0.7", linewidth=1.0, linestyle="-.", label="Nyquist along an axis")
    unit = "Hz" if rate_hz else "cycles per sample"
    axes.set(
        xlabel=f"frequency ({unit})" if dims == 1 else f"radial frequency ({unit})",
        ylabel="mean amplitude per bin (dB, full scale)",
        xlim=(0, 0.5 * scale * np.sqrt(dims)),
    )
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    save(figure, path)


def band_levels(grid: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre f of each band, and 20 log10 of the mean of 2 |X| / N over its bins and the channels.

    One axis: at most `SPECTRUM_BANDS` bands. Several: rings as wide as a bin of the longest axis.
    """
    shape = grid.shape[:-1]
    axes = tuple(range(len(shape)))
    amplitudes = 2.0 * np.abs(np.fft.rfftn(grid, axes=axes)).mean(axis=-1) / np.prod(shape)
    frequencies = [np.fft.fftfreq(size) for size in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    f = np.sqrt(np.sum(np.square(np.meshgrid(*frequencies, indexing="ij")), axis=0))
    if len(shape) == 1:
        num = min(SPECTRUM_BANDS, len(f))
        ring = np.arange(len(f)) * num // len(f)
    else:
        ring = np.rint(f * max(shape)).astype(np.int64)
    weights = np.bincount(ring.ravel())
    sums = (np.bincount(ring.ravel(), values.ravel()) for values in (f, amplitudes))
    centre, mean = (total[weights > 0] / weights[weights > 0] for total in sums)
    return centre, 20.0 * np.log10(mean + 1e-12)


def comparison(path: Path, *, title: str, target: Grid, output: Grid, kind: str) -> None:
    """Target, reconstruction and 4 times their difference: an image, or a volume's middle slice along each axis.

    Of numbers, the difference is red where the reconstruction is too high and blue where it is too low; of RGB, it is
    added to grey. Volumes show the first channel, and the surface (value 0) as a line.
    """
    mse = float(np.mean((output.astype(np.float64) - target) ** 2))
    error = ERROR_GAIN * (output - target)
    is_image = target.ndim == 3
    is_rgb = is_image and target.shape[-1] in (3, 4)
    columns = (
        ("target", target),
        (f"reconstruction: {psnr_db(mse, kind):.1f} dB, all samples", output),
        (f"{ERROR_GAIN:g} x error{'' if is_rgb else ': red is too high, blue too low'}", error),
    )
    shown = [target.shape] if is_image else [samples.shape for _, samples in middle_slices(target)]
    heights = [PICTURE_INCHES * min(max(shape[0] / shape[1], 0.3), 2.0) for shape in shown]
    figure = Figure(figsize=(3 * PICTURE_INCHES, sum(heights) + 0.5), layout="constrained")
    panels = figure.subplots(len(heights), len(columns), squeeze=False, height_ratios=heights)
    for column, (caption, grid) in enumerate(columns):
        panels[0, column].set_title(caption, fontsize=9)
        if is_image:
            samples = _opaque(grid_view(grid), is_error=column == 2)
            _show(panels[0, column], samples, colours="RdBu_r" if column == 2 else "gray")
            continue
        for axes, (name, samples) in zip(panels[:, column], middle_slices(grid), strict=True):
            _show(axes, samples, colours="gray" if kind == "occupancy" and column < 2 else "RdBu_r")
            if column < 2:
                _draw_surface(axes, samples, "tab:green" if kind == "occupancy" else "black")
            if column == 0:
                axes.set_ylabel(name, fontsize=8)
    figure.suptitle(title, fontsize=10)
    save(figure, path)


def _show(axes: Axes, samples: Grid, *, colours: str) -> None:
    """One panel: RGB as it is, numbers from -1 to 1 in a scale of colours."""
    shown = np.clip(np.nan_to_num(samples.astype(np.float64)), -1.0, 1.0)
    if shown.ndim == 3 and shown.shape[-1] == 3:
        axes.imshow((shown + 1.0) / 2.0, interpolation="nearest")
    else:
        numbers = shown.reshape(shown.shape[:2])
        axes.imshow(numbers, interpolation="nearest", cmap=colours, vmin=-1.0, vmax=1.0)
    axes.set(xticks=[], yticks=[])


def _draw_surface(axes: Axes, samples: Grid, colour: str) -> None:
    """The line where a slice (rows, columns) is 0."""
    if samples.min() < 0.0 < samples.max():
        axes.contour(samples, levels=[0.0], colors=colour, linewidths=1.0)


def _opaque(grid: Grid, *, is_error: bool) -> Grid:
    """Grey or RGB: on a white ground where there is an alpha channel, whose own error is not shown."""
    if grid.shape[-1] not in (2, 4):
        return grid
    colour, alpha = grid[..., :-1], np.clip((grid[..., -1:] + 1.0) / 2.0, 0.0, 1.0)
    return colour if is_error else np.asarray(colour * alpha + (1.0 - alpha))
