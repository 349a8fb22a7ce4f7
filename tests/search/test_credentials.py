"""Passwords and tokens of addresses are neither shown, nor logged, nor stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from search.errors import first_line, one_line, redact

Shell = Callable[..., tuple[int, str, str]]

SECRET, TOKEN = "s3cr3t-Pa55", "t0k3n-Xyz9"

RUN = ["--samples", "256", "--width", "8", "--depth", "2", "--steps", "5", "--trials", "1", "--confirm", "1"]


def holders_of(folder: Path) -> list[Path]:
    """Files below a folder, databases and journals among them, that hold a secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(word.encode() in path.read_bytes() for word in (SECRET, TOKEN))]


def is_clean(text: str) -> bool:
    return SECRET not in text and TOKEN not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("//ada:s3cr3t-Pa55@db/x", "//***@db/x"),
        ("postgresql+psycopg://ada:s3cr3t-Pa55@db/x", "postgresql+psycopg://***@db/x"),
        ("a postgresql://ada:p/a@ss@db:5432/x, b http://h:1/y", "a postgresql://***@db:5432/x, b http://h:1/y"),
        ("http://t0k3n-Xyz9@host", "http://***@host"),
        ("/api/search?x=1&access_token=t0k3n-Xyz9 failed", "/api/search?x=1&access_token=*** failed"),
        ("s3://b/k?X-Amz-Signature=abc&X-Amz-Credential=def", "s3://b/k?***"),
        ("host=db password=s3cr3t-Pa55 user=ada", "host=db password=*** user=ada"),
        ("password = 's3cr3t-Pa55', x", "password = '***', x"),
        ("{'password': 's3cr3t-Pa55'}", "{'password': '***'}"),
        ('{"token": "t0k3n-Xyz9"}', '{"token": "***"}'),
        ("MLFLOW_TRACKING_TOKEN=t0k3n-Xyz9", "MLFLOW_TRACKING_TOKEN=***"),
        ("Authorization: Bearer t0k3n-Xyz9", "Authorization: Bearer ***"),
        ("RAY_AUTH_MODE=token and its token", "RAY_AUTH_MODE=token and its token"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("a password must be long; mail me@x.org", "a password must be long; mail me@x.org"),
        ("https:/ada:s3cr3t-Pa55@host/x.toml: no such file", "https:/***@host/x.toml: no such file"),
        ("clip.wav: no such file", "clip.wav: no such file"),
    ],
)
def test_what_may_be_a_credential_is_redacted_once(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown
    assert first_line(ValueError(text)) == shown
    assert one_line(text) == shown


ERRORS = {
    "storage": ["run", "synthetic:bright", *RUN, "--workers", "0", "--storage", "{url}"],
    "storage of status": ["status", "--storage", "{url}"],
    "storage of export": ["export", "x", "--storage", "{url}"],
    "address": ["run", "synthetic:bright", *RUN, "--address", "ray://ada:{secret}@127.0.0.1:9"],
    "address without a scheme": ["run", "synthetic:bright", *RUN, "--address", "ada:{secret}@127.0.0.1:9"],
    "address with a token": ["run", "synthetic:bright", *RUN, "--address", "127.0.0.1:9?token={token}"],
    "signal": ["predict", "https://ada:{secret}@host/x.wav?token={token}"],
    "config": ["run", "--config", "https://ada:{secret}@host/x.toml"],
    "plugin": ["predict", "synthetic:bright", "--plugin", "https://ada:{secret}@host/x.py"],
    "name": ["run", "synthetic:bright", "--name", "x://ada:{secret}@host"],
}

URLS = [
    "postgresql://ada:{secret}@127.0.0.1:9/x?sslpassword={token}",
    "mysql://ada:{secret}@127.0.0.1:9/x",
    "redis://:{secret}@127.0.0.1:9/0",
    "postgresql://ada:{secret}@127.0.0.1:port/x",
    "nosuch://ada:{secret}@host/x?token={token}",
]


@pytest.mark.parametrize(
    ("case", "url"), [(case, url) for case in ERRORS for url in (URLS if case.startswith("storage") else [""])]
)
def test_no_error_shows_a_credential(shell: Shell, case: str, url: str) -> None:
    words = [word.replace("{url}", url).replace("{secret}", SECRET).replace("{token}", TOKEN) for word in ERRORS[case]]
    code, out, err = shell(*words)
    assert code in (1, 2)
    assert "error: " in err
    assert is_clean(out + err), err
    assert holders_of(Path.cwd()) == []


@pytest.mark.parametrize(
    ("uri", "more"),
    [
        (f"http://ada:{SECRET}@127.0.0.1:9/x?token={TOKEN}", ["--json"]),
        (f"nowhere://ada:{SECRET}@host/x?token={TOKEN}", []),
    ],
)
def test_a_study_whose_tracking_is_away_keeps_its_credentials_to_itself(
    shell: Shell, uri: str, more: list[str]
) -> None:
    words = ["run", "synthetic:bright", *RUN, "--workers", "0", "--name", "n", "--tracking-uri", uri]
    code, out, err = shell(*words, *more)
    assert code == 0
    assert "warning: MLflow" in err
    assert is_clean(out + err), out + err
    code, out, err = shell("status", "--json")
    assert (code, is_clean(out + err)) == (0, True)
    assert shell("export", "n")[0] == 0
    assert holders_of(Path.cwd()) == []


def test_credentials_of_the_environment_reach_neither_store_nor_mlflow(tmp_path: Path) -> None:
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY")
    environment = {**os.environ, **dict.fromkeys(names, SECRET), "PYTHONPATH": str(Path(__file__).parents[2])}
    config = tmp_path / "study.toml"
    config.write_text(f'# {TOKEN}\nname = "n"\nsignals = ["synthetic:bright"]\n')
    words = ["run", "--config", str(config), *RUN, "--workers", "0", "--json"]
    (tmp_path / "here").mkdir()
    ended = subprocess.run(
        [sys.executable, "-m", "search", *words],
        cwd=tmp_path / "here", env=environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert json.loads(ended.stdout)["studies"][0]["mlflow_run_id"]
    assert is_clean(ended.stdout + ended.stderr)
    assert (tmp_path / "here" / "winnow-store" / "mlflow.db").stat().st_size > 0
    assert holders_of(tmp_path / "here") == []


def test_an_unforeseen_error_shows_no_credential(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: object) -> None:
        raise ZeroDivisionError(f"postgresql://ada:{SECRET}@db/x")

    monkeypatch.setattr("search.status.find_studies", fail)
    code, out, err = shell("status")
    assert (code, out) == (1, "")
    assert "ZeroDivisionError: postgresql://***@db/x" in err
    assert is_clean(err)
