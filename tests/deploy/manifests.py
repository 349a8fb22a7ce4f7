"""The files under deploy/, and what stands in them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = "1.34"
KUBERAY = sorted((DEPLOY / "kuberay").glob("*.yaml"))


def pinned(package: str) -> str:
    """The version that constraints.txt pins."""
    [version] = re.findall(rf"^{re.escape(package)}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M | re.I)
    return str(version)


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def ray_errors(manifest: Mapping[str, Any]) -> list[str]:
    """What KubeRay's schema has against a RayCluster or RayJob, its pod templates checked as Kubernetes' own."""
    own = json.loads((Path(__file__).parent / "schemas" / "ray.io_v1.json").read_text())
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"
    kubernetes = json.loads((folder / "_definitions.json").read_text())
    registry: Registry[Any] = Registry().with_resources(
        [(schema["$id"], Resource.from_contents(schema)) for schema in (own, kubernetes)]
    )
    validator = Draft202012Validator({"$ref": f"{own['$id']}#/$defs/{manifest['kind']}"}, registry=registry)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


def walk(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a document with its path."""
    yield path, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from walk(child, f"{path}.{key}")


def containers(manifest: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every container of an object's pods, each with its pod's specification."""
    pods = [node for _, node in walk(manifest) if isinstance(node, dict) and "containers" in node]
    return [(container, pod) for pod in pods for container in pod["containers"]]


def winnow_commands(path: Path) -> list[list[str]]:
    """The words of every `winnow` command in a file of this folder: in shell, YAML, comments and README."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    if path.suffix == ".yaml":
        folded = [node for document in documents(path) for _, node in walk(document) if isinstance(node, str)]
        text = "\n".join([*folded, *re.findall(r"^\s*# (winnow .*)$", text, re.M)])
    if path.suffix == ".md":
        text = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.M | re.S))
    lines = (re.search(r"(?:^|[\s'\"/;])winnow (?!-)([a-z]+(?: .*)?)$", line) for line in text.splitlines())
    return [words for line in lines if line and (words := split(line[1]))[0] in COMMANDS]


COMMANDS = ("attach", "cluster", "export", "fit", "predict", "report", "run", "status", "submit", "sync", "ui")


def split(command: str) -> list[str]:
    """Words of a command up to where the shell's own begin."""
    words = shlex.split(re.split(r" (?:[|&]|>\S)|; |'$", command)[0], comments=True)
    return [word for word in words if word != "$@"]
