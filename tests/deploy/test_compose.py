"""The compose stack: valid, on loopback, unprivileged, without secrets."""

from __future__ import annotations

import configparser
import copy
import json
import re
from importlib.resources import files
from typing import Any

import pytest
from jsonschema.validators import validator_for
from manifests import DEPLOY, ROOT, documents, walk

COMPOSE = DEPLOY / "compose.yaml"
[STACK] = documents(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = STACK["services"]


def compose_errors(stack: dict[str, Any]) -> list[str]:
    schema = json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    return [f"{error.json_path}: {error.message}" for error in validator_for(schema)(schema).iter_errors(stack)]


def test_it_is_what_the_compose_specification_asks() -> None:
    assert compose_errors(STACK) == []
    wrong = copy.deepcopy(STACK)
    wrong["services"]["mlflow"]["healthchek"] = wrong["services"]["mlflow"].pop("healthcheck")
    assert len(compose_errors(wrong)) == 1


def test_nothing_listens_beyond_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert all("network_mode" not in service for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_has_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert int(service["user"].split(":")[0]) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


def test_passwords_come_from_the_environment_file_alone() -> None:
    for path, node in walk(SERVICES):
        key = path.rsplit(".", 1)[-1]
        if isinstance(node, str) and re.search("PASSWORD|SECRET|ACCESS_KEY", key):
            assert re.fullmatch(r"\$\{[A-Z0-9_]+:\?must stand in deploy/\.env\}", node), path
        assert not (isinstance(node, str) and re.search(r"://[^/@]*:[^/@]*@", node)), path
    assert "/deploy/.env\n" in (ROOT / ".gitignore").read_text()


def test_who_waits_for_whom_can_be_told_by_health() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed]
    assert "healthcheck" in SERVICES["mlflow"]


def test_the_server_asks_for_passwords_checks_hosts_and_hands_artifacts_on() -> None:
    from mlflow.cli import server

    program, command, *options = SERVICES["mlflow"]["command"]
    assert (program, command) == ("mlflow", "server")
    context = server.make_context("server", [option.replace("${", "{") for option in options], resilient_parsing=True)
    assert context.params["app_name"] == "basic-auth"
    assert context.params["artifacts_destination"] == "s3://mlflow"
    assert context.params["allowed_hosts"] == "{MLFLOW_ALLOWED_HOSTS:-localhost:5000,127.0.0.1:5000}"
    bucket = SERVICES["bucket"]["command"]
    assert bucket[-1] == "mlflow"


def test_users_are_kept_in_the_database_that_the_server_is_on() -> None:
    settings = configparser.ConfigParser()
    settings.read(DEPLOY / "mlflow-auth.ini")
    assert f"--backend-store-uri={settings['mlflow']['database_uri']}" in SERVICES["mlflow"]["command"]
    assert "admin_password" not in settings["mlflow"]
    assert SERVICES["postgres"]["environment"]["POSTGRES_DB"] == "mlflow"
    assert SERVICES["postgres"]["environment"]["POSTGRES_USER"] == "winnow"


def test_only_two_images_come_from_elsewhere_and_neither_is_the_latest_of_anything() -> None:
    foreign = {service["image"] for service in SERVICES.values() if not service["image"].startswith("winnow-mlflow:")}
    assert len(foreign) == 2
    assert all(re.search(r":\d", image) for image in foreign)
