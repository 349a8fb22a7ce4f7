"""Pictures of a study: landscape, learning curves, spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from search.storage import Record
from search.trial import State
from spaces.noise import NoiseScales, bandwidth, gain
from spaces.parameters import Float
from spaces.space import Space
from spaces.spectrum import Spectrum, amplitude

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("s", "D", "^", "v", "P", "X")
"""References are told apart by shape, so that the picture reads in grey."""

SPECTRUM_BANDS = 200
"""Bands of the spectrum's picture: single bins of a noisy spectrum hide its shape."""


def landscape(
    path: Path,
    *,
    title: str,
    space: Space,
    trials: Sequence[Record],
    references: Mapping[str, Record],
    found: Record,
    spectrum: Spectrum,
    width: int,
) -> None:
    """Every trial in the plane of the space's first two parameters, with the references and the found point.

    For noise scales, lines of constant bandwidth are drawn: good points lie along them.
    """
    here = {name: record for name, record in references.items() if record.space == space.name}
    scored = [record for record in trials if record.psnr_db is not None]
    levels = [record.psnr_db or 0.0 for record in (*scored, *here.values(), found)]
    colours = Normalize(min(levels), max(levels))

    def scatter(records: Sequence[Record], label: str, **style: Any) -> None:
        xs, ys = ([float(record.point[name]) for record in records] for name in space.names[:2])
        values = np.array([record.psnr_db for record in records], dtype=np.float64)
        axes.scatter(xs, ys, c=values, norm=colours, cmap="viridis", label=label, **style)

    figure = Figure(figsize=(8.5, 5.6), layout="constrained")
    axes = figure.subplots()
    _set_scale(axes, space, [record.point for record in (*scored, *here.values())])
    if space.names[:2] == ("s0", "s1"):
        _ridges(axes, spectrum, width)
    small = {"edgecolors": "white", "linewidths": 0.5}
    stopped = [record for record in scored if record.state is not State.COMPLETE]
    if stopped:
        scatter(stopped, "trial, stopped early", s=22, **small)
    scatter([record for record in scored if record.state is State.COMPLETE], "trial, complete", s=60, **small)
    for marker, (name, record) in zip(MARKERS, here.items(), strict=False):
        label = f"{name} ({record.psnr_db:.1f} dB)"
        scatter([record], label, s=110, marker=marker, edgecolors="black", linewidths=1.6)
    label = f"found {found.label} ({found.psnr_db:.1f} dB)"
    scatter([found], label, s=330, marker="*", edgecolors="red", linewidths=1.6)
    figure.colorbar(ScalarMappable(colours, "viridis"), ax=axes, label="PSNR of the best step, search seed (dB)")
    elsewhere = [f"{name}: {r.psnr_db:.1f} dB" for name, r in references.items() if r.space != space.name]
    subtitle = f"not in this plane: {', '.join(elsewhere)}" if elsewhere else ""
    axes.set_title(f"{title}\n{subtitle}", fontsize=10)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    _save(figure, path)


def curves(
    path: Path, *, title: str, trials: Sequence[Record], references: Mapping[str, Record], found: Record
) -> None:
    """PSNR by step of every trial, the references and the found point."""
    figure = Figure(figsize=(8.5, 5.0), layout="constrained")
    axes = figure.subplots()
    for record in trials:
        axes.plot(*_steps(record), color="0.82", linewidth=0.8, zorder=1)
    styles = ("--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
    for style, (name, record) in zip(styles, references.items(), strict=False):
        axes.plot(*_steps(record), linestyle=style, linewidth=1.8, label=name, zorder=3)
    axes.plot(*_steps(found), color="black", linewidth=2.2, label=f"found {found.label}", zorder=4)
    axes.plot([], [], color="0.82", linewidth=0.8, label="trials")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="step", ylabel="PSNR over all samples, search seed (dB)")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    _save(figure, path)


def spectra(
    path: Path, *, title: str, target: NDArray[Any], output: NDArray[Any], rate_hz: float, centroid: float
) -> None:
    """Amplitude spectra of the target, the reconstruction and their difference, in bands.

    Args:
        target, output: (points,), scaled to a peak of 1.
        rate_hz: samples per second.
        centroid: psi of the target, drawn as a line.
    """
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axes = figure.subplots()
    series = (("target", target, "-", "black"), ("reconstruction", output, "--", "tab:orange"))
    for label, values, style, colour in (*series, ("error", target - output, ":", "tab:blue")):
        level, hz = _bands(np.asarray(values, dtype=np.float64), rate_hz)
        axes.plot(hz, level, linestyle=style, color=colour, linewidth=1.5, label=label)
    axes.axvline(centroid * rate_hz / 2, color="0.5", linewidth=1.0, label=f"centroid $\\psi$ = {centroid:.3f}")
    axes.set(xlabel="frequency (Hz)", ylabel="amplitude per bin (dB, full scale)", xlim=(0, rate_hz / 2))
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    _save(figure, path)


def _bands(x: NDArray[np.float64], rate_hz: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean amplitude in dB and centre in Hz of at most `SPECTRUM_BANDS` bands."""
    bins = amplitude(x) * 2.0 / len(x)
    groups = np.array_split(np.arange(len(bins)), min(SPECTRUM_BANDS, len(bins)))
    level = np.array([20.0 * np.log10(bins[g].mean() + 1e-12) for g in groups])
    return level, np.array([g.mean() * rate_hz / len(x) for g in groups])


def _steps(record: Record) -> tuple[list[int], list[float]]:
    return [step for step, _ in record.curve], [value for _, value in record.curve]


def _set_scale(axes: Axes, space: Space, points: Sequence[Mapping[str, Any]]) -> None:
    """Axes over the points shown; logarithmic where the search is."""
    for letter, parameter in zip("xy", space.parameters[:2], strict=True):
        values = [float(point[parameter.name]) for point in points]
        if isinstance(parameter, Float) and parameter.log:
            positive = [value for value in values if value > 0]
            limits = (min(positive) / 1.5, max(positive) * 1.5)
            axes.set(**{f"{letter}scale": "log", f"{letter}lim": limits})
        else:
            margin = 0.05 * (max(values) - min(values)) or 0.1
            axes.set(**{f"{letter}lim": (min(values) - margin, max(values) + margin)})
    axes.set(xlabel=_axis_label(space, 0), ylabel=_axis_label(space, 1))


def _axis_label(space: Space, index: int) -> str:
    parameter = space.parameters[index]
    return f"{parameter.name}: {parameter.doc}" if parameter.doc else parameter.name


def _ridges(axes: Axes, spectrum: Spectrum, width: int) -> None:
    """Lines s0(s1) of constant bandwidth B, labelled in units of Nyquist."""
    (low, high), (s1_low, s1_high) = axes.get_xlim(), axes.get_ylim()
    s1 = np.linspace(max(s1_low, 0.0), s1_high, 200)
    gains = np.array([gain(float(value), width) for value in s1])
    uniform = bandwidth(NoiseScales(0.0, 0.0), width, spectrum.dims)
    for share in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
        squared = (share * spectrum.nyquist_rad / gains) ** 2 - uniform**2
        s0 = np.sqrt(np.where(squared > 0, squared, np.nan))
        axes.plot(s0, s1, color="0.75", linewidth=0.8, zorder=0)
        inside = np.flatnonzero((s0 > low) & (s0 < high))
        if len(inside):
            at = inside[len(inside) * 2 // 3]
            axes.annotate(
                f"B = {share:g} Nyq", (s0[at], s1[at]), fontsize=7, color="0.45", ha="center", va="center", zorder=0
            )


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
