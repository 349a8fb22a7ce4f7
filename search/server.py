"""The MLflow UI on a store."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from search.connection import default_tracking_uri, newest_experiment
from search.errors import ServerError, StudyError, UsageError, first_line
from search.preset_views import STUDIES, TAG
from search.ui_links import view_link


def serve_ui(store: Path, host: str, port: int) -> None:
    """Run MLflow's server on the store's database until it is interrupted.

    Raises:
        StudyError: the store has nothing to show.
        UsageError: no host.
        ServerError: the port is taken, the host is not this one, the database is none of MLflow's, or the server
            ended by itself.
    """
    if not (store / "mlflow.db").exists():
        raise StudyError(f"there is nothing to show at {store}: run a study first, or name its --store")
    if not host:
        raise UsageError("a host must be named, but it is empty, which would be every address of this machine")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            is_loopback = ipaddress.ip_address(probe.getsockname()[0]).is_loopback
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServerError(f"{host}:{port} cannot be opened ({reason}); choose another --port or --host") from error
    try:
        address = _address(store, host, port)
    except Exception as error:  # whatever MLflow raises of a database that is none of its own
        raise ServerError(f"{store / 'mlflow.db'} must be MLflow's database, but: {first_line(error)}") from error
    if not is_loopback:
        print(f"warning: whoever reaches {host}:{port} may read and change all runs", file=sys.stderr)  # noqa: T201
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", default_tracking_uri(store)]
    command += ["--default-artifact-root", (store / "artifacts").absolute().as_uri()]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning"]
    print(f"{address} (Ctrl-C ends it)", file=sys.stderr)  # noqa: T201
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts what it puts into the background deaf to SIGINT
        signal.signal(number, signal.default_int_handler)
    # A session of its own: the server has children, which end with it and not by a terminal's Ctrl-C half-way.
    environment = {
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PYTHONWARNINGS": "ignore",
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603
    try:
        code = process.wait()
    except KeyboardInterrupt:
        _end(process)
        return
    raise ServerError(f"the MLflow server ended by itself with exit code {code}")


def _address(store: Path, host: str, port: int) -> str:
    """The studies of the newest campaign and what they found."""
    server = f"http://{host}:{port}"
    newest = newest_experiment(store)
    if newest is None:
        return server
    experiment, tags = newest
    # A campaign that an older version showed has no views; MLflow would complain of one that is not there.
    return f"{server}/{view_link(experiment, STUDIES if TAG + STUDIES in tags else None)}"


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
