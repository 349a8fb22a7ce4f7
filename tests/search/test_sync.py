"""`winnow sync` makes MLflow hold what storage holds, at any address, once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from mirror import assert_mlflow_equals_storage, children_of, everything, parents_of
from mlflow import MlflowClient
from mlflow_server import MlflowServer

from search.config import StudySpec
from search.connection import default_tracking_uri
from search.errors import Interrupted
from search.folder import LOCK, study_folder
from search.run import run_study
from search.status import find_studies
from search.storage import StudyStorage
from search.study import StudyRun
from search.sync import sync_studies
from search.tracker import StudyTracker

pytestmark = pytest.mark.pictures

SpecOf = Callable[..., StudySpec]

IDS = re.compile(r"(?<=experiments/)\d+|\b[0-9a-f]{32}\b")
"""Of experiments and runs, within links."""


class Studied:
    """A finished study with a diagnosis of each trial, and two objectives."""

    def __init__(self, spec: StudySpec) -> None:
        self.store = spec.store.store
        [self.summary] = run_study(spec)["studies"]
        [self.study] = find_studies(self.store, None, "small")
        self.uri = default_tracking_uri(self.store)

    def check(self, uri: str) -> None:
        assert_mlflow_equals_storage(uri, self.study, self.store)

    def sync(self, uri: str | None = None) -> dict[str, Any]:
        [entry] = sync_studies(self.store, None, "small", uri)["studies"]
        return dict(entry)


@pytest.fixture(scope="module")
def studied(shared_spec: SpecOf) -> Studied:
    return Studied(shared_spec(search={"trials": 4, "confirm": 2, "objective": "both", "diagnose": True}))


def shown(uri: str, study: StudyStorage) -> dict[str, Any]:
    """What people see of a study's runs, by key, whenever it was written."""
    client = MlflowClient(uri)
    [parent] = parents_of(client, study)
    rows = {}
    for run in [parent, *children_of(client, parent)]:
        tags = {key: IDS.sub("ID", value) for key, value in run.data.tags.items() if key != "mlflow.parentRunId"}
        info = (run.info.status, run.info.start_time, run.info.end_time, run.info.run_name)
        files = sorted(item.path for item in client.list_artifacts(run.info.run_id))
        rows[tags.get("winnow.key", "")] = (info, run.data.params, run.data.metrics, tags, files)
    return rows


def test_a_session_leaves_nothing_to_sync(studied: Studied) -> None:
    studied.check(studied.uri)
    before = everything(studied.uri, studied.study)
    assert studied.sync()["logged"] == 0
    assert everything(studied.uri, studied.study) == before


def test_another_database_gets_what_the_session_showed_and_a_second_sync_changes_nothing(
    studied: Studied, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/other.db"
    entry = studied.sync(uri)
    assert entry["logged"] == entry["runs"] - 1 == 4 + len(studied.study.references())
    studied.check(uri)
    assert shown(uri, studied.study) == shown(studied.uri, studied.study)
    before = everything(uri, studied.study)
    assert studied.sync(uri) == {**entry, "logged": 0}
    assert everything(uri, studied.study) == before


def test_a_server_gets_it_with_its_artifacts(studied: Studied, server: MlflowServer) -> None:
    studied.sync(server.uri)
    studied.check(server.uri)
    before = everything(server.uri, studied.study)
    [(_, files)] = [(row["info"], row["files"]) for row in before if row["tags"].get("winnow.role") == "study"]
    assert {"landscape.png", "reconstruction.wav", "winner.safetensors"} <= {name for name, _ in files}
    studied.sync(server.uri)
    assert everything(server.uri, studied.study) == before


def test_runs_that_are_there_twice_or_belong_to_no_trial_go_and_wrong_ones_are_made_again(
    studied: Studied, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/other.db"
    studied.sync(uri)
    client = MlflowClient(uri)
    [parent] = parents_of(client, studied.study)
    first, second, third, fourth, *_ = children_of(client, parent)
    experiment = parent.info.experiment_id
    client.create_run(experiment, tags={key: parent.data.tags[key] for key in ("winnow.id", "winnow.study")})
    client.create_run(experiment, tags=first.data.tags)  # made, and then the answer was lost
    client.create_run(experiment, tags={**second.data.tags, "winnow.key": "search/77"})
    client.delete_run(third.info.run_id)
    client.log_metric(fourth.info.run_id, "psnr_db", 99.0, step=1)
    with pytest.raises(AssertionError):
        studied.check(uri)
    assert studied.sync(uri)["logged"] == 2
    studied.check(uri)
    assert shown(uri, studied.study) == shown(studied.uri, studied.study)


def test_an_experiment_that_somebody_deleted_comes_back(studied: Studied, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/other.db"
    client = MlflowClient(uri)
    client.delete_experiment(client.create_experiment("small", artifact_location=(tmp_path / "files").as_uri()))
    studied.sync(uri)
    studied.check(uri)


def test_a_study_that_is_run_now_is_shown_as_running_and_one_that_was_killed_is_not(
    small_spec: SpecOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec(search={"trials": 2, "confirm": 0})

    def stop(run: StudyRun) -> Any:
        raise Interrupted("here")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(StudyRun, "_search", stop)
        patched.setattr(StudyTracker, "abort", lambda study, status: None)  # the driver dies before it can say so
        with pytest.raises(Interrupted):
            run_study(spec)
    store, uri = spec.store.store, default_tracking_uri(spec.store.store)
    [study] = find_studies(store, None, "small")
    client = MlflowClient(uri)
    assert [run.info.status for run in parents_of(client, study)] == ["RUNNING"]
    with FileLock(study_folder(store, study.name) / LOCK):
        [entry] = sync_studies(store, None, study.name, None)["studies"]
        assert entry["status"] == "RUNNING"
        assert [run.info.status for run in parents_of(client, study)] == ["RUNNING"]
    [entry] = sync_studies(store, None, study.name, None)["studies"]
    assert entry["status"] == "KILLED"
    assert_mlflow_equals_storage(uri, study, store)
    before = everything(uri, study)
    sync_studies(store, None, study.name, None)
    assert everything(uri, study) == before
    run_study(spec)
    assert_mlflow_equals_storage(uri, study, store)
    assert [run.info.status for run in parents_of(client, study)] == ["FINISHED"]


def test_a_study_of_a_version_that_did_not_keep_what_it_showed_is_shown_as_far_as_storage_tells(
    studied: Studied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.view.SHOWN", "unknown")
    uri = f"sqlite:///{tmp_path}/other.db"
    studied.sync(uri)
    studied.check(uri)
    [parent] = parents_of(MlflowClient(uri), studied.study)
    assert parent.data.params["signal"] == studied.summary["signal"]
    assert parent.data.params["width"] == "16"


def test_the_command_says_what_it_did_and_refuses_what_it_cannot_do(
    studied: Studied, shell: Callable[..., tuple[int, str, str]]
) -> None:
    words = ["--store", str(studied.store)]
    code, out, err = shell("sync", "small", *words)
    assert (code, err) == (0, "")
    assert out == f"{studied.study.name}: {5 + len(studied.study.references())} runs, 0 of them new, FINISHED\n"
    code, out, err = shell("sync", studied.study.name, *words, "--json")
    document = json.loads(out)
    assert document["studies"][0]["mlflow_run_id"] == studied.summary["mlflow_run_id"]
    code, out, err = shell("sync", "nobody", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "there is no study 'nobody'" in err
    code, out, err = shell("sync", "small", *words, "--tracking-uri", "gopher://ada:s3cret@there")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "error: MLflow at gopher://***@there cannot be written" in err
    assert "s3cret" not in err
