"""What runs hold of records, datasets and summaries, in MLflow's types; and whether one found there holds a record."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search.answer import answer_metrics
from search.dataset import SignalDataset
from search.record import Record
from search.trial import State, spell
from search.view import Status, spelled

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Param, Run

MOST_OF_A_NAME = 250
"""Characters of a run's, on PostgreSQL."""

RUN_STATUS = {State.COMPLETE: Status.FINISHED, State.PRUNED: Status.KILLED, State.FAILED: Status.FAILED}


def run_name(record: Record) -> str:
    """What a person reads in the list: `#17 s0=412 s1=0.21 lr=0.0005`."""
    return f"{record.label} {spell(record.point)}"[:MOST_OF_A_NAME]


def params_of(record: Record) -> dict[str, str]:
    """Parameters of a child run, as MLflow holds them."""
    asked = {"space": record.space, "steps": record.steps, "seed": record.seed, "number": record.number}
    return spelled({**record.point, **asked})


def tags_of(record: Record) -> dict[str, str]:
    """Tags of a child run, by which it is found again."""
    tags = {"winnow.key": record.key, "winnow.state": record.state.value, "winnow.label": record.label}
    return {**tags, "winnow.reason": record.reason} if record.reason else tags


def metrics_of(record: Record) -> list[Metric]:
    """Curve, rungs and scores of a record, at the time when it ended."""
    from mlflow.entities import Metric

    ended = to_ms(record.ended)
    metrics = [Metric("curve_psnr_db", value, ended, step) for step, value in record.curve]
    for rung, score in record.rung_scores.items():
        metrics.append(Metric("rung_psnr_db", score.psnr_db, ended, rung))
        if score.held_psnr_db is not None:
            metrics.append(Metric("rung_held_psnr_db", score.held_psnr_db, ended, rung))
    scalars = {
        "psnr_db": record.psnr_db,
        "snr_db": record.snr_db,
        "held_psnr_db": record.held_psnr_db,
        **record.metrics,
        "best_step": record.best_step,
        "fit_seconds": record.fit_seconds,
    }
    return metrics + [Metric(key, float(value), ended, 0) for key, value in scalars.items() if value is not None]


def summary_metrics(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics of a parent run: what the study came to."""
    best = summary["best"] or {}
    metrics = {**answer_metrics(summary), **confirmed_metrics(best.get("confirmed"))}  # shown in this order
    metrics |= {"psnr_db": best.get("psnr_db"), "held_psnr_db": best.get("held_psnr_db"), **best.get("metrics", {})}
    point = best.get("params", {})
    metrics |= {f"found_{name}": value for name, value in point.items() if isinstance(value, int | float)}
    for name, reference in summary["references"].items():
        metrics[metric_name(f"regret_db_{name}")] = reference["regret_db"]
    metrics |= {f"num_{state}": float(count) for state, count in summary["trials"].items()}
    return metrics | {f"wall_seconds_{phase}": seconds for phase, seconds in summary["wall_seconds"].items()}


def confirmed_metrics(confirmed: Mapping[str, Any] | None) -> dict[str, float | None]:
    """What fresh seeds gave a point; None where they were not fitted."""
    names = {
        "confirmed_psnr_db": "mean_psnr_db",
        "confirmed_sd_db": "sd_db",
        "confirmed_held_psnr_db": "mean_held_psnr_db",
        "confirmed_held_sd_db": "held_sd_db",
    }
    return {name: confirmed.get(key) if confirmed else None for name, key in names.items()}


def is_whole(run: Run, record: Record, dataset: SignalDataset | None) -> bool:
    """Whether a run has all of a record that the list shows, its dataset and its end."""
    is_scored = is_same(run.data.metrics.get("psnr_db"), record.psnr_db)
    has_params = run.data.params.keys() >= params_of(record).keys()
    has_ended = run.info.status == RUN_STATUS[record.state]
    return begins(run, record) and is_scored and has_params and has_ended and has_dataset(run, dataset)


def begins(run: Run, record: Record) -> bool:
    """Whether all that a run has of a record is the record's."""
    params = params_of(record)
    psnr_db = run.data.metrics.get("psnr_db")
    is_scored = psnr_db is None or is_same(psnr_db, record.psnr_db)
    is_named = run.data.tags.get("winnow.state") == record.state
    return is_named and is_scored and all(params.get(key) == value for key, value in run.data.params.items())


def has_dataset(run: Run, dataset: SignalDataset | None) -> bool:
    """Whether a run has this dataset, if there is one, as its input."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    names = {(one.dataset.name, one.dataset.digest) for one in inputs}
    return dataset is None or (dataset.name, dataset.digest) in names


def is_same(one: float | None, other: float | None) -> bool:
    """Whether MLflow would show both alike: it holds infinity as the largest double."""
    if one is None or other is None:
        return one is other
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    one, other = (max(-sys.float_info.max, min(sys.float_info.max, value)) for value in (one, other))
    return one == other


def to_params(values: Mapping[str, str]) -> list[Param]:
    """Parameters as MLflow takes them."""
    from mlflow.entities import Param

    return [Param(key, value) for key, value in values.items()]


def to_inputs(dataset: SignalDataset) -> list[DatasetInput]:
    """A dataset as the input of a run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    entity = Dataset(
        name=dataset.name,
        digest=dataset.digest,
        source_type="local",
        source=dataset.source_json(),
        schema=dataset.schema_json(),
        profile=dataset.profile_json(),
    )
    return [DatasetInput(entity, tags=[InputTag("mlflow.data.context", dataset.context)])]


def to_ms(seconds: float) -> int:
    """A time as MLflow holds it."""
    return round(seconds * 1000)


def metric_name(text: str) -> str:
    """`text` with what MLflow refuses in names replaced: users name spaces and heuristics as they like."""
    return re.sub(r"[^\w\-. :/]", "_", text)
