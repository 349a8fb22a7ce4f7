"""The summary of a study, from its storage alone: what `--json`, MLflow and `status` show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from search.confirm import ranked_trials, seed_values, untuned_label
from search.objective import Objective, front_of
from search.record import Record
from search.stats import describe, seed_difference
from search.storage import StudyStorage
from search.trial import Purpose, State


def summarise(storage: StudyStorage) -> dict[str, Any]:
    """One entry of `{"studies": [...]}` in the contract of the command line.

    `steps` counts all updates of the search, selection included; `fit_seconds` is time inside fits, all of them.
    """
    # Facts name records: read first, they name none that a driver beside us adds later.
    facts = storage.facts("references") or {}
    trials, references, confirmations = storage.trials(), storage.references(), storage.confirmations()
    states = Counter(record.state for record in trials)
    selections = [record for record in confirmations if record.purpose == Purpose.SELECT]
    summary = {
        "study": storage.name,
        "signal": storage.facts("signal"),
        "space": storage.facts("space"),
        "objective": storage.facts("fingerprint")["objective"],
        "trials": {state.value: states[state] for state in State},
        "best": _best(storage, trials, confirmations),
        "references": _references(storage, facts, found_record(storage, trials), references, confirmations),
        "steps": sum(record.step for record in [*trials, *selections]),
        "wall_seconds": storage.facts("wall_seconds") or {},
        "fit_seconds": sum(record.fit_seconds for record in [*trials, *references, *confirmations]),
        "mlflow_run_id": storage.facts("mlflow_run_id"),
    }
    if storage.objective is Objective.BOTH:
        summary["front"] = [
            {
                "number": record.number,
                "params": dict(record.point),
                "psnr_db": record.psnr_db,
                "held_psnr_db": record.held_psnr_db,
            }
            for record in front_records(trials)
        ]
    return summary


def front_records(trials: Sequence[Record]) -> list[Record]:
    """The complete trials that no other beats in both PSNRs, on the search's seed, by falling fitted PSNR."""
    return front_of([record for record in trials if record.state is State.COMPLETE])


def best_prediction_db(storage: StudyStorage) -> float | None:
    """Fitted PSNR, on the search's seed, of the best prediction at the rate that counts; None where there is none."""
    facts = (storage.facts("references") or {}).values()
    by_number = {record.number: record for record in storage.references()}
    values = [by_number[fact["number"]].psnr_db for fact in facts if fact["kind"] == "prediction"]
    return max((value for value in values if value is not None), default=None)


def found_record(storage: StudyStorage, trials: Sequence[Record]) -> Record | None:
    """The trial of the recommended point: what selection chose or, before that, the best complete one."""
    number = storage.facts("found")
    found = next((record for record in trials if record.number == number), None)
    if found is not None:  # else it is of a trial that ended after these were read
        return found
    return next(iter(ranked_trials(trials, storage.objective, best_prediction_db(storage))), None)


def _best(storage: StudyStorage, trials: Sequence[Record], confirmations: Sequence[Record]) -> dict[str, Any] | None:
    record = found_record(storage, trials)
    if record is None:
        return None
    return {
        "number": record.number,
        "params": dict(record.point),
        **_scores(record),
        "confirmed": _confirmed(storage, record.label, confirmations),
    }


def _references(
    storage: StudyStorage,
    known: Mapping[str, Any],
    found: Record | None,
    references: Sequence[Record],
    confirmations: Sequence[Record],
) -> dict[str, Any]:
    found_values = confirm_values(storage, found.label, confirmations) if found else {}
    by_number = {record.number: record for record in references}
    entries: dict[str, Any] = {}
    for name, facts in known.items():
        record = by_number[facts["number"]]
        values = confirm_values(storage, name, confirmations)
        regret, interval = _difference(found_values, values)
        rate, rate_interval = _rate_difference(storage, name, facts, values, confirmations)
        entries[name] = {
            "kind": facts["kind"],
            "seconds": facts.get("seconds"),
            "space": record.space,
            "params": dict(record.point),
            **_scores(record),
            "confirmed": _confirmed(storage, name, confirmations),
            "regret_db": regret,
            "ci95_db": interval,
            "rate_db": rate,
            "rate_ci95_db": rate_interval,
        }
    return entries


def _difference(first: Mapping[int, float], second: Mapping[int, float]) -> tuple[float | None, list[float] | None]:
    """As `seed_difference`, JSON-able."""
    mean, interval = seed_difference(first, second)
    return mean, list(interval) if interval else None


def _rate_difference(
    storage: StudyStorage,
    name: str,
    facts: Mapping[str, Any],
    tuned: Mapping[int, float],
    confirmations: Sequence[Record],
) -> tuple[float | None, list[float] | None]:
    """What a prediction gained over the papers' learning rate by the best of three; None where it names its own."""
    if facts.get("untuned") is None:
        return None, None
    if facts["number"] == facts["untuned"]:
        return (0.0, None) if tuned else (None, None)
    return _difference(tuned, confirm_values(storage, untuned_label(name), confirmations))


def confirm_values(
    storage: StudyStorage, label: str, confirmations: Sequence[Record], objective: Objective | None = None
) -> dict[int, float]:
    """Of a point its score on the confirm seeds, dB by repeat; only as many as the last session asked for.

    Args:
        storage: of the study.
        label: of the point.
        confirmations: of the study.
        objective: whose score; the study's own unless given.
    """
    values = seed_values(label, Purpose.CONFIRM, confirmations, objective or storage.objective)
    return {repeat: value for repeat, value in values.items() if repeat < (storage.facts("confirm") or 0)}


def _scores(record: Record) -> dict[str, Any]:
    held = {} if record.held_psnr_db is None else {"held_psnr_db": record.held_psnr_db}
    return {"psnr_db": record.psnr_db, **held, "metrics": dict(record.metrics)}


def _confirmed(storage: StudyStorage, label: str, confirmations: Sequence[Record]) -> dict[str, Any] | None:
    """Mean and deviation over the confirm seeds, of held-out PSNR too where samples are held out."""
    fitted, held = (
        list(confirm_values(storage, label, confirmations, objective).values())
        for objective in (Objective.FIT, Objective.HOLDOUT)
    )
    if not fitted:
        return None
    sample = describe(fitted)
    confirmed = {"mean_psnr_db": sample.mean, "sd_db": sample.sd, "seeds": sample.num}
    if held:
        sample = describe(held)
        confirmed |= {"mean_held_psnr_db": sample.mean, "held_sd_db": sample.sd}
    return confirmed
