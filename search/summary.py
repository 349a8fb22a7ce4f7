"""The summary of a study, from its storage alone: what `--json`, MLflow and `status` show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from search.confirm import seed_values
from search.stats import describe, paired_difference
from search.storage import Record, StudyStorage
from search.trial import Purpose, State


def summarise(storage: StudyStorage) -> dict[str, Any]:
    """One entry of `{"studies": [...]}` in the contract of the command line.

    `steps` counts all updates of the search, selection included; `fit_seconds` is time inside fits, all of them.
    """
    trials, references, confirmations = storage.trials(), storage.references(), storage.confirmations()
    states = Counter(record.state for record in trials)
    selections = [record for record in confirmations if record.purpose == Purpose.SELECT]
    return {
        "study": storage.name,
        "signal": storage.facts("signal"),
        "space": storage.facts("space"),
        "objective": storage.facts("fingerprint")["objective"],
        "trials": {state.value: states[state] for state in State},
        "best": _best(storage, trials, confirmations),
        "references": _references(storage, found_record(storage, trials), references, confirmations),
        "steps": sum(record.step for record in [*trials, *selections]),
        "wall_seconds": storage.facts("wall_seconds") or {},
        "fit_seconds": sum(record.fit_seconds for record in [*trials, *references, *confirmations]),
        "mlflow_run_id": storage.facts("mlflow_run_id"),
    }


def found_record(storage: StudyStorage, trials: Sequence[Record]) -> Record | None:
    """The trial of the recommended point: what selection chose or, before that, the best complete one."""
    number = storage.facts("found")
    if number is not None:
        return next(record for record in trials if record.number == number)
    complete = [r for r in trials if r.state is State.COMPLETE and r.psnr_db is not None]
    return max(complete, key=lambda record: record.psnr_db or 0.0, default=None)


def _best(storage: StudyStorage, trials: Sequence[Record], confirmations: Sequence[Record]) -> dict[str, Any] | None:
    record = found_record(storage, trials)
    if record is None:
        return None
    return {
        "number": record.number,
        "params": dict(record.point),
        "psnr_db": record.psnr_db,
        "confirmed": _confirmed(_confirm_values(storage, record.label, confirmations)),
    }


def _references(
    storage: StudyStorage, found: Record | None, references: Sequence[Record], confirmations: Sequence[Record]
) -> dict[str, Any]:
    found_values = _confirm_values(storage, found.label, confirmations) if found else {}
    by_number = {record.number: record for record in references}
    entries: dict[str, Any] = {}
    for name, facts in (storage.facts("references") or {}).items():
        record = by_number[facts["number"]]
        values = _confirm_values(storage, name, confirmations)
        shared = sorted(found_values.keys() & values.keys())
        regret, interval = (
            paired_difference([found_values[r] for r in shared], [values[r] for r in shared])
            if shared
            else (None, None)
        )
        entries[name] = {
            "kind": facts["kind"],
            "space": record.space,
            "params": dict(record.point),
            "psnr_db": record.psnr_db,
            "confirmed": _confirmed(values),
            "regret_db": regret,
            "ci95_db": list(interval) if interval else None,
        }
    return entries


def _confirm_values(storage: StudyStorage, label: str, confirmations: Sequence[Record]) -> dict[int, float]:
    """By repeat; only as many seeds as the last session asked for."""
    values = seed_values(label, Purpose.CONFIRM, confirmations)
    return {repeat: value for repeat, value in values.items() if repeat < (storage.facts("confirm") or 0)}


def _confirmed(values: Mapping[int, float]) -> dict[str, Any] | None:
    if not values:
        return None
    sample = describe(list(values.values()))
    return {"mean_psnr_db": sample.mean, "sd_db": sample.sd, "seeds": sample.num}
