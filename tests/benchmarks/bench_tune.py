"""A search against what a user would take instead: Ray Tune with OptunaSearch and MLflowLoggerCallback.

    python tests/benchmarks/bench_tune.py [--rounds 1] [--cases short long] [--pruners none asha] [--source FILE.wav]

The same signal, space, network, first weights, schedule, trials, steps and cores; each side in a process, a Ray and a
store of its own, in turn. Every round has another seed. `sides/` says what is measured; "whole" is the whole command,
with start-up, and on our side with the references, the selection, and the pictures, which the other has not.

Found points are fitted again on fresh seeds, the same for both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from paired import Row, print_rows, spread
from sides.case import DEPTH, WORKERS, Case, Found

SIDES = Path(__file__).parent / "sides"

SHORT = {"samples": 2048, "width": 64, "steps": 75, "trials": 32}
"""A fit takes about 0.25 s on one core: what is between the fits counts."""

LONG = {"samples": 4096, "width": 64, "steps": 300, "trials": 48}

CASES = {"short": SHORT, "long": LONG}

MOST_OF_TUNE = 0.5
"""The search may take this share of Tune's wall time."""

FRESH_SEEDS = 8


def search(side: str, case: Case) -> tuple[Found, float]:
    """What a side found, and the seconds of the whole command."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{side}-") as folder:
        command = [sys.executable, str(SIDES / f"{side}_side.py"), replace(case, store=folder).to_argument()]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        whole = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"{side} failed:\n{done.stderr[-3000:]}")
    found = Found.from_output(done.stdout)
    assert found.trials == case.trials, f"{side} ended {found.trials} trials of {case.trials}"
    return found, whole


def fit_seeds(job: tuple[Case, dict[str, float]]) -> list[float]:
    """PSNR in dB of a point on fresh seeds."""
    from search.point import fit_point
    from trainers.signals import Crop

    case, point = job
    fitted = fit_point(
        case.source,
        point,
        crop=Crop(samples=case.samples),
        width=case.width,
        depth=DEPTH,
        steps=case.steps,
        seeds=FRESH_SEEDS,
        study_seed=10_000 + case.seed,
    )
    return list(fitted["psnr_db"])


def mean_psnrs_db(jobs: Sequence[tuple[Case, Found, Found]]) -> tuple[list[float], list[float]]:
    """Of our found point and of the other's in dB: the mean of each round, or of a single one each seed."""
    points = [(case, dict(found.point)) for case, *both in jobs for found in both]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        fits = list(pool.map(fit_seeds, points))
    if len(jobs) == 1:
        return fits[0], fits[1]
    means = [statistics.fmean(psnrs_db) for psnrs_db in fits]
    return means[::2], means[1::2]


def rows_of(name: str, pruner: str, source: str, rounds: int) -> list[Row]:
    """Wall time and found points of one case."""
    from search.stats import paired_difference

    case = Case(source=source, pruner=pruner, seed=0, store="", **CASES[name])
    cases = [replace(case, seed=seed) for seed in range(rounds)]
    pairs = []
    for number, one in enumerate(cases):  # who comes first takes turns too
        sides = ("winnow", "tune") if number % 2 == 0 else ("tune", "winnow")
        done = {side: search(side, one) for side in sides}
        pairs.append((done["winnow"], done["tune"]))
        (ours, own_whole), (other, whole) = pairs[-1]
        print(  # noqa: T201
            f"{name} {pruner} {one.seed}: search {ours.search_seconds:.1f} / {other.search_seconds:.1f} s, "
            f"phase {ours.phase_seconds:.1f} / {other.phase_seconds:.1f} s, whole {own_whole:.1f} / {whole:.1f} s",
            file=sys.stderr,
            flush=True,
        )
    what = f"{case.trials} trials of {case.steps} steps, N {case.samples}, width {case.width}, pruning {pruner}"
    rows = []
    for figure, seconds, asked in (
        ("first step to last record", [(o.search_seconds, t.search_seconds) for (o, _), (t, _) in pairs], True),
        ("search and selection; tuner.fit()", [(o.phase_seconds, t.phase_seconds) for (o, _), (t, _) in pairs], False),
        ("whole command", [(own, other) for (_, own), (_, other) in pairs], False),
    ):
        shares = [own / other for own, other in seconds]
        rows.append(
            Row(
                what=f"{what}: {figure}",
                ours=f"{spread([own for own, _ in seconds], 1)} s",
                alternative=f"{spread([other for _, other in seconds], 1)} s (Ray Tune)",
                result=f"{spread(shares)} of its time",
                asked=f"at most {MOST_OF_TUNE} x" if asked else "",
                holds=not asked or statistics.median(shares) <= MOST_OF_TUNE,
            )
        )
    own, other = mean_psnrs_db([(one, o, t) for one, ((o, _), (t, _)) in zip(cases, pairs, strict=True)])
    mean, ci95 = paired_difference(own, other)
    interval = f" [{ci95[0]:.1f}, {ci95[1]:.1f}]" if ci95 else ""
    rows.append(
        Row(
            what=f"{what}: found point on {FRESH_SEEDS} fresh seeds",
            ours=f"{spread(own, 1)} dB",
            alternative=f"{spread(other, 1)} dB (Ray Tune's best trial)",
            result=f"{mean:+.1f} dB{interval} over {f'{rounds} searches' if rounds > 1 else 'the seeds of one search'}",
            asked="not worse",
            holds=mean >= 0 or bool(ci95 and ci95[1] >= 0),
        )
    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--pruners", nargs="+", choices=["none", "asha"], default=["none", "asha"])
    parser.add_argument("--source", default="synthetic:bright")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
    )
    rows = [
        row
        for name in options.cases
        for pruner in options.pruners
        for row in rows_of(name, pruner, options.source, options.rounds)
    ]
    print_rows(rows)


if __name__ == "__main__":
    main()
