"""What 5,000 trials cost MLflow: the tracker's time for each, and how long a person waits for the pages of its UI.

    python tests/benchmarks/bench_mlflow.py [--trials 5000] [--rounds 3]

One study of scripted fits (100 points a curve), from real driver, storage and sampler; then the tracker brings all of
its runs into the store's SQLite database, off every critical path; then `winnow ui` and chromium. A page counts as
there when its first row, or its description, is visible. The alternative, in turn with it, is the same page of a study
of 10 trials in the same database: what the UI takes for itself, on this machine and under its load.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from paired import Row, print_rows, spread
from simulated import Landscape, SimulatedWorkers, campaign_spec, run_campaign

sys.path.insert(0, str(Path(__file__).parents[1] / "chaos"))

from mlflow_server import free_port, wait_for

from search.config import StudySpec
from search.connection import artifact_folder, connect, default_tracking_uri
from search.preset_views import STUDIES, TRIALS
from search.storage import StudyStorage
from search.sync import sync_studies
from search.tracker import StudyTracker, Tracker
from search.ui_links import run_link, view_link
from search.view import view_of

TRIAL_MS, PAGE_SECONDS = 60.0, 5.0
NUM_WORKERS = 64
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def simulate(folder: Path, trials: int, name: str) -> tuple[StudySpec, StudyStorage, float]:
    """A study that has ended, but for its winner's weights; and the CPU time of tracking in the driver, ms a trial."""
    spec = campaign_spec(folder, studies=1, trials=trials).model_copy(update={"name": name})
    workers = SimulatedWorkers(NUM_WORKERS, Landscape(seconds=30.0).script, segment_seconds=30.0)
    log, taken = StudyTracker.log, [0.0]

    def timed(*arguments: object) -> None:
        began = time.thread_time()
        log(*arguments)  # type: ignore[arg-type]
        taken[0] += time.thread_time() - began

    StudyTracker.log = timed  # type: ignore[method-assign,assignment]
    study = run_campaign(spec, workers)
    StudyTracker.log = log  # type: ignore[method-assign]
    study.set_facts("finished", study.asked())
    return spec, study, 1000 * taken[0] / trials


def track(spec: StudySpec, study: StudyStorage) -> tuple[float, float]:
    """Wall and CPU time of the tracker, ms a run, from nothing to all of them."""
    store, lines = spec.store.store, list[str]()
    uri = default_tracking_uri(store)
    connect(uri).search_experiments(max_results=1)  # makes the database
    tracker = Tracker(uri, artifact_folder(uri, store), lines.append, patience=24 * 3600.0)
    wall, cpu = time.perf_counter(), time.process_time()
    tracker.begin(study.name, partial(view_of, study, store)).end()
    tracker.close()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert not [line for line in lines if "lacks" in line], lines
    num = len(study.trials()) + len(study.references())
    return 1000 * wall / num, 1000 * cpu / num


def pages(store: Path, parents: Sequence[tuple[str, str]], rounds: int) -> dict[str, list[list[float]]]:
    """Seconds until the first row, or the description, of each page is visible, each time in a new tab.

    Args:
        store: served.
        parents: experiment and run of each study.
        rounds: in each of which every study's page is opened.

    Returns:
        By page, for each study the seconds of each round.
    """
    from playwright.sync_api import Page, sync_playwright

    def first_row(page: Page) -> None:
        page.locator(".ag-pinned-left-cols-container .ag-row").first.wait_for()

    def description(page: Page) -> None:
        page.get_by_text("Look at:").first.wait_for()

    looked_at: dict[str, tuple[Callable[[str, str], str], Callable[[Page], None]]] = {
        "list as MLflow has it": (lambda experiment, run: view_link(experiment, None), first_row),
        "list of studies (preset view)": (lambda experiment, run: view_link(experiment, STUDIES), first_row),
        "list of trials by PSNR (preset view)": (lambda experiment, run: view_link(experiment, TRIALS), first_row),
        "page of the study": (run_link, description),
    }
    port = free_port()
    command = [sys.executable, "-m", "search", "ui", "--port", str(port), "--store", str(store)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    times: dict[str, list[list[float]]] = {name: [[] for _ in parents] for name in looked_at}
    try:
        wait_for(f"http://127.0.0.1:{port}", server, seconds=600)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            context = browser.new_context(viewport={"width": 1600, "height": 1000})
            context.set_default_timeout(300_000)
            for is_warm, (name, (link, is_there)) in itertools.product((False, True), looked_at.items()):
                for _ in range(rounds if is_warm else 1):  # the first time, the UI's own code is fetched
                    for parent, seconds in zip(parents, times[name], strict=True):
                        page = context.new_page()
                        began = time.perf_counter()
                        page.goto(f"http://127.0.0.1:{port}/{link(*parent)}")
                        is_there(page)
                        if is_warm:
                            seconds.append(time.perf_counter() - began)
                        page.close()
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
    return times


def parent_of(spec: StudySpec, study: StudyStorage) -> tuple[str, str, float]:
    """Experiment and run of a study, and the seconds of a sync that has nothing to do."""
    store = spec.store.store
    began = time.perf_counter()
    [entry] = sync_studies(store, None, study.name, None)["studies"]
    seconds = time.perf_counter() - began
    assert entry["logged"] == 0
    run_id = str(entry["mlflow_run_id"])
    experiment = connect(default_tracking_uri(store)).get_run(run_id).info.experiment_id
    return str(experiment), run_id, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec, study, driver_ms = simulate(folder, options.trials, "many")
        wall_ms, cpu_ms = track(spec, study)
        few_spec, few, _ = simulate(folder, 10, "few")
        track(few_spec, few)
        *parent, sync_seconds = parent_of(spec, study)
        *few_parent, _ = parent_of(few_spec, few)
        times = pages(spec.store.store, [(parent[0], parent[1]), (few_parent[0], few_parent[1])], options.rounds)
    rows = [
        Row(
            what=f"MLflow's runs of {options.trials:,} trials, each with a curve of 100 points, on SQLite",
            ours=f"{wall_ms:.1f} ms a trial off the critical path (CPU: {cpu_ms:.1f} ms), {driver_ms:.2f} ms on it",
            alternative="",
            result=f"{wall_ms:.1f} ms",
            asked=f"< {TRIAL_MS:.0f} ms",
            holds=wall_ms < TRIAL_MS,
        ),
        Row(
            what=f"winnow sync of these {options.trials:,}, nothing to do",
            ours=f"{sync_seconds:.1f} s",
            alternative="",
            result=f"{sync_seconds:.1f} s",
        ),
    ]
    for page, (own, other) in times.items():
        middle = statistics.median(own)
        rows.append(
            Row(
                what=f"UI with {options.trials:,} child runs: {page}",
                ours=f"{spread(own, 1)} s",
                alternative=f"{spread(other, 1)} s: 10 child runs",
                result=f"{middle:.1f} s",
                asked=f"< {PAGE_SECONDS:.0f} s",
                holds=middle < PAGE_SECONDS,
            )
        )
    print_rows(rows)


if __name__ == "__main__":
    main()
