"""`winnow ui`: where it listens, and what it says of a host that others reach."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from mlflow_server import free_port, wait_for

ROOT = Path(__file__).parents[2]

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with nothing but MLflow's database."""
    folder = tmp_path_factory.mktemp("store")
    MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments(max_results=1)
    return folder


def test_the_ui_listens_on_this_machine_alone(store: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "search", "ui", "--port", str(port), "--store", str(store)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
    try:
        wait_for(f"http://127.0.0.1:{port}", server)
        ours = psutil.Process(server.pid)
        listening = {
            (connection.laddr.ip, connection.laddr.port)
            for process in (ours, *ours.children(recursive=True))
            for connection in process.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {("127.0.0.1", port)}
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0


@pytest.mark.parametrize(("host", "warns"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False), ("::1", False)])
def test_a_host_that_others_reach_is_warned_of(
    shell: Shell, store: Path, monkeypatch: pytest.MonkeyPatch, host: str, warns: bool
) -> None:
    real, started = subprocess.Popen, list[list[str]]()

    def start(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        started.append(command)
        return real([sys.executable, "-c", "raise SystemExit(3)"])

    monkeypatch.setattr("search.server.subprocess.Popen", start)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code, _, err = shell("ui", "--host", host, "--port", "5997", "--store", str(store))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert code == 1
    assert "the MLflow server ended by itself with exit code 3" in err
    assert started[0][started[0].index("--host") + 1] == host
    assert ("warning: whoever reaches" in err) == warns
