"""What zero-cost scores cost: 200 points of a space, on one thread; prints seconds, the tangent kernel's apart.

python tests/benchmarks/bench_scores.py [--samples 4096] [--width 64] [--points 200] [--source S] [--space siren2]
"""

from __future__ import annotations

import argparse
import time

from spaces.catalog import build_space
from spaces.scores import SCORES
from trainers.probe import score_points
from trainers.signals import Crop, read_signal
from trainers.tasks import build_task


def main() -> None:
    """Time both and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("samples", 4096), ("width", 64), ("depth", 4), ("points", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--source", default="synthetic:pink")
    parser.add_argument("--space", default="siren2")
    options = parser.parse_args()
    signal = read_signal(options.source, Crop(samples=options.samples))
    task = build_task(signal)
    space = build_space(options.space, signal.spectrum(), width=options.width)
    points = space.sweep(options.points)
    kernel = [name for name, score in SCORES.items() if "kernel" in score.needs]
    for names in ([name for name in SCORES if name not in kernel], kernel):
        began = time.perf_counter()
        score_points(task, space, points, width=options.width, depth=options.depth, names=names)
        print(f"{', '.join(names)}: {time.perf_counter() - began:.1f} s for {len(points)} points")  # noqa: T201


if __name__ == "__main__":
    main()
