"""Signals of real length: memory of a fit of 150,000 samples at width 222, and `winnow predict` on ten minutes.

    python tests/benchmarks/bench_long.py [--rounds 3] [--steps 2]

Each figure is of a process of its own; seconds are those of the whole command, in turn with the alternative's. The last
recording has a prime number of samples, as recordings have that no program has cut.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from paired import Row, print_rows, spread

SIDES = Path(__file__).parent / "sides"

SAMPLES, WIDTH = 150_000, 222
"""The protocol of [Chandravamsi2025]."""

MOST_MIB = 600
"""Of a worker."""

MOST_SECONDS = 3.0
"""Of `winnow predict`."""

MOST_PREDICT_MIB = 1536

RATE_HZ, MINUTES = 48_000, 10

PRIME = 28_799_963
"""Ten minutes, but for 37 samples."""


def output_of(script: str, *arguments: object) -> str:
    command = [sys.executable, str(SIDES / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def memory_rows(steps: int) -> list[Row]:
    """Peak memory of a worker: at the paper's length, and at four times as many samples."""
    ours, longer = (float(output_of("memory_side.py", "winnow", num, WIDTH, steps)) for num in (SAMPLES, 4 * SAMPLES))
    plain = float(output_of("memory_side.py", "plain", SAMPLES, WIDTH, steps))
    return [
        Row(
            what=f"peak memory of a Ray worker, {SAMPLES:,} samples, width {WIDTH}",
            ours=f"{ours:.0f} MiB",
            alternative=f"{plain:.0f} MiB (nn.Linear and sin, whole batch, no Ray)",
            result=f"{ours / plain:.2f} of it",
            asked=f"below {MOST_MIB} MiB",
            holds=ours < MOST_MIB,
        ),
        Row(
            what=f"the same, {4 * SAMPLES:,} samples",
            ours=f"{longer:.0f} MiB",
            alternative="",
            result=f"{longer - ours:+.0f} MiB for {3 * SAMPLES:,} more samples",
            asked=f"below {MOST_MIB} MiB",
            holds=longer < MOST_MIB,
        ),
    ]


def write_recordings(folder: Path) -> dict[str, Path]:
    """A tone in noise, by what kind of file it is."""
    generator = np.random.default_rng(0)
    seconds = np.arange(MINUTES * 60 * RATE_HZ) / RATE_HZ
    mono = (0.3 * np.sin(2 * np.pi * 440 * seconds) + 0.1 * generator.standard_normal(len(seconds))).astype(np.float32)
    stereo = np.stack([mono, mono[::-1]], axis=1).clip(-1, 1)
    recordings = {
        "float, mono": (mono, "FLOAT"),
        "16 bit, stereo": (stereo, "PCM_16"),
        f"float, mono, {PRIME:,} samples (a prime)": (mono[:PRIME], "FLOAT"),
    }
    paths = {}
    for number, (name, (samples, subtype)) in enumerate(recordings.items()):
        paths[name] = folder / f"{number}.wav"
        soundfile.write(paths[name], samples, RATE_HZ, subtype=subtype)
    return paths


def measured(command: Sequence[str]) -> tuple[float, float, float]:
    """Seconds, peak MiB, and the centroid that a command prints."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, output
    centroid = re.search(r"centroid (\S+),|^(\S+)$", output, re.MULTILINE)
    assert centroid, output
    return time.perf_counter() - began, usage.ru_maxrss / 1024, float(centroid[1] or centroid[2])


def predict_row(name: str, path: Path, rounds: int) -> Row:
    """The whole command, beside a script that knows the centroid alone."""
    ours, plain = (
        [sys.executable, "-m", "search", "predict", str(path)],
        [sys.executable, str(SIDES / "centroid_side.py"), str(path)],
    )
    pairs = [(measured(ours), measured(plain)) for _ in range(rounds)]
    (_, mib, centroid), (_, plain_mib, plain_centroid) = pairs[0]
    seconds = [own for (own, _, _), _ in pairs]
    return Row(
        what=f"winnow predict, {MINUTES} minutes at {RATE_HZ / 1000:g} kHz, {name}",
        ours=f"{spread(seconds)} s, {mib:.0f} MiB",
        alternative=f"{spread([other for _, (other, _, _) in pairs])} s, {plain_mib:.0f} MiB (numpy script)",
        result=f"centroid {centroid:.4f}, the script's {plain_centroid:.4f}",
        asked=f"below {MOST_SECONDS:g} s",
        holds=sorted(seconds)[len(seconds) // 2] < MOST_SECONDS and mib < MOST_PREDICT_MIB,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    root = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    rows = memory_rows(options.steps)
    with tempfile.TemporaryDirectory(prefix="bench-long-") as folder:
        rows += [predict_row(name, path, options.rounds) for name, path in write_recordings(Path(folder)).items()]
    print_rows(rows)


if __name__ == "__main__":
    main()
