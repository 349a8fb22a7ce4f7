"""Where workers find room, of which kinds, and what is said of it."""

from __future__ import annotations

import pytest

from search.cluster import lines_of, to_document
from search.config import WorkerSettings
from search.placement import Node, WorkerKind, demands_of, has_labels, never_placed, place


def node(name: str, cpus: float, gpus: float = 0.0, *, free: float | None = None, **more: object) -> Node:
    total = {"CPU": cpus, "GPU": gpus, "memory": 8.0 * 2**30, f"node:{name}": 1.0}
    left = total if free is None else {**total, "CPU": free}
    return Node(id=name, name=name, address=name, total=total, free=left, **more)  # type: ignore[arg-type]


def numbers(settings: WorkerSettings, nodes: list[Node]) -> list[tuple[float, int]]:
    return [(demand.kind.gpus, demand.num) for demand in demands_of(settings, nodes)]


def test_workers_are_as_many_as_the_nodes_have_room_for_each_by_itself() -> None:
    assert numbers(WorkerSettings(cpus_per_worker=2), [node("a", 3), node("b", 3), node("c", 5)]) == [(0, 4)]


def test_workers_take_gpus_where_there_are_any_and_leave_other_nodes_to_workers_on_cpus() -> None:
    nodes = [node("big", 16, 2), node("small", 4)]
    assert numbers(WorkerSettings(), nodes) == [(1, 2)]
    assert numbers(WorkerSettings(cpu_workers=3), nodes) == [(1, 2), (0, 3)]
    assert numbers(WorkerSettings(gpus_per_worker=0), nodes) == [(0, 20)]
    demands = demands_of(WorkerSettings(cpu_workers=3), nodes)
    assert place(demands, nodes) == [{"big": 2}, {"small": 3}]


@pytest.mark.parametrize(("gpus", "num"), [(0.5, 4), (0.4, 4), (1 / 3, 6), (1, 2), (2, 1), (3, 0)])
def test_a_fraction_of_a_gpu_is_of_one_device(gpus: float, num: int) -> None:
    on = node("a", 16, 2)
    assert WorkerKind(cpus=1, gpus=gpus).room(on, on.total) == num


def test_nodes_that_leave_or_lack_a_label_get_no_worker() -> None:
    fast = node("fast", 2, labels={"disk": "nvme"})
    nodes = [fast, node("slow", 2), node("gone", 2, is_alive=False), node("going", 2, is_draining=True)]
    assert numbers(WorkerSettings(), nodes) == [(0, 4)]
    settings = WorkerSettings(label_selector=("disk=nvme",))
    assert place(demands_of(settings, nodes), nodes) == [{"fast": 2}]


@pytest.mark.parametrize(
    ("value", "chosen"),
    [("nvme", True), ("ssd", False), ("!ssd", True), ("!nvme", False), ("in(ssd, nvme)", True), ("!in(ssd)", True)],
)
def test_a_selector_reads_as_rays_does(value: str, chosen: bool) -> None:
    assert has_labels(node("a", 1, labels={"disk": "nvme"}), {"disk": value}) is chosen


def test_only_what_no_node_is_large_enough_for_is_never_placed() -> None:
    busy = [node("a", 4, free=0), node("b", 4)]
    assert never_placed(demands_of(WorkerSettings(workers=50), busy), busy) is None
    settings = WorkerSettings(cpus_per_worker=5)
    assert never_placed(demands_of(settings, busy), busy) == WorkerKind(cpus=5, gpus=0)
    assert never_placed(demands_of(WorkerSettings(), []), []) == WorkerKind(cpus=1, gpus=0)


def test_a_cluster_is_told_with_what_is_free_and_what_would_wait() -> None:
    nodes = [node("b", 4, free=1), node("a", 2, labels={"disk": "nvme", "ray.io/node-id": "7"})]
    nodes.append(node("c", 8, is_alive=False))
    document = to_document(WorkerSettings(address="10.0.0.5:6379", workers=4), nodes, grows=False)
    assert [each["name"] for each in document["nodes"]] == ["a", "b", "c"]
    [kind] = document["workers"]
    assert (kind["asked"], kind["placed"], kind["waiting"], kind["fits_nowhere"]) == (4, 3, 1, False)
    assert lines_of(document) == [
        "10.0.0.5:6379: 2 nodes, 3 of 6 CPUs and 0 of 0 GPUs free; 1 left",
        "  a a: 2 of 2 CPUs, 0 of 0 GPUs and 8 of 8 GiB free, disk=nvme; workers: 2",
        "  b b: 1 of 4 CPUs, 0 of 0 GPUs and 8 of 8 GiB free; workers: 1",
        "a run would ask for 4 workers of 1 CPUs and 0 GPUs: 3 have room now, 1 would wait",
    ]
    refused = lines_of(to_document(WorkerSettings(cpus_per_worker=9), nodes, grows=False))
    assert refused[-1].endswith("1 would wait; no node is large enough: it would be refused")
    grown = lines_of(to_document(WorkerSettings(cpus_per_worker=9), nodes, grows=True))
    assert grown[-1].endswith("1 would wait for the cluster to grow")
