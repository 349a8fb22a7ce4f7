"""The landscape of a study: every trial by its parameters and its score, in a plane or by choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from search.objective import Objective
from search.plots import (
    COMPLETE,
    FOUND,
    FOUND_COLOUR,
    MARKERS,
    REFERENCE,
    REFERENCE_COLOUR,
    STOPPED,
    TITLE_WIDTH,
    TRIAL_COLOUR,
    save,
    score_label,
)
from search.record import Record
from search.trial import State
from spaces.noise import NoiseScales, bandwidth, gain
from spaces.parameters import Choice, Float, Int, Parameter, Point
from spaces.space import Space
from spaces.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

JITTER = 0.28
"""Half the width of a choice's column: trials of one choice lie beside each other."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A fit at its point in the space that is searched, which a reference of another space may lack.

    Attributes:
        label: for the legend.
        record: what came of it.
        point: in the searched space; None where that has no such point.
        score_db: by the study's objective.
    """

    label: str
    record: Record
    point: Point | None
    score_db: float


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """All that a landscape shows: fits that have a score.

    Attributes:
        space: that is searched.
        objective: what the scores are.
        trials: in order of number.
        references: in the plan's order.
        found: the trial that is recommended.
    """

    space: Space
    objective: Objective
    trials: Sequence[Placed]
    references: Sequence[Placed]
    found: Placed

    @property
    def shown(self) -> list[Placed]:
        """Everything that has a point here."""
        return [placed for placed in (*self.trials, *self.references) if placed.point is not None]

    @property
    def varied(self) -> list[Parameter]:
        """Parameters of the found point that vary in this study, in its order: a union's own is of all branches."""
        by_name = {parameter.name: parameter for parameter in self.space.parameters}
        return [by_name[name] for name in self.found.point or {} if name not in self.space.fixed]


def draw_landscape(path: Path, view: Landscape, *, title: str, spectrum: Spectrum, width: int | None) -> None:
    """The plane of the first two numeric parameters, coloured by the score; by choice, where one comes first.

    For noise scales of networks of one width, lines of constant bandwidth are drawn: good points lie along them.

    Args:
        width: of all networks; None where it varies.
    """
    figure = Figure(figsize=(8.5, 5.8), layout="constrained")
    axes = figure.subplots()
    varied = view.varied
    numeric = [parameter for parameter in varied if isinstance(parameter, (Float, Int))]
    if (varied and isinstance(varied[0], Choice)) or not numeric:
        _draw_columns(figure, axes, view, next(iter(varied), None))
    elif len(numeric) == 1:
        _draw_line(axes, view, numeric[0])
    else:
        _draw_plane(figure, axes, view, numeric[0], numeric[1])
        if width is not None and (numeric[0].name, numeric[1].name) == ("s0", "s1"):
            _ridges(axes, spectrum, width)
    elsewhere = [f"{r.label}: {r.score_db:.1f} dB" for r in view.references if r.point is None]
    lines = [title, fill(f"not in this space: {', '.join(elsewhere)}", TITLE_WIDTH)] if elsewhere else [title]
    axes.set_title("\n".join(lines), fontsize=10)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    save(figure, path)


Position = Callable[[Placed], tuple[float, float]]
Colour = Callable[[Placed], float] | None


def _draw_plane(figure: Figure, axes: Axes, view: Landscape, x: Parameter, y: Parameter) -> None:
    """Two parameters, coloured by the score."""

    def position(placed: Placed) -> tuple[float, float]:
        assert placed.point is not None
        return float(placed.point[x.name]), float(placed.point[y.name])

    shown = [p for p in view.shown if p.point is not None and {x.name, y.name} <= set(p.point)]
    scores = [placed.score_db for placed in shown]
    colours = Normalize(*range_of(scores))
    _draw_points(axes, view, shown, position, lambda placed: placed.score_db, colours)
    for letter, parameter, at in (("x", x, 0), ("y", y, 1)):
        _set_scale(axes, letter, parameter, [position(placed)[at] for placed in shown])
    extend = "min" if min(scores) < range_of(scores)[0] else "neither"
    figure.colorbar(ScalarMappable(colours, "viridis"), ax=axes, label=score_label(view.objective), extend=extend)


def _draw_line(axes: Axes, view: Landscape, x: Parameter) -> None:
    """One parameter against the score."""

    def position(placed: Placed) -> tuple[float, float]:
        assert placed.point is not None
        return float(placed.point[x.name]), placed.score_db

    shown = [p for p in view.shown if p.point is not None and x.name in p.point]
    _draw_points(axes, view, shown, position, None, None)
    _set_scale(axes, "x", x, [position(placed)[0] for placed in shown])
    axes.set(ylabel=score_label(view.objective))
    axes.grid(alpha=0.25)


def _draw_columns(figure: Figure, axes: Axes, view: Landscape, choice: Parameter | None) -> None:
    """A column for each choice that was fitted, the best first: the score, coloured by the learning rate."""

    def chosen(placed: Placed) -> str:
        assert placed.point is not None
        return str(placed.point[choice.name]) if choice else view.space.name

    shown = view.shown
    best: dict[str, float] = {}
    for placed in shown:
        best[chosen(placed)] = max(placed.score_db, best.get(chosen(placed), -np.inf))
    names = sorted(best, key=lambda name: -best[name])
    counts = {name: sum(chosen(placed) == name for placed in view.trials) for name in names}
    places = {id(placed): names.index(chosen(placed)) + shift for placed, shift in _shifts(shown, chosen)}
    rates = [float(p.point["lr"]) for p in shown if p.point and "lr" in p.point]
    colours = LogNorm(min(rates), max(rates)) if rates and min(rates) < max(rates) else None

    def colour(placed: Placed) -> float:
        return float((placed.point or {}).get("lr", np.nan))

    def position(placed: Placed) -> tuple[float, float]:
        return places[id(placed)], placed.score_db

    _draw_points(axes, view, shown, position, colour if colours else None, colours)
    for border in range(1, len(names)):
        axes.axvline(border - 0.5, color="0.88", linewidth=0.8, zorder=0)
    trials = [f"{name}\n{counts[name]} trial{'s' if counts[name] != 1 else ''}" for name in names]
    axes.set_xticks(range(len(names)), trials, fontsize=8)
    axes.set(ylabel=score_label(view.objective), xlim=(-0.5, len(names) - 0.5))
    low, _ = range_of([placed.score_db for placed in shown])
    axes.set_ylim(bottom=min(low, min(best.values())) - 1.0)
    axes.grid(axis="y", alpha=0.25)
    if colours:
        figure.colorbar(ScalarMappable(colours, "viridis"), ax=axes, label="learning rate")


def _shifts(shown: Sequence[Placed], chosen: Callable[[Placed], str]) -> list[tuple[Placed, float]]:
    """Where in its column each fit lies: in the order in which they came."""
    columns: dict[str, list[Placed]] = {}
    for placed in shown:
        columns.setdefault(chosen(placed), []).append(placed)
    return [
        (placed, JITTER * (2.0 * number / (len(column) - 1) - 1.0) if len(column) > 1 else 0.0)
        for column in columns.values()
        for number, placed in enumerate(column)
    ]


def _draw_points(
    axes: Axes, view: Landscape, shown: Sequence[Placed], position: Position, colour: Colour, norm: Normalize | None
) -> None:
    """Trials, references and the found point, each as it always looks."""
    own = {id(placed) for placed in shown}

    def scatter(group: Sequence[Placed], label: str, plain: str, **style: Any) -> None:
        there = [placed for placed in group if id(placed) in own]
        if not there:
            return
        xs, ys = zip(*[position(placed) for placed in there], strict=True)
        fill: dict[str, Any] = (
            {"c": [colour(placed) for placed in there], "norm": norm, "cmap": "viridis"} if colour else {}
        )
        axes.scatter(xs, ys, label=label, **(fill or {"color": plain}), **style)

    complete = [trial for trial in view.trials if trial.record.state is State.COMPLETE]
    stopped = [trial for trial in view.trials if trial.record.state is not State.COMPLETE]
    scatter(stopped, "trial, stopped early", TRIAL_COLOUR, **STOPPED)
    scatter(complete, "trial, complete", TRIAL_COLOUR, **COMPLETE)
    for marker, placed in zip(cycle(MARKERS), view.references, strict=False):
        scatter([placed], f"{placed.label} ({placed.score_db:.1f} dB)", REFERENCE_COLOUR, marker=marker, **REFERENCE)
    scatter([view.found], f"found {view.found.label} ({view.found.score_db:.1f} dB)", FOUND_COLOUR, **FOUND)


def range_of(scores: Sequence[float]) -> tuple[float, float]:
    """What colours and axes span: a few trials that fail badly must not take all of it."""
    low, middle, high = np.quantile(scores, [0.05, 0.5, 1.0])
    return float(min(low, middle - 1.0)), float(high)


def _set_scale(axes: Axes, letter: str, parameter: Parameter, values: Sequence[float]) -> None:
    """The axis of a parameter over what is shown: logarithmic where the search is, whole where it counts."""
    assert not isinstance(parameter, Choice)
    if parameter.log:
        positive = [value for value in values if value > 0]
        limits = (min(positive) / 1.5, max(positive) * 1.5)
        axes.set(**{f"{letter}scale": "log"})
    else:
        margin = 0.05 * (max(values) - min(values)) or 0.1
        limits = (min(values) - margin, max(values) + margin)
    axes.set(**{f"{letter}lim": limits, f"{letter}label": axis_label(parameter)})
    if isinstance(parameter, Int) and not parameter.log:
        axis = axes.xaxis if letter == "x" else axes.yaxis
        axis.set_major_locator(MaxNLocator(integer=True))


def axis_label(parameter: Parameter, width: int = TITLE_WIDTH) -> str:
    """A parameter's name and what it is, with its unit, in lines of at most `width` characters."""
    return fill(f"{parameter.name}: {parameter.doc}" if parameter.doc else parameter.name, width)


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


def placed_references(
    space: Space, references: Mapping[str, Record], objective: Objective, *, width: int, depth: int
) -> list[Placed]:
    """References that have a score, at their points in the searched space."""
    return [
        Placed(
            label=name,
            record=record,
            point=space.translate(record.space, record.point, width=width, depth=depth),
            score_db=score_db,
        )
        for name, record in references.items()
        if (score_db := objective.score_db(record)) is not None
    ]


def placed_trials(trials: Sequence[Record], objective: Objective) -> list[Placed]:
    """Trials that have a score."""
    return [
        Placed(label=record.label, record=record, point=record.point, score_db=score_db)
        for record in trials
        if (score_db := objective.score_db(record)) is not None
    ]
