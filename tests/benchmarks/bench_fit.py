"""The fit step beside a plain torch loop (nn.Linear, sin, whole batch, Adam) and beside the machine's matrix products.

    python tests/benchmarks/bench_fit.py [--rounds 5] [--threads 2] [--width 222] [--depth 4]

Every round times both on the same samples and the same first weights, in turn, each in a process of its own (ours is
set up as a worker's is); then products of one chunk's size, whose rate is what the machine has to give. Operations of a
step: 2 N (dims W + (depth - 1) W^2 + W) forward, twice that backward, but for the gradient of the coordinates, which
nobody needs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from paired import Row, paired_ratios, print_rows, spread
from sides.plain import noise, plain_loop

from trainers.config import FitConfig, NetworkConfig
from trainers.fit import CPU_ROWS, FitStack
from trainers.memory import keep_freed_memory
from trainers.tasks import Task

ASKED = {65_536: 1.7, 16_384: 1.2}
ASKED_SHARE = 0.65
ROUND_SECONDS = 2.0


def our_loop(task: Task, network: NetworkConfig, fit: FitConfig) -> tuple[FitStack, Callable[[int], None]]:
    stack = FitStack(task, network)
    stack.start(0, network, fit, 0)

    def run(steps: int) -> None:
        stack.advance({0: stack.progress(0).step + steps})

    return stack, run


def seconds_of(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


class Side:
    """One of both in a process of its own; a context manager.

    Args:
        begin: run there first; what it gives is kept there and called with a number of steps.
        task, network: what is fitted.
        threads: of torch.
    """

    _run: Callable[[int], object]

    def __init__(
        self,
        begin: Callable[[Task, NetworkConfig], Callable[[int], object]],
        task: Task,
        network: NetworkConfig,
        threads: int,
    ) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), Side._begin, (begin, task, network, threads))

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def seconds(self, steps: int) -> float:
        """Of so many steps."""
        return self._pool.submit(Side._seconds, steps).result()

    @staticmethod
    def _begin(
        begin: Callable[[Task, NetworkConfig], Callable[[int], object]],
        task: Task,
        network: NetworkConfig,
        threads: int,
    ) -> None:
        torch.set_num_threads(threads)
        Side._run = staticmethod(begin(task, network))
        Side._run(2)

    @staticmethod
    def _seconds(steps: int) -> float:
        return seconds_of(lambda: Side._run(steps))


ENDLESS = FitConfig(steps=10**6, lr=1e-4)


def begin_ours(task: Task, network: NetworkConfig) -> Callable[[int], object]:
    keep_freed_memory()
    return our_loop(task, network, ENDLESS)[1]


def begin_plain(task: Task, network: NetworkConfig) -> Callable[[int], object]:
    return plain_loop(task, network, ENDLESS)


def product_rate(width: int) -> float:
    """Operations per second of float32 products (chunk rows x width) (width x width)."""
    a, b = torch.randn(CPU_ROWS, width), torch.randn(width, width)
    out = torch.empty(CPU_ROWS, width)
    times = round(ROUND_SECONDS / 4 / seconds_of(lambda: torch.mm(a, b, out=out)))
    return 2 * CPU_ROWS * width**2 * times / seconds_of(lambda: [torch.mm(a, b, out=out) for _ in range(times)])


def difference_db(task: Task, network: NetworkConfig, fit: FitConfig, steps: int = 10) -> float:
    """Largest difference in PSNR between both over the first steps."""
    losses = plain_loop(task, network, fit)(steps)
    stack, run = our_loop(task, network, fit)
    run(steps)
    curve = [value for _, value in stack.progress(0).curve]
    return max(abs(10 * np.log10(loss) + value) for loss, value in zip(losses, curve, strict=True))


def main() -> None:
    """Time both and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rounds", 5), ("threads", 2), ("width", 222), ("depth", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    width, depth = options.width, options.depth
    network = NetworkConfig(architecture="siren", width=width, depth=depth)
    fit = FitConfig(steps=100, lr=1e-4)
    sizes = f"width {width}, depth {depth}, {options.threads} threads"
    rows = []
    for num_samples, asked in ASKED.items():
        task = noise(num_samples)
        apart = difference_db(task, network, fit)
        with (
            Side(begin_ours, task, network, options.threads) as ours,
            Side(begin_plain, task, network, options.threads) as plain,
        ):
            steps = max(2, round(ROUND_SECONDS / ours.seconds(1)))
            plain.seconds(1)
            forward = 2 * num_samples * (width + (depth - 1) * width**2 + width)
            operations = steps * (3 * forward - 2 * num_samples * width)
            shares: list[float] = []

            def our_seconds(ours: Side = ours, steps: int = steps, operations: int = operations) -> float:
                seconds = ours.seconds(steps)
                shares.append(operations / seconds / product_rate(width))  # noqa: B023
                return seconds

            own, other, ratios = paired_ratios(
                our_seconds, lambda plain=plain, steps=steps: plain.seconds(steps), options.rounds
            )
        ratio, share = statistics.median(ratios), statistics.median(shares)
        rows.append(
            Row(
                what=f"fit step, N {num_samples:,}, {sizes}",
                ours=f"{statistics.median(own) / steps * 1e3:.0f} ms",
                alternative=f"{statistics.median(other) / steps * 1e3:.0f} ms (plain torch loop)",
                result=f"{spread(ratios)} times as fast; PSNR of 10 steps {apart:.0e} dB apart",
                asked=f"at least {asked}",
                holds=ratio >= asked,
            )
        )
        rows.append(
            Row(
                what=f"float32 rate of that step, N {num_samples:,}",
                ours=f"{operations / statistics.median(own) / 1e9:.0f} GFLOP/s",
                alternative="products of one chunk alone",
                result=f"{spread(shares)} of their rate",
                asked=f"at least {ASKED_SHARE}",
                holds=share >= ASKED_SHARE,
            )
        )
    print_rows(rows)


if __name__ == "__main__":
    main()
