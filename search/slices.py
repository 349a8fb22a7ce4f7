"""Pictures of what a study's surrogate expects: slices through two points, and the straight way between them.

X: points in shares of the search ranges, (points, coordinates); see `smooth`
Bands are the expected mean over seeds +- 2 standard deviations of that mean: single fits scatter more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from search.expected import End, Expected
from search.landscape import axis_label, range_of
from search.objective import Objective
from search.plots import FOUND, FOUND_COLOUR, REFERENCE, REFERENCE_COLOUR, TRIAL_COLOUR, TRIAL_EDGES, save
from search.trial import spell
from spaces.parameters import Choice, Float, Int

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUM_DRAWN = 121
"""Points of a line."""

NEAR = 0.2
"""Fits are drawn the larger the nearer they lie to a line, with this scale in shares of the ranges."""

MARGIN = 0.1
"""The way goes on beyond both ends by this share of itself."""

PANELS_PER_ROW = 3


def draw_slices(path: Path, view: Expected, *, title: str) -> None:
    """A panel for each numeric search coordinate, the others held at the found point's and at the reference's."""
    columns = min(len(view.numeric), PANELS_PER_ROW)
    rows = math.ceil(len(view.numeric) / columns)
    figure = Figure(figsize=(8.5, 0.8 + 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, parameter in zip(panels.flat, view.numeric, strict=False):
        _draw_slice(axes, view, parameter)
    for axes in panels.flat[len(view.numeric) :]:
        axes.set_axis_off()
    _finish(figure, list(panels[:, 0]), view, title, view.surrogate.y_db)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    save(figure, path)


def draw_way(path: Path, view: Expected, *, title: str) -> None:
    """Expected score along the straight line, in search coordinates, from the reference's point to the found one."""
    assert view.reference is not None
    begin, end = view.place(view.reference), view.place(view.found)
    shares = np.linspace(-MARGIN, 1.0 + MARGIN, NUM_DRAWN)
    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    axes = figure.subplots()
    line = begin + shares[:, None] * (end - begin)
    means = _draw_line(axes, view, line, shares, "-", "black", "expected on the way")
    # Fits at their nearest place on the line.
    length = float(np.sum((end - begin) ** 2))
    nearest = (view.surrogate.X - begin) @ (end - begin) / length
    distances = np.linalg.norm(view.surrogate.X - begin - nearest[:, None] * (end - begin), axis=1)
    there = (nearest >= shares[0]) & (nearest <= shares[-1])
    _draw_fits(axes, nearest[there], view.surrogate.y_db[there], distances[there])
    for at, one, style, colour in (
        (0.0, view.reference, {**REFERENCE, "marker": "s"}, REFERENCE_COLOUR),
        (1.0, view.found, FOUND, FOUND_COLOUR),
    ):
        _draw_end(axes, at, one, style, colour, view)
    axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0], [_spelled(view.reference), "1/4", "1/2", "3/4", _spelled(view.found)])
    axes.set(xlabel="share of the way in search coordinates", xlim=(shares[0], shares[-1]))
    near = view.surrogate.y_db[there & (distances < NEAR)]
    _finish(figure, [axes], view, title, np.concatenate([means, near]))
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    save(figure, path)


def _draw_slice(axes: Axes, view: Expected, parameter: Float | Int) -> None:
    column = len([share for p in view.space.searched[: view.space.searched.index(parameter)] for share in _axes_of(p)])
    X, found = view.surrogate.X, view.place(view.found)
    shares = np.linspace(0.0, 1.0, NUM_DRAWN)
    others = np.delete(X - found, column, axis=1)
    _draw_fits(axes, _values(parameter, X[:, column]), view.surrogate.y_db, np.linalg.norm(others, axis=1))
    lines = [(view.found, "-", "black")]
    if view.reference is not None:
        lines.append((view.reference, "--", REFERENCE_COLOUR))
    for end, dash, colour in lines:
        line = np.repeat(view.place(end)[None], NUM_DRAWN, axis=0)
        line[:, column] = shares
        _draw_line(axes, view, line, _values(parameter, shares), dash, colour, f"expected, through {end.label}")
    ends: list[tuple[End | None, Mapping[str, Any], str]] = [
        (view.reference, {**REFERENCE, "marker": "s"}, REFERENCE_COLOUR),
        (view.found, FOUND, FOUND_COLOUR),
    ]
    for one, style, mark in ends:
        if one is not None:
            _draw_end(axes, float(_values(parameter, view.place(one)[column])), one, style, mark, view)
    axes.set(xlabel=axis_label(parameter, width=30), xscale="log" if parameter.log else "linear")
    if isinstance(parameter, Int) and not parameter.log:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_line(
    axes: Axes, view: Expected, X: NDArray[np.float64], at: NDArray[np.float64], dash: str, colour: str, label: str
) -> NDArray[np.float64]:
    means, deviations = view.surrogate.expected_db(X)
    axes.fill_between(at, means - 2 * deviations, means + 2 * deviations, color=colour, alpha=0.13, linewidth=0)
    axes.plot(at, means, linestyle=dash, color=colour, linewidth=1.8, label=f"{label} (band: ± 2 sd)", zorder=2)
    return means


def _draw_fits(
    axes: Axes, at: NDArray[np.float64], scores_db: NDArray[np.float64], distances: NDArray[np.float64]
) -> None:
    sizes = 6.0 + 50.0 * np.exp(-0.5 * (distances / NEAR) ** 2)
    style: dict[str, Any] = {**TRIAL_EDGES, "color": TRIAL_COLOUR, "alpha": 0.75, "zorder": 3}
    axes.scatter(at, scores_db, s=sizes, label="fits: the larger, the nearer to the line", **style)


def _draw_end(axes: Axes, at: float, end: End, style: Mapping[str, Any], colour: str, view: Expected) -> None:
    """At its confirmed mean, with the deviation over seeds; at the expected score before there is one."""
    confirmed = end.confirmed
    value = confirmed.mean if confirmed else float(view.surrogate.expected_db(view.place(end)[None])[0][0])
    what = f"{confirmed.num} fresh seeds" if confirmed else "expected"
    style = {**style, "s": 150 if style.get("marker") == "*" else 60}
    axes.errorbar([at], [value], yerr=[confirmed.sd or 0.0] if confirmed else None, color="black", capsize=3, zorder=4)
    axes.scatter([at], [value], color=colour, label=f"{end.label} ({what})", **{**style, "zorder": 5})


def _finish(figure: Figure, first: Sequence[Axes], view: Expected, title: str, scores_db: NDArray[np.float64]) -> None:
    """Limits by what was fitted: away from the fits a surrogate may expect anything."""
    confirmed = [end.confirmed for end in (view.found, view.reference) if end is not None and end.confirmed]
    means = [one.mean + sign * (one.sd or 0.0) for one in confirmed for sign in (-1, 1)]
    low, high = range_of([float(score) for score in scores_db])
    low, high = min([low, *means]), max([high, *means])
    what = "PSNR" if view.objective is Objective.FIT else "held-out PSNR"
    for axes in figure.axes:
        axes.set_ylim(low - 0.08 * (high - low), high + 0.12 * (high - low))
        axes.grid(alpha=0.25)
    for axes in first:
        axes.set_ylabel(f"expected {what}, mean over seeds (dB)")
    figure.suptitle(title, fontsize=10)


def _values(parameter: Float | Int, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where in its range a share lies."""
    if parameter.log:
        return np.asarray(parameter.low * (parameter.high / parameter.low) ** shares)
    return np.asarray(parameter.low + shares * (parameter.high - parameter.low))


def _axes_of(parameter: Float | Int | Choice) -> Sequence[object]:
    return parameter.choices if isinstance(parameter, Choice) else (parameter,)


def _spelled(end: End) -> str:
    return "\n".join([end.label, *spell(end.point).split(" ")])
