"""The report of a study or a campaign: one file, with all that was asked and found, and with what is not in it."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import soundfile
from matplotlib.figure import Figure as Drawing

from search import StudySpec, run_study
from search.errors import Interrupted
from search.figures import CAPTIONS, MAX_SOUND_BYTES
from search.folder import PICTURES, study_folder
from search.regrets import draw_regrets
from search.report import write_report
from search.status import find_studies
from search.study import StudyRun
from search.table import rows_of
from spaces.catalog import SPACES

pytestmark = pytest.mark.pictures

SpecOf = Callable[..., StudySpec]
Shell = Callable[..., tuple[int, str, str]]

UNTRACKED = {"tracking_uri": "nowhere://"}


class Page(HTMLParser):
    """What stands in a page: its text by element, pictures, sounds, and all that it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.text = ""
        self._is_style = False
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self._is_style = tag == "style"
        self.addresses += [str(values[key]) for key in ("src", "href") if key in values]
        if values.get("id"):
            self.ids.add(str(values["id"]))
        if tag == "img":
            self.pictures.append(values)

    def handle_endtag(self, tag: str) -> None:
        self._is_style = False

    def handle_data(self, data: str) -> None:
        if not self._is_style:
            self.text += data


def report_of(spec: StudySpec, name: str) -> Page:
    path = spec.store.store / "report.html"
    assert write_report(spec.store.store, None, name, path) == path
    return Page(path.read_text(encoding="utf-8"))


def headings(page: Page) -> list[str]:
    return [str(picture["alt"]).partition(" of small")[0] for picture in page.pictures]


@pytest.fixture(scope="module")
def finished(shared_spec: SpecOf) -> tuple[StudySpec, dict[str, Any]]:
    """A study of eleven complete trials, and its summary."""
    spec = shared_spec(search={"trials": 11, "confirm": 2, "pruner": "none"}, store=UNTRACKED)
    return spec, run_study(spec)["studies"][0]


def test_a_finished_study_has_written_its_report(finished: tuple[StudySpec, dict[str, Any]]) -> None:
    spec, summary = finished
    own = study_folder(spec.store.store, summary["study"]) / "report.html"
    page = Page(own.read_text(encoding="utf-8"))
    for row in rows_of(summary):
        assert all(cell in page.text for cell in row.values())
    assert f"{summary['study']} done" in page.text
    assert "11 of 11 (11 complete)" in page.text
    assert "2 seeds are few" in page.text
    shown = {heading for name, (heading, _) in CAPTIONS.items() if name not in ("front.png", "comparison.png")}
    assert set(headings(page)) == shown
    assert page.tags.count("audio") == 2
    assert "Sound of the target. Short: it is repeated until it is stopped." in page.text
    written = own.read_bytes()
    write_report(spec.store.store, None, summary["study"], None)
    assert own.read_bytes() == written, "the command says something else of the same study"


def test_a_page_loads_nothing_and_says_what_is_in_each_picture(finished: tuple[StudySpec, dict[str, Any]]) -> None:
    spec, summary = finished
    for name in ("small", summary["study"]):
        page = report_of(spec, name)
        inner = {address[1:] for address in page.addresses if address.startswith("#")}
        assert inner <= page.ids
        assert all(address.startswith(("data:", "#")) for address in page.addresses)
        assert "script" not in page.tags
        assert all(len(str(picture["alt"])) > 40 for picture in page.pictures)
        for picture in page.pictures:
            content = base64.b64decode(str(picture["src"]).removeprefix("data:image/png;base64,"))
            assert content.startswith(b"\x89PNG")


def test_every_picture_of_a_study_has_its_caption() -> None:
    assert list(CAPTIONS) == list(PICTURES)


def test_a_campaign_has_a_row_and_a_section_for_each_study(
    small_spec: SpecOf, clip: Path, tmp_path: Path, figures: list[Drawing]
) -> None:
    other = tmp_path / "other.wav"
    samples, rate = soundfile.read(clip)
    soundfile.write(other, samples[::-1] * 0.5, rate)
    spec = small_spec(signals=(str(clip), str(other)), store=UNTRACKED)
    summaries = run_study(spec)["studies"]
    page = report_of(spec, "small")
    assert page.tags.count("details") == 2
    assert {summary["study"].replace("/", "-") for summary in summaries} <= page.ids
    for summary in summaries:
        assert page.text.count(rows_of(summary)[-1]["fresh seeds"]) >= 2  # in the table of all, and in its own
    [drawn] = [figure for figure in figures if figure.axes[0].get_title() == "small: regret by signal"]
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert labels == [summary["study"].split("/")[1] for summary in summaries]


def test_regrets_are_drawn_with_their_intervals(figures: list[Drawing], tmp_path: Path) -> None:
    def summary(**regrets: tuple[float, list[float] | None]) -> dict[str, Any]:
        entries = {name: {"regret_db": mean, "ci95_db": ci} for name, (mean, ci) in regrets.items()}
        return {"objective": "fit", "references": entries}

    summaries = {"one": summary(law=(3.0, [1.0, 5.0]), other=(-2.0, [-4.0, 0.0])), "two": summary(law=(1.0, None))}
    draw_regrets(summaries, ["law", "other", "none"], title="t").savefig(tmp_path / "r.png")
    [axes] = figures[0].axes
    law, other = axes.containers
    assert list(law.lines[0].get_xdata()) == [3.0, 1.0]
    assert list(other.lines[0].get_xdata()) == [-2.0]
    ends = law.lines[2][0].get_segments()
    assert [list(segment[:, 0]) for segment in ends] == [[1.0, 5.0], [1.0, 1.0]]
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["law", "other"]


def test_names_are_text_whatever_stands_in_them(small_spec: SpecOf, clip: Path, tmp_path: Path) -> None:
    odd = tmp_path / "<img src=x onerror=alert(1)>&amp;'\"<b>.wav"
    shutil.copy(clip, odd)
    spec = small_spec(signals=(str(odd),), search={"trials": 2, "confirm": 0}, store=UNTRACKED)
    run_study(spec)
    page = report_of(spec, "small")
    assert str(odd) in page.text
    assert "b" not in page.tags[: page.tags.index("h2")]
    assert all(str(picture["src"]).startswith("data:image/png;base64,") for picture in page.pictures)


def test_a_study_that_is_not_at_its_end_shows_what_there_is(
    small_spec: SpecOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(run: StudyRun) -> Any:
        raise Interrupted("here")
        yield

    spec = small_spec(search={"trials": 3, "pruner": "none"}, store=UNTRACKED)
    with monkeypatch.context() as patched:
        patched.setattr(StudyRun, "_search", stop)
        with pytest.raises(Interrupted):
            run_study(spec)
    page = report_of(spec, "small")
    assert "searching" in page.text
    assert "0 of 3 trials have ended, and the search goes on" in page.text
    assert "No trial is complete yet." in page.text
    assert page.pictures == []
    assert "Importance, Slices, From the prediction to the found point, Spectra: not shown, since no trial" in page.text
    monkeypatch.setattr(StudyRun, "_select", stop)
    with pytest.raises(Interrupted):
        run_study(spec)
    page = report_of(spec, "small")
    assert "confirming" in page.text
    assert headings(page) == ["Landscape", "Convergence", "Learning curves"]
    assert "Spectra: not shown, since the winner is not fitted yet." in page.text


def test_what_the_store_has_no_longer_is_said(small_spec: SpecOf) -> None:
    spec = small_spec(search={"trials": 2, "confirm": 0}, store=UNTRACKED)
    [summary] = run_study(spec)["studies"]
    folder = study_folder(spec.store.store, summary["study"])
    (folder / "target.npy").write_bytes(b"damaged")
    for name in ("waveform.png", "spectra.png"):
        (folder / name).unlink()
    (folder / "landscape.png").write_bytes(b"damaged")
    page = report_of(spec, summary["study"])
    assert "Spectra: not shown, since" in page.text
    assert headings(page) == ["Landscape", "Convergence", "Learning curves"]  # anew, where it was damaged
    assert "Nothing was confirmed on fresh seeds" in page.text
    shutil.rmtree(folder)
    page = report_of(spec, summary["study"])
    assert headings(page) == ["Landscape", "Convergence", "Learning curves"]
    assert page.tags.count("audio") == 0


def test_a_long_sound_is_named_instead(small_spec: SpecOf) -> None:
    spec = small_spec(search={"trials": 1, "confirm": 0}, store=UNTRACKED)
    [summary] = run_study(spec)["studies"]
    folder = study_folder(spec.store.store, summary["study"])
    (folder / "target.wav").write_bytes(bytes(MAX_SOUND_BYTES + 1))
    page = report_of(spec, summary["study"])
    assert page.tags.count("audio") == 1
    assert "Sound of the target: not shown, since 2.0 MiB are more than the 2 that a page takes" in page.text


def test_a_study_that_found_nothing_says_so(small_spec: SpecOf) -> None:
    spec = small_spec(fit={"steps": 30, "lr": 300.0}, search={"trials": 2}, store=UNTRACKED)
    [summary] = run_study(spec)["studies"]
    assert summary["best"] is None
    page = report_of(spec, summary["study"])
    assert "Nothing was found." in page.text
    assert "2 of 2 trials have ended, and none of them is complete" in page.text


def test_the_space_of_a_plugin_is_asked_for(
    small_spec: SpecOf, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text("from spaces.catalog import SPACES, register_space\nregister_space('hers', SPACES['siren'])\n")
    monkeypatch.setattr("spaces.catalog.SPACES", dict(SPACES))
    spec = small_spec(
        search={"trials": 2, "confirm": 0, "space": "hers", "plugin": (plugin,)},
        store=UNTRACKED,
    )
    [summary] = run_study(spec)["studies"]
    (study_folder(spec.store.store, summary["study"]) / "landscape.png").unlink()
    words = ("report", "small", "--store", str(spec.store.store), "--out", "page.html")
    assert shell(*words, "--plugin", str(plugin))[0] == 0
    assert "Landscape of small" in Path("page.html").read_text()
    monkeypatch.setattr("spaces.catalog.SPACES", {key: value for key, value in SPACES.items() if key != "hers"})
    assert shell(*words)[0] == 0
    page = Page(Path("page.html").read_text())
    assert "Landscape, Slices, From the prediction to the found point: not shown, since study" in page.text
    assert "needs the --plugin that it was run with" in page.text


def test_the_command_writes_where_it_says(shell: Shell, finished: tuple[StudySpec, dict[str, Any]]) -> None:
    spec, summary = finished
    store = ("--store", str(spec.store.store))
    code, out, _ = shell("report", "small", *store)
    assert (code, out) == (0, f"{spec.store.store / 'studies' / 'small' / 'report.html'}\n")
    assert Path(out.strip()).stat().st_size < 600_000
    code, out, err = shell("report", summary["study"], *store, "--out", "own/page.html", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"files": ["own/page.html"]}
    assert len(find_studies(spec.store.store, None, "small")) == 1  # the page in the campaign's folder is no study


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["x"], 2, "there is no study 'x'; known studies: small/clip-"),
        (["../small"], 2, "there is no study '../small'"),
        (["small", "--out", "."], 2, "--out must be a file, but . is a folder"),
        (["small", "--out", "/dev/null/x"], 1, "--out must be writable, but: "),
        (["small", "--plugin", "no.py"], 2, "a plugin must be a Python file"),
        ([], 2, "Missing argument 'NAME'"),
    ],
)
def test_bad_use_is_one_line(
    shell: Shell, finished: tuple[StudySpec, dict[str, Any]], words: list[str], code: int, message: str
) -> None:
    spec, _ = finished
    found, out, err = shell("report", *words, "--store", str(spec.store.store))
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert message in err
    assert re.fullmatch(r"error: .*\n", err)
