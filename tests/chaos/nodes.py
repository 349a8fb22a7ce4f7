"""A Ray cluster on this machine in a process of its own, told by lines on stdin: `add`, `remove NUMBER`.

`stage.Machines` starts this. Answers each line, and its start, with a line: the cluster's address.
"""

from __future__ import annotations

import os
import signal
import sys

import psutil
from ray.cluster_utils import Cluster

QUICK_HEALTH = {"health_check_period_ms": 500, "health_check_timeout_ms": 1_000, "health_check_failure_threshold": 3}
"""Ray notices within seconds, and not within half a minute, that a node is gone."""


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what Ray prints is no answer
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK_HEALTH}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = []
    try:
        answers.write(f"{cluster.address}\n")
        answers.flush()
        for line in sys.stdin:
            word, _, number = line.strip().partition(" ")
            if word == "add":
                nodes.append(cluster.add_node(num_cpus=1))
            else:
                cluster.remove_node(nodes.pop(int(number)), allow_graceful=False)
            answers.write(f"{cluster.address}\n")
            answers.flush()
    finally:
        for process in psutil.Process().children(recursive=True):  # also what is frozen, and what Ray waits for
            process.kill()


if __name__ == "__main__":
    main()
