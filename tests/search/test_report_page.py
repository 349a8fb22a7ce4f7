"""The report of a campaign of six signals in a real browser: it asks nobody for anything, and all of it is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from search import StudySpec, run_study
from search.report import write_report

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.pictures,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium (apt-get install chromium)"),
]

SCREENSHOTS = Path(__file__).parents[2] / "screenshots"

SIGNALS = tuple(f"synthetic:{name}" for name in ("tone", "pink", "bright", "texture", "torus", "blob"))


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("six")
    data = {
        "network": {"width": 8, "depth": 2},
        "fit": {"steps": 10},
        "search": {"trials": 10, "confirm": 2, "pruner": "none"},
        "workers": {"workers": 0},
        "store": {"store": store, "tracking_uri": "nowhere://"},
    }
    sounds, grids = SIGNALS[:3], SIGNALS[3:]
    for signals, crop in ((sounds, {"samples": 512}), (grids, {"crop": "8"})):
        run_study(StudySpec.model_validate({**data, "name": "six", "signals": signals, "signal": crop}))
    return write_report(store, None, "six", None)


def test_a_campaign_of_six_signals_takes_less_than_two_megabytes(page_file: Path) -> None:
    assert page_file.stat().st_size < 2_000_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_a_request_or_a_complaint(page_file: Path, scheme: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    SCREENSHOTS.mkdir(exist_ok=True)
    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1100, "height": 900}, color_scheme=scheme)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(page_file.as_uri())
        expect(page.get_by_role("heading", name="Campaign six")).to_be_visible()
        expect(page.get_by_role("table").first.get_by_role("row")).to_have_count(7)
        page.screenshot(path=SCREENSHOTS / f"report-{scheme}.png", full_page=True)
        picture = page.get_by_alt_text("Landscape of six/tone-")
        expect(picture).to_be_hidden()
        page.get_by_role("link", name="tone-").click()  # which opens the section that it leads to
        expect(picture).to_be_visible()
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 500)")
        played = page.evaluate("[...document.querySelectorAll('audio')].map(sound => sound.error === null)")
        assert played == [True] * 6
        assert page.evaluate("document.documentElement.scrollWidth") <= 1100
        page.screenshot(path=SCREENSHOTS / f"report-{scheme}-open.png", full_page=True)
        page.emulate_media(media="print")
        expect(page.get_by_alt_text("Landscape of six/blob-")).to_be_visible()  # on paper, every section is open
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    assert complaints == []
