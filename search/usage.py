"""What workers use of their machines: measured by them, kept in the study's folder as lines of JSON, and read back."""

from __future__ import annotations

import json
import math
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

SAMPLE_SECONDS = 10.0
"""Between two samples of a worker, at least."""


LATEST = 253_402_300_800.0
"""The end of the year 9999, in seconds since the epoch: MLflow holds times as whole milliseconds, and not any."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One sample of one worker.

    Attributes:
        host: name of its machine.
        at: seconds since the epoch.
        cpu_percent: of one CPU, over the time since the last sample: 200 is two of them.
        memory_mb: resident, of its process.
        gpu_percent: of the time in which its GPU did something; None without a GPU, or without nvidia-ml-py.
        gpu_memory_mb: in use on its GPU, by whomever; None without one.
    """

    host: str
    at: float
    cpu_percent: float
    memory_mb: float
    gpu_percent: float | None = None
    gpu_memory_mb: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A metric of one worker at one time.

    Attributes:
        key: `system/worker-3/cpu_utilization_percentage`: MLflow shows what begins with `system/` on a page of its own.
        value: in the unit that the key names.
        at: seconds since the epoch.
        step: how many the worker gave before.
    """

    key: str
    value: float
    at: float
    step: int


METRICS: Mapping[str, str] = {
    "cpu_percent": "cpu_utilization_percentage",
    "memory_mb": "memory_usage_megabytes",
    "gpu_percent": "gpu_utilization_percentage",
    "gpu_memory_mb": "gpu_memory_usage_megabytes",
}
"""As MLflow calls what it measures itself."""


class Meter:
    """Measures the process that it is in, and its GPU.

    Args:
        device: "cpu" or "cuda".
        every_seconds: see SAMPLE_SECONDS.
    """

    def __init__(self, device: str, every_seconds: float = SAMPLE_SECONDS) -> None:
        import psutil

        self._process = psutil.Process()
        self._process.cpu_percent()  # what it gives next is of the time from here on
        self._has_gpu = self._knows_load = device == "cuda"
        self._every_seconds = every_seconds
        self._due = time.monotonic() + every_seconds

    def read(self) -> Usage | None:
        """A sample, where one is due."""
        if time.monotonic() < self._due:
            return None
        self._due = time.monotonic() + self._every_seconds
        return Usage(
            host=socket.gethostname(),
            at=time.time(),
            cpu_percent=self._process.cpu_percent(),
            memory_mb=self._process.memory_info().rss / 1e6,
            gpu_percent=self._gpu_percent(),
            gpu_memory_mb=self._gpu_memory_mb(),
        )

    def _gpu_percent(self) -> float | None:
        if not self._knows_load:
            return None
        import torch

        try:
            return float(torch.cuda.utilization())
        except Exception:  # no nvidia-ml-py, or a device that does not tell: NVML's errors are of a class of its own
            self._knows_load = False
            return None

    def _gpu_memory_mb(self) -> float | None:
        if not self._has_gpu:
            return None
        import torch

        free, total = torch.cuda.mem_get_info()
        return (total - free) / 1e6


def append_usage(path: Path, worker: int, usage: Usage) -> None:
    """Add a line; one that a full disk or a power cut tore before stays a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"worker": worker, **asdict(usage)}).encode() + b"\n"
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)


def read_usage(path: Path) -> list[Sample]:
    """All that was kept, in order; nothing where there is no file. Lines that are none of ours are left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    steps: Counter[str] = Counter()
    samples = []
    for key, value, at in _lines(text):
        samples.append(Sample(key=key, value=value, at=at, step=steps[key]))
        steps[key] += 1
    return samples


def _lines(text: str) -> Iterator[tuple[str, float, float]]:
    for line in text.splitlines():
        try:
            found = json.loads(line)
            worker, at = int(found["worker"]), float(found["at"])
            values = {name: float(found[name]) for name in METRICS if found[name] is not None}
        except (ValueError, TypeError, KeyError, OverflowError):
            continue
        if not (0 <= at < LATEST and all(map(math.isfinite, values.values()))):
            continue
        for name, value in values.items():
            yield f"system/worker-{worker}/{METRICS[name]}", value, at
