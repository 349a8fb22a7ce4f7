"""A Ray cluster of several nodes on this machine, with logical GPUs."""

from __future__ import annotations

import threading

import torch

from search.config import WorkerSettings
from search.driver import Driver
from search.fixed import FixedSource
from search.trial import Outcome, State, TrialBuilder, TrialSpec
from spaces.catalog import build_space
from trainers.signals import Signal
from trainers.tasks import Task


def test_logical_gpus_place_workers_and_a_node_that_leaves_takes_no_trial_with_it(
    builder: TrialBuilder, task: Task, signal: Signal
) -> None:
    import ray
    from ray.cluster_utils import Cluster

    from search.ray_workers import RayWorkers

    assert not ray.is_initialized(), "the session's own Ray must not be up"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=2, num_gpus=1) for _ in range(2)]
    warnings: list[str] = []
    outcomes: list[Outcome] = []
    workers = RayWorkers(WorkerSettings(address=cluster.address, gpus_per_worker=0.5), warnings.append)
    left = threading.Event()

    def leave_once(spec: TrialSpec, progress: object) -> None:
        if not left.is_set():
            left.set()
            cluster.remove_node(nodes[1])

    try:
        assert len(workers._actors) == 4
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
        while len(workers.ids()) < 2:  # the last may still load torch
            workers.wait(1.0)
        assert len(workers.ids()) == 2, "the other two wait for room"
    finally:
        workers.close()
        ray.shutdown()
        cluster.shutdown()
    assert sorted(outcome.spec.key for outcome in outcomes) == sorted(spec.key for spec in specs)
    assert {outcome.state for outcome in outcomes} == {State.COMPLETE}
    if not torch.cuda.is_available():
        assert "a worker holds a GPU that torch does not see: it fits on the CPU" in warnings
