"""How many lanes of a stack pay on a device, by measuring."""

from __future__ import annotations

import time
from collections.abc import Mapping

from trainers.config import FitConfig, NetworkConfig
from trainers.fit import FitStack
from trainers.memory import is_out_of_memory, release_memory
from trainers.tasks import Task

MOST_LANES = 256
PAYS = 1.1
"""Twice the lanes must fit so many times as fast, or it is not worth their memory, and their trials end later."""

WARM_UP_STEPS = 2
MEASURED_STEPS = 3
MEASURED_SECONDS = 0.2


def measure_lanes(task: Task, network: NetworkConfig, device: str) -> dict[int, float]:
    """Steps per second of all lanes together, for 1, 2, 4, ... lanes, until more do not pay or do not fit."""
    rates: dict[int, float] = {}
    lanes = 1
    while lanes <= MOST_LANES:
        try:
            rates[lanes] = _rate(task, network, lanes, device)
        except Exception as error:
            if not is_out_of_memory(error) or not rates:
                raise
        if lanes not in rates:  # here, where the exception no longer holds what its frames had
            release_memory()
            break
        if rates[lanes] < PAYS * rates.get(lanes // 2, 0.0):
            break
        lanes *= 2
    return rates


def lanes_that_pay(rates: Mapping[int, float]) -> int:
    """The last doubling that made all lanes together at least `PAYS` times as fast."""
    pays = [lanes for lanes, rate in rates.items() if rate >= PAYS * rates.get(lanes // 2, 0.0)]
    return max(pays)


def _rate(task: Task, network: NetworkConfig, lanes: int, device: str) -> float:
    stack = FitStack(task, network, num_lanes=lanes, device=device)
    for lane in range(lanes):
        # So small a rate that nothing diverges: only its steps' time is looked at.
        stack.start(lane, network, FitConfig(steps=10**9, lr=1e-12), lane)
    done = WARM_UP_STEPS
    stack.advance(dict.fromkeys(range(lanes), done))
    began = time.perf_counter()
    while done < WARM_UP_STEPS + MEASURED_STEPS or time.perf_counter() - began < MEASURED_SECONDS:
        done += 1
        stack.advance(dict.fromkeys(range(lanes), done))
        assert stack.progress(0).step == done, "a lane that has ended takes no time"
    return lanes * (done - WARM_UP_STEPS) / (time.perf_counter() - began)
