"""Rungs: at which steps trials are judged, and which of them go on.

p(t):  best PSNR in dB before step t
S:     steps of a whole fit
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from search.objective import Objective, Scored
from trainers.config import Curve

RUNG = 0.5
"""Share of the steps at which a trial is judged. Not earlier: a high learning rate leads first and loses later."""

GOES_ON = 1 / 3
"""Share of the trials that go on.

In six searches of 48 unpruned trials (tetris.wav, 4,096 samples, width 64, 300 steps) each search's five best trials
ranked up to 29th at half of the steps by their PSNR, but up to 11th by `forecast_psnr_db`.
"""

MIN_AT_RUNG = 4
"""With fewer trials at a rung, a share of them says nothing, and every trial goes on."""

LOOK_BACK = 1.5
"""The slope at step t is taken from step t / 1.5 on."""

DAMPING = 0.5
"""Share of the slope that the rest of a fit is taken to keep: curves flatten."""


def rungs_of(steps: int, pruner: str) -> tuple[int, ...]:
    """The steps at which trials of `steps` steps are judged; none with the pruner "none", or where there is no room."""
    rung = round(RUNG * steps)
    return (rung,) if pruner == "asha" and 0 < rung < steps else ()


def forecast_psnr_db(curve: Curve, rung: int, steps: int) -> float:
    """Where a fit is heading: p(t) + damping (S - t) (p(t) - p(t / look_back)) / (t - t / look_back) at t = `rung`.

    Ranking by PSNR alone would stop the low learning rates, which climb later and end higher.
    """
    start = rung / LOOK_BACK
    now, before = _best_before(curve, rung), _best_before(curve, start)
    return now + DAMPING * (steps - rung) * (now - before) / (rung - start)


Standing = tuple[float, ...]
"""Where a trial stands at a rung: one number for each value of the objective, larger is better."""


def standing_of(objective: Objective, curve: Curve, scored: Scored, rung: int, steps: int) -> Standing:
    """Forecast of the fitted PSNR; held-out PSNR as it is (it falls while a network memorises: no slope to follow)."""
    forecast = forecast_psnr_db(curve, rung, steps)
    held = -math.inf if scored.held_psnr_db is None else scored.held_psnr_db
    return {Objective.FIT: (forecast,), Objective.HOLDOUT: (held,), Objective.BOTH: (forecast, held)}[objective]


def is_among_best(standing: Standing, standings: Sequence[Standing]) -> bool:
    """Whether `standing`, one of `standings`, is among the share that goes on (rounded up; always, where they are few).

    Fewer trials dominate it than that share has. With one value that is its rank; with two, all of the front goes on
    (Optuna's pruners refuse studies of two objectives).

    Args:
        standing: of the trial.
        standings: of all trials at the rung, ascending: thousands are no work then.
    """
    if len(standings) < MIN_AT_RUNG:
        return True
    if len(standing) == 1:
        num_dominating = len(standings) - bisect_right(standings, standing)
    else:
        above = standings[bisect_left(standings, standing[:1]) :]
        num_dominating = sum(_dominates(other, standing) for other in above)
    return num_dominating < math.ceil(GOES_ON * len(standings))


def _dominates(first: Standing, second: Standing) -> bool:
    return first != second and all(a >= b for a, b in zip(first, second, strict=True))


def _best_before(curve: Curve, step: float) -> float:
    # Strictly: a trial that stands at step t has not been scored at t, but the curve of one that went on has.
    return max(value for at, value in curve if at < step)
