"""The picture of a search's convergence: the best score so far against trials and steps, beside the references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from search.objective import Objective
from search.plots import DASHES, save, score_label
from search.record import Record
from search.stats import Sample
from search.trial import State

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOW_QUANTILE = 0.25
"""The axis begins at this quantile of the scores, or at the lowest reference: a few bad trials must not stretch it."""


def best_so_far(trials: Sequence[Record], objective: Objective) -> list[float]:
    """After each trial, in order of their ends, the highest score of a complete one, dB; NaN before the first.

    Trials that were pruned or failed count as budget alone.
    """
    ended = sorted(trials, key=lambda record: record.ended)
    scores = [objective.score_db(record) if record.state is State.COMPLETE else None for record in ended]
    return list(accumulate([np.nan if score is None else score for score in scores], np.fmax))


def draw_convergence(
    path: Path,
    *,
    title: str,
    trials: Sequence[Record],
    references: Mapping[str, Record],
    objective: Objective,
    confirmed: Sample | None,
) -> None:
    """Two panels: the same curve against the trials that ended and against the steps that they took.

    Args:
        trials: of the search, at least one of them complete.
        references: by name; their levels are lines.
        objective: whose score is shown.
        confirmed: mean and deviation of the found point over fresh seeds, a band; None before.
    """
    ended = sorted(trials, key=lambda record: record.ended)
    best = best_so_far(ended, objective)
    steps = list(accumulate(record.step for record in ended))
    figure = Figure(figsize=(8.5, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, budget in ((left, list(range(1, len(ended) + 1))), (right, steps)):
        _draw_levels(axes, references, objective, confirmed)
        axes.step(budget, best, where="post", color="black", linewidth=2.2, label="best trial so far", zorder=4)
        for state, marker, size in ((State.COMPLETE, "o", 14), (State.PRUNED, "x", 16)):
            own = [
                (at, score)
                for at, record in zip(budget, ended, strict=True)
                if record.state is state and (score := objective.score_db(record)) is not None
            ]
            if own:
                label = "trial, complete" if state is State.COMPLETE else "trial, stopped early"
                axes.scatter(*zip(*own, strict=True), s=size, marker=marker, color="0.5", label=label, zorder=2)
        axes.grid(alpha=0.25)
        axes.margins(x=0.02)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.xaxis.set_major_formatter(EngFormatter(sep=""))
    left.set(xlabel="trials ended", ylabel=score_label(objective))
    right.set(xlabel="steps of the search, of all trials")
    levels = [score for record in references.values() if (score := objective.score_db(record)) is not None]
    scores = [score for record in ended if (score := objective.score_db(record)) is not None]
    highest = [confirmed.mean + (confirmed.sd or 0.0)] if confirmed else []
    low, high = min([float(np.quantile(scores, LOW_QUANTILE)), *levels]), max([*scores, *levels, *highest])
    margin = 0.06 * (high - low) or 1.0
    left.set_ylim(low - margin, high + margin)
    figure.suptitle(title, fontsize=10)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    save(figure, path)


def _draw_levels(axes: Axes, references: Mapping[str, Record], objective: Objective, confirmed: Sample | None) -> None:
    colours = cycle(f"C{number}" for number in range(10))  # as the learning curves have them
    for dash, (name, record) in zip(cycle(DASHES), references.items(), strict=False):
        score, colour = objective.score_db(record), next(colours)
        if score is not None:
            axes.axhline(score, linestyle=dash, color=colour, linewidth=1.6, label=f"{name} ({score:.1f} dB)", zorder=3)
    if confirmed is not None and confirmed.sd is not None:
        low, high = confirmed.mean - confirmed.sd, confirmed.mean + confirmed.sd
        label = f"found, {confirmed.num} fresh seeds ({confirmed.mean:.1f} ± {confirmed.sd:.1f} dB)"
        axes.axhspan(low, high, color="0.88", label=label, zorder=0)
