"""Which point won, and by how much, as columns of MLflow's list: text for people, numbers to sort by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.objective import Objective
from search.trial import spell

FOUND = "winnow.found"
FRESH_SEEDS = "winnow.fresh_seeds"
OVER_PREDICTION = "winnow.better_than_prediction"
OVER_BASELINE = "winnow.better_than_baseline"

VARIED = "mlflow.winnow.varied"
"""Tag of a study's run: the parameters that its trials vary, in order."""

ANSWER_TAGS = (FOUND, OVER_PREDICTION, FRESH_SEEDS, OVER_BASELINE)
"""Tags of a study's run that say its answer, the foremost first; one that has no value is not there."""


def closest(summary: Mapping[str, Any], kind: str) -> tuple[str, Mapping[str, Any]] | None:
    """The reference of a kind that comes closest to the found point, or beats it, on fresh seeds; its name first."""
    judged = [
        (name, reference)
        for name, reference in summary["references"].items()
        if reference["kind"] == kind and reference["regret_db"] is not None
    ]
    return min(judged, key=lambda item: float(item[1]["regret_db"]), default=None)


def answer_tags(summary: Mapping[str, Any]) -> dict[str, str]:
    """ANSWER_TAGS of a study, as far as it answers by now."""
    best = summary["best"]
    if best is None:
        return {}
    tags = {FOUND: f"#{best['number']} {spell(best['params'])}"}
    fresh = _fresh_seeds(summary)
    if fresh:
        tags[FRESH_SEEDS] = fresh
    for tag, kind in ((OVER_PREDICTION, "prediction"), (OVER_BASELINE, "baseline")):
        judged = closest(summary, kind)
        if judged:
            name, reference = judged
            tags[tag] = f"{spell_regret(reference)} ({name})"
    return tags


def answer_metrics(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """Regret of the best prediction, with the ends of its 95 % interval, and of the best baseline; dB."""
    metrics: dict[str, float | None] = {}
    prediction, baseline = closest(summary, "prediction"), closest(summary, "baseline")
    if prediction:
        low, high = prediction[1]["ci95_db"] or (None, None)
        metrics |= {"regret_db": prediction[1]["regret_db"], "regret_low_db": low, "regret_high_db": high}
    if baseline:
        metrics["regret_baseline_db"] = baseline[1]["regret_db"]
    return metrics


def spell_regret(reference: Mapping[str, Any]) -> str:
    """`+5.9 dB [2.2, 9.6]`."""
    return spell_interval(reference["regret_db"], reference["ci95_db"], unit=" dB")


def spell_interval(value: float, interval: Sequence[float] | None, *, digits: int = 1, unit: str = "") -> str:
    """`+5.9 [2.2, 9.6]`, the value with its unit; without the ends where there are none."""
    ends = f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]" if interval else ""
    return f"{value:+.{digits}f}{unit}{ends}"


def is_told_apart(reference: Mapping[str, Any]) -> bool:
    """Whether the interval of its regret leaves no difference out; one seed has no interval."""
    interval = reference["ci95_db"]
    return interval is not None and not interval[0] <= 0 <= interval[1]


def best_score(summary: Mapping[str, Any]) -> float:
    """PSNR of the found point on the search's seed, of the objective, dB."""
    return float(summary["best"]["psnr_db" if summary["objective"] == Objective.FIT else "held_psnr_db"])


def _fresh_seeds(summary: Mapping[str, Any]) -> str | None:
    """`32.4 ± 1.4 dB (3 fresh seeds)`, of the objective."""
    confirmed = summary["best"]["confirmed"]
    is_held = summary["objective"] != Objective.FIT
    mean, sd = ("mean_held_psnr_db", "held_sd_db") if is_held else ("mean_psnr_db", "sd_db")
    if not confirmed or mean not in confirmed:
        return None
    spread = f" ± {confirmed[sd]:.1f}" if confirmed[sd] is not None else ""
    held, num = "held out, " if is_held else "", confirmed["seeds"]
    return f"{confirmed[mean]:.1f}{spread} dB ({held}{num} fresh seed{'s' if num > 1 else ''})"
