"""`winnow sync` makes MLflow hold what storage holds, at any address, once."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from mirror import assert_mlflow_equals_storage, children_of, everything, parents_of
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow_server import MlflowServer

from search.config import StudySpec
from search.connection import default_tracking_uri
from search.errors import Interrupted
from search.experiment import show_campaign
from search.folder import LOCK, study_folder
from search.notes import NOTE
from search.run import run_study
from search.status import find_studies
from search.storage import StudyStorage
from search.study import StudyRun
from search.sync import sync_studies
from search.tracker import StudyTracker
from search.view import Status

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


def test_figures_that_count_no_more_are_no_numbers_any_more(small_spec: SpecOf) -> None:
    spec = small_spec(search={"trials": 2, "confirm": 2})
    run_study(spec)
    [study] = find_studies(spec.store.store, None, "small")
    uri = default_tracking_uri(spec.store.store)
    [before] = parents_of(MlflowClient(uri), study)
    judged = {key for key in before.data.metrics if key.startswith(("regret_", "confirmed_"))}
    assert {"regret_db", "regret_low_db", "confirmed_psnr_db"} <= judged
    run_study(small_spec(search={"trials": 2, "confirm": 0}))
    [after] = parents_of(MlflowClient(uri), study)
    assert {key for key in judged if not math.isnan(after.data.metrics[key])} == set()
    assert_mlflow_equals_storage(uri, study, spec.store.store)
    kept = repr(everything(uri, study))
    sync_studies(spec.store.store, None, "small", None)
    assert repr(everything(uri, study)) == kept


def test_a_server_that_takes_short_descriptions_gets_one(studied: Studied, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/old.db"
    studied.sync(uri)
    client = MlflowClient(uri)
    [parent] = parents_of(client, studied.study)
    experiment = parent.info.experiment_id
    for number in range(60):
        tags = {"winnow.role": "study", "winnow.found": "#1 s0=1", "winnow.better_than_prediction": "+1.0 dB (winner)"}
        client.create_run(experiment, run_name=f"clip{number}-abcdef", tags=tags)

    class Old:
        """MLflow before it took 20,000 characters."""

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def set_experiment_tag(self, id: str, key: str, value: str) -> None:
            if len(value) > 5000:
                raise MlflowException("too long", error_code=INVALID_PARAMETER_VALUE)
            client.set_experiment_tag(id, key, value)

    show_campaign(Old(), experiment)  # type: ignore[arg-type]
    note = client.get_experiment(experiment).tags[NOTE]
    assert 4000 < len(note) < 5000
    assert note.endswith("(more than MLflow holds: see the list of runs)")


def test_an_experiment_without_studies_says_nothing_of_them(studied: Studied, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/other.db"
    studied.sync(uri)
    client = MlflowClient(uri)
    [parent] = parents_of(client, studied.study)
    client.delete_run(parent.info.run_id)
    show_campaign(client, parent.info.experiment_id)
    assert NOTE not in client.get_experiment(parent.info.experiment_id).tags


def test_a_driver_that_begins_meanwhile_keeps_its_run_and_its_trials(
    studied: Studied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/other.db"
    studied.sync(uri)
    client = MlflowClient(uri)
    [parent] = parents_of(client, studied.study)
    some = children_of(client, parent)[0].data.tags
    new = client.create_run(parent.info.experiment_id, tags={**some, "winnow.key": "search/77"})
    client.update_run(parent.info.run_id, status="RUNNING")
    with FileLock(study_folder(studied.store, studied.study.name) / LOCK):
        monkeypatch.setattr("search.sync.status_for_sync", lambda *arguments: Status.FINISHED)  # as it was before
        studied.sync(uri)
    assert client.get_run(new.info.run_id).info.lifecycle_stage == "active"
    assert client.get_run(parent.info.run_id).info.status == "RUNNING"
