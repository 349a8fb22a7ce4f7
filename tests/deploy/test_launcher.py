"""Ray's cluster launcher: its own checks, the cloud's, and what it installs."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from manifests import DEPLOY, ROOT, documents, walk

PATHS = sorted((DEPLOY / "cluster-launcher").glob("*.yaml"))


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    [document] = documents(request.param)
    return document


def test_ray_takes_it(config: dict[str, Any]) -> None:
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(copy.deepcopy(config)))
    config["idle_timeout_minuets"] = 5
    with pytest.raises(ValidationError, match="idle_timeout_minuets"):
        validate_config(prepare_config(config))


def test_each_machine_asks_for_the_token_and_installs_what_is_pinned(config: dict[str, Any]) -> None:
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        [start] = [command for command in config[key] if " start " in command]
        assert 'PATH="$HOME/winnow/.venv/bin:$PATH" RAY_AUTH_MODE=token ray start' in start  # a job runs its `python`
        assert "--disable-usage-stats" in start
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    wheel = f"winnow_inr-{version}-py3-none-any.whl"
    [install] = [command for command in config["setup_commands"] if "pip install" in command]
    assert "--constraint ~/winnow/constraints.txt" in install
    assert wheel in install
    assert config["file_mounts"][f"~/winnow/{wheel}"] == f"dist/{wheel}"
    assert (ROOT / config["file_mounts"]["~/winnow/constraints.txt"]).is_file()


def test_no_secret_stands_in_it(config: dict[str, Any]) -> None:
    for path, node in walk(config):
        assert not any(word in path.lower() for word in ("password", "secret", "access_key")), path
        assert not (isinstance(node, str) and "RAY_AUTH_TOKEN=" in node), path


def test_the_head_on_aws_has_what_its_autoscaler_imports() -> None:
    [config] = documents(DEPLOY / "cluster-launcher" / "aws.yaml")
    [install] = config["head_setup_commands"]
    assert install.startswith("~/winnow/.venv/bin/pip install ")
    assert install.endswith(" boto3")


def test_amazon_knows_the_machines() -> None:
    from botocore.session import Session
    from botocore.validate import ParamValidator

    [config] = documents(Path(DEPLOY / "cluster-launcher" / "aws.yaml"))
    request = Session().get_service_model("ec2").operation_model("RunInstances").input_shape
    for kind in config["available_node_types"].values():
        node = {**kind["node_config"], "MinCount": 1, "MaxCount": 1}
        assert not ParamValidator().validate(node, request).has_errors()
        assert node["InstanceType"] in request.members["InstanceType"].enum
        assert node["MetadataOptions"] == {"HttpTokens": "required"}
        assert all(disk["Ebs"]["Encrypted"] for disk in node["BlockDeviceMappings"])
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"]["CPU"] == 0, "fits do not crowd the driver"
