"""Pictures of a study's fits: learning curves, the front of two objectives, importances; what all pictures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from search.objective import Objective
from search.record import Record
from search.trial import State

MARKERS = ("s", "D", "^", "v", "P", "X", "p", "<", ">", "h")
"""References are told apart by shape, so that the picture reads in grey."""

DASHES: tuple[Any, ...] = ("--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))

TITLE_WIDTH = 110
"""Characters of a title's line, which fit above the axes."""

NO_SHARE = 0.005
"""Importances below it would read 0.00."""

TRIAL_EDGES = {"edgecolors": "white", "linewidths": 0.5}
STOPPED = {"s": 22, **TRIAL_EDGES}
COMPLETE = {"s": 60, **TRIAL_EDGES}
REFERENCE = {"s": 110, "edgecolors": "black", "linewidths": 1.6, "zorder": 3}
FOUND = {"s": 330, "marker": "*", "edgecolors": "red", "linewidths": 1.6, "zorder": 4}
"""How the points of every picture look."""

TRIAL_COLOUR, REFERENCE_COLOUR, FOUND_COLOUR = "tab:blue", "tab:orange", "gold"
"""And their colours, where these say nothing else."""


def curves(
    path: Path, *, title: str, trials: Sequence[Record], references: Mapping[str, Record], found: Record
) -> None:
    """PSNR by step of every trial, the references and the found point."""
    figure = Figure(figsize=(8.5, 5.0), layout="constrained")
    axes = figure.subplots()
    for record in trials:
        axes.plot(*_steps(record), color="0.82", linewidth=0.8, zorder=1)
    for style, (name, record) in zip(cycle(DASHES), references.items(), strict=False):
        axes.plot(*_steps(record), linestyle=style, linewidth=1.8, label=name, zorder=3)
    axes.plot(*_steps(found), color="black", linewidth=2.2, label=f"found {found.label}", zorder=4)
    axes.plot([], [], color="0.82", linewidth=0.8, label="trials")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="step", ylabel="PSNR over the trained samples, search seed (dB)")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    save(figure, path)


def front(
    path: Path,
    *,
    title: str,
    trials: Sequence[Record],
    front: Sequence[Record],
    references: Mapping[str, Record],
    found: Record,
) -> None:
    """Fitted against held-out PSNR of every trial, with the front, whose ends have names.

    Args:
        front: the trials that no other beats in both, by falling fitted PSNR.
    """
    figure = Figure(figsize=(8.5, 5.6), layout="constrained")
    axes = figure.subplots()

    def scatter(records: Sequence[Record], label: str, **style: Any) -> None:
        pairs = [values for record in records if (values := Objective.BOTH.values(record)) is not None]
        if pairs:
            axes.scatter(*zip(*pairs, strict=True), label=label, **style)

    scatter([r for r in trials if r.state is not State.COMPLETE], "trial, stopped early", color="0.75", **STOPPED)
    scatter([r for r in trials if r.state is State.COMPLETE], "trial, complete", color=TRIAL_COLOUR, **COMPLETE)
    fitted, held = [r.psnr_db or 0.0 for r in front], [r.held_psnr_db or 0.0 for r in front]
    axes.plot(fitted, held, color=TRIAL_COLOUR, linewidth=1.2, zorder=2, label="front")
    for marker, (name, record) in zip(cycle(MARKERS), references.items(), strict=False):
        scatter([record], f"{name} ({_both(record)})", color=REFERENCE_COLOUR, marker=marker, **REFERENCE)
    scatter([found], f"found {found.label} ({_both(found)})", color=FOUND_COLOUR, **FOUND)
    if front:
        _name_ends(axes, front[0], front[-1])
    axes.margins(0.12)
    axes.set(xlabel="fitted PSNR, search seed (dB)", ylabel="held-out PSNR, search seed (dB)")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    save(figure, path)


def importance(path: Path, *, title: str, shares: Mapping[str, float]) -> None:
    """A bar for each search coordinate, in the order of `shares`; those that round to nothing are counted alone."""
    drawn = {name: share for name, share in shares.items() if share >= NO_SHARE}
    names, values = list(drawn), list(drawn.values())
    figure = Figure(figsize=(8.5, 1.1 + 0.28 * len(names)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(names, values, color="0.45", height=0.6)
    axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=3, fontsize=8)
    axes.invert_yaxis()
    rest = f"; {len(shares) - len(drawn)} below {NO_SHARE} are not drawn" if len(drawn) < len(shares) else ""
    axes.set(xlabel=f"importance by PED-ANOVA (share of all{rest})", xlim=(0.0, 1.08))
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def score_label(objective: Objective) -> str:
    """What the score of an objective is, for axes and colour bars."""
    what = "PSNR" if objective is Objective.FIT else "held-out PSNR"
    return f"{what} of the best step, search seed (dB)"


def _name_ends(axes: Any, fit_best: Record, holdout_best: Record) -> None:
    # Beyond the front there are no trials: its upper end has room to its right, its lower one below.
    ends = [("fits best", fit_best, (0, -32)), ("holdout best", holdout_best, (50, 26))]
    if fit_best is holdout_best:
        ends = [("best in both", fit_best, (0, -32))]
    for text, record, offset in ends:
        axes.annotate(
            f"{record.label} {text}",
            (record.psnr_db, record.held_psnr_db),
            xytext=offset,
            textcoords="offset points",
            ha="center",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "color": "0.4", "linewidth": 0.8},
            bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none"},
            zorder=5,
        )


def _both(record: Record) -> str:
    values = Objective.BOTH.values(record)
    return f"{values[0]:.1f}, {values[1]:.1f} dB" if values else "failed"


def _steps(record: Record) -> tuple[list[int], list[float]]:
    return [step for step, _ in record.curve], [value for _, value in record.curve]
