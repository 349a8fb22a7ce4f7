"""What 10,000 trials on 256 simulated workers cost the driver, and whether 200 studies keep a pool as busy as one.

    python tests/benchmarks/bench_scale.py [--trials 10000] [--studies 200] [--picture docs/scale.png]

Driver time is CPU time of the process, all its threads, between two counts of told trials; the fits are scripted. It
draws the curves into --picture. The alternatives: Optuna's own ask and tell with the same number running; the same
sampler with all of the history; one study of as many fits.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from matplotlib.figure import Figure
from paired import Row, print_rows, spread
from simulated import Landscape, SimulatedWorkers, campaign_spec, run_campaign, search

import search.history as history_module
from search.history import History
from search.record import Record
from search.storage import open_storage
from search.suggest import to_distributions
from spaces.catalog import build_space
from trainers.signals import Crop, read_signal

NUM_WORKERS, SECONDS = 256, 30.0
MARKS = (100, 300, 1000, 3000, 10_000)
BARE_TRIALS = 1500
QUALITY_TRIALS, QUALITY_RUNNING, QUALITY_SEEDS = 1500, 32, 4
CAMPAIGN_WORKERS, TRIALS_OF_A_STUDY = 64, 10
SPACE = build_space("siren2", read_signal("synthetic:bright", Crop(samples=256)).spectrum(), width=64)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of the driver's process when `told` trials were told."""

    told: int
    cpu_seconds: float
    wall_seconds: float
    resident_mib: float


def now(told: int) -> Cost:
    """What it has cost so far."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Cost(told=told, cpu_seconds=time.process_time(), wall_seconds=time.perf_counter(), resident_mib=resident)


def near(costs: Sequence[Cost], told: int) -> tuple[float, float]:
    """CPU and wall time in ms of a trial around the one of that number: of the half of its number before it."""
    last = min(costs, key=lambda cost: abs(cost.told - told))
    first = min(costs, key=lambda cost: abs(cost.told - max(told // 2, told - 1000)))
    num = last.told - first.told
    cpu, wall = last.cpu_seconds - first.cpu_seconds, last.wall_seconds - first.wall_seconds
    return 1000 * cpu / num, 1000 * wall / num


def simulate(folder: Path, trials: int) -> list[Cost]:
    """Real driver, storage and sampler on scripted fits; the cost after every 50 told.

    The budget is larger by twice the workers: the last trials of a search cost less, nothing is drawn beside them.
    """
    costs = [now(0)]
    budget = trials + 2 * NUM_WORKERS
    count = itertools.count(1)

    def told(record: Record) -> None:
        if (num := next(count)) % 50 == 0 and num <= trials:
            costs.append(now(num))

    workers = SimulatedWorkers(NUM_WORKERS, Landscape(seconds=SECONDS).script, segment_seconds=SECONDS)
    study = search(open_storage(folder, None), workers, folder, trials=budget, told=told)
    assert len(study.trials()) == budget
    return costs


def bare_costs(folder: Path, trials: int) -> list[Cost]:
    """Optuna's ask and tell on its journal, 256 running, told in order."""
    journal = optuna.storages.journal.JournalFileBackend(str(folder / "bare.log"))
    study = optuna.create_study(storage=optuna.storages.JournalStorage(journal), direction="maximize")
    study.sampler = optuna.samplers.TPESampler(seed=0)
    landscape, running, costs = Landscape(seconds=SECONDS), list[optuna.Trial](), [now(0)]
    for number in range(trials):
        trial = study.ask(to_distributions(SPACE))
        running.append(trial)
        if len(running) == NUM_WORKERS:
            first = running.pop(0)
            study.tell(first, landscape.value_db(SPACE.from_search(first.params)))
        if (number + 1) % 50 == 0:
            costs.append(now(number + 1))
    return costs


def opening(folder: Path) -> tuple[float, float]:
    """Wall seconds and peak MiB of `winnow status` in a process of its own."""
    code = (
        "import json, resource, sys; from pathlib import Path; from search.status import find_studies, status_of\n"
        "[study] = find_studies(Path(sys.argv[1]), None, None); num = sum(status_of(study, Path(sys.argv[1]))"
        "['trials'].values())\n"
        "print(json.dumps([num, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))"
    )
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    return seconds, float(json.loads(ended.stdout)[1])


def found_db(landscape: Landscape, trials: int) -> float:
    """True value of the best of the five leading points: selection's fresh seeds tell them apart."""
    rng = np.random.default_rng(landscape.seed)
    study = optuna.create_study(direction="maximize")
    history = History(SPACE, landscape.seed, study.directions, [])
    running = []
    told: list[tuple[float, float]] = []
    for _ in range(trials):
        running.append(history.propose())
        if len(running) < QUALITY_RUNNING:
            continue
        proposal = running.pop(int(rng.integers(QUALITY_RUNNING)))
        true = landscape.value_db(proposal.point)
        noisy = true + landscape.noise_db * rng.standard_normal()
        told.append((noisy, true))
        ended = optuna.trial.create_trial(
            params=dict(proposal.params), distributions=dict(proposal.distributions), value=noisy
        )
        ended.number = proposal.number
        history.tell(ended)
    return max(true for _, true in sorted(told)[-5:])


def compare_histories() -> tuple[list[float], list[float]]:
    """The found value with the bounded history, and with all of it, by seed."""
    bounded, whole = [], []
    block = history_module.BLOCK
    for seed in range(QUALITY_SEEDS):
        landscape = Landscape(seconds=1.0, seed=seed)
        bounded.append(found_db(landscape, QUALITY_TRIALS))
        history_module.BLOCK = 10**9
        whole.append(found_db(landscape, QUALITY_TRIALS))
        history_module.BLOCK = block
    return bounded, whole


def busy_shares(folder: Path, studies: int) -> tuple[float, float, int]:
    """Of a campaign, of one study of as many fits, and how many fits that is."""
    landscape = Landscape(seconds=SECONDS)
    shared = SimulatedWorkers(CAMPAIGN_WORKERS, landscape.script, segment_seconds=SECONDS)
    run_campaign(campaign_spec(folder / "many", studies=studies, trials=TRIALS_OF_A_STUDY), shared)
    one = SimulatedWorkers(CAMPAIGN_WORKERS, landscape.script, segment_seconds=SECONDS)
    num_fits = round(shared.busy_seconds / landscape.seconds)
    search(open_storage(folder / "one", None), one, folder, trials=num_fits, told=lambda record: None)
    return shared.busy_share, one.busy_share, shared.num_started


def draw(path: Path, own: Sequence[Cost], other: Sequence[Cost]) -> None:
    """Driver time and memory over the number of trials."""
    figure = Figure(figsize=(8.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for costs, label in ((own, "winnow"), (other, "Optuna's ask and tell")):
        marks = [cost.told for cost in costs if cost.told >= 100]
        left.plot(marks, [near(costs, mark)[0] for mark in marks], label=label)
    left.set(xscale="log", xlabel="trials told", ylabel="CPU time of the driver, ms a trial", ylim=(0, None))
    left.legend()
    right.plot([cost.told for cost in own], [cost.resident_mib for cost in own])
    right.axhline(1024, color="grey", linestyle=":")
    right.set(xlabel="trials told", ylabel="resident memory, MiB", ylim=(0, 1100))
    figure.suptitle(f"A search on {NUM_WORKERS} simulated workers")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=MARKS[-1])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--picture", type=Path, default=Path(__file__).parents[2] / "docs" / "scale.png")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = simulate(folder, options.trials)
        seconds, peak = opening(folder)
        other = bare_costs(folder, min(BARE_TRIALS, options.trials))
        draw(options.picture, own, other)
        bounded, whole = compare_histories()
        shared, one, num_fits = busy_shares(folder / "campaign", options.studies)
    marks = [mark for mark in MARKS if mark <= options.trials]
    curve = ", ".join(f"{near(own, mark)[0]:.1f}" for mark in marks)
    bare_marks = [mark for mark in marks if mark <= other[-1].told]
    bare_curve = ", ".join(f"{near(other, mark)[0]:.1f}" for mark in bare_marks)
    growth = near(own, marks[-1])[0] / near(own, min(1000, marks[-1]))[0]
    resident = max(cost.resident_mib for cost in own)
    lost = statistics.fmean(b - a for a, b in zip(bounded, whole, strict=True))
    print_rows(
        [
            Row(
                what=f"driver's CPU time at {', '.join(f'{mark:,}' for mark in marks)} trials, {NUM_WORKERS} workers",
                ours=f"{curve} ms a trial",
                alternative=f"{bare_curve} ms at {', '.join(f'{mark:,}' for mark in bare_marks)}: Optuna's ask, tell",
                result=f"{growth:.2f} x from 1,000 to {marks[-1]:,}",
                asked="< 2 x",
                holds=growth < 2,
            ),
            Row(
                what=f"resident memory after {options.trials:,} trials",
                ours=f"{resident:.0f} MiB",
                alternative="",
                result=f"{resident / 1024:.2f} GiB",
                asked="< 1 GiB",
                holds=resident < 1024,
            ),
            Row(
                what=f"opening the finished study of {options.trials:,} trials",
                ours=f"{seconds:.1f} s, {peak:.0f} MiB",
                alternative="",
                result=f"{seconds:.1f} s",
                asked="< 20 s",
                holds=seconds < 20,
            ),
            Row(
                what=f"found value after {QUALITY_TRIALS:,} noisy trials, {QUALITY_SEEDS} seeds",
                ours=f"{spread(bounded, 1)} dB",
                alternative=f"{spread(whole, 1)} dB: the sampler sees all trials",
                result=f"{-lost:+.1f} dB in the mean",
                asked=">= -1 dB",
                holds=lost <= 1,
            ),
            Row(
                what=f"campaign of {options.studies} studies, {num_fits:,} fits on {CAMPAIGN_WORKERS} workers",
                ours=f"{100 * shared:.1f} % busy",
                alternative=f"{100 * one:.1f} % busy: one study of as many fits",
                result=f"{100 * (shared - one):+.1f} points",
                asked=">= -2 points",
                holds=shared >= one - 0.02,
            ),
        ]
    )


if __name__ == "__main__":
    main()
