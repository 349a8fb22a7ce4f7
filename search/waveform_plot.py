"""The picture of a recording's reconstruction over time: waveform, error, and the spectrograms of both.

grid: values (samples, channels) in [-1, 1]; pictures show the mean of the channels
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from search.plots import save
from search.samples import Grid
from trainers.metrics import psnr_db

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 2_000
"""Samples of a longer recording are drawn as the least and greatest of each of so many stretches."""

MAX_WINDOW = 1024
"""Samples of a spectrogram's window; a sixteenth of a recording that is shorter than 16 of these."""

MIN_WINDOW = 32

RANGE_DB = 80.0
"""What spectrograms span below the target's loudest."""


def draw_waveform(path: Path, *, title: str, target: Grid, output: Grid, rate_hz: float | None = None) -> None:
    """Target, reconstruction and error against time, each on its own axes, and the spectrograms of the first two.

    Args:
        target, output: grids of one axis.
        rate_hz: samples per second; without, time is in samples and frequency in cycles per sample.
    """
    x, y = (np.asarray(grid, dtype=np.float64).mean(axis=-1) for grid in (target, output))
    error, psnr = y - x, psnr_db(float(np.mean((np.asarray(output, dtype=np.float64) - target) ** 2)), "audio")
    figure = Figure(figsize=(8.5, 6.4), layout="constrained")
    grid = figure.add_gridspec(4, 2, height_ratios=(1.0, 1.0, 0.8, 1.7))
    scale = rate_hz or 1.0
    unit = "s" if rate_hz else "samples"
    top = float(np.max(np.abs(np.concatenate([x, y])))) or 1.0
    rows = (("target", x, top), ("reconstruction", y, top), ("error", error, float(np.max(np.abs(error))) or 1.0))
    first: Axes | None = None
    for number, (label, values, limit) in enumerate(rows):
        axes = figure.add_subplot(grid[number, :], sharex=first)
        first = first or axes
        _draw_values(axes, values, scale)
        axes.set(ylim=(-1.08 * limit, 1.08 * limit), xlim=(0.0, len(x) / scale))
        axes.set_ylabel(label, fontsize=9)
        axes.tick_params(labelbottom=number == 2, labelsize=8)
        axes.grid(alpha=0.25)
    axes.set_xlabel(f"time ({unit}); amplitude over full scale, the error on its own scale", fontsize=9)
    figure.align_ylabels()
    levels = [spectrogram_db(values, scale) for values in (x, y)]
    loudest = float(levels[0][2].max())
    colours: dict[str, Any] = {
        "vmin": loudest - RANGE_DB,
        "vmax": loudest,
        "cmap": "magma",
        "aspect": "auto",
        "origin": "lower",
    }
    panels = [figure.add_subplot(grid[3, 0])]
    panels.append(figure.add_subplot(grid[3, 1], sharey=panels[0]))
    for axes, label, (time, f, level_db) in zip(panels, ("target", "reconstruction"), levels, strict=True):
        extent = (time[0], time[-1], f[0], f[-1])
        image = axes.imshow(level_db, extent=extent, interpolation="nearest", **colours)
        axes.set_title(f"spectrogram of the {label}", fontsize=9)
        axes.set_xlabel(f"time ({unit})", fontsize=9)
        axes.tick_params(labelsize=8, labelleft=axes is panels[0])
    panels[0].set_ylabel(f"frequency ({'Hz' if rate_hz else 'cycles per sample'})", fontsize=9)
    bar = figure.colorbar(image, ax=panels)
    bar.set_label("dB, full scale", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle(f"{title}\nreconstruction: {psnr:.1f} dB PSNR, all samples", fontsize=10)
    save(figure, path)


def spectrogram_db(
    values: NDArray[np.float64], rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Times, frequencies and 20 log10 of the amplitude, (frequencies, times): Hann windows that overlap by three
    quarters; a sine of full scale has 0 dB.

    Args:
        values: (samples,).
        rate_hz: samples per second; 1 for samples and cycles per sample.
    """
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    size = int(np.clip(len(values) // 16, MIN_WINDOW, MAX_WINDOW))
    transform = ShortTimeFFT(hann(size, sym=False), max(size // 4, 1), rate_hz, scale_to="magnitude")
    begin, end = transform.lower_border_end[1], transform.upper_border_begin(len(values))[1]
    if end - begin < 2:  # too short for windows that lie within it
        begin, end = 0, transform.p_num(len(values)) + transform.p_min
    amplitudes = 2.0 * np.abs(transform.stft(values, p0=begin, p1=end))
    times = transform.t(len(values), p0=begin, p1=end)
    return times, transform.f, 20.0 * np.log10(amplitudes + 1e-12)


def _draw_values(axes: Axes, values: NDArray[np.float64], scale: float) -> None:
    if len(values) <= 2 * MAX_COLUMNS:
        axes.plot(np.arange(len(values)) / scale, values, color="black", linewidth=0.6)
        return
    edges = np.linspace(0, len(values), MAX_COLUMNS + 1).astype(np.int64)[:-1]
    low, high = np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)
    axes.fill_between(edges / scale, low, high, color="black", linewidth=0.4)
