"""What workers use of their machines: measured, kept in the study's folder, shown by MLflow as the folder has it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from mirror import assert_mlflow_equals_storage, everything, parents_of
from mlflow import MlflowClient

from search.config import StudySpec
from search.connection import default_tracking_uri
from search.folder import USAGE, study_folder
from search.run import run_study
from search.status import find_studies
from search.sync import sync_studies
from search.usage import Meter, Usage, append_usage, read_usage


def usage(at: float, **values: float) -> Usage:
    return Usage(host="here", at=at, **{"cpu_percent": 50.0, "memory_mb": 100.0, **values})


def test_a_process_that_computes_uses_its_cpu_and_gives_a_sample_when_one_is_due() -> None:
    meter = Meter("cpu", every_seconds=0.2)
    assert meter.read() is None
    until = time.thread_time() + 0.2
    while time.thread_time() < until:
        pass
    sample = meter.read()
    assert sample is not None
    assert sample.cpu_percent > 5
    assert 20 < sample.memory_mb < 20_000
    assert (sample.gpu_percent, sample.gpu_memory_mb) == (None, None)
    assert abs(sample.at - time.time()) < 60


def test_samples_come_back_by_metric_and_worker_though_a_line_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "new" / USAGE
    assert read_usage(path) == []
    append_usage(path, 0, usage(1.0))
    append_usage(path, 1, usage(2.0, gpu_percent=80.0))
    path.write_bytes(path.read_bytes() + b'{"worker": 0, "at"')
    append_usage(path, 0, usage(3.0))
    found = [(sample.key.removeprefix("system/"), sample.at, sample.step) for sample in read_usage(path)]
    assert [entry for entry in found if "cpu" in entry[0]] == [
        ("worker-0/cpu_utilization_percentage", 1.0, 0),
        ("worker-1/cpu_utilization_percentage", 2.0, 0),
        ("worker-0/cpu_utilization_percentage", 3.0, 1),
    ]
    assert [entry for entry in found if "gpu" in entry[0]] == [("worker-1/gpu_utilization_percentage", 2.0, 0)]
    path.write_bytes(path.read_bytes() + b"[]\n{}\n\xff\n")
    assert len(read_usage(path)) == len(found)


@pytest.mark.parametrize(
    "broken",
    ['"at": 1e999', '"at": NaN', '"at": 1e300', '"at": -1.0', '"cpu_percent": Infinity', '"memory_mb": -1e999'],
)
def test_a_whole_line_with_a_number_that_mlflow_cannot_hold_is_left_out(tmp_path: Path, broken: str) -> None:
    path = tmp_path / USAGE
    append_usage(path, 0, usage(1.0))
    whole = path.read_text()
    key = broken.partition(":")[0]
    path.write_text(whole + re.sub(f"{key}: [0-9.]+", broken, whole) + whole)
    assert broken in path.read_text()
    assert [(sample.at, sample.step) for sample in read_usage(path)] == [(1.0, 0), (1.0, 0), (1.0, 1), (1.0, 1)]


def test_a_study_that_was_asked_shows_it_and_a_sync_elsewhere_shows_the_same(
    small_spec: Callable[..., StudySpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.workers.Meter", partial(Meter, every_seconds=0.0))
    monkeypatch.setattr("search.study.USAGE_SECONDS", 0.1)
    spec = small_spec(search={"trials": 2, "confirm": 0}, workers={"system_metrics": True})
    run_study(spec)
    store = spec.store.store
    [study] = find_studies(store, None, "small")
    kept = {(one.key, one.step): one.value for one in read_usage(study_folder(store, study.name) / USAGE)}
    assert len(kept) >= 2 * 10
    other = f"sqlite:///{tmp_path}/other.db"
    sync_studies(store, None, "small", other)
    for uri in (default_tracking_uri(store), other):
        client = MlflowClient(uri)
        [parent] = parents_of(client, study)
        keys = {"system/worker-0/cpu_utilization_percentage", "system/worker-0/memory_usage_megabytes"}
        assert {key for key in parent.data.metrics if key.startswith("system/")} == keys
        histories = [client.get_metric_history(parent.info.run_id, key) for key in sorted(keys)]
        assert {(one.key, one.step): one.value for history in histories for one in history} == kept
        assert_mlflow_equals_storage(uri, study, store)
    before = everything(other, study)
    sync_studies(store, None, "small", other)
    assert everything(other, study) == before
