"""What a storm rages over: a Ray cluster of several nodes and drivers, all processes of this machine."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import psutil
import soundfile

ROOT = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    """Of the processes that we start: this checkout's packages first."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MLFLOW_DISABLE_TELEMETRY": "true"}


class Machines:
    """A Ray cluster: a head without CPUs and nodes of one CPU each, with token authentication.

    Attributes:
        environment: of whoever is to be let in.
        num_nodes: beside the head.
    """

    def __init__(self) -> None:
        self.environment = {**environment(), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.num_nodes = 0
        command = [sys.executable, str(Path(__file__).with_name("nodes.py"))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, env=self.environment, text=True, **pipes)
        self.address = self._answer()

    def add_node(self) -> None:
        """A machine joins."""
        self._say("add")
        self.num_nodes += 1

    def remove_node(self, number: int) -> None:
        """A machine is gone at once."""
        self._say(f"remove {number}")
        self.num_nodes -= 1

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, f"the cluster's process ended with {self._process.wait()}"
        return line

    def actors(self, *, placed: bool = False) -> list[int]:
        """Processes of our workers on these machines that are not frozen; of those that have answered, if `placed`."""
        found = []
        for process in psutil.Process(self._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                title = "".join(process.cmdline()[:1])
                is_young = title.endswith((".__init__", ".place"))
                is_ours = title.startswith("ray::FitActor") and not (placed and is_young)
                if is_ours and process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                    found.append(process.pid)
        return sorted(found)

    def close(self) -> None:
        """All of it ends, what was frozen as well."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def machines(num_nodes: int) -> Iterator[Machines]:
    """A cluster that ends with the block."""
    cluster = Machines()
    try:
        for _ in range(num_nodes):
            cluster.add_node()
        yield cluster
    finally:
        cluster.close()


def write_clips(folder: Path, num: int, samples: int, seed: int) -> list[Path]:
    """Recordings of a few tones each, all different."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(samples) / 8_000.0
    paths = []
    for number in range(num):
        tones = [rng.uniform(0.05, 0.2) * np.sin(2 * np.pi * rng.uniform(100, 3_500) * time_s) for _ in range(4)]
        paths.append(folder / f"clip{number}.wav")
        soundfile.write(paths[-1], np.sum(tones, axis=0), 8_000)
    return paths


class DriverProcess:
    """`winnow run` as a process that can be killed and started again; it goes on where its store says."""

    def __init__(self, words: list[str], store: Path, env: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "search", "run", *words, "--store", str(store)]
        self._store = store
        self._environment = environment() if env is None else env
        self._process: subprocess.Popen[bytes] | None = None
        self.started = 0.0

    def start(self) -> None:
        """Another session."""
        self._store.mkdir(parents=True, exist_ok=True)
        self.started = time.time()
        with (self._store / "driver.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def join(self) -> None:
        """Until it has ended well."""
        assert self._process is not None
        assert self._process.wait() == 0, self.log()

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """What its sessions said, the end of it."""
        return (self._store / "driver.log").read_text(encoding="utf-8", errors="replace")[-3_000:]
