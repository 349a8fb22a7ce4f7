"""A campaign sent from a laptop to a cluster of real processes, of which one leaves and another joins."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from hosts import Network
from invariants import tables, violations
from laptop import Laptop
from mirror import assert_mlflow_equals_storage
from mlflow_server import MlflowServer, free_port
from postgres_server import PASSWORD, PostgresServer
from ray_nodes import Node, RayNodes

from search.storage import StudyStorage, open_storage, study_names

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

NAME, TRIALS = "field", 8
SETTINGS = ["--width", "32", "--depth", "2", "--steps", "400", "--trials", str(TRIALS), "--confirm", "2"]
SETTINGS += ["--checkpoint-seconds", "1", "--workers", "2"]


def write_clips(folder: Path) -> list[str]:
    """Two recordings of one name; a third signal needs no file."""
    time_s = np.arange(400) / 8000
    for name, rate_hz in (("monday", 1500), ("friday", 900)):
        (folder / name).mkdir()
        soundfile.write(folder / name / "bird.wav", 0.3 * np.sin(2 * np.pi * rate_hz * time_s), 8000)
    return ["monday/bird.wav", "friday/bird.wav", "synthetic:mix-7"]


def wait_for(is_true: Callable[[], bool], what: str, seconds: float = 400.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def workers_on(node: Node) -> list[psutil.Process]:
    """Our actors there."""
    found = []
    for process in node.processes():
        with contextlib.suppress(psutil.Error):
            if "".join(process.cmdline()[:1]).startswith("ray::FitActor"):
                found.append(process)
    return found


def is_fitting(node: Node) -> bool:
    """Whether one of our actors there runs a segment now."""
    with contextlib.suppress(psutil.Error):
        return any("advance" in "".join(process.cmdline()[:1]) for process in workers_on(node))
    return False


def test_a_campaign_from_a_laptop_outlives_a_node_that_leaves_a_stop_and_the_laptop_itself(
    cluster: RayNodes,
    laptop: Laptop,
    database: PostgresServer,
    mlflow: MlflowServer,
    hosts: Network,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    say: Callable[[Sequence[str]], None],
) -> None:
    began = time.monotonic()
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, laptop.environment[name])
    url, store = database.new_database(), tmp_path / "volume"
    words = ["submit", *write_clips(laptop.folder), "--name", NAME, "--store", str(store), "--storage", url, *SETTINGS]
    words += ["--tracking-uri", mlflow.uri, "--address", cluster.dashboard, "--json"]
    words += ["--samples", "400", "--env", "MLFLOW_TRACKING_USERNAME", "--env", "MLFLOW_TRACKING_PASSWORD"]
    storage = open_storage(tmp_path, url)

    def studies() -> list[StudyStorage]:
        return [StudyStorage(storage, name) for name in study_names(storage)]

    def num_told() -> int:
        return sum(len(study.trials()) for study in studies())

    submitted = laptop.start(*words)
    wait_for(lambda: submitted.poll() is not None or any(study.references() for study in studies()), "no reference")
    submitted.send_signal(signal.SIGINT)  # the laptop closes
    out, err = submitted.communicate(timeout=30)
    assert (submitted.returncode, out) == (130, ""), err
    assert err.splitlines()[-1].startswith("detached: the job goes on; winnow attach ")

    first, second = cluster.nodes
    wait_for(lambda: is_fitting(first), "the first node fits nothing")
    for process in [*workers_on(first), *workers_on(second)]:  # what the driver alone may know is not there
        with contextlib.suppress(psutil.NoSuchProcess):
            assert [path.name for path in Path(process.cwd()).iterdir()] == ["README"]
    cluster.leave(first)
    third = cluster.join()
    again = laptop.run(*words)
    assert (again.returncode, again.stdout) == (2, ""), again.stderr
    assert "error: a campaign must have one driver, but job winnow-field-" in again.stderr
    cluster.wait_for(third)
    wait_for(lambda: is_fitting(third), f"the node that joined fits nothing; {num_told()} trials told")

    attached = laptop.run("attach", NAME, "--address", cluster.dashboard, "--json")
    assert attached.returncode == 0, attached.stderr
    assert "references: " in attached.stderr, "what was said before is said again"
    document = json.loads(attached.stdout)
    assert [entry["study"].rpartition("-")[0] for entry in document["studies"]] == [
        "field/bird", "field/bird", "field/mix-7",
    ]  # fmt: skip
    for entry in document["studies"]:
        assert entry["best"]["confirmed"]["seeds"] == 2
    again = laptop.run(*words)
    assert again.returncode == 0, again.stderr
    continued = json.loads(again.stdout)
    for before, after in zip(document["studies"], continued["studies"], strict=True):
        assert (after["study"], after["trials"], after["best"]) == (before["study"], before["trials"], before["best"])

    brought = list(cluster.folder.glob("ray/session_2*/runtime_resources/working_dir_files/*/job.*"))
    assert [path.stat().st_mode & 0o777 for path in brought] == [0o600] * len(brought) != []
    shown = cluster.jobs()
    for secret in (PASSWORD, "keeper:", cluster.environment["RAY_AUTH_TOKEN"]):
        assert secret not in shown
        assert secret not in attached.stderr

    assert list(violations(store, TRIALS, url)) == []
    tabled = tables(store, url)
    assert [table.name for table in tabled] == sorted(entry["study"] for entry in document["studies"])
    if "winnow sync" in again.stderr:  # MLflow did not get all of it within two minutes: the machine is too busy
        synced = laptop.run("sync", NAME, "--store", str(store), "--storage", url, "--tracking-uri", mlflow.uri)
        assert synced.returncode == 0, synced.stderr
    for study in studies():
        assert_mlflow_equals_storage(mlflow.uri, study, store)
        assert study.unfinished() == []
    records = [record for table in tabled for record in (*table.references, *table.trials, *table.confirmations)]
    num_back = sum(record.attempts for record in records)
    assert num_back > 0, "the node that left had a fit on board"
    say(
        [
            f"cluster test: {len(tabled)} studies, {sum(len(table.trials) for table in tabled)} trials and "
            f"{len(records) - sum(len(table.trials) for table in tabled)} further fits on {hosts.kind}; "
            f"nodes left: {cluster.num_left}, joined: {cluster.num_joined - 2}; {num_back} fits were on board and "
            f"came back; lost: 0, told twice: 0, left open: 0; MLflow equals storage; "
            f"{time.monotonic() - began:.0f} s"
        ]
    )


def test_a_job_that_is_asked_to_end_keeps_what_it_has_and_the_same_command_continues(
    cluster: RayNodes, laptop: Laptop, tmp_path: Path
) -> None:
    there, store = ["--address", cluster.dashboard], tmp_path / "volume"
    words = ["submit", "synthetic:bright", "--samples", "256", "--width", "16", "--depth", "2", "--steps", "200"]
    words += ["--heuristic", "bandwidth", "--confirm", "0", "--name", "halted", "--store", str(store), *there]
    sent = laptop.run(*words, "--trials", "500", "--no-wait", "--json")
    assert sent.returncode == 0, sent.stderr
    job = json.loads(sent.stdout)["job"]
    storage = open_storage(store, None)
    wait_for(lambda: any(StudyStorage(storage, name).trials() for name in study_names(storage)), "no trial")

    stopped = laptop.run("attach", "halted", *there, "--stop", "--json")
    assert stopped.returncode == 0, stopped.stderr
    assert json.loads(stopped.stdout) == {"job": job, "status": "STOPPED"}
    assert stopped.stderr.splitlines()[-1] == f"job {job} was stopped; the same submit continues"
    assert "interrupted" in stopped.stderr, "it had the time to end by itself"
    [name] = study_names(storage)
    halted = StudyStorage(open_storage(store, None), name)
    told = {record.key: record.psnr_db for record in halted.trials()}
    assert 0 < len(told) < 500
    followed = laptop.run("attach", job, *there)
    assert followed.returncode == 1
    assert followed.stderr.splitlines()[-1] == f"error: job {job} was stopped; the same submit continues"

    again = laptop.run(*words, "--trials", str(len(told) + 4), "--json")
    assert again.returncode == 0, again.stderr
    [entry] = json.loads(again.stdout)["studies"]
    assert (entry["study"], sum(entry["trials"].values())) == (name, len(told) + 4)
    now = {record.key: record.psnr_db for record in StudyStorage(open_storage(store, None), name).trials()}
    assert {key: now[key] for key in told} == told


def test_what_goes_wrong_is_one_line(cluster: RayNodes, laptop: Laptop, tmp_path: Path) -> None:
    there = ["--address", cluster.dashboard]
    store = ["--store", str(tmp_path / "volume")]
    nowhere = f"http://127.0.0.1:{free_port()}"
    bright = ["submit", "synthetic:bright", "--samples", "256"]
    cases: list[tuple[list[str], dict[str, str], int, str]] = [
        ([*bright, *store, "--address", nowhere], {}, 1, f"no Ray dashboard answers at {nowhere}: "),
        ([*bright, *store, "--address", "10.0.0.5:6379"], {}, 2, "--address must be that of a Ray dashboard, "),
        ([*bright, *there], {}, 2, "--store must name a folder of the cluster that outlives it, "),
        (["submit", "no.wav", *store, *there], {}, 2, "no.wav: no such file"),
        ([*bright, *store, *there, "--env", "NOT_SET_9"], {}, 2, "--env must name a variable of this environment, "),
        (["attach", "nobody", *there], {}, 2, "a job must be named by its id or campaign, but got 'nobody'; jobs at "),
        (
            ["attach", "x", *there],
            {"RAY_AUTH_TOKEN": "0" * 64},
            1,
            "takes only who has its token, but this has another",
        ),
        (["attach", "x", *there], {"RAY_AUTH_MODE": ""}, 1, "takes only who has its token, but this has none, as "),
    ]
    for words, environment, code, line in cases:
        ended = laptop.run(*words, **environment)
        assert (ended.returncode, ended.stdout) == (code, ""), (words, ended.stderr)
        last = ended.stderr.splitlines()[-1]
        assert last.startswith("error: "), (words, ended.stderr)
        assert line in last, (words, last)
        assert "Traceback" not in ended.stderr


def test_a_job_that_fails_says_why_with_its_own_exit_code(cluster: RayNodes, laptop: Laptop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = ["--store", str(tmp_path / "file" / "volume"), "--workers", "1"]
    ended = laptop.run("submit", "synthetic:bright", "--samples", "256", *store, "--address", cluster.dashboard)
    assert (ended.returncode, ended.stdout) == (1, ""), ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("error: job winnow-siren2-")
    assert "ended with exit code 1: " in last
    assert "Not a directory" in last
