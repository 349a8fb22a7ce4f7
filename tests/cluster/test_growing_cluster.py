"""A cluster that has no node for a worker until an autoscaler brings one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import Network
from laptop import Laptop
from ray_nodes import RayNodes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


@pytest.fixture
def growing(hosts: Network, pythons: tuple[Path, Path]) -> Iterator[RayNodes]:
    nodes = RayNodes(pythons[0], hosts, grows=True)
    try:
        nodes.wait()
        yield nodes
    finally:
        nodes.close()


def test_workers_that_wait_make_a_cluster_grow_from_nothing(
    growing: RayNodes, pythons: tuple[Path, Path], laptop_folder: Path
) -> None:
    laptop = Laptop.of(pythons[1], laptop_folder, growing.environment)
    looked = laptop.run("cluster", "--address", growing.client, "--json")
    assert looked.returncode == 0, looked.stderr
    document = json.loads(looked.stdout)
    assert document["grows"]
    [head] = document["nodes"]
    assert (head["state"], head["cpus"]["total"]) == ("alive", 0)
    [kind] = document["workers"]
    assert (kind["asked"], kind["waiting"], kind["fits_nowhere"]) == (1, 1, True)
    words = ["submit", "synthetic:bright", "--samples", "256", "--width", "16", "--depth", "2", "--steps", "20"]
    words += ["--trials", "2", "--confirm", "0", "--heuristic", "bandwidth", "--name", "grown", "--json"]
    ended = laptop.run(*words, "--store", str(laptop_folder / "volume"), "--address", growing.dashboard)
    assert ended.returncode == 0, ended.stderr
    assert "a worker needs 1 CPUs and 0 GPUs, and the cluster has 0 and 0: waiting for the cluster" in ended.stderr
    [entry] = json.loads(ended.stdout)["studies"]
    assert sum(entry["trials"].values()) == 2
