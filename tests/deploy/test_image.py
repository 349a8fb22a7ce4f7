"""The image and the scripts: what linters find, which versions they name, and what gets into the image."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
from manifests import DEPLOY, ROOT, containers, documents, pinned

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
SCRIPTS = Path(sysconfig.get_path("scripts"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_hadolint_finds_nothing() -> None:
    subprocess.run([SCRIPTS / "hadolint", "--failure-threshold", "style", DEPLOY / "Dockerfile"], check=True)


def test_shellcheck_finds_nothing() -> None:
    subprocess.run([SCRIPTS / "shellcheck", DEPLOY / "slurm" / "winnow.sbatch", ROOT / ".ci" / "run"], check=True)


def test_every_stage_that_runs_belongs_to_no_root() -> None:
    stages = re.split(r"^FROM .* AS (\w+)$", DOCKERFILE, flags=re.M)[1:]
    ends = dict(zip(stages[::2], stages[1::2], strict=True))
    assert list(ends) == ["base", "mlflow", "winnow"]
    for name in ("mlflow", "winnow"):
        assert re.findall(r"^USER (.*)$", ends[name], re.M) == ["1000:1000"], name
    assert 'ENTRYPOINT ["winnow"]' in ends["winnow"]


def test_what_pip_installs_is_pinned() -> None:
    assert "PIP_CONSTRAINT=/opt/constraints.txt" in DOCKERFILE
    for package in ("torch", "mlflow", "boto3", "botocore", "Flask-WTF", "WTForms", "psycopg", "psycopg-binary", "ray"):
        assert pinned(package)


@pytest.mark.parametrize("accelerator", ["cpu", "cuda", "tpu"])
def test_the_accelerator_chooses_where_torch_comes_from(accelerator: str, tmp_path: Path) -> None:
    [step] = re.findall(r"^RUN (case .*?esac)$", DOCKERFILE, re.M | re.S)
    pip = tmp_path / "pip"
    pip.write_text('#!/bin/sh\necho "$@"\n')
    pip.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "ACCELERATOR": accelerator}
    done = subprocess.run(
        ["sh", "-c", step.replace("\\\n", "")], env=environment, capture_output=True, text=True, check=False
    )
    if accelerator == "tpu":
        assert (done.returncode, done.stderr) == (2, "ACCELERATOR must be cpu or cuda, but got tpu\n")
    else:
        assert ("download.pytorch.org/whl/cpu" in done.stdout) == (accelerator == "cpu")


def test_what_is_copied_is_let_in_and_nothing_else_is() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {source for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.M) for source in line.split()[:-1]}
    assert "*" in lines
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)
    assert not any(fnmatch.fnmatch("deploy/.env", pattern) for pattern in let_in)


def test_one_version_of_ours_of_ray_and_of_python_stands_everywhere() -> None:
    images = {
        container["image"]
        for path in (DEPLOY / "kuberay").glob("*.yaml")
        for document in documents(path)
        for container, _ in containers(document)
    }
    assert images == {f"registry.example.com/winnow:{VERSION}-{kind}" for kind in ("cpu", "cuda")}
    assert f"winnow-mlflow:{VERSION}" in (DEPLOY / "compose.yaml").read_text()
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert set(re.findall(r"rayVersion: (\S+)|ray\[?\w*\]?==(\S+)", text)) <= {
                (pinned("ray"), ""),
                ("", pinned("ray")),
            }
            assert set(re.findall(r"winnow(?:_inr|-mlflow)?[-:](\d+\.\d+\.\d+)", text)) <= {VERSION}, path
    [python] = re.findall(r"^ARG PYTHON=(\S+)$", DOCKERFILE, re.M)
    assert python in re.findall(r"\d\.\d+", (ROOT / "constraints.txt").read_text().splitlines()[0]), "tested ones"
