"""What a search of each space is worth: found point minus the space's published default, on fresh seeds.

    python tests/benchmarks/bench_spaces.py CLIP.wav IMAGE.png --store /tmp/bench-spaces

One study of 24 trials for each signal and space (4,096 samples of a recording, a 64 x 64 crop of an image, width 64,
depth 4, 300 steps). Prints a Markdown table. Studies are kept in the store: an interrupted run continues.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from search.config import StudySpec
from search.display import Terminal
from search.run import run_study
from spaces.catalog import SPACES
from trainers.signals import Crop, SignalError, read_signal


def crop_of(source: str) -> dict[str, Any]:
    """4,096 samples, whatever the kind."""
    try:
        read_signal(source, Crop(box=(64, 64)))
    except SignalError:
        return {"samples": 4096}
    return {"crop": "64x64"}


def study(source: str, space: str, store: Path, workers: int) -> dict[str, Any]:
    """The summary of one study."""
    spec = StudySpec.model_validate(
        {
            "name": space,
            "signals": [source],
            "signal": crop_of(source),
            "network": {"width": 64, "depth": 4},
            "fit": {"steps": 300},
            "search": {"space": space, "trials": 24, "heuristic": ["winner"]},
            "workers": {"workers": workers},
            "store": {"store": store},
        }
    )
    [summary] = run_study(spec, display=Terminal())["studies"]
    return dict(summary)


def cell(summary: dict[str, Any]) -> tuple[str, bool]:
    """`+12.3 [10.1, 14.5]`, and whether the interval lies above 0."""
    name = f"{summary['space']}-default"
    if name not in summary["references"]:  # the default is one of the baselines, or the law's point
        name = max(summary["references"], key=lambda other: is_default(summary, other))
    reference = summary["references"][name]
    low, high = reference["ci95_db"]
    best, default = (entry["confirmed"]["mean_psnr_db"] for entry in (summary["best"], reference))
    return f"{default:.1f} → {best:.1f}, {reference['regret_db']:+.1f} [{low:.1f}, {high:.1f}]", low > 0


def is_default(summary: dict[str, Any], name: str) -> bool:
    """Whether a reference is of the space that was searched."""
    return bool(summary["references"][name]["space"] == summary["space"])


def main() -> None:
    """Run all of them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("signals", nargs="+")
    parser.add_argument("--store", type=Path, default=Path("bench-spaces"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--spaces", nargs="+", default=list(SPACES))
    options = parser.parse_args()
    names = [Path(source).name for source in options.signals]
    lines = [f"| space | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    above = 0
    for space in options.spaces:
        cells = [cell(study(source, space, options.store, options.workers)) for source in options.signals]
        above += sum(is_above for _, is_above in cells)
        lines.append(f"| {space} | {' | '.join(text for text, _ in cells)} |")
    print("\n".join(lines))  # noqa: T201
    print(f"\ninterval above 0: {above} of {len(options.spaces) * len(names)}")  # noqa: T201


if __name__ == "__main__":
    main()
