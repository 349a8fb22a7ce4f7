"""What a person sees of finished campaigns who has nothing but the MLflow UI, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import signal as system_signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mlflow_server import free_port, wait_for

from search.answer import FOUND, FRESH_SEEDS, OVER_PREDICTION, answer_tags
from search.config import StudySpec
from search.preset_views import TRIALS
from search.run import run_study
from search.trial import spell
from search.ui_links import artifact_link, run_link, view_link

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.pictures,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium (apt-get install chromium)"),
]

SCREENSHOTS = Path(__file__).parents[2] / "screenshots"

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

PATIENCE_MS = 180_000


@dataclass(frozen=True)
class Served:
    """`winnow ui` on a store with two studies of one signal, which differ in width.

    Attributes:
        printed: the address that the command printed.
        summaries: of the studies.
        experiments: their ids.
    """

    printed: str
    summaries: list[dict[str, Any]]
    experiments: list[str]

    @property
    def address(self) -> str:
        return self.printed.partition("#")[0]

    def run_id(self, number: int = 0) -> str:
        return str(self.summaries[number]["mlflow_run_id"])


@pytest.fixture(scope="module")
def served(shared_spec: Callable[..., StudySpec]) -> Iterator[Served]:
    from mlflow import MlflowClient

    wide = shared_spec(name="wide", network={"width": 24}, search={"trials": 4, "confirm": 2})
    narrow = shared_spec(search={"trials": 6, "confirm": 3})
    summaries = [dict(run_study(spec)["studies"][0]) for spec in (wide, narrow)][::-1]
    port = free_port()
    command = [sys.executable, "-m", "search", "ui", "--port", str(port), "--store", str(narrow.store.store)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    assert server.stderr
    printed = server.stderr.readline().decode().split(" ")[0]
    try:
        wait_for(printed.partition("/#")[0], server)
        client = MlflowClient(f"http://127.0.0.1:{port}")
        experiments = [client.get_run(summary["mlflow_run_id"]).info.experiment_id for summary in summaries]
        yield Served(printed, summaries, experiments)
    finally:
        server.send_signal(system_signal.SIGINT)
        assert server.wait(timeout=60) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server outlived its command"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    SCREENSHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    """A tab of somebody who has been here before: MLflow's assistant opens on the first visit, and then no more."""
    tab = browser.new_page(viewport={"width": 1600, "height": 1000})
    tab.set_default_timeout(PATIENCE_MS)
    tab.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
    return tab


def num_references(served: Served) -> int:
    """Fits of references of the first study."""
    from mlflow import MlflowClient

    own = f"tags.`mlflow.parentRunId` = '{served.run_id()}' and tags.`winnow.role` = 'reference'"
    return len(MlflowClient(served.address).search_runs([served.experiments[0]], own))


def show(page: Page, address: str) -> None:
    """Open a page of the UI anew: it keeps its state where only the part behind the # changes."""
    page.goto("about:blank")
    page.goto(address)


def shoot(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png", timeout=PATIENCE_MS)


def see(where: Page | Locator, text: str) -> None:
    """Wait until it is within sight."""
    from playwright.sync_api import expect

    expect(where.get_by_text(text).first).to_be_in_viewport(timeout=PATIENCE_MS)


def test_the_printed_address_shows_which_point_won_and_by_how_much(served: Served, browser: Browser) -> None:
    answer = answer_tags(served.summaries[0])
    first_visit = browser.new_page(viewport={"width": 1600, "height": 1000})
    first_visit.goto(served.printed)
    grid = first_visit.locator(".ag-center-cols-container")
    for tag in (FOUND, OVER_PREDICTION):
        see(grid, answer[tag])
    see(first_visit.locator("body"), answer[OVER_PREDICTION].partition(" (")[0])
    shoot(first_visit, "studies-first-visit")
    first_visit.close()


def test_all_of_the_answer_stands_in_the_list_of_studies(served: Served, page: Page) -> None:
    show(page, served.printed)
    for text in answer_tags(served.summaries[0]).values():
        see(page.locator(".ag-center-cols-container"), text)
    shoot(page, "studies")


def test_a_study_unfolds_into_its_trials_and_references(served: Served, page: Page) -> None:
    show(page, served.printed)
    page.locator(".ag-pinned-left-cols-container .ag-row").first.get_by_role("button").first.click()
    see(page, f"#{served.summaries[0]['best']['number']} s0=")
    see(page, "winner s0=")
    shoot(page, "trials-of-a-study")


def test_trials_come_best_first_with_the_signal_that_they_were_fitted_to(served: Served, page: Page) -> None:
    show(page, f"{served.address}{view_link(served.experiments[0], TRIALS)}")
    page.locator(".ag-row[row-index='0']").first.wait_for()
    scores = page.locator(".ag-cell[col-id='metrics.`psnr_db`']").all_inner_texts()
    assert len(scores) >= served.summaries[0]["trials"]["complete"]
    assert scores == sorted(scores, key=lambda text: float(text.rstrip("…")), reverse=True)
    see(page.locator(".ag-center-cols-container"), f"clip ({served.summaries[0]['study'].rpartition('-')[2]}")
    shoot(page, "trials")


def test_charts_of_the_trials_come_up_by_themselves(served: Served, page: Page) -> None:
    show(page, f"{served.address}{view_link(served.experiments[0], TRIALS, charts=True)}")
    parallel = page.locator(".parcoords").first
    parallel.wait_for()
    for name in ("s0", "s1", "lr", "psnr_db"):
        parallel.get_by_text(name, exact=True).first.wait_for()
    page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for(state="attached")
    shoot(page, "charts")


def test_the_page_of_a_study_answers_in_its_first_lines_and_shows_the_landscape(served: Served, page: Page) -> None:
    show(page, f"{served.address}{run_link(served.experiments[0], served.run_id())}")
    answer = answer_tags(served.summaries[0])
    see(page, answer[FRESH_SEEDS])
    see(page, "over the best prediction")
    see(page, "listen: target, then reconstruction")
    shoot(page, "study")
    with page.context.expect_page() as opened:  # what folded text fades out takes no clicks
        page.get_by_role("link", name="trials, the best first").click()
    trials = opened.value
    num_own = sum(served.summaries[0]["trials"].values()) + num_references(served)
    see(trials, f"{num_own} matching runs")
    shoot(trials, "trials-of-one-study")
    trials.close()
    page.get_by_text("Show more").first.click()
    picture = page.locator("img[src*='preview.png']")
    picture.scroll_into_view_if_needed()
    assert 500 < picture.evaluate("image => image.naturalWidth") < 800
    winner = page.get_by_role("link", name="winner", exact=True).first
    assert re.search(r"#/experiments/\d+/runs/[0-9a-f]{32}\?workflowType", str(winner.get_attribute("href")))
    shoot(page, "study-description")


def test_the_reconstruction_is_played_and_the_landscape_seen(served: Served, page: Page) -> None:
    show(page, f"{served.address}{artifact_link(served.experiments[0], served.run_id(), 'listen.wav')}")
    player = page.locator("audio")
    player.wait_for(state="attached")
    seconds = player.evaluate(
        "audio => new Promise(done => audio.duration > 0 ? done(audio.duration)"
        " : audio.addEventListener('durationchange', () => done(audio.duration)))"
    )
    assert seconds == pytest.approx(2 * 1.5 + 0.4, abs=0.1)
    shoot(page, "sound")
    show(page, f"{served.address}{artifact_link(served.experiments[0], served.run_id(), 'landscape.png')}")
    picture = page.locator("img[src^='blob:'], img[alt*='landscape']").first
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") > 500
    shoot(page, "landscape")


def test_two_studies_of_one_signal_stand_side_by_side(served: Served, page: Page) -> None:
    runs, experiments = json.dumps([served.run_id(0), served.run_id(1)]), json.dumps(served.experiments)
    show(page, f"{served.address}#/compare-runs?runs={runs}&experiments={experiments}")
    page.get_by_text("Run details").wait_for()
    shoot(page, "two-studies")
    for name, values in (("width", "16.*24"), ("num_samples", "400.*400")):
        row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True)).first
        assert re.fullmatch(f"{name}.*{values}", " ".join(row.inner_text().split()))
    metric = page.get_by_role("link", name="confirmed_psnr_db", exact=True).first
    metric.wait_for()
    metric.scroll_into_view_if_needed()
    for summary in served.summaries:
        see(page, f"{summary['best']['confirmed']['mean_psnr_db']:.4g}")
    shoot(page, "two-studies-metrics")


def test_the_found_trial_leads_back_to_its_study(served: Served, page: Page) -> None:
    from mlflow import MlflowClient

    best, client = served.summaries[0]["best"], MlflowClient(served.address)
    [found] = client.search_runs([served.experiments[0]], "tags.`winnow.role` = 'found'")
    assert found.info.run_name == f"#{best['number']} {spell(best['params'])}"
    show(page, f"{served.address}{run_link(served.experiments[0], found.info.run_id)}")
    page.get_by_role("link", name=served.summaries[0]["study"].split("/")[1]).first.wait_for()
    shoot(page, "trial")
