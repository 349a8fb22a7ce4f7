"""The MLflow UI of a finished study, in a real browser."""

from __future__ import annotations

import shutil
import signal as system_signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow_server import free_port, wait_for

from search.config import StudySpec
from search.run import run_study

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


@pytest.fixture
def served(small_spec: Callable[..., StudySpec]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The address of `winnow ui` on a store with one study, and the study's summary."""
    spec = small_spec()
    [summary] = run_study(spec)["studies"]
    port = free_port()
    command = [sys.executable, "-m", "search", "ui", "--port", str(port), "--store", str(spec.store.store)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, server)
        yield address, summary
    finally:
        server.send_signal(system_signal.SIGINT)
        assert server.wait(timeout=30) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server outlived its command"


def test_the_study_its_children_and_its_pictures_are_there(served: tuple[str, dict[str, Any]]) -> None:
    from mlflow import MlflowClient
    from playwright.sync_api import expect, sync_playwright

    address, summary = served
    run_id = summary["mlflow_run_id"]
    experiment = MlflowClient(address).get_run(run_id).info.experiment_id
    SCREENSHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        title = summary["study"].split("/")[1]
        page.goto(f"{address}/#/experiments/{experiment}/runs?workflowType=machine_learning")
        expect(page.get_by_role("link", name=title)).to_be_visible(timeout=60_000)
        page.locator(".ag-row").first.get_by_role("button").first.click()
        found = page.get_by_text(f"#{summary['best']['number']} s0=")
        expect(found.first).to_be_visible(timeout=30_000)
        expect(page.get_by_text("winner s0=").first).to_be_visible()
        page.screenshot(path=SCREENSHOTS / "runs.png")
        page.goto(f"{address}/#/experiments/{experiment}/runs/{run_id}/artifacts/landscape.png")
        picture = page.locator("img[src^='blob:'], img[alt*='landscape']").first
        expect(picture).to_be_visible(timeout=60_000)
        assert picture.evaluate("image => image.naturalWidth") > 500
        page.screenshot(path=SCREENSHOTS / "landscape.png")
        browser.close()
