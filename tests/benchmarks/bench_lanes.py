"""Lanes on this machine's device: what several networks side by side are worth, and whether a lane is what it is alone.

    python tests/benchmarks/bench_lanes.py [--lanes 4] [--rounds 5]

On a CPU the lanes of a stack take turns; the alternative is one batched pass of all of them, as on a GPU. Both are
timed in turn, by steps per second of all lanes together; and each lane is compared with its fit alone after 100 steps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from paired import Row, paired_ratios, print_rows, spread
from sides.plain import noise

from trainers.config import FitConfig, NetworkConfig
from trainers.fit import FitStack, fit_network
from trainers.lanes import lanes_that_pay, measure_lanes
from trainers.tasks import Task

SIZES = ((512, 16), (4_096, 64), (2_048, 222))
ROUND_SECONDS = 1.0
STEPS = 100
ASKED_DB = 1e-3


def stack_of(task: Task, network: NetworkConfig, lanes: int, steps: int, *, is_batched: bool) -> FitStack:
    stack = FitStack(task, network, num_lanes=lanes, is_batched=is_batched)
    for lane in range(lanes):
        stack.start(lane, network, FitConfig(steps=steps, lr=5e-4), lane)
    return stack


def seconds_per_step(stack: FitStack, lanes: int) -> Callable[[], float]:
    """Times about a second of steps of all lanes."""
    done = 0

    def run(steps: int) -> float:
        nonlocal done
        done += steps
        began = time.perf_counter()
        stack.advance(dict.fromkeys(range(lanes), done))
        return (time.perf_counter() - began) / steps

    steps = max(3, round(ROUND_SECONDS / run(3)))
    return lambda: run(steps)


def worst_db(task: Task, network: NetworkConfig, lanes: int, *, is_batched: bool) -> float:
    """The largest difference between a lane and its fit alone, after 100 steps."""
    stack = stack_of(task, network, lanes, STEPS, is_batched=is_batched)
    stack.advance(dict.fromkeys(range(lanes), STEPS))
    alone = [
        fit_network(task, network, FitConfig(steps=STEPS, lr=5e-4), lane).progress.psnr_db for lane in range(lanes)
    ]
    beside = [stack.progress(lane).psnr_db for lane in range(lanes)]
    return max(abs(a - b) for a, b in zip(alone, beside, strict=True) if a is not None and b is not None)


def main() -> None:
    """Time and compare, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("lanes", 4), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for num_samples, width in SIZES:
        task = noise(num_samples)
        network = NetworkConfig(architecture="siren2", width=width, depth=4, knobs={"s0": 300.0, "s1": 0.25})
        turns, batched = (
            seconds_per_step(stack_of(task, network, options.lanes, 10**9, is_batched=is_batched), options.lanes)
            for is_batched in (False, True)
        )
        own, other, ratios = paired_ratios(turns, batched, options.rounds)
        apart, batched_apart = (worst_db(task, network, options.lanes, is_batched=each) for each in (False, True))
        rates = measure_lanes(task, network, "cpu")
        rows.append(
            Row(
                what=f"{options.lanes} lanes on one CPU, N {num_samples:,}, width {width}",
                ours=f"{options.lanes / statistics.median(own):.0f} steps/s in turns, {apart:.0e} dB from alone",
                alternative=f"{options.lanes / statistics.median(other):.0f} steps/s batched, {batched_apart:.0e} dB",
                result=f"{spread(ratios)} times as fast; --lanes auto picks {lanes_that_pay(rates)}",
                asked=f"a lane within {ASKED_DB:g} dB of alone",
                holds=apart <= ASKED_DB,
            )
        )
    print_rows(rows)


if __name__ == "__main__":
    main()
