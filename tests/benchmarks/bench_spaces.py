"""What a search of each space is worth: found point minus the space's published default, on fresh seeds.

    python tests/benchmarks/bench_spaces.py CLIP.wav IMAGE.png --store /tmp/bench-spaces

One study of 24 trials for each signal and space, 4 layers and 300 steps: 4,096 samples of a recording at width 64, and
a 64 x 64 crop of an image at width 32, where about as many weights as samples keep a fit above the steps of 8 bits.
Prints a Markdown table. Studies are kept in the store: an interrupted run continues.
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


def is_image(source: str) -> bool:
    """Whether a source is an image; recordings have no box."""
    try:
        return read_signal(source, Crop(box=(64, 64))).kind == "image"
    except SignalError:
        return False


def study(source: str, space: str, store: Path, workers: int) -> dict[str, Any]:
    """The summary of one study."""
    of_image = is_image(source)
    spec = StudySpec.model_validate(
        {
            "name": f"{space}-image" if of_image else space,
            "signals": [source],
            "signal": {"crop": "64x64"} if of_image else {"samples": 4096},
            "network": {"width": 32 if of_image else 64, "depth": 4},
            "fit": {"steps": 300},
            "search": {"space": space, "trials": 24, "heuristic": ["winner"]},
            "workers": {"workers": workers},
            "store": {"store": store},
        }
    )
    [summary] = run_study(spec, display=Terminal())["studies"]
    return dict(summary)


def cell(summary: dict[str, Any]) -> tuple[str, bool]:
    """`11.8 → 63.8, +52.0 [50.1, 53.9]`, and whether the interval lies above 0."""
    names = [name for name in default_names(summary["space"]) if name in summary["references"]]
    reference = summary["references"][names[-1]]
    low, high = reference["ci95_db"]
    best, default = (entry["confirmed"]["mean_psnr_db"] for entry in (summary["best"], reference))
    return f"{default:.1f} → {best:.1f}, {reference['regret_db']:+.1f} [{low:.1f}, {high:.1f}]", low > 0


def default_names(space: str) -> list[str]:
    """The reference that is the space's published default: plain SIREN's and the law's have their own names, and their
    learning rate is tuned; recordings have the later of the two SIRENs."""
    own = {"siren": ["siren-30", "siren-3000"], "siren2": ["winner"], "any": ["winner"]}
    return own.get(space, [f"{space}-default"])


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
