"""A Ray of our own: who may enter it, where it listens, and what a cluster that refuses us says."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from search.config import WorkerSettings
from search.errors import WorkersError

ROOT = Path(__file__).parents[2]

DRIVER = """
import os, sys, ray
from search.config import WorkerSettings
from search.ray_workers import RayWorkers
workers = RayWorkers(WorkerSettings(workers=1))
while not workers.ids():
    workers.wait(60.0)
gcs = ray.get_runtime_context().gcs_address
info = ray._private.worker.global_worker.gcs_client.get_all_job_info()
entries = [job.entrypoint for job in info.values()]
print(gcs, ray._private.worker._global_node.get_session_dir_path(), os.environ["RAY_AUTH_TOKEN"], flush=True)
print(entries, flush=True)
sys.stdin.read()
workers.close()
print([name for name in os.environ if name.startswith("RAY_AUTH")], ray.is_initialized(), flush=True)
"""

STRANGER = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
    print("entered", ray.get(ray.remote(lambda: 6 * 7).remote()))
except ConnectionError:
    print("refused")
"""


class Running(NamedTuple):
    """A study's Ray, in processes of its own."""

    address: str
    session: Path
    token: str
    entries: str
    driver: psutil.Process


def environment(**more: str) -> dict[str, str]:
    """Without a token, or with the one given; strangers give up early, and look at 127.0.0.1."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    early = {"RAY_NUM_REDIS_GET_RETRIES": "1", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    return {**plain, **early, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    command = [sys.executable, "-c", DRIVER, "--storage", "postgresql://ada:s3cr3t-Pa55@db/x"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**plain, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdin
    assert process.stdout
    try:
        address, session, token = process.stdout.readline().split()
        entries = process.stdout.readline()
        yield Running(address, Path(session), token, entries, psutil.Process(process.pid))
        process.stdin.close()
        assert process.stdout.readline() == "[] False\n", "what was set for it is unset after it"
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()


def stranger(running: Running, **more: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", STRANGER, running.address],
        env=environment(**more), capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return ended.stdout.strip()


def test_who_has_no_token_or_another_one_is_refused_and_who_has_it_may_enter(running: Running) -> None:
    assert stranger(running) == "refused"
    assert stranger(running, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64) == "refused"
    assert stranger(running, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=running.token) == "entered 42"


def test_a_study_of_ours_listens_on_this_machine_alone(running: Running) -> None:
    names, listening = set[str](), set[tuple[str, str]]()
    for process in [running.driver, *running.driver.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # an idle worker may end at any time
            names.add(process.name())
            for connection in process.net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    listening.add((process.name(), connection.laddr.ip))
    assert {"gcs_server", "raylet"} <= names
    assert any("FitActor" in name for name in names)
    assert {"gcs_server", "raylet"} <= {name for name, _ in listening}
    assert {host for _, host in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_the_token_is_in_the_environment_of_its_processes_alone(running: Running) -> None:
    assert len(running.token) == 64
    seen = []
    for process in [running.driver, *running.driver.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # an idle worker may end at any time
            seen.append(" ".join(process.cmdline()))
    assert len(seen) >= 4
    assert [command for command in seen if running.token in command] == []
    assert stat.S_IMODE(Path(f"/proc/{running.driver.pid}/environ").stat().st_mode) == 0o400
    logs = [path for path in running.session.rglob("*") if path.is_file()]
    assert logs
    assert [path for path in logs if running.token.encode() in path.read_bytes()] == []


def test_ray_learns_nothing_of_our_command_line(running: Running) -> None:
    """It shows the command lines of its drivers to whoever may enter the cluster, passwords of addresses included."""
    assert running.entries == "['winnow']\n"
    logs = [path for path in running.session.rglob("*") if path.is_file()]
    assert [path for path in logs if b"s3cr3t-Pa55" in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "takes only who has its token, but this has none, as RAY_AUTH_MODE=token is not set"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}, "takes only who has its token, but this has another"),
        ({"RAY_AUTH_MODE": "token", "HOME": "/nonexistent"}, "RAY_AUTH_MODE=token needs a token, but there is none"),
        (
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nonexistent"},
            "RAY_AUTH_TOKEN_PATH must name a file with a token, but /nonexistent cannot be read",
        ),
    ],
)
def test_a_cluster_that_refuses_us_is_one_line(
    running: Running, tmp_path: Path, given: dict[str, str], why: str
) -> None:
    words = ["run", "synthetic:bright", "--samples", "256", "--address", running.address]
    ended = subprocess.run(
        [sys.executable, "-m", "search", *words],
        env=environment(**given), cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    progress, line = ended.stderr.splitlines()
    assert progress == "starting workers"
    assert line.startswith("error: ")
    assert why in line
    assert list(tmp_path.iterdir()) == []


class Chosen(NamedTuple):
    """The variables that ray.init saw."""

    mode: str | None
    token: str | None
    path: str | None


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, Chosen("disabled", None, None)),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "mine"}, Chosen("token", "mine", None)),
        ({"RAY_AUTH_TOKEN": "mine"}, Chosen(None, "mine", None)),
        ({"RAY_AUTH_TOKEN_PATH": "{file}"}, Chosen(None, None, "{file}")),
    ],
)
def test_what_the_user_chose_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], seen: Chosen
) -> None:
    import ray

    from search.ray_session import connect

    file = tmp_path / "token"
    file.write_text("mine")
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value.replace("{file}", str(file)))
    before = dict(os.environ)
    found: list[Chosen] = []

    def init(**options: object) -> None:
        found.append(Chosen(*(os.environ.get(f"RAY_AUTH_{name}") for name in ("MODE", "TOKEN", "TOKEN_PATH"))))
        raise RuntimeError("seen")

    assert not ray.is_initialized()
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(WorkersError, match="Ray cannot start here: seen"):
        connect(WorkerSettings(workers=1))
    assert found == [Chosen(*(value and value.replace("{file}", str(file)) for value in seen))]
    assert dict(os.environ) == before


BUSY = "Initialization failure from server:\nTraceback\nRuntimeError: Proxy failed\n"


@pytest.mark.parametrize(
    ("said", "num_failures", "message"),
    [
        (ConnectionAbortedError(BUSY), 2, None),
        (ConnectionAbortedError(BUSY), 3,
         "the Ray cluster at head:6379 lets nobody in: RuntimeError: Proxy failed"),
        (RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.12.1"), 1,
         "the Ray cluster at head:6379 has other versions: Version mismatch: The cluster was started with: Ray: 2.60.0 "
         "Python: 3.12.1"),
        (ConnectionError("nobody\nthere"), 1, "no Ray cluster answers at head:6379: nobody"),
    ],
    ids=["a busy head", "one that stays so", "other versions", "nobody"],
)  # fmt: skip
def test_a_cluster_that_does_not_let_us_in_says_why_and_a_busy_one_is_asked_again(
    said: Exception, num_failures: int, message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search import ray_session

    asked: list[object] = []

    def init(**options: object) -> None:
        asked.append(options["address"])
        if len(asked) <= num_failures:
            raise said

    monkeypatch.setattr(ray_session, "_init", init)
    if message is None:
        ray_session._join("head:6379")
    else:
        with pytest.raises(WorkersError) as error:
            ray_session._join("head:6379")
        assert str(error.value) == message
    assert len(asked) == (3 if isinstance(said, ConnectionAbortedError) else 1)
