"""MLflow shows what storage holds, no more and no less: the check that every test of faults ends with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from search.storage import StudyStorage
from search.summary import found_record
from search.tracking import RUN_STATUS, is_same, params_of
from search.view import Status, status_for_sync


def assert_mlflow_equals_storage(uri: str, storage: StudyStorage, store: Path) -> None:
    """One parent run of the study's status, one child for each trial and reference, nothing twice, none RUNNING.

    Args:
        uri: of the tracking server or database.
        storage: of the study, which no driver runs now.
        store: its folder.
    """
    client = MlflowClient(uri)
    parent, *others = parents_of(client, storage)
    assert not others, f"{storage.name} has {1 + len(others)} runs"
    status = status_for_sync(storage, store)
    assert status is not Status.RUNNING, "a driver has the study"
    closed = (Status.KILLED, Status.FAILED) if status is Status.KILLED else (status,)
    assert parent.info.status in closed, f"{storage.name} is {parent.info.status}, not {status}"
    records = {record.key: record for record in [*storage.references(), *storage.trials()]}
    children = children_of(client, parent)
    counts = Counter(run.data.tags["winnow.key"] for run in children)
    assert counts == Counter(records.keys()), {"extra": counts - Counter(records), "less": Counter(records) - counts}
    for run in children:
        record = records[run.data.tags["winnow.key"]]
        assert run.info.status == RUN_STATUS[record.state], record.key
        assert run.data.tags["winnow.state"] == record.state, record.key
        assert run.data.params == params_of(record), record.key
        assert is_same(run.data.metrics.get("psnr_db"), record.psnr_db), record.key
        curve = client.get_metric_history(run.info.run_id, "curve_psnr_db") if record.curve else []
        assert sorted((metric.step, metric.value) for metric in curve) == sorted(map(tuple, record.curve)), record.key
        assert len(client.get_metric_history(run.info.run_id, "best_step")) == 1, record.key
    if status is Status.FINISHED:
        found = found_record(storage, storage.trials())
        assert found is not None
        roles = [run.data.tags["winnow.key"] for run in children if run.data.tags["winnow.role"] == "found"]
        assert roles == [found.key]
        assert is_same(parent.data.metrics["psnr_db"], found.psnr_db)


def parents_of(client: MlflowClient, storage: StudyStorage) -> list[Run]:
    """The study's own runs; one, if all is well."""
    experiment = client.get_experiment_by_name(storage.name.split("/")[0])
    assert experiment is not None, f"no experiment for {storage.name}"
    return list(client.search_runs([experiment.experiment_id], f"tags.`winnow.id` = '{storage.facts('id')}'"))


def children_of(client: MlflowClient, parent: Run) -> list[Run]:
    """The runs of its trials and references."""
    own = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs([parent.info.experiment_id], own, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def everything(uri: str, storage: StudyStorage) -> list[dict[str, Any]]:
    """All that MLflow holds of a study, history, times and artifacts included: what a second sync must not change."""
    client = MlflowClient(uri)
    rows = []
    for parent in parents_of(client, storage):
        for run in [parent, *children_of(client, parent)]:
            run_id = run.info.run_id
            histories = {
                name: [
                    (metric.step, metric.timestamp, metric.value) for metric in client.get_metric_history(run_id, name)
                ]
                for name in run.data.metrics
            }
            info = (run_id, run.info.status, run.info.start_time, run.info.end_time, run.info.run_name)
            files = sorted((item.path, item.file_size) for item in client.list_artifacts(run_id))
            data = {"params": run.data.params, "tags": run.data.tags, "history": histories}
            rows.append({"info": info, "files": files, **data})
    return sorted(rows, key=lambda row: str(row["info"]))
