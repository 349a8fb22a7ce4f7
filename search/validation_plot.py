"""Picture of a validation: regret of each heuristic in each setting, and rank correlations of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_INCHES, COLUMN_INCHES = 0.42, 4.6


def draw_validation(document: Mapping[str, Any]) -> Figure:
    """A column for each setting: above, regret in dB of each heuristic; below, Spearman's rho of each score.

    Dots are signals, black the mean with its 95 % interval; where one signal was judged, the interval is over seeds.
    """
    settings: Sequence[Mapping[str, Any]] = document["settings"]
    heuristics = list(dict.fromkeys(name for setting in settings for name in setting["heuristics"]))
    scores = list(dict.fromkeys(name for setting in settings for name in setting["scores"]))
    rows = [len(heuristics), len(scores)] if scores else [len(heuristics)]
    height = ROW_INCHES * (sum(rows) + 3.5 * len(rows))
    figure = Figure(figsize=(1.6 + COLUMN_INCHES * len(settings), height), layout="constrained")
    grid = figure.subplots(len(rows), len(settings), squeeze=False, height_ratios=rows, sharey="row", sharex="row")
    for setting, column in zip(settings, grid.T, strict=True):
        entries = setting["heuristics"]
        regrets = {name: _values(entries[name], "regret_db") for name in heuristics if name in entries}
        means = {name: (entries[name]["mean_regret_db"], entries[name]["ci95_db"]) for name in regrets}
        _draw_rows(column[0], heuristics, regrets, means)
        column[0].set_xlabel("regret: found point minus heuristic (dB)")
        column[0].set_title(title_of(setting), fontsize=9)
        if not scores:
            continue
        entries = setting["scores"]
        rhos = {name: _values(entries[name], "spearman") for name in scores if name in entries}
        means = {name: (entries[name]["spearman"], entries[name]["ci95"]) for name in rhos}
        _draw_rows(column[1], scores, rhos, means)
        column[1].set(xlabel="Spearman's rho of score (as promised) and PSNR over trials", xlim=(-1.05, 1.05))
    return figure


def title_of(setting: Mapping[str, Any]) -> str:
    """`6 signals, 4,096 samples, width 64, 300 steps`, and below it `over-parameterised: 12,673 weights`."""
    num = setting["signals"]
    signals = f"{num} signal{'s' if num > 1 else ''}"
    objective = "" if setting["objective"] == "fit" else f", objective {setting['objective']}"
    size = f"{setting['samples']:,} samples, width {setting['width']}, {setting['steps']} steps"
    trained = setting["trained_values"]
    values = "" if trained == setting["samples"] else f" for {trained:,} trained values"
    return f"{signals}, {size}{objective}\n{setting['regime']}: {setting['weights']:,} weights{values}"


def _values(entry: Mapping[str, Any], key: str) -> list[float]:
    return [one[key] for one in entry["per_signal"].values()]


def _draw_rows(
    axes: Axes,
    names: Sequence[str],
    values: Mapping[str, Sequence[float]],
    means: Mapping[str, tuple[float, Sequence[float] | None]],
) -> None:
    axes.axvline(0.0, color="0.6", linewidth=1.0, zorder=0)
    for place, name in enumerate(names):
        if name not in values:
            continue
        below = [place + 0.22] * len(values[name])
        axes.scatter(values[name], below, s=26, color="0.45", edgecolors="white", zorder=2)
        mean, interval = means[name]
        if interval:
            axes.plot(interval, [place, place], color="black", linewidth=1.6, zorder=3)
        axes.scatter([mean], [place], s=46, color="black", marker="D", zorder=4)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.25)
