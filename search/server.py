"""The MLflow UI on a store."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from search.storage import StorageError, StudyError
from search.tracking import default_tracking_uri


def serve_ui(store: Path, host: str, port: int) -> None:
    """Run MLflow's server on the store's database until it is interrupted.

    Raises:
        StudyError: the store has nothing to show.
        StorageError: the port is taken, or the server ended by itself.
    """
    if not (store / "mlflow.db").exists():
        raise StudyError(f"there is nothing to show at {store}: run a study first, or name its --store")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise StorageError(
            f"{host}:{port} cannot be opened ({error.strerror or error}); choose another --port"
        ) from error
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", default_tracking_uri(store)]
    command += ["--default-artifact-root", (store / "artifacts").absolute().as_uri()]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    print(f"http://{host}:{port} (Ctrl-C ends it)", file=sys.stderr)  # noqa: T201
    process = subprocess.Popen(command, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"})  # noqa: S603
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait(timeout=10)
        return
    if code:
        raise StorageError(f"the MLflow server ended with exit code {code}")
