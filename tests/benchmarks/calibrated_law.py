"""Make the law that ships: search the synthetic corpus at every size, calibrate, write `search/laws/calibrated.json`.

Takes about two hours on 2 idle cores, and continues where it was interrupted. Trials end in another order each time, so
constants differ in their second digit.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAME = "calibrated"
FEW = (0, 1, 2, 5, 6, 12, 21, 32)
ALL = (*range(13), 18, 21, 32)
"""Mixes: their centroids lie from 0.06 to 0.74, a quarter of them below 0.13, where recordings of music are."""

SIZES = {
    (4096, 64, 300): ALL,
    (4096, 32, 300): ALL,
    (16384, 64, 150): (*FEW, 7),
    (512, 222, 100): FEW,
    (1024, 32, 600): FEW,
    (4096, 64, 100): FEW,
}
"""Samples, width, steps: networks with more weights than samples, and with as many."""

SETTINGS = ("--trials", "32", "--pruner", "none")


def winnow(*words: str) -> None:
    """Run a command to its end."""
    subprocess.run([sys.executable, "-m", "search", *words], check=True)


def main() -> None:
    store = sys.argv[1] if len(sys.argv) > 1 else "law-store"
    for (samples, width, steps), mixes in SIZES.items():
        signals = [f"synthetic:mix-{number}" for number in mixes]
        size = ("--samples", str(samples), "--width", str(width), "--steps", str(steps))
        campaign = f"{NAME}-n{samples}-w{width}-s{steps}"
        laws = ("--heuristic", "winner", "--heuristic", "bandwidth")
        winnow("run", *signals, "--name", campaign, *size, *SETTINGS, *laws, "--confirm", "2", "--store", store)
    out = Path(__file__).parents[2] / "search" / "laws" / f"{NAME}.json"
    winnow("calibrate", "--name", NAME, *SETTINGS, "--seeds", "2", "--out", str(out), "--store", store)


if __name__ == "__main__":
    main()
