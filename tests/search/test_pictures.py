"""Pictures of studies of every kind of signal, space and objective: which are drawn, and what stands in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from search import StudySpec, run_study
from search.convergence import best_so_far, draw_convergence
from search.landscape import Landscape, draw_landscape, placed_references, placed_trials
from search.objective import Objective, front_of
from search.plots import curves, front
from search.record import Record
from search.samples import middle_slices, write_samples
from search.signal_plots import band_levels, comparison, spectra
from search.stats import Sample
from search.trial import State
from search.waveform_plot import draw_waveform, spectrogram_db
from spaces.capacity import with_capacity
from spaces.catalog import build_space
from spaces.parameters import Choice, Float
from spaces.space import Space
from trainers.signals import Crop, read_signal

pytestmark = pytest.mark.pictures

IMAGE = read_signal("synthetic:texture", Crop(box=(20, 16)))


def record(number: int, point: dict[str, Any], psnr_db: float | None, held: float | None = None, **more: Any) -> Record:
    values = {
        "key": f"search/{number}", "label": f"#{number}", "number": number, "space": "siren2", "point": point,
        "purpose": "search", "repeat": 0, "seed": 0, "state": State.COMPLETE, "psnr_db": psnr_db, "snr_db": psnr_db,
        "held_psnr_db": held, "metrics": {}, "best_step": 9, "step": 9, "steps": 9,
        "curve": [(0, 1.0), (9, psnr_db or 0.0)], "rung_scores": {}, "attempts": 0, "reason": "", "fit_seconds": 0.0,
        "started": 0.0, "ended": 0.0,
    }  # fmt: skip
    return Record(**{**values, **more})


def landscape(path: Path, space: Space, objective: Objective = Objective.FIT, references: int = 1) -> None:
    """Of trials along a sweep, of which one failed and one was stopped."""
    points = space.sweep(12)
    trials = [record(n, point, 10.0 + n % 5, 5.0 + n % 7, space=space.name) for n, point in enumerate(points)]
    trials[0] = record(0, points[0], None, state=State.FAILED)
    trials[1] = record(1, points[1], 3.0, 2.0, state=State.PRUNED)
    known = {f"known {n}": record(n, space.complete({}), 9.0 + n, 4.0, space=space.name) for n in range(references)}
    placed = placed_trials(trials, objective)
    known["foreign"] = record(9, {"x": 1.0}, 7.0, 3.0, space="unknown")
    view = Landscape(
        space=space,
        objective=objective,
        trials=placed,
        references=placed_references(space, known, objective, width=16, depth=2),
        found=placed[-1],
    )
    draw_landscape(path, view, title="a study", spectrum=IMAGE.spectrum(), width=16)


SPACES = ["siren", "siren2", "ws-siren", "finer", "fourier", "positional", "gauss", "wire", "siren-rff"]


@pytest.mark.parametrize("name", SPACES)
def test_the_landscape_is_the_plane_of_the_first_two_parameters(
    name: str, figures: list[Figure], tmp_path: Path
) -> None:
    space = build_space(name, IMAGE.spectrum(), width=16)
    landscape(tmp_path / "landscape.png", space)
    [axes, bar] = figures[0].axes
    for label, scale, parameter in zip(
        (axes.get_xlabel(), axes.get_ylabel()), (axes.get_xscale(), axes.get_yscale()), space.parameters, strict=False
    ):
        assert label.startswith(f"{parameter.name}: ")
        assert scale == ("log" if not isinstance(parameter, Choice) and parameter.log else "linear")
    assert bar.get_ylabel() == "PSNR of the best step, search seed (dB)"
    assert "not in this space: foreign: 7.0 dB" in axes.get_title()


def test_the_landscape_of_held_out_scores_says_so(figures: list[Figure], tmp_path: Path) -> None:
    space = build_space("siren", IMAGE.spectrum(), width=16)
    for objective in (Objective.HOLDOUT, Objective.BOTH):
        landscape(tmp_path / "landscape.png", space, objective)
        assert figures[-1].axes[1].get_ylabel() == "held-out PSNR of the best step, search seed (dB)"


def test_a_union_has_a_column_for_each_architecture_the_best_first(figures: list[Figure], tmp_path: Path) -> None:
    space = build_space("any", IMAGE.spectrum(), width=16)
    landscape(tmp_path / "landscape.png", space)
    [axes, bar] = figures[0].axes
    columns = [label.get_text().split("\n")[0] for label in axes.get_xticklabels()]
    assert sorted(columns) == sorted(set(SPACES))
    assert axes.get_ylabel().startswith("PSNR")
    assert bar.get_ylabel() == "learning rate"


def test_a_union_of_one_architecture_is_that_ones_plane(figures: list[Figure], tmp_path: Path) -> None:
    space = build_space("any", IMAGE.spectrum(), width=16).with_fixed("architecture", "wire")
    landscape(tmp_path / "landscape.png", space)
    assert figures[0].axes[0].get_xlabel().startswith("w: ")
    assert figures[0].axes[0].get_ylabel().startswith("s: ")


def test_a_space_of_one_parameter_is_drawn_against_the_score(figures: list[Figure], tmp_path: Path) -> None:
    landscape(tmp_path / "landscape.png", build_space("siren", IMAGE.spectrum(), width=16).with_fixed("lr", 1e-3))
    [axes] = figures[0].axes
    assert axes.get_xlabel().startswith("w_first: ")
    assert axes.get_ylabel().startswith("PSNR")


def test_spaces_with_capacity_and_spaces_of_names_alone_have_landscapes(figures: list[Figure], tmp_path: Path) -> None:
    base = build_space("siren2", IMAGE.spectrum(), width=16)
    capacity = with_capacity(
        base, 4000, num_weights=lambda point, width, depth: width * width * depth, width=16, depth=2
    )
    landscape(tmp_path / "capacity.png", capacity)
    assert figures[0].axes[0].get_xlabel().startswith("s0: ")
    rules = Choice(name="rule", choices=("a", "b"))
    rate = Float(name="lr", low=1e-4, high=1e-2, log=True)
    own = Space(name="own", architecture="siren", parameters=(rules, rate), defaults={"rule": "a", "lr": 1e-3})
    landscape(tmp_path / "own.png", own)
    assert {label.get_text().split("\n")[0] for label in figures[1].axes[0].get_xticklabels()} == {"a", "b"}


def test_every_reference_is_in_every_picture(figures: list[Figure], tmp_path: Path) -> None:
    known = {f"known {n}": record(n, {}, 9.0 + n, 4.0) for n in range(13)}
    trials = [record(n, {}, 10.0 + n, 20.0 - n) for n in range(3)]
    landscape(tmp_path / "landscape.png", build_space("siren", IMAGE.spectrum(), width=16), references=13)
    curves(tmp_path / "curves.png", title="t", trials=trials, references=known, found=trials[0])
    front(tmp_path / "front.png", title="t", trials=trials, front=front_of(trials), references=known, found=trials[0])
    for figure in figures:
        texts = " ".join(text.get_text() for text in figure.legends[0].get_texts())
        assert all(name in texts for name in known)


def test_the_front_names_its_ends(figures: list[Figure], tmp_path: Path) -> None:
    trials = [record(n, {}, 10.0 + n, 20.0 - n) for n in range(5)] + [record(5, {}, 9.0, None)]
    path = tmp_path / "front.png"
    front(path, title="t", trials=trials, front=front_of(trials), references={}, found=trials[2])
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["#4 fits best", "#0 holdout best"]
    front(path, title="t", trials=trials[:1], front=trials[:1], references={}, found=trials[0])
    assert [text.get_text() for text in figures[1].axes[0].texts] == ["#0 best in both"]
    front(path, title="t", trials=[], front=[], references={}, found=record(0, {}, None))
    assert not figures[2].axes[0].texts


def test_a_wave_of_an_image_stands_at_its_radial_frequency() -> None:
    rows, columns = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    wave = np.cos(2 * np.pi * (0.3 * rows + 0.4 * columns))[..., None]
    f, level_db = band_levels(wave)
    assert f[np.argmax(level_db)] == pytest.approx(0.5, abs=0.5 / 40)
    constant, _ = band_levels(np.ones((40, 40, 1)))
    assert constant[0] == 0.0
    f, level_db = band_levels(np.cos(2 * np.pi * 0.25 * np.arange(100))[:, None])
    assert f[np.argmax(level_db)] == pytest.approx(0.25)
    assert level_db.max() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("rate_hz", "label"), [(8000.0, "frequency (Hz)"), (None, "frequency (cycles per sample)")])
def test_frequencies_are_in_hz_where_there_is_a_rate(
    rate_hz: float | None, label: str, figures: list[Figure], tmp_path: Path
) -> None:
    wave = np.cos(2 * np.pi * 0.25 * np.arange(100))[:, None].repeat(2, axis=1)
    spectra(tmp_path / "s.png", title="t", target=wave, output=0.5 * wave, rate_hz=rate_hz, centroid=0.5)
    [axes] = figures[0].axes
    assert axes.get_xlabel() == label
    assert axes.get_xlim() == (0.0, 0.5 * (rate_hz or 1.0))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_images_of_any_channels_stand_side_by_side(channels: int, figures: list[Figure], tmp_path: Path) -> None:
    target = np.random.default_rng(0).uniform(-1.0, 1.0, (9, 12, channels))
    comparison(tmp_path / "c.png", title="t", target=target, output=1.5 * target, kind="image")
    captions = [axes.get_title() for axes in figures[0].axes]
    assert captions[0] == "target"
    assert captions[1].startswith("reconstruction: ")
    assert len(captions) == 3


def test_the_middle_slices_of_a_volume_are_those_of_its_axes(figures: list[Figure], tmp_path: Path) -> None:
    volume = np.arange(4 * 6 * 8, dtype=np.float64).reshape(4, 6, 8, 1)
    expected = [volume[2, :, :, 0], volume[:, 3, :, 0], volume[:, :, 4, 0]]
    for (_, samples), wanted in zip(middle_slices(volume), expected, strict=True):
        assert np.array_equal(samples, wanted)
    target = np.sin(volume)
    comparison(tmp_path / "c.png", title="t", target=target, output=np.ones_like(target), kind="volume")
    assert len(figures[0].axes) == 9


def test_a_volume_is_seen_as_its_three_slices(tmp_path: Path) -> None:
    signal = read_signal("synthetic:blob", Crop(box=(8, 10, 12)))
    write_samples(tmp_path, "target", signal.values, signal)
    with Image.open(tmp_path / "target.png") as image:
        pixels = np.asarray(image)
    scale = pixels.shape[0] // 10
    grid = signal.values.reshape(8, 10, 12)
    first = pixels[::scale, : 12 * scale : scale] / 127.5 - 1.0
    assert first == pytest.approx(grid[4])
    assert pixels.shape == (10 * scale, (12 + 12 + 10 + 2) * scale)


ENDED = [
    record(0, {}, 20.0, 9.0, ended=4.0, step=9),
    record(1, {}, None, None, ended=1.0, step=2, state=State.FAILED),
    record(2, {}, 30.0, 8.0, ended=2.0, step=4, state=State.PRUNED),
    record(3, {}, 10.0, 7.0, ended=3.0, step=9),
]


def test_the_best_so_far_is_of_complete_trials_in_the_order_of_their_ends() -> None:
    assert best_so_far(ENDED, Objective.FIT) == pytest.approx([np.nan, np.nan, 10.0, 20.0], nan_ok=True)
    assert best_so_far(ENDED, Objective.HOLDOUT) == pytest.approx([np.nan, np.nan, 7.0, 9.0], nan_ok=True)


def test_convergence_is_drawn_against_trials_and_against_steps(figures: list[Figure], tmp_path: Path) -> None:
    draw_convergence(
        tmp_path / "c.png",
        title="t",
        trials=ENDED,
        references={"winner": record(0, {}, 15.0), "none": record(1, {}, None, state=State.FAILED)},
        objective=Objective.FIT,
        confirmed=Sample(mean=18.0, sd=2.0, num=5),
    )
    left, right = figures[0].axes
    best = [next(line for line in axes.lines if line.get_label() == "best trial so far") for axes in (left, right)]
    assert list(best[0].get_xdata()) == [1, 2, 3, 4]
    assert list(best[1].get_xdata()) == [2, 6, 15, 24]
    assert (left.get_xlabel(), right.get_xlabel()) == ("trials ended", "steps of the search, of all trials")
    texts = {text.get_text() for text in figures[0].legends[0].get_texts()}
    assert {"winner (15.0 dB)", "found, 5 fresh seeds (18.0 ± 2.0 dB)"} <= texts
    low, high = left.get_ylim()
    assert 10.0 < low < 15.0, "a bad trial stretches the axis, or a reference is out of it"
    assert high > 30.0


def test_a_sine_of_full_scale_has_0_db_in_its_spectrogram() -> None:
    sine = np.sin(2 * np.pi * 992.0 * np.arange(8000) / 8000.0)  # a bin of 500 samples
    times, f, level_db = spectrogram_db(sine, 8000.0)
    loudest = np.unravel_index(np.argmax(level_db), level_db.shape)
    assert f[loudest[0]] == pytest.approx(992.0)
    assert level_db.max() == pytest.approx(0.0, abs=0.1)
    assert level_db.shape == (len(f), len(times))
    assert 0.0 < times[0] < times[-1] < 1.0


@pytest.mark.parametrize("num", [16, 400, 9000])
def test_a_recording_of_any_length_has_its_waveform(num: int, figures: list[Figure], tmp_path: Path) -> None:
    target = np.sin(0.3 * np.arange(num))[:, None].repeat(2, axis=1)
    draw_waveform(tmp_path / "w.png", title="t", target=target, output=0.9 * target, rate_hz=8000.0)
    draw_waveform(tmp_path / "w.png", title="t", target=target, output=target)
    for figure, unit, frequency in zip(figures, ("s", "samples"), ("Hz", "cycles per sample"), strict=True):
        axes = figure.axes
        labels = [one.get_ylabel() for one in axes[:4]]
        assert labels == ["target", "reconstruction", "error", f"frequency ({frequency})"]
        assert axes[2].get_xlabel().startswith(f"time ({unit})")
    assert "dB PSNR, all samples" in figures[0].get_suptitle()


ALL_FILES = {"landscape.png", "preview.png", "convergence.png", "curves.png", "spectra.png"}
SPATIAL_FILES = ALL_FILES | {"comparison.png", "target.png", "reconstruction.png"}
SURROGATE_FILES = {"importance.png", "slices.png", "path.png"}


@pytest.mark.parametrize(
    ("signal", "sections", "drawn"),
    [
        (
            "synthetic:bright",
            {"signal": {"samples": 300}, "search": {"trials": 11, "pruner": "none"}},
            ALL_FILES | {"waveform.png"} | SURROGATE_FILES,
        ),
        (
            "synthetic:bright",
            {"signal": {"samples": 300}, "search": {"objective": "both"}},
            ALL_FILES | {"front.png", "waveform.png"},
        ),
        (
            "synthetic:texture",
            {"signal": {"crop": "12x12"}, "search": {"space": "any"}},
            SPATIAL_FILES,
        ),
        (
            "synthetic:torus",
            {"signal": {"crop": "6"}, "search": {"space": "fourier", "objective": "holdout"}},
            SPATIAL_FILES,
        ),
    ],
    ids=["audio", "two objectives", "image", "volume"],
)
def test_a_study_draws_what_its_kind_has_and_tells_mlflow(
    signal: str, sections: dict[str, Any], drawn: set[str], tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    from search.connection import default_tracking_uri

    data: dict[str, Any] = {
        "name": "drawn",
        "signals": (signal,),
        "network": {"width": 8, "depth": 2},
        "fit": {"steps": 10},
        "workers": {"workers": 0},
        "store": {"store": tmp_path},
        **sections,
    }
    data["search"] = {"trials": 4, "confirm": 1, **data["search"]}
    [summary] = run_study(StudySpec.model_validate(data))["studies"]
    folder = tmp_path / "studies" / summary["study"]
    assert {path.name for path in folder.glob("*.png")} == drawn
    client = MlflowClient(default_tracking_uri(tmp_path))
    artifacts = {item.path for item in client.list_artifacts(summary["mlflow_run_id"])}
    kept = {"target.npy", "reconstruction.npy", "recipe.json", "snippet.py", "winner.safetensors", "report.html"}
    assert artifacts >= drawn | kept
