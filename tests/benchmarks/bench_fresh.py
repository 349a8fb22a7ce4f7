"""What FreSh costs: 20 candidates x 10 draws against one fit, on one thread; prints the ratio.

    python tests/benchmarks/bench_fresh.py [--samples 16384] [--width 128] [--steps 1000] [--fit-steps 60] [--source S]

The fit's time is --steps times the mean of --fit-steps steps after five to warm up.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch

from spaces.catalog import build_space
from trainers.config import FitConfig
from trainers.fit import FitStack
from trainers.fresh import select
from trainers.signals import Crop, read_signal
from trainers.tasks import build_task
from trainers.untrained import network_on

WARM_UP = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("samples", 16_384), ("width", 128), ("depth", 4), ("steps", 1000), ("fit-steps", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--source", default="synthetic:pink")
    parser.add_argument("--space", default="siren2")
    options = parser.parse_args()
    torch.set_num_threads(1)

    signal = read_signal(options.source, Crop(samples=options.samples))
    task = build_task(signal)
    space = build_space(options.space, signal.spectrum(), width=options.width)

    chosen = select(task, space, width=options.width, depth=options.depth)
    network = network_on(task, space, chosen.point, width=options.width, depth=options.depth)
    stack = FitStack(task, network)
    stack.start(0, network, FitConfig(steps=options.steps, lr=1e-4), seed=0)
    stack.advance({0: WARM_UP})
    began = time.perf_counter()
    stack.advance({0: WARM_UP + options.fit_steps})
    fit_seconds = (time.perf_counter() - began) / options.fit_steps * options.steps

    sys.stdout.write(
        f"fresh {chosen.seconds:.2f} s ({len(chosen.candidates)} candidates x {chosen.draws} draws, picked "
        f"{chosen.point}), fit {fit_seconds:.1f} s ({options.steps} steps): {chosen.seconds / fit_seconds:.1%}\n"
    )


if __name__ == "__main__":
    main()
