"""MLflow shows what storage holds, no more and no less: the check that every test of faults ends with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from search.answer import ANSWER_TAGS, FOUND
from search.folder import study_folder
from search.logged_model import DIGEST, is_registered, models_of
from search.notes import NOTE, escape, study_note
from search.preset_views import STUDIES, TAG, TRIALS, study_view_key
from search.run_contents import RUN_STATUS, has_dataset, is_same, params_of
from search.storage import StudyStorage
from search.study_runs import FILES
from search.summary import found_record
from search.ui_links import run_link
from search.view import Status, StudyView, status_for_sync, view_of
from search.winner_model import read_winner_model


def assert_mlflow_equals_storage(uri: str, storage: StudyStorage, store: Path) -> None:
    """One parent run of the study's status, one child for each trial and reference, nothing twice, none RUNNING.

    Where the study is finished, also its answer, its description and the experiment's: until then they are of some
    time before.

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
    view = view_of(storage, store, status)
    assert has_dataset(parent, view.dataset)
    for run in children:
        assert has_dataset(run, view.dataset), run.data.tags["winnow.key"]
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
        winner = read_winner_model(study_folder(store, storage.name), storage.name)
        models = models_of(client, parent.info.experiment_id, storage.facts("id"))
        digests = [model.tags[DIGEST] for model in models if not is_registered(model)]
        assert digests == ([winner.digest] if winner else []), f"{storage.name} has models {digests}"
        _assert_descriptions(client, parent, children, view)


def _assert_descriptions(client: MlflowClient, parent: Run, children: Sequence[Run], view: StudyView) -> None:
    experiment = client.get_experiment(parent.info.experiment_id)
    runs = {run.data.tags["winnow.key"]: run.info.run_id for run in children}
    own = study_view_key(parent.info.run_id)
    models = [model for model in models_of(client, experiment.experiment_id, view.id) if not is_registered(model)]
    assert parent.data.tags[NOTE] == study_note(
        view,
        experiment.experiment_id,
        parent.info.run_id,
        runs,
        artifacts=json.loads(parent.data.tags.get(FILES, "{}")),
        model=models[0].model_id if models else None,
        trials=own if TAG + own in experiment.tags else TRIALS,
    )
    answer = {key: value for key, value in parent.data.tags.items() if key in ANSWER_TAGS}
    assert answer == {key: value for key, value in view.answer.items() if key in ANSWER_TAGS}
    assert escape(view.answer[FOUND]) in experiment.tags[NOTE]
    assert run_link(experiment.experiment_id, parent.info.run_id) in experiment.tags[NOTE]
    assert {TAG + STUDIES, TAG + TRIALS} <= experiment.tags.keys()


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
        experiment = client.get_experiment(parent.info.experiment_id).tags
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
            inputs = [(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs]
            data = {"params": run.data.params, "tags": run.data.tags, "history": histories, "inputs": inputs}
            data["experiment"] = experiment
            rows.append({"info": info, "files": files, **data})
        for model in models_of(client, parent.info.experiment_id, storage.facts("id")):
            metrics = sorted((metric.key, metric.timestamp, metric.value) for metric in model.metrics or ())
            files = sorted((item.path, item.file_size) for item in client.list_logged_model_artifacts(model.model_id))
            data = {"params": model.params, "tags": model.tags, "history": metrics}
            rows.append({"info": (model.model_id, model.status), "files": files, **data})
    return sorted(rows, key=lambda row: str(row["info"]))
