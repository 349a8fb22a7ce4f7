"""A tracking server that is down, killed, hung, slow, refusing or flapping: studies go on, and all of it arrives."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mirror import assert_mlflow_equals_storage, parents_of
from mlflow import MlflowClient
from mlflow_server import MlflowServer, Proxy, free_port

import search.run
from search.config import StudySpec
from search.display import Display
from search.errors import StorageError
from search.run import run_study
from search.status import find_studies
from search.storage import StudyStorage
from search.study import StudyRun
from search.sync import sync_studies
from search.tracker import SAID_OUTAGES, Tracker
from search.view import Status, StudyView

SpecOf = Callable[..., StudySpec]
SpecAt = Callable[..., StudySpec]

CREATE_RUN = "/api/2.0/mlflow/runs/create"


class Lines(Display):
    """A display that keeps what it says, and lets others wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._said = threading.Condition()

    def say(self, line: str) -> None:
        with self._said:
            self.lines.append(line)
            self._said.notify_all()

    def having(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    def wait_for(self, text: str) -> None:
        with self._said:
            assert self._said.wait_for(lambda: self.having(text), 60), (text, self.lines)


@pytest.fixture
def proxy(server: MlflowServer) -> Iterator[Proxy]:
    opened = Proxy(server.port)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths."""
    monkeypatch.setattr(search.run, "Tracker", partial(Tracker, pauses=(0.05, 0.2), patience=30.0))
    monkeypatch.setattr("search.tracker.LAST_PROBE_SECONDS", 3.0)


@pytest.fixture
def spec_at(small_spec: SpecOf, request: pytest.FixtureRequest) -> SpecAt:
    """A small study with a campaign of its own, as all tests share one server."""

    def build(uri: str, **search_settings: Any) -> StudySpec:
        settings = {"trials": 4, "confirm": 0, "pruner": "none", **search_settings}
        return small_spec(name=request.node.name[:60], search=settings, store={"tracking_uri": uri})

    return build


@pytest.fixture
def after_trial(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, Callable[[], None]]], None]:
    """Has something done once so many trials were told and handed to the tracker."""

    def arrange(acts: dict[int, Callable[[], None]]) -> None:
        ended, num = StudyRun._ended, 0

        def count(run: StudyRun, record: Any) -> None:
            nonlocal num
            ended(run, record)
            if record.key.startswith("search/"):
                num += 1
                acts.get(num, lambda: None)()

        monkeypatch.setattr(StudyRun, "_ended", count)

    return arrange


def opened(spec: StudySpec) -> StudyStorage:
    [study] = find_studies(spec.store.store, spec.store.storage, spec.name)
    return study


def check(spec: StudySpec, uri: str) -> None:
    assert_mlflow_equals_storage(uri, opened(spec), spec.store.store)


def test_a_server_that_is_killed_and_started_again_gets_everything_once(
    server: MlflowServer, spec_at: SpecAt, after_trial: Any
) -> None:
    lines, spec = Lines(), spec_at(server.uri)
    after_trial(
        {
            1: lambda: (lines_of_children(server, spec), server.kill()),
            2: lambda: lines.wait_for("MLflow does not answer"),
            3: lambda: (server.start(), lines.wait_for("MLflow answers again")),
        }
    )
    [summary] = run_study(spec, display=lines)["studies"]
    check(spec, server.uri)
    assert summary["mlflow_run_id"] == parents_of(MlflowClient(server.uri), opened(spec))[0].info.run_id
    assert len(lines.having("MLflow does not answer")) == 1
    assert len(lines.having("MLflow answers again: logging")) == 1
    assert not lines.having("MLflow lacks")


def test_the_description_says_how_a_study_stands_while_it_runs(
    server: MlflowServer, spec_at: SpecAt, after_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.tracker.STANDING_SECONDS", 0.0)
    monkeypatch.setattr("search.tracker.STANDING_SHARE", 1e9)
    spec, client, notes = spec_at(server.uri), MlflowClient(server.uri), []

    def look() -> None:
        deadline = time.monotonic() + 60
        while not (notes and notes[-1].startswith("3 of 4 trials ended")):
            assert time.monotonic() < deadline, notes[-1:]
            parents = parents_of(client, opened(spec)) if client.get_experiment_by_name(str(spec.name)) else []
            notes.extend(run.data.tags.get("mlflow.note.content", "") for run in parents)
            time.sleep(0.05)

    after_trial({3: look})
    run_study(spec)
    assert "; so far:\n**#" in notes[-1]
    check(spec, server.uri)
    [parent] = parents_of(client, opened(spec))
    assert parent.data.tags["mlflow.note.content"].startswith("**#")


def lines_of_children(server: MlflowServer, spec: StudySpec) -> None:
    """Wait until MLflow has something of a study: what is killed then is in the middle of it."""
    client = MlflowClient(server.uri)
    deadline = time.monotonic() + 60
    while client.get_experiment_by_name(str(spec.name)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_refuses_at_the_start_gets_everything_when_it_takes_it(
    server: MlflowServer, proxy: Proxy, spec_at: SpecAt, after_trial: Any
) -> None:
    lines, spec = Lines(), spec_at(proxy.uri)
    proxy.refuses = lambda method, path: True

    def recover() -> None:
        lines.wait_for("MLflow does not answer")
        proxy.refuses = lambda method, path: False

    after_trial({3: recover})
    run_study(spec, display=lines)
    check(spec, server.uri)
    assert len(lines.having("MLflow does not answer")) == 1
    assert len(lines.having("MLflow answers again: logging")) == 1


def test_a_server_that_hangs_holds_up_no_fit(
    server: MlflowServer, spec_at: SpecAt, after_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    lines, spec = Lines(), spec_at(server.uri)

    def wake() -> None:
        lines.wait_for("MLflow does not answer")
        server.wake()

    after_trial({1: server.hang, 4: wake})
    run_study(spec, display=lines)
    check(spec, server.uri)
    assert not lines.having("MLflow lacks")


def test_a_slow_server_holds_up_no_fit_and_the_end_says_what_completes_it(
    server: MlflowServer, proxy: Proxy, spec_at: SpecAt, after_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search.run, "Tracker", partial(Tracker, patience=0.5))
    lines, spec = Lines(), spec_at(proxy.uri)
    proxy.delay = 1.0
    requests_at_last_trial: list[int] = []
    after_trial({4: lambda: requests_at_last_trial.append(len(proxy.requests))})
    run_study(spec, display=lines)
    assert requests_at_last_trial[0] < 3 * len(opened(spec).references()), "fits waited for MLflow"
    [line] = lines.having("MLflow lacks")
    assert f"winnow sync {opened(spec).name} --store {spec.store.store} --tracking-uri {proxy.uri}" in line
    [entry] = sync_studies(spec.store.store, None, opened(spec).name, server.uri)["studies"]
    assert entry["logged"] > 0
    check(spec, server.uri)


def test_runs_whose_answer_was_lost_are_not_made_again(server: MlflowServer, proxy: Proxy, spec_at: SpecAt) -> None:
    lines, spec, num = Lines(), spec_at(proxy.uri), 0

    def drop(method: str, path: str) -> bool:
        nonlocal num
        num += path == CREATE_RUN
        return path == CREATE_RUN and num in (1, 3, 7)

    proxy.drops = drop
    run_study(spec, display=lines)
    check(spec, server.uri)
    assert num == 1 + len(opened(spec).references()) + 4


def test_a_flapping_server_gets_everything_once_and_fills_no_terminal(
    server: MlflowServer, proxy: Proxy, spec_at: SpecAt
) -> None:
    lines, spec = Lines(), spec_at(proxy.uri)
    proxy.refuses = lambda method, path: len(proxy.requests) % 11 == 0
    proxy.drops = lambda method, path: len(proxy.requests) % 7 == 0
    run_study(spec, display=lines)
    if lines.having("MLflow lacks"):
        sync_studies(spec.store.store, None, opened(spec).name, server.uri)
    check(spec, server.uri)
    assert 1 <= len(lines.having("MLflow does not answer")) <= SAID_OUTAGES
    assert len(lines.having("MLflow answers again")) <= SAID_OUTAGES


def test_pauses_between_questions_grow_while_nobody_answers() -> None:
    lines = Lines()
    tracker = Tracker(f"http://127.0.0.1:{free_port()}", None, lines.say, pauses=(0.1, 60.0))
    asked: list[float] = []
    catch_up = tracker._catch_up

    def count() -> bool:
        asked.append(time.monotonic())
        return catch_up()

    tracker._catch_up = count  # type: ignore[method-assign]
    began = time.monotonic()
    tracker.begin("a/b", lambda status: view_of_nothing(status))
    lines.wait_for("MLflow does not answer")
    tracker._ended.wait(1.5)
    assert 1 <= len(asked) <= 4, [moment - began for moment in asked]
    tracker.close()
    assert len(lines.having("MLflow does not answer")) == 1
    assert lines.having("to complete it: winnow sync a/b")


def view_of_nothing(status: Status) -> StudyView:
    return StudyView(
        id="x",
        study="a/b",
        params={},
        tags={},
        answer={},
        summary={},
        budget=1,
        dataset=None,
        began=1.0,
        ended=None,
        status=status,
        children=[],
        ending=None,
    )


def test_a_storage_that_fails_under_the_tracker_is_not_said_to_be_mlflow(tmp_path: Path) -> None:
    def read(status: Status) -> StudyView:
        raise StorageError("the storage failed: disk I/O error")

    lines = Lines()
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, lines.say)
    tracker.begin("a/b", read)
    tracker.close()
    assert lines.having("cannot be read: StorageError: the storage failed: disk I/O error")
    assert lines.having("winnow sync a/b")
    assert not lines.having("does not answer")


def test_credentials_of_a_tracking_server_are_shown_and_kept_nowhere(
    server: MlflowServer, spec_at: SpecAt, shell: Callable[..., tuple[int, str, str]], clip: Path, tmp_path: Path
) -> None:
    words = ["--width", "16", "--depth", "2", "--steps", "30", "--workers", "0", "--trials", "2", "--confirm", "0"]
    for name, port in (("up", server.port), ("down", free_port())):
        uri = f"http://ada:s3cret@127.0.0.1:{port}"
        code, out, err = shell("run", str(clip), "--name", f"secret-{name}", *words, "--tracking-uri", uri, "--json")
        assert code == 0
        assert json.loads(out)["studies"][0]["trials"]["complete"] == 2
        assert ("winnow sync" in err) == (name == "down")
        for text in (out, err):
            assert "s3cret" not in text
            assert "ada" not in text
        code, out, err = shell("sync", f"secret-{name}", "--tracking-uri", uri)
        assert (code, "s3cret" in out + err) == (0 if name == "up" else 1, False)
        assert err.count("\n") == (name == "down")
    kept = [path for path in Path.cwd().rglob("*") if path.is_file()]
    kept += [path for path in server.folder.rglob("*") if path.is_file() and path.suffix != ".log"]
    assert len(kept) > 10
    assert not [path for path in kept if b"s3cret" in path.read_bytes()]
