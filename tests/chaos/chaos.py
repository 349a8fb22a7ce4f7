"""Campaigns on a Ray cluster of several nodes while workers, nodes, drivers and the MLflow server are killed.

    python tests/chaos/chaos.py [--faults 200] [--campaigns 4] [--seed 0] [--keep FOLDER]

First one study of 60 trials whose driver is killed 20 times, in deterministic mode: it must end as the undisturbed one
does. Then the campaigns, of five studies each. Faults strike at random moments of which the seed decides the kind, the
victim and the pause before. After each campaign nothing may be lost, told twice or left open, in storage and in MLflow;
the best trial of each study must be what `winnow fit` gives, bit for bit; and little may have been done twice.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from invariants import Table, is_worn_out, tables, violations
from mirror import assert_mlflow_equals_storage
from mlflow import MlflowClient
from mlflow_server import MlflowServer
from paired import Row, print_rows
from stage import DriverProcess, Machines, environment, machines, write_clips
from storm import SETTINGS, Damage, Storm, done_seconds, faults_of, repeated_seconds

from search.status import find_studies
from search.sync import sync_studies

STUDIES = 5
PAUSE_SECONDS = 2.0
TRIALS = 12
SAMPLES = 2_048
NETWORK = ["--width", "32", "--depth", "3", "--steps", "900"]
MOST_REPEATED = 0.1

ALONE = ["--samples", "512", "--width", "32", "--depth", "3", "--steps", "300", "--workers", "0", "--deterministic"]
ALONE_TRIALS = 60
KILLS = 20


def campaign_words(number: int, clips: list[Path], cluster: Machines, tracking: MlflowServer) -> list[str]:
    """`winnow run` on these clips."""
    words = [*map(str, clips), "--name", f"storm{number}", "--trials", str(TRIALS), "--confirm", "1", "--seed", "1"]
    words += ["--workers", "2", "--address", cluster.address, "--tracking-uri", tracking.uri]
    return [*words, *NETWORK, *SETTINGS]


def refitted(table: Table, clip: Path) -> list[str]:
    """What differs where the best trial is fitted again by `winnow fit`."""
    complete = [trial for trial in table.trials if trial.psnr_db is not None and trial.state == "complete"]
    best = max(complete, key=lambda trial: trial.psnr_db or 0.0)
    words = [f"--set={name}={value!r}" for name, value in best.point.items()]
    command = [sys.executable, "-m", "search", "fit", str(clip), *words, *NETWORK, "--seed", "1", "--json"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    [psnr_db] = json.loads(done.stdout)["psnr_db"]
    return [] if psnr_db == best.psnr_db else [f"{table.name}: trial {best.number} {best.psnr_db}, refit {psnr_db}"]


def storm_rows(folder: Path, num_campaigns: int, num_faults: int, seed: int) -> list[Row]:
    """The campaigns and what held."""
    total, failures = Damage(), list[str]()
    done = repeated = 0.0
    num_studies = num_worn_out = 0
    with machines(2) as cluster, MlflowServer(folder / "mlflow") as tracking:
        storm = Storm(cluster, tracking, faults_of(num_faults), seed, PAUSE_SECONDS)
        for number in range(2 * num_campaigns):
            if number >= num_campaigns and not storm.num_left:
                break
            store = folder / f"store{number}"
            clips = write_clips(folder / f"clips{number}", STUDIES, SAMPLES, seed + number)
            driver = DriverProcess(campaign_words(number, clips, cluster, tracking), store, cluster.environment)
            damage = storm.rage(driver, store, math.ceil(storm.num_left / max(1, num_campaigns - number)))
            failures += violations(store, TRIALS)
            failures += in_mlflow(store, tracking, f"storm{number}")
            found = tables(store)
            for table in found:
                clip = next(path for path in clips if path.stem in table.name)
                failures += refitted(table, clip)
            done += done_seconds(found)
            repeated += repeated_seconds(store, damage)
            num_studies += len(found)
            num_worn_out += sum(is_worn_out(trial) for table in found for trial in table.trials)
            total.faults += damage.faults
            total.seconds += damage.seconds
            print(  # noqa: T201
                f"campaign {number}: {damage.seconds:.0f} s, {damage.faults.total()} faults, "
                f"{len(failures)} violations so far",
                file=sys.stderr,
                flush=True,
            )
    for line in failures:
        print(line, file=sys.stderr)  # noqa: T201
    kinds = ", ".join(f"{count} {fault.value}" for fault, count in sorted(total.faults.items()))
    num = total.faults.total()
    return [
        Row(
            what=f"{num_studies} studies in campaigns of {STUDIES}, 2 nodes, MLflow over HTTP",
            ours=f"{total.seconds:.0f} s",
            alternative=kinds,
            result=f"{num} faults; {len(failures)} violations (lost, told twice, open, not in MLflow, not the refit's)"
            f"; {num_worn_out} trials failed by the rule of three deaths",
            asked=f"{num_faults} faults, 0 violations",
            holds=num >= num_faults and not failures,
        ),
        Row(
            what="work done again",
            ours=f"{repeated:.0f} s",
            alternative=f"{done:.0f} s that count",
            result=f"{repeated / done:.1%}",
            asked=f"less than {MOST_REPEATED:.0%}",
            holds=repeated / done < MOST_REPEATED,
        ),
    ]


def in_mlflow(store: Path, tracking: MlflowServer, campaign: str) -> list[str]:
    """What MLflow has otherwise than storage after `winnow sync`; nothing may be left RUNNING before it."""
    client = MlflowClient(tracking.uri)
    experiment = client.get_experiment_by_name(campaign)
    running = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'") if experiment else []
    found = [f"{run.info.run_name} is RUNNING in MLflow" for run in running]
    sync_studies(store, None, campaign, tracking.uri)
    for study in find_studies(store, None, campaign):
        try:
            assert_mlflow_equals_storage(tracking.uri, study, store)
        except AssertionError as error:
            found.append(f"{study.name} in MLflow: {error}")
    return found


def driver_row(folder: Path, kills: int, trials: int, seed: int) -> Row:
    """A study whose driver is killed again and again, beside one that is left alone."""
    [clip] = write_clips(folder / "alone", 1, 512, seed)
    words = [str(clip), "--name", "alone", "--trials", str(trials), "--confirm", "0", "--checkpoint-seconds", "0.3"]
    undisturbed = DriverProcess([*words, *ALONE], folder / "undisturbed")
    undisturbed.start()
    undisturbed.join()
    store = folder / "killed"
    num_kills, sessions = kill_drivers(DriverProcess([*words, *ALONE], store), store, kills, random.Random(seed))
    [calm], [stormy] = tables(folder / "undisturbed"), tables(store)
    same = calm.without_times() == stormy.without_times() and calm.found == stormy.found
    failures = list(violations(store, trials))
    for line in failures:
        print(line, file=sys.stderr)  # noqa: T201
    return Row(
        what=f"one study, {trials} trials, deterministic, driver killed at random moments",
        ours=f"{num_kills} kills, {sessions} sessions",
        alternative="the same undisturbed",
        result=f"{len(stormy.trials)} trials, {'the same table and best' if same else 'ANOTHER TABLE'}",
        asked=f"{kills} kills, exactly {trials} trials, the same best",
        holds=num_kills == kills and same and not failures,
    )


def kill_drivers(driver: DriverProcess, store: Path, kills: int, rng: random.Random) -> tuple[int, int]:
    """Kill and start again; kills and sessions. A session is killed soon after its first write."""
    journal = store / "journal.log"
    for number in range(kills + 1):
        size = journal.stat().st_size if journal.exists() else 0
        driver.start()
        while driver.exit_code is None and (not journal.exists() or journal.stat().st_size == size):
            time.sleep(0.005)
        if number == kills:
            break
        deadline = time.monotonic() + rng.uniform(0.0, 1.2)
        while driver.exit_code is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if driver.exit_code is not None:
            assert driver.exit_code == 0, driver.log()
            return number, number + 1
        driver.kill()
    driver.join()
    return kills, kills + 1


def main() -> None:
    """The driver, then storms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("faults", 200), ("campaigns", 4), ("kills", KILLS), ("trials", ALONE_TRIALS), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--keep", type=Path, help="folder for stores and logs (a temporary one unless given)")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="winnow-chaos-"))
    try:
        rows = [driver_row(folder, options.kills, options.trials, options.seed)] if options.kills else []
        rows += storm_rows(folder, options.campaigns, options.faults, options.seed) if options.campaigns else []
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print_rows(rows)
    sys.exit(not all(row.holds for row in rows))


if __name__ == "__main__":
    main()
