"""What each idea of the search is worth: points found, refitted on fresh seeds, against those of plain TPE.

    python tests/benchmarks/bench_search.py [CLIP.wav...] [--results FOLDER] [--arms plain full] [--seeds 0 1]

An arm is a way of searching with some ideas switched off. All arms have the same clips and search seeds, and a budget
of steps that holds every fit: told references, trials, selection. What counts is the mean PSNR of the recommended point
over 8 fresh seeds, the same for all arms. Plain is multivariate TPE on (s0, s1, lr): its best trial's point.

Everything that is fitted is kept in the results folder: an interrupted run continues, more arms, clips and seeds may be
asked for later, and arms share what they have in common. 4,096 samples, width 64, 300 steps. Nine arms of 15 searches
take some three hours of a core. Without clips: those of ../shared/data/audio, or built-in signals.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna

sys.path.insert(0, str(Path(__file__).parent))

from fits import KeptFits, KeptWorkers, read_entries
from paired import Row, print_rows

from search.checkpoints import Checkpoints
from search.config import StudySpec
from search.driver import Driver
from search.fixed import FixedSource
from search.objective import Objective
from search.plan import Plan, plan_studies
from search.proposals import Proposals
from search.rungs import rungs_of
from search.selection import race, race_sizes
from search.stats import paired_difference
from search.storage import StudyStorage
from search.suggest import to_distributions
from search.trial import Purpose, derive_seed
from spaces.parameters import Float, Value
from trainers.config import FitConfig

STEPS = 300
WIDTH = 64
SAMPLES = 4096
JUDGES = 8
BUDGET = 48 * STEPS
SMALL_BUDGET = 2 * BUDGET // 5


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way of searching.

    Attributes:
        budget: steps in all.
        coordinates: ridge or plain.
        told: whether references are told to the sampler.
        centred: whether the first proposals lie around the predicted bandwidth.
        pruner: asha or none.
        recommends: the best trial's point ("luckiest"), the best by expected score ("smooth"), or the race's ("race").
        is_plain: Optuna alone, none of our parts.
    """

    budget: int = BUDGET
    coordinates: str = "ridge"
    told: bool = True
    centred: bool = True
    pruner: str = "asha"
    recommends: str = "race"
    is_plain: bool = False


ARMS: Mapping[str, Arm] = {
    "plain": Arm(is_plain=True),
    "full": Arm(),
    "full, 40 %": Arm(budget=SMALL_BUDGET),
    "coordinates plain": Arm(coordinates="plain"),
    "references not told": Arm(told=False),
    "start anywhere": Arm(centred=False),
    "no rungs": Arm(pruner="none"),
    "no race": Arm(recommends="smooth"),
    "luckiest trial": Arm(recommends="luckiest"),
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search recommends, and the steps that it took."""

    point: Mapping[str, Value]
    steps: int


def search_plainly(arm: Arm, planned: Plan, fits: KeptFits) -> Found:
    """The best trial's point of multivariate TPE on the space's own parameters, one trial after another."""
    space, builder = planned.space.in_plain_coordinates(), planned.builder
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=builder.study_seed, multivariate=True)
    )
    steps = 0
    for number in range(arm.budget // STEPS):
        trial = study.ask(to_distributions(space))
        spec = builder.build(str(number), label=str(number), space=space, point=space.from_search(trial.params))
        progress = fits.progress(spec.network, spec.fit, spec.seed, STEPS)
        steps += progress.step
        if progress.psnr_db is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, progress.psnr_db)
    return Found(point=space.from_search(study.best_params), steps=steps)


def search_in_full(arm: Arm, planned: Plan, fits: KeptFits) -> Found:
    """What `winnow run` does, until the next trial and the race that is due would be beyond the budget."""
    storage = StudyStorage.create_or_resume(optuna.storages.InMemoryStorage(), planned.name, planned.fingerprint)
    driver = Driver(KeptWorkers(fits), threading.Event())
    space, builder = planned.space, planned.builder
    if not arm.centred:
        parameters = tuple(replace(p, first=None) if isinstance(p, Float) else p for p in space.parameters)
        space = replace(space, parameters=parameters, coordinates=replace(space.coordinates, expected=None))
    if arm.told:
        shape = {"width": builder.width, "depth": builder.depth}
        told = [r for r in planned.references if r.is_complete and r.space.name == space.name]
        specs = [spec for reference in told for spec in reference.specs(builder)]
        driver.run(FixedSource(specs, storage.add_reference))
        for record in storage.references():
            storage.tell_reference(space, record, **shape)
    spent = sum(record.step for record in storage.references())
    trials = storage.trials()
    while spent + sum(record.step for record in trials) + STEPS + race_cost(arm, len(trials) + 1) <= arm.budget:
        driver.run(
            Proposals(
                storage,
                space,
                builder,
                budget=len(trials) + 1,
                objective=Objective.FIT,
                rungs=rungs_of(STEPS, arm.pruner),
                deterministic=False,
                checkpoints=Checkpoints("memory://bench-search"),
                finished=lambda record, outcome: None,
            )
        )
        trials = storage.trials()
    spent += sum(record.step for record in trials)
    if arm.recommends == "luckiest":
        scored = [record for record in trials if record.state == "complete"]
        return Found(point=max(scored, key=lambda record: record.psnr_db or 0.0).point, steps=spent)
    sizes = race_sizes(len(trials)) if arm.recommends == "race" else ()
    while True:
        standing = race(trials, storage.told(), storage.confirmations(), space, Objective.FIT, None, sizes)
        if standing.repeat is None:
            spent += sum(record.step for record in storage.confirmations())
            return Found(point=standing.candidates[0].record.point, steps=spent)
        specs = [one.spec(builder, Purpose.SELECT, standing.repeat) for one in standing.candidates]
        driver.run(FixedSource(specs, storage.add_confirmation))


def race_cost(arm: Arm, num_trials: int) -> int:
    """Steps of the race after so many trials."""
    return STEPS * sum(race_sizes(num_trials)) if arm.recommends == "race" else 0


def judge(point: Mapping[str, Value], planned: Plan, fits: KeptFits) -> list[float]:
    """PSNR of a point on the fresh seeds, dB."""
    network = planned.builder.network(planned.space, point)
    fit = FitConfig(steps=STEPS, lr=float(point["lr"]))
    values = [
        fits.progress(network, fit, derive_seed(planned.builder.study_seed, "judge", repeat), STEPS).psnr_db
        for repeat in range(JUDGES)
    ]
    return [value for value in values if value is not None]


def run_one(source: str, seed: int, names: Sequence[str], folder: Path) -> None:
    """The arms of one clip and search seed that are not there yet, one after another."""
    import torch

    torch.set_num_threads(1)
    results = folder / f"{Path(source).stem}-{seed}.jsonl"
    known = {entry["arm"] for entry in read_results([results])}
    fits: KeptFits | None = None
    for name in names:
        if name in known:
            continue
        arm = ARMS[name]
        planned = plan(source, seed, arm)
        fits = fits or KeptFits(planned.task, results.with_suffix(".fits"))
        found = (search_plainly if arm.is_plain else search_in_full)(arm, planned, fits)
        entry = {
            "clip": Path(source).stem,
            "seed": seed,
            "arm": name,
            "steps": found.steps,
            "point": dict(found.point),
            "psnr_db": judge(found.point, planned, fits),
        }
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def plan(source: str, seed: int, arm: Arm) -> Plan:
    """The study of an arm."""
    spec = StudySpec.model_validate(
        {
            "name": "bench-search",
            "signals": [source],
            "signal": {"samples": SAMPLES},
            "network": {"width": WIDTH, "depth": 4},
            "fit": {"steps": STEPS},
            "search": {"coordinates": arm.coordinates, "seed": seed, "pruner": arm.pruner},
        }
    )
    return plan_studies(spec)[0]


def read_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Entries of results files."""
    return [entry for path in paths for entry in read_entries(path)]


def interval(first: Sequence[float], second: Sequence[float]) -> tuple[str, float]:
    """`+3.1 [0.9, 5.3]` of the paired difference, and its lower end."""
    mean, ends = paired_difference(first, second)
    if ends is None:
        return f"{mean:+.1f}", mean
    return f"{mean:+.1f} [{ends[0]:.1f}, {ends[1]:.1f}]", ends[0]


def rows(entries: Sequence[dict[str, Any]], names: Sequence[str]) -> list[Row]:
    """One for each arm, over the searches that it shares with plain."""
    means = {(e["arm"], e["clip"], e["seed"]): sum(e["psnr_db"]) / len(e["psnr_db"]) for e in entries}
    steps = {(e["arm"], e["clip"], e["seed"]): e["steps"] for e in entries}
    table = []
    for name in names:
        shared = sorted(key[1:] for key in means if key[0] == name and ("plain", *key[1:]) in means)
        if name == "plain" or not shared:
            continue
        ours, plain = ([means[arm, *key] for key in shared] for arm in (name, "plain"))
        text, low = interval(ours, plain)
        parts = []
        for clip in sorted({key[0] for key in shared}):
            own = [index for index, key in enumerate(shared) if key[0] == clip]
            parts.append(f"{clip} {interval([ours[i] for i in own], [plain[i] for i in own])[0]}")
        asked = {"full": ("> 0 dB", 0.0), "full, 40 %": ("> -1 dB", -1.0)}.get(name)
        spent = max(steps[name, *key] for key in shared)
        table.append(
            Row(
                what=f"{name}, {len(shared)} searches, at most {spent:,} steps",
                ours=f"{sum(ours) / len(ours):.1f} dB",
                alternative=f"{sum(plain) / len(plain):.1f} dB, plain TPE",
                result=f"{text} dB; {'; '.join(parts)}",
                asked=f"interval {asked[0]}" if asked else "",
                holds=low > asked[1] if asked else True,
            )
        )
    return table


def default_clips() -> list[str]:
    """The recordings that results are published for, where they are; else signals that are built in."""
    clips = [Path("../shared/data/audio") / f"{name}.wav" for name in ("tetris", "gt_bach", "dilse_gt")]
    there = [str(clip) for clip in clips if clip.exists()]
    return there or ["synthetic:bright", "synthetic:pink", "synthetic:tone"]


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", default=default_clips())
    parser.add_argument("--results", type=Path, default=Path("build/bench-search"))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    jobs = [(clip, seed) for seed in options.seeds for clip in options.clips]
    with ProcessPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(run_one, clip, seed, options.arms, options.results) for clip, seed in jobs]
        for future in futures:
            future.result()
    paths = [options.results / f"{Path(clip).stem}-{seed}.jsonl" for clip, seed in jobs]
    print_rows(rows(read_results(paths), options.arms))


if __name__ == "__main__":
    main()
