"""The Kubernetes manifests: valid, unprivileged, without secrets, and jobs that continue."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from manifests import DEPLOY, KUBERAY, KUBERNETES, containers, documents, pinned, ray_errors, walk

OBJECTS = [document for path in KUBERAY for document in documents(path)]
CLUSTERS = [document for document in OBJECTS if document["apiVersion"] == "ray.io/v1"]


def cluster_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]
    return dict(spec.get("rayClusterSpec", spec))


@pytest.fixture
def job() -> dict[str, Any]:
    [document] = documents(DEPLOY / "kuberay" / "rayjob.yaml")
    return copy.deepcopy(document)


@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda manifest: f"{manifest['kind']}-{manifest['metadata']['name']}")
def test_an_object_is_what_its_schema_asks(manifest: dict[str, Any]) -> None:
    if manifest["apiVersion"] == "ray.io/v1":
        assert ray_errors(manifest) == []
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_schema_refuses_what_kuberay_would_not_know(job: dict[str, Any]) -> None:
    job["spec"]["backofLimit"] = 4
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicas"] = "four"
    assert len(ray_errors(job)) == 3


@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda manifest: manifest["metadata"]["name"])
def test_no_container_has_more_rights_than_it_needs(manifest: dict[str, Any]) -> None:
    for container, pod in containers(manifest):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 1000
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda manifest: manifest["metadata"]["name"])
def test_passwords_come_from_secrets_alone(manifest: dict[str, Any]) -> None:
    for path, node in walk(manifest):
        if isinstance(node, dict) and {"name", "value"} <= node.keys():
            assert not any(word in node["name"] for word in ("PASSWORD", "TOKEN", "SECRET", "KEY")), path
        assert not (isinstance(node, str) and "://" in node and "@" in node and ":" in node.split("@")[0][8:]), path


@pytest.mark.parametrize("manifest", CLUSTERS, ids=lambda manifest: manifest["kind"])
def test_a_cluster_grows_from_nothing_and_takes_only_who_has_its_token(manifest: dict[str, Any]) -> None:
    spec = cluster_spec(manifest)
    assert spec["rayVersion"] == pinned("ray")
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"]
    gpus = [
        "nvidia.com/gpu" in container["resources"]["limits"]
        for group in spec["workerGroupSpecs"]
        for container, _ in containers(group)
    ]
    assert sorted(gpus) == [False, True]
    assert all(group["minReplicas"] == 0 < group["maxReplicas"] for group in spec["workerGroupSpecs"])
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0", "fits do not crowd the driver"


def test_both_clusters_are_the_same() -> None:
    first, second = (cluster_spec(manifest) for manifest in CLUSTERS)
    assert first == second


def test_a_retried_job_continues_its_study(job: dict[str, Any]) -> None:
    words = job["spec"]["entrypoint"].split()
    assert words[words.index("--name") + 1]
    assert job["spec"]["backoffLimit"] > 0
    assert job["spec"]["shutdownAfterJobFinishes"]
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    [(head, pod)] = containers(job["spec"]["rayClusterSpec"]["headGroupSpec"])
    [mount] = head["volumeMounts"]
    assert Path(words[words.index("--store") + 1]).is_relative_to(mount["mountPath"])
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
    claims = [manifest for manifest in OBJECTS if manifest["kind"] == "PersistentVolumeClaim"]
    assert volume["persistentVolumeClaim"]["claimName"] in [claim["metadata"]["name"] for claim in claims]


def test_the_entrypoint_means_the_same_in_every_shell(job: dict[str, Any]) -> None:
    # KubeRay hands it through the submitter's shell and the head's: nothing in it may be expanded by either.
    assert not set(job["spec"]["entrypoint"]) & set("$`'\"\\&|;<>()*?#!{}")
