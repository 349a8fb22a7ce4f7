"""Views of an experiment's list that its "Views" menu offers: columns, order and charts, as MLflow 3.17 keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from search.answer import ANSWER_TAGS, FOUND, FRESH_SEEDS, OVER_BASELINE, OVER_PREDICTION

TAG = "mlflow.sharedViewState."
"""MLflow's prefix of an experiment's tag that holds a view; the address names the rest."""

STUDIES, TRIALS = "winnow-studies", "winnow-trials"

MOST_STUDIES = 20
"""That have a view of their own: the menu lists them all."""

NAME_COLUMN, CREATED_COLUMN, DATASET_COLUMN = "attributes.`Run Name`", "runDateAndNestInfo", "attributes.`Dataset`"

WIDTHS = {
    CREATED_COLUMN: 125,
    DATASET_COLUMN: 190,
    f"tags.`{FOUND}`": 225,
    f"tags.`{OVER_PREDICTION}`": 215,
    f"tags.`{FRESH_SEEDS}`": 190,
    f"tags.`{OVER_BASELINE}`": 205,
}
OTHER_WIDTH = 100
"""Pixels: answers are read without a click, on a screen of 1,600 also beside MLflow's assistant."""


def preset_views(varied: Sequence[str], *, is_held: bool, made_ms: int) -> dict[str, str]:
    """Tags of an experiment, by name.

    Args:
        varied: parameters that its studies vary.
        is_held: whether some are judged by held-out samples.
        made_ms: when the experiment was made.
    """
    trial_columns = _trial_columns(varied, is_held)
    studies = _view(
        "Studies: what was found",
        made_ms,
        name_width=240,
        order=("attributes.start_time", False),
        columns=[*(f"tags.`{tag}`" for tag in ANSWER_TAGS), *trial_columns],
        charts=[_bar("regret_db"), _bar("regret_baseline_db"), _bar("confirmed_psnr_db")],
    )
    trials = _trials("Trials and references, the best first", "tags.`winnow.key` != ''", varied, is_held, made_ms)
    return {TAG + STUDIES: studies, TAG + TRIALS: trials}


def study_view_key(run: str) -> str:
    """Of the view of one study's trials.

    Args:
        run: id of the study's.
    """
    return f"winnow-{run}"


def study_view(title: str, run: str, varied: Sequence[str], *, is_held: bool, made_ms: int) -> str:
    """The experiment's tag that holds it; arguments as those of `preset_views`."""
    return _trials(f"Trials of {title}", f"tags.`mlflow.parentRunId` = '{run}'", varied, is_held, made_ms)


def _trials(name: str, search: str, varied: Sequence[str], is_held: bool, made_ms: int) -> str:
    score = "held_psnr_db" if is_held else "psnr_db"
    return _view(
        name,
        made_ms,
        name_width=300,
        order=(f"metrics.`{score}`", False),
        search=search,
        columns=[DATASET_COLUMN, *_trial_columns(varied, is_held)],
        charts=[_parallel([*varied], [score]), _curves("curve_psnr_db"), _scatter(varied[:1], score)],
    )


def _trial_columns(varied: Sequence[str], is_held: bool) -> list[str]:
    return [
        *(f"metrics.`{name}`" for name in (["psnr_db", "held_psnr_db"] if is_held else ["psnr_db"])),
        "metrics.`regret_db`",
        *(f"params.`{name}`" for name in varied),
        *(f"tags.`winnow.{name}`" for name in ("role", "state")),
    ]


def _view(
    name: str,
    made_ms: int,
    *,
    name_width: int,
    order: tuple[str, bool],
    columns: Sequence[str],
    charts: Sequence[dict[str, Any] | None],
    search: str = "",
) -> str:
    order_key, is_ascending = order
    shown = [NAME_COLUMN, CREATED_COLUMN, *columns]
    state = {
        "searchFilter": search,
        "orderByKey": order_key,
        "orderByAsc": is_ascending,
        "selectedColumns": list(columns),
        "columnOrder": shown,
        "columnWidths": {**{column: WIDTHS.get(column, OTHER_WIDTH) for column in shown}, NAME_COLUMN: name_width},
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunSections": [_section()],
        "compareRunCharts": [chart for chart in charts if chart],
    }
    return json.dumps({"name": name, "createdAt": made_ms, "updatedAt": made_ms, "state": json.dumps(state)})


SECTION = "winnow"


def _section() -> dict[str, Any]:
    return {
        "uuid": SECTION, "name": "Points and scores", "display": True, "isReordered": True, "deleted": False,
        "isGenerated": False,
    }  # fmt: skip


def _chart(kind: str, name: str, runs: int) -> dict[str, Any]:
    return {
        "type": kind, "uuid": f"winnow-{kind.lower()}-{name}", "displayName": name, "runsCountToCompare": runs,
        "metricSectionId": SECTION, "deleted": False, "isGenerated": False,
    }  # fmt: skip


def _bar(metric: str) -> dict[str, Any]:
    return {**_chart("BAR", metric, 20), "metricKey": metric}


def _curves(metric: str) -> dict[str, Any]:
    return {
        **_chart("LINE", metric, 20),
        "metricKey": metric, "selectedMetricKeys": [metric], "xAxisKey": "step", "xAxisScaleType": "linear",
        "scaleType": "linear", "lineSmoothness": 0, "selectedXAxisMetricKey": "", "range": {}, "yAxisKey": "metric",
        "yAxisExpressions": [], "ignoreOutliers": False, "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True,
    }  # fmt: skip


def _parallel(params: Sequence[str], metrics: Sequence[str]) -> dict[str, Any] | None:
    if not params:
        return None
    chart = _chart("PARALLEL", "points and their PSNR", 100)
    return {**chart, "selectedParams": list(params), "selectedMetrics": list(metrics), "showAllRuns": True}


def _scatter(params: Sequence[str], metric: str) -> dict[str, Any] | None:
    if not params:
        return None
    axes = {"xaxis": {"key": params[0], "type": "PARAM"}, "yaxis": {"key": metric, "type": "METRIC"}}
    return {**_chart("SCATTER", f"{metric} over {params[0]}", 100), **axes}
