"""A Ray cluster of several nodes on this machine, with logical GPUs."""

from __future__ import annotations

import threading

import torch

from search.cluster import to_document
from search.config import WorkerSettings
from search.driver import Driver
from search.fixed import FixedSource
from search.trial import Outcome, State, TrialBuilder, TrialSpec
from spaces.catalog import build_space
from trainers.signals import Signal
from trainers.tasks import Task


def test_gpus_and_labels_place_workers_of_two_kinds_and_a_node_that_leaves_takes_no_trial_with_it(
    builder: TrialBuilder, task: Task, signal: Signal
) -> None:
    import ray
    from ray.cluster_utils import Cluster

    from search.ray_session import can_grow, look_around
    from search.ray_workers import RayWorkers

    assert not ray.is_initialized(), "the session's own Ray must not be up"
    # The head has CPUs, but not the label that is asked for.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    here = {"site": "here"}
    nodes = [cluster.add_node(num_cpus=2, num_gpus=1, labels=here) for _ in range(2)]
    nodes.append(cluster.add_node(num_cpus=1, labels=here))
    warnings: list[str] = []
    outcomes: list[Outcome] = []
    settings = WorkerSettings(
        address=cluster.address, gpus_per_worker=0.5, cpu_workers=1, label_selector=("site=here",)
    )
    workers = RayWorkers(settings, warnings.append)
    left = threading.Event()

    def leave_once(spec: TrialSpec, progress: object) -> None:
        if not left.is_set():
            left.set()
            cluster.remove_node(nodes[1])

    try:
        assert sorted(kind.gpus for kind in workers._kinds.values()) == [0, 0.5, 0.5, 0.5, 0.5]
        workers.share(task.digest, task)
        specs = [
            builder.build(
                f"search/{number}",
                label="#0",
                space=build_space("siren", signal.spectrum(), width=16),
                point={"w_first": 9.0 + number, "lr": 1e-3},
                rungs=(10, 20),
            )
            for number in range(12)
        ]
        assert Driver(workers, threading.Event(), leave_once).run(FixedSource(specs, outcomes.append))
        while len(workers.ids()) < 3:  # the last may still load torch
            workers.wait(1.0)
        kinds = sorted(workers._kinds[worker].gpus for worker in workers.ids())
        assert kinds == [0, 0.5, 0.5], "the other two wait for room"
        assert sorted(kind.gpus for kind in workers._kinds.values()) == [0, 0.5, 0.5, 0.5, 0.5], "they keep their kinds"
        there = {worker: node for worker, (node, _) in workers._places.items()}
        assert set(there.values()) == {nodes[0].node_id, nodes[2].node_id}
        document = to_document(settings, look_around(), grows=can_grow(settings))
        assert [node["state"] for node in document["nodes"]] == ["alive"] * 3 + ["dead"]
        assert [kind["waiting"] for kind in document["workers"]] == [2, 1], "all room is taken"
        assert not document["grows"]
    finally:
        workers.close()
        ray.shutdown()
        cluster.shutdown()
    assert sorted(outcome.spec.key for outcome in outcomes) == sorted(spec.key for spec in specs)
    assert {outcome.state for outcome in outcomes} == {State.COMPLETE}
    if not torch.cuda.is_available():
        assert "a worker holds a GPU that torch does not see: it fits on the CPU" in warnings
