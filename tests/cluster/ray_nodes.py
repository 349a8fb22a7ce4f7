"""A Ray cluster of separate `ray start` processes with a token, which ends by the ids of its processes alone."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
from environments import plain_environment
from hosts import Host, Network
from mlflow_server import free_port

QUICK_HEALTH = {"health_check_period_ms": 1_000, "health_check_timeout_ms": 10_000, "health_check_failure_threshold": 5}
"""Ray notices within seconds, and not within half a minute, that a node is gone; a busy one it waits for."""

MAX_STARTS = 8
"""Of a node."""

STORE_BYTES = 100_000_000
"""Of each node's object store: signals here are small."""


class Node:
    """One `ray start --block` and all that it started."""

    def __init__(self, command: list[str], host: Host, environment: dict[str, str], log: Path) -> None:
        self.host = host
        self.name = log.stem
        self._command = [*host.prefix, *command]
        self._environment = environment
        self._log = log
        self._num_starts = 0
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._num_starts += 1
        with self._log.open("ab") as out:
            return subprocess.Popen(
                self._command, env=self._environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                start_new_session=True, cwd=self._log.parent,
            )  # fmt: skip

    def check(self) -> None:
        """It must run; Ray gives up after 30 s where a machine is busy, and whoever keeps its nodes tries again."""
        if self._process.poll() is not None:
            assert self._num_starts < MAX_STARTS, self._log.read_text(encoding="utf-8")[-2_000:]
            self._process = self._start()

    def processes(self) -> list[psutil.Process]:
        """All of its host: Ray's, its workers', and a driver's."""
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self._process.pid)
            return [*top.children(recursive=True), top]
        return []

    def kill(self) -> None:
        """As a machine that loses its power."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()


SIZES = {"small": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 1}}
"""Of nodes that an autoscaler brings."""

COMMANDS = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")


class RayNodes:
    """A head without CPUs, and nodes that join and leave.

    Args:
        python: that runs Ray.
        network: where hosts come from.
        grows: whether an autoscaler brings nodes of these SIZES, as Ray's own tests have it: on the head's host.

    Attributes:
        environment: of whoever is to be let in.
        nodes: that are there, the head left aside.
    """

    def __init__(self, python: Path, network: Network, *, grows: bool = False) -> None:
        self.environment = {
            **plain_environment(python),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.nodes: list[Node] = []
        self.num_joined = self.num_left = 0
        self._network = network
        self._ray = [str(python), "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        self._ray += ["--include-log-monitor=false"]  # our drivers do not ask for workers' logs
        self.folder = Path(tempfile.mkdtemp(prefix="wn-"))  # short: the names of sockets in it have at most 107 bytes
        self._ports = {name: free_port() for name in ("gcs", "dashboard", "client")}
        host = network.add_host()
        self.gcs = f"{host.ip}:{self._ports['gcs']}"
        self.dashboard = f"http://{host.ip}:{self._ports['dashboard']}"
        self.client = f"ray://{host.ip}:{self._ports['client']}"
        more = [f"--autoscaling-config={self._write_autoscaler()}"] if grows else ["--no-monitor"]
        self.head = self._start(
            host, "head", "--head", f"--port={self._ports['gcs']}", f"--dashboard-port={self._ports['dashboard']}",
            f"--dashboard-host={host.ip}", "--num-cpus=0", f"--system-config={json.dumps(QUICK_HEALTH)}",
            f"--temp-dir={self.folder}/ray", f"--ray-client-server-port={self._ports['client']}",
            *more,
        )  # fmt: skip

    def _write_autoscaler(self) -> Path:
        self.environment |= {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
        provider = {"type": "fake_multinode", "gcs_address": self.gcs, "use_node_id_as_ip": True}
        provider |= {"disable_node_updaters": True, "disable_launch_config_check": True}
        head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
        config = {
            "cluster_name": "grows", "max_workers": 1, "upscaling_speed": 1.0, "idle_timeout_minutes": 5,
            "provider": provider, "auth": {}, "docker": {}, "file_mounts": {}, "cluster_synced_files": [],
            "file_mounts_sync_continuously": False, "rsync_exclude": [], "rsync_filter": [],
            "head_node_type": "ray.head.default", "available_node_types": {"ray.head.default": head, **SIZES},
            **{f"{name}_commands": [] for name in COMMANDS},
        }  # fmt: skip
        path = self.folder / "autoscaler.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        return path

    def _start(self, host: Host, name: str, *words: str) -> Node:
        command = [
            *self._ray,
            f"--node-name={name}",
            f"--node-ip-address={host.ip}",
            f"--object-store-memory={STORE_BYTES}",
            "--num-gpus=0",
        ]
        return Node([*command, *words], host, self.environment, self.folder / f"{name}.log")

    def wait(self, seconds: float = 400.0) -> None:
        """Until the dashboard answers, and the port for clients is open."""
        deadline = time.monotonic() + seconds
        while True:
            self.head.check()
            with contextlib.suppress(OSError):
                self._ask("/api/version")
                socket.create_connection((self.head.host.ip, self._ports["client"]), timeout=5).close()
                return
            assert time.monotonic() < deadline, "no dashboard"
            time.sleep(0.3)

    def wait_for(self, node: Node, seconds: float = 400.0) -> None:
        """Until the head counts a node in."""
        deadline = time.monotonic() + seconds
        while node.name not in self.alive():
            node.check()
            assert time.monotonic() < deadline, f"{node.name} did not join"
            time.sleep(0.3)

    def alive(self) -> list[str]:
        """Names of the nodes that the head takes for alive."""
        answer = json.loads(self._ask("/api/v0/nodes"))
        return [each["node_name"] for each in answer["data"]["result"]["result"] if each["state"] == "ALIVE"]

    def join(self, *words: str) -> Node:
        """A node of one CPU comes."""
        self.num_joined += 1
        host = self._network.add_host()
        node = self._start(host, f"node{self.num_joined}", f"--address={self.gcs}", "--num-cpus=1", *words)
        self.nodes.append(node)
        return node

    def leave(self, node: Node) -> None:
        """A node is gone at once."""
        self.num_left += 1
        self.nodes.remove(node)
        node.kill()

    def jobs(self) -> str:
        """What the dashboard says of all jobs, as it says it."""
        return self._ask("/api/jobs/")

    def _ask(self, path: str) -> str:
        token = {"Authorization": f"Bearer {self.environment['RAY_AUTH_TOKEN']}"}
        request = urllib.request.Request(self.dashboard + path, headers=token)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def close(self) -> None:
        """All of it ends."""
        for node in (*self.nodes, self.head):
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
