"""Peak memory of one fit in a process of its own; `bench_long.py` starts this.

    python memory_side.py winnow|plain SAMPLES WIDTH STEPS

winnow: a Ray worker takes one trial to its end, with metrics, weights and output; its own peak, Ray's share included.
plain: nn.Linear and sin on the whole batch in this process, without Ray and without a result.

Prints the peak in MiB.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from plain import noise, plain_loop

from search.config import WorkerSettings
from search.ray_workers import RayWorkers
from search.trial import Purpose, TrialSpec
from search.workers import Report, Segment, Start
from trainers.config import FitConfig, NetworkConfig
from trainers.tasks import Task

DEPTH = 4


def fit_by_winnow(task: Task, width: int, steps: int) -> float:
    network = NetworkConfig(architecture="siren2", width=width, depth=DEPTH, knobs={"s0": 3000.0, "s1": 0.1})
    spec = TrialSpec(
        key="search/0",
        label="#0",
        task=task.digest,
        space="siren2",
        point={"s0": 3000.0, "s1": 0.1, "lr": 1e-4},
        network=network,
        fit=FitConfig(steps=steps, lr=1e-4),
        purpose=Purpose.SEARCH,
        repeat=0,
        seed=0,
        keep=True,
    )
    workers = RayWorkers(WorkerSettings(workers=1, gpus_per_worker=0))
    try:
        workers.share(task.digest, task)
        while not workers.ids():
            workers.wait(1.0)
        start = (Start(lane=0, spec=spec),)
        workers.submit(0, Segment(task=task.digest, lanes=1, start=start, until={0: steps}, seconds=1e9))
        events = workers.wait(1e9)
        assert isinstance(events[0], Report), events
        assert events[0].results[0].progress.step == steps, events
        return max(peak_mib(path) for path in Path("/proc").glob("[0-9]*") if is_worker(path))
    finally:
        workers.close()


def fit_plainly(task: Task, width: int, steps: int) -> float:
    torch.set_num_threads(1)
    network = NetworkConfig(architecture="siren", width=width, depth=DEPTH)
    plain_loop(task, network, FitConfig(steps=steps, lr=1e-4))(steps)
    return peak_mib(Path("/proc/self"))


def peak_mib(process: Path) -> float:
    [line] = [line for line in (process / "status").read_text(encoding="utf-8").splitlines() if "VmHWM" in line]
    return int(line.split()[1]) / 1024


def is_worker(process: Path) -> bool:
    try:
        return (process / "cmdline").read_bytes().startswith(b"ray::FitActor")
    except OSError:  # it has ended meanwhile
        return False


def main() -> None:
    side, samples, width, steps = sys.argv[1], *map(int, sys.argv[2:5])
    fit = {"winnow": fit_by_winnow, "plain": fit_plainly}[side]
    sys.stdout.write(f"{fit(noise(samples), width, steps):.0f}\n")


if __name__ == "__main__":
    main()
