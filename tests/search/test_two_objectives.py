"""Studies of two objectives: the front, the point that is recommended, what MLflow shows, how they resume."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from optuna.study import StudyDirection
from optuna.trial import TrialState

from search.config import StudySpec
from search.connection import default_tracking_uri
from search.driver import Driver
from search.errors import Interrupted
from search.journal import GroupedJournal
from search.record import Record
from search.run import run_study
from search.status import find_studies, status_of
from search.storage import StudyStorage
from search.trial import State

SpecOf = Callable[..., StudySpec]
Summary = dict[str, Any]

UNTRACKED = {"tracking_uri": "nowhere://"}  # what a test is about that is not about MLflow
TASK = {"holdout": 0.3}
# A seed with which the front has several points, and moves when trials are added.
BOTH = {"objective": "both", "trials": 14, "confirm": 2, "seed": 4}


def opened(spec: StudySpec) -> StudyStorage:
    [study] = find_studies(spec.store.store, spec.store.storage, spec.name)
    return study


def table(spec: StudySpec) -> list[Any]:
    """What must be the same in two runs of a study."""
    return [
        (r.number, r.point, r.state, r.psnr_db, r.held_psnr_db, r.curve, r.rung_scores) for r in opened(spec).trials()
    ]


def undominated(records: list[Record]) -> set[int]:
    """By comparing each with each."""
    complete = [record for record in records if record.state is State.COMPLETE]

    def beats(a: Record, b: Record) -> bool:
        first, second = (a.psnr_db, a.held_psnr_db), (b.psnr_db, b.held_psnr_db)
        return first != second and first[0] >= second[0] and first[1] >= second[1]  # type: ignore[operator]

    return {b.number for b in complete if not any(beats(a, b) for a in complete)}


def children(spec: StudySpec, summary: Summary) -> dict[str, Any]:
    """MLflow's child runs by key."""
    client = MlflowClient(default_tracking_uri(spec.store.store))
    parent = client.get_run(summary["mlflow_run_id"])
    runs = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    return {run.data.tags["winnow.key"]: run for run in runs}


def marked(spec: StudySpec, summary: Summary) -> set[str]:
    """Keys of the child runs that carry the front's tag."""
    tags = {key: run.data.tags.get("winnow.front") for key, run in children(spec, summary).items()}
    assert set(tags.values()) == {"true", None}
    return {key for key, tag in tags.items() if tag}


@dataclass(frozen=True)
class Studied:
    """A study of 14 trials that was ended after 3 before, and what MLflow had marked then."""

    spec: StudySpec
    summary: Summary
    front_before: list[Any]
    marked_before: set[str]


@pytest.fixture(scope="module")
def studied(shared_spec: SpecOf) -> Studied:
    first, spec = (shared_spec(search={**BOTH, "trials": num}, task=TASK) for num in (3, 14))
    [before] = run_study(first)["studies"]
    marked_before = marked(first, before)
    [summary] = run_study(spec)["studies"]
    return Studied(spec, summary, before["front"], marked_before)


def test_optuna_maximises_both_and_is_told_fitted_then_held_out(studied: Studied) -> None:
    spec = studied.spec
    storage = opened(spec)
    assert storage.search.directions == [StudyDirection.MAXIMIZE, StudyDirection.MAXIMIZE]
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    records = storage.trials()
    for record in records:
        frozen = storage.search.trials[record.number]
        assert frozen.state is states[record.state]
        is_complete = record.state is State.COMPLETE
        assert frozen.values == ([record.psnr_db, record.held_psnr_db] if is_complete else None)
        assert frozen.intermediate_values == {}  # Optuna takes no reports of such a study
        assert list(record.rung_scores) == [15]
    assert State.PRUNED in {record.state for record in records}
    told = [frozen for frozen in storage.search.trials if "told" in frozen.user_attrs]
    assert told
    assert all(len(frozen.values) == 2 for frozen in told)


def test_the_front_is_what_no_complete_trial_beats_in_both(studied: Studied) -> None:
    spec, summary = studied.spec, studied.summary
    records = {record.number: record for record in opened(spec).trials()}
    front = summary["front"]
    assert {point["number"] for point in front} == undominated(list(records.values()))
    assert len(front) >= 2
    for point in front:
        record = records[point["number"]]
        assert set(point) == {"number", "params", "psnr_db", "held_psnr_db"}
        assert (point["params"], point["psnr_db"]) == (record.point, record.psnr_db)
        assert point["held_psnr_db"] == record.held_psnr_db
    assert [p["psnr_db"] for p in front] == sorted((p["psnr_db"] for p in front), reverse=True)
    assert [p["held_psnr_db"] for p in front] == sorted(p["held_psnr_db"] for p in front)
    assert status_of(opened(spec), spec.store.store)["front"] == front
    json.dumps(summary, allow_nan=False)


def test_the_best_point_fits_within_a_decibel_of_the_best_prediction(studied: Studied) -> None:
    spec, summary = studied.spec, studied.summary
    storage = opened(spec)
    predictions = [r for r in summary["references"].values() if r["kind"] == "prediction"]
    least = max(reference["psnr_db"] for reference in predictions) - 1.0
    complete = [record for record in storage.trials() if record.state is State.COMPLETE]
    fitting = [record for record in complete if record.psnr_db >= least] or complete
    raced = {record.label for record in storage.confirmations() if record.purpose == "select"}
    assert f"#{summary['best']['number']}" in raced & {record.label for record in fitting}


def test_regret_and_confirmation_are_of_held_out_psnr(studied: Studied) -> None:
    spec, summary = studied.spec, studied.summary
    fits = [record for record in opened(spec).confirmations() if record.purpose == "confirm"]

    def values(label: str, name: str) -> list[float]:
        own = sorted((record for record in fits if record.label == label), key=lambda record: record.repeat)
        return [getattr(record, name) for record in own]

    label, confirmed = f"#{summary['best']['number']}", summary["best"]["confirmed"]
    assert confirmed["mean_held_psnr_db"] == pytest.approx(np.mean(values(label, "held_psnr_db")))
    assert confirmed["held_sd_db"] == pytest.approx(np.std(values(label, "held_psnr_db"), ddof=1))
    assert confirmed["mean_psnr_db"] == pytest.approx(np.mean(values(label, "psnr_db")))
    for name, reference in summary["references"].items():
        differences = np.subtract(values(label, "held_psnr_db"), values(name, "held_psnr_db"))
        assert reference["regret_db"] == pytest.approx(differences.mean())
        assert reference["ci95_db"][0] <= reference["regret_db"] <= reference["ci95_db"][1]
        assert reference["confirmed"]["mean_held_psnr_db"] == pytest.approx(np.mean(values(name, "held_psnr_db")))


def test_mlflow_marks_the_front_and_nothing_else_also_when_more_trials_moved_it(studied: Studied) -> None:
    assert studied.marked_before == {f"search/{point['number']}" for point in studied.front_before}
    now = marked(studied.spec, studied.summary)
    assert now == {f"search/{point['number']}" for point in studied.summary["front"]}
    assert studied.marked_before - now, "no point left the front: this test shows nothing"


def test_mlflow_has_held_out_psnr_of_every_run(studied: Studied) -> None:
    spec, summary = studied.spec, studied.summary
    runs = children(spec, summary)
    records = [*opened(spec).trials(), *opened(spec).references()]
    assert runs.keys() == {record.key for record in records}
    for record in records:
        metrics = runs[record.key].data.metrics
        assert (metrics["psnr_db"], metrics["held_psnr_db"]) == (record.psnr_db, record.held_psnr_db)
        assert runs[record.key].info.status == {"complete": "FINISHED", "pruned": "KILLED"}[record.state]
        for score in record.rung_scores.values():
            assert metrics["rung_held_psnr_db"] == score.held_psnr_db
    client = MlflowClient(default_tracking_uri(spec.store.store))
    parent = client.get_run(summary["mlflow_run_id"])
    assert parent.data.metrics["held_psnr_db"] == summary["best"]["held_psnr_db"]
    assert parent.data.metrics["confirmed_held_psnr_db"] == summary["best"]["confirmed"]["mean_held_psnr_db"]
    for name, reference in summary["references"].items():
        assert parent.data.metrics[f"regret_db_{name}"] == reference["regret_db"]


@pytest.fixture
def deterministic(small_spec: SpecOf, tmp_path: Path) -> Callable[[str], StudySpec]:
    """A small deterministic study in a folder of that name."""

    def build(folder: str) -> StudySpec:
        search = {**BOTH, "trials": 9, "confirm": 0, "deterministic": True}
        return small_spec(search=search, task=TASK, store={**UNTRACKED, "store": tmp_path / folder})

    return build


class Died(BaseException):
    """What no code of ours catches."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """dying(n): the storage takes n writes, then none, as if the process had ended there; 0: it takes all again."""
    append, left = GroupedJournal.append_logs, [0]

    def append_logs(self: GroupedJournal, logs: list[dict[str, Any]]) -> None:
        if left[0] == 1:
            raise Died
        left[0] = max(left[0] - 1, 0)
        append(self, logs)

    monkeypatch.setattr(GroupedJournal, "append_logs", append_logs)

    def set_limit(num: int) -> None:
        left[0] = num + 1 if num else 0

    return set_limit


def test_a_driver_that_dies_after_some_writes_is_continued_to_the_same_table(
    deterministic: Callable[[str], StudySpec], dying: Callable[[int], None]
) -> None:
    whole, broken = deterministic("whole"), deterministic("broken")
    run_study(whole)
    assert {row[2] for row in table(whole)} == {State.COMPLETE, State.PRUNED}
    deaths = 0
    # Coprime with the writes of a trial, so that deaths come at every place within one.
    for limit in (27, 3, 5, 4, 7, 2, 8, 3, 6, 5, 9, 4, 7, 10):
        dying(limit)
        try:
            run_study(broken)
            break
        except Died:
            deaths += 1
    dying(0)
    assert deaths >= 8
    run_study(broken)
    assert table(broken) == table(whole)
    assert opened(broken).unfinished() == []


def test_a_study_that_was_stopped_beyond_a_rung_is_the_same_as_an_undisturbed_one(
    deterministic: Callable[[str], StudySpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = deterministic("whole"), deterministic("broken")
    run_study(whole)
    monkeypatch.setattr("search.driver.SEGMENT_SECONDS", 1e-3)  # a few steps a segment: a stop can come anywhere
    init, stopped = Driver.__init__, set[str]()

    def stopping(self: Driver, workers: Any, stop: threading.Event, watch: Any, *more: Any, **named: Any) -> None:
        def watch_and_stop(spec: Any, progress: Any) -> None:
            beyond = spec.rungs and spec.rungs[0] < progress.step < spec.fit.steps
            if beyond and len(stopped) < 3 and spec.key not in stopped:
                stopped.add(spec.key)
                stop.set()

        init(self, workers, stop, watch_and_stop, *more, **named)

    monkeypatch.setattr(Driver, "__init__", stopping)
    for _ in range(5):
        try:
            run_study(broken)
            break
        except Interrupted:
            continue
    assert len(stopped) >= 2
    assert table(broken) == table(whole)
