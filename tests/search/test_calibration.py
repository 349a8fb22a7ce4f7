"""Calibration: planted constants are found again, and a law is judged on signals that it has not seen."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates, spline_filter

from search.calibration import Calibration, calibrate, fit_leaving_out
from search.config import StudySpec
from search.errors import UsageError
from search.law_files import read_law
from search.law_fitting import PowerForm, PublishedForm, bandwidth_form, fit_form, power_form
from search.plan import plan_studies
from search.references import TUNED_LRS
from search.run import run_study
from search.selection import SEARCH_SEED
from search.status import find_studies
from search.surfaces import GRID, MIN_FITS, Surface, Surfaces, build_surface, splines_at, surface_of
from spaces.calibrated import FEATURES, features_of
from spaces.catalog import build_space
from spaces.laws import Winner
from spaces.spectrum import Spectrum, nyquist_rad

Shell = Callable[..., tuple[int, str, str]]
SpecOf = Callable[..., StudySpec]

TINY = ("--width", "16", "--depth", "2", "--steps", "30")

KAPPA, EXPONENT, SAMPLES_POWER, ROOT_S1, LR = 0.8, 1.4, -0.3, 0.6, 8e-4
"""B = kappa psi^exponent (samples / 4096)^power."""


def spectrum_like(psi: float, num: int, rng: np.random.Generator) -> Spectrum:
    low, high, flatness = *(psi * rng.uniform(0.3, 1.2, 2)), float(rng.uniform(0.001, 0.5))
    features = {"power_psi": float(low), "rms": float(high), "flatness": flatness}
    return Spectrum(
        kind="audio", shape=(num,), channels=1, centroid=psi, nyquist_rad=nyquist_rad(num), features=features
    )


def simulated_surface(number: int, num: int, width: int, noise_db: float = 1.0) -> Surface:
    """A landscape of 60 fits whose ridge lies where the planted law says: a cliff below it, a slow decline above."""
    rng = np.random.default_rng([number, num, width])
    psi = float(np.random.default_rng(number).uniform(0.05, 0.75))
    spectrum = spectrum_like(psi, num, rng)
    space = build_space("siren2", spectrum, width=width)
    best = min(KAPPA * psi**EXPONENT * (num / 4096) ** SAMPLES_POWER, 1.0)
    points, scores = [], []
    for _ in range(60):
        b = math.exp(math.log(best) + rng.normal(0, 0.8))
        b = min(max(b, 1.01 * space.searched[0].low), 1.99)  # type: ignore[union-attr, operator]
        root_s1, lr = rng.uniform(0, 1.5), math.exp(rng.uniform(math.log(1.2e-4), math.log(4.5e-3)))
        off = math.log(b / best)
        score = 80 - (9 if off < 0 else 4) * off**2 - 8 * (root_s1 - ROOT_S1) ** 2 - 3 * math.log(lr / LR) ** 2
        points.append(space.from_search({"bandwidth": b, "root_s1": root_s1, "lr": lr}))
        scores.append({SEARCH_SEED: score + rng.normal(0, noise_db)})
    return build_surface(
        space,
        points,
        scores,
        study=f"planted/{number}-{num}-{width}",
        signal=f"signal-{number}",
        features=features_of(spectrum, width=width, steps=300, trained_share=1.0),
        spectrum=spectrum,
        width=width,
        depth=4,
    )


@pytest.fixture(scope="module")
def planted() -> Surfaces:
    return Surfaces([simulated_surface(n, num, 64) for n in range(12) for num in (1_024, 4_096, 16_384)])


def test_planted_constants_are_recovered_within_ten_percent(planted: Surfaces) -> None:
    form = power_form(planted, FEATURES)
    assert set(form.bandwidth) == {"psi", "samples"}
    assert form.lr == ()
    bandwidth, s1, lr = form.formulas(fit_form(form, planted), planted)
    assert bandwidth.powers["psi"] == pytest.approx(EXPONENT, rel=0.1)
    assert bandwidth.powers["samples"] == pytest.approx(SAMPLES_POWER, rel=0.1)
    at_4096 = bandwidth.factor * 4096 ** bandwidth.powers["samples"]
    assert at_4096 == pytest.approx(KAPPA, rel=0.1)
    assert math.sqrt(s1.factor) == pytest.approx(ROOT_S1, rel=0.1)
    assert lr.factor == pytest.approx(LR, rel=0.1)


def test_the_bandwidth_laws_constants_are_recovered_where_samples_do_not_vary() -> None:
    surfaces = Surfaces([simulated_surface(n, 4_096, 64) for n in range(12)])
    form = bandwidth_form(surfaces)
    bandwidth, s1, lr = form.formulas(fit_form(form, surfaces), surfaces)
    assert bandwidth.factor == pytest.approx(KAPPA, rel=0.1)
    assert bandwidth.powers["psi"] == pytest.approx(EXPONENT, rel=0.1)
    assert math.sqrt(s1.factor) == pytest.approx(ROOT_S1, rel=0.1)
    assert lr.factor == pytest.approx(LR, rel=0.1)


def test_the_published_forms_constants_lose_less_when_fitted_and_no_signal_judges_its_own_law(
    planted: Surfaces,
) -> None:
    form = PublishedForm(kind="audio")
    published = form.regret_db(np.asarray(form.start), planted).mean()
    fitted = fit_leaving_out(lambda surfaces: PublishedForm(kind="audio"), planted)
    assert fitted.seen_db.mean() < published - 1.0
    assert fitted.unseen_db.mean() > fitted.seen_db.mean()
    assert set(fitted.unseen) == set(planted.signals)


def test_the_published_form_begins_at_the_published_law_of_its_kind_and_channels(planted: Surfaces) -> None:
    colour = Surfaces([replace(surface, kind="image", channels=3) for surface in planted.surfaces])
    form = PublishedForm(kind="image")
    points = [
        Winner().point(Spectrum(kind="image", shape=(8, 8), channels=3, centroid=psi, nyquist_rad=1.0), width=64)
        for psi in colour.features["psi"]
    ]
    s0, s1 = (np.array([point[key] for point in points]) for key in ("s0", "s1"))
    band = s0 * colour.gain(s1) / colour.nyquist_rad
    rates = [colour.regret_db(band, s1, np.full(len(colour), lr)) for lr in TUNED_LRS]
    assert form.regret_db(form.start, colour) == pytest.approx(np.min(rates, axis=0))


@pytest.mark.parametrize(
    ("task", "share"),
    [
        ({"task": "holdout", "holdout": 0.33, "pattern": "every"}, 267 / 400),
        ({"task": "holdout", "holdout": 0.1004}, 360 / 400),
        ({"task": "upsample", "factor": 3}, 134 / 400),
        ({"task": "denoise"}, 1.0),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_law_is_fitted_to_the_share_that_was_trained_on(
    small_spec: SpecOf, task: dict[str, object], share: float
) -> None:
    spec = small_spec(task=task, search={"trials": MIN_FITS, "pruner": "none", "confirm": 0}, fit={"steps": 3})
    run_study(spec)
    [study] = find_studies(spec.store.store, None, "small")
    surface = surface_of(study)
    assert surface.features["trained_share"] == share == plan_studies(spec)[0].task.trained_share
    assert (surface.kind, surface.channels, surface.depth) == ("audio", 1, 2)


def test_a_signal_of_three_sizes_weighs_as_much_as_one_of_a_single_size(planted: Surfaces) -> None:
    uneven = planted.subset([0, 1, 2, 3, 6])
    fitted = fit_leaving_out(bandwidth_form, uneven)
    for mean, each in ((fitted.mean_seen_db, fitted.seen_db), (fitted.mean_unseen_db, fitted.unseen_db)):
        assert mean == pytest.approx((each[:3].mean() + each[3] + each[4]) / 3)


def test_the_right_form_loses_little_on_signals_that_it_has_not_seen(planted: Surfaces) -> None:
    some = planted.subset(range(0, len(planted), 2))
    fitted = fit_leaving_out(lambda surfaces: power_form(surfaces, ("psi", "samples", "flatness")), some)
    assert fitted.unseen_db.mean() < 1.5
    assert all(isinstance(form, PowerForm) for form, _ in fitted.unseen.values())


@pytest.mark.parametrize(("num_signals", "most"), [(3, 0), (4, 1), (7, 1), (8, 2)])
def test_a_feature_needs_four_signals_however_many_sizes_each_has(
    planted: Surfaces, num_signals: int, most: int
) -> None:
    form = power_form(planted.subset(range(3 * num_signals)), ("psi", "samples", "flatness"))
    assert (len(form.bandwidth), len(form.lr)) == (most, 0)


def test_a_surrogate_says_how_well_it_predicts_fits(planted: Surfaces) -> None:
    for surface in planted.surfaces:
        assert 0.8 < surface.error_db < 0.7 * surface.spread_db  # the noise is 1 dB


def test_regret_is_none_at_the_top_and_grows_beyond_what_was_searched(planted: Surfaces) -> None:
    tops = [np.unravel_index(each.expected_db.argmax(), GRID) for each in planted.surfaces]
    shares = np.array(tops) / (np.array(GRID) - 1)
    best = np.array([each.low + at * (each.high - each.low) for each, at in zip(planted.surfaces, shares, strict=True)])
    b, s1, lr = np.exp(best[:, 0]), best[:, 1] ** 2, np.exp(best[:, 2])
    assert planted.regret_db(b, s1, lr) == pytest.approx(0.0, abs=0.2)
    far = planted.regret_db(b * 1e4, s1, lr)
    assert np.all(far > planted.regret_db(np.full(len(b), 2.0), s1, lr))


def test_splines_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 7, 4, 6))
    splines = np.stack([spline_filter(each, order=3, mode="nearest") for each in values])
    for places in (rng.uniform(0, [6, 3, 5], size=(5, 3)), np.zeros((5, 3)), np.tile([6.0, 3.0, 5.0], (5, 1))):
        slow = [
            map_coordinates(each, place[:, None], order=3, mode="nearest", prefilter=False)[0]
            for each, place in zip(splines, places, strict=True)
        ]
        assert splines_at(splines, places) == pytest.approx(slow)


def test_a_corpus_gives_a_law_that_predicts_and_says_what_it_loses(shell: Shell, tmp_path: Path) -> None:
    words = [f"synthetic:mix-{number}" for number in (1, 4, 8)]
    command = ["calibrate", *words, *TINY, "--samples", "256", "--trials", "16", "--seeds", "2"]
    command += ["--name", "tiny", "--workers", "0", "--out", str(tmp_path / "law.json"), "--json"]
    code, out, err = shell(*command)
    assert code == 0, err
    document = json.loads(out)
    assert {"law", "constants", "loo_mean_regret_db", "published_mean_regret_db", "per_signal"} <= set(document)
    assert len(document["per_signal"]) == 3
    by_signal: dict[str, list[float]] = {}
    for entry in document["per_signal"].values():
        by_signal.setdefault(entry["signal"], []).append(entry["regret_db"])
    assert document["loo_mean_regret_db"] == pytest.approx(np.mean([np.mean(v) for v in by_signal.values()]))
    assert document["forms"]["power"]["features"] == {"bandwidth": [], "lr": []}  # of three signals
    forms = {name: document["forms"][name] for name in ("bandwidth", "power")}
    assert document["kept"] == min(forms, key=lambda name: forms[name]["left_out_db"])
    assert forms["bandwidth"]["folds"] == {word: {"bandwidth": ["psi"], "lr": []} for word in words}
    law = read_law(tmp_path / "law.json")
    assert list(law.bandwidth.powers) == forms[document["kept"]]["features"]["bandwidth"]
    assert law.domain.samples == (256, 256)
    assert law.facts["regret"]["loo_mean_regret_db"] == document["loo_mean_regret_db"]
    assert (law.domain.depth, law.domain.load) == ((2, 2), (1.0, 1.0))
    predict = ["predict", "synthetic:mix-9", "--samples", "256", *TINY, "--heuristic", str(tmp_path / "law.json")]
    assert shell(*predict, "--depth", "4")[2] == "error: tiny is for 2 depth, but got depth=4\n"
    code, out, _ = shell(*predict, "--json")
    assert code == 0
    assert set(json.loads(out)["signals"][0]["predictions"]["tiny"]) == {"s0", "s1", "lr"}
    again = json.loads(shell(*command)[1])
    assert again == document
    from_store = ["calibrate", "--name", "tiny", "--depth", "2", *command[command.index("--trials") :]]
    assert json.loads(shell(*from_store)[1]) == document
    others = ["--samples", "256", "--trials", "16", "--pruner", "none", "--workers", "0"]
    assert shell("run", "synthetic:mix-2", *TINY, *others, "--name", "tiny-n256-w16")[0] == 0
    assert json.loads(shell(*command)[1]) == document  # of the signals that it names
    result = Calibration(document)
    assert len(result.to_frame()) == 3
    result.plot().savefig(tmp_path / "law.png")
    assert (tmp_path / "law.png").stat().st_size > 10_000


def test_volumes_have_a_law_that_is_compared_with_no_published_one(shell: Shell, tmp_path: Path) -> None:
    x, y, z = np.mgrid[-1:1:6j, -1:1:6j, -1:1:6j]
    files = [str(tmp_path / f"ball-{radius}.npy") for radius in (3, 5, 7)]
    for file, radius in zip(files, (0.3, 0.5, 0.7), strict=True):
        np.save(file, np.sqrt(x**2 + y**2 + z**2) - radius)
    code, out, err = shell(
        "calibrate", *files, *TINY, "--name", "balls", "--trials", "13", "--seeds", "2", "--workers", "0", "--json"
    )
    assert code == 0, err
    assert "no constants are published for volume: that form is left out\n" in err
    document = json.loads(out)
    assert (document["published_mean_regret_db"], set(document["forms"])) == (None, {"bandwidth", "power"})
    assert all(entry["regret_db"] is not None for entry in document["per_signal"].values())
    assert read_law(Path(document["file"])).domain.kinds == ("volume",)
    Calibration(document).plot().savefig(tmp_path / "law.png")
    predict = ["predict", "--heuristic", document["file"], *TINY]
    assert shell(*predict, files[0])[0] == 0
    assert "balls is for volume, but the signal is of kind audio" in shell(*predict, "synthetic:tone")[2]


def test_what_cannot_be_calibrated_is_one_line(shell: Shell) -> None:
    mixes = [f"synthetic:mix-{number}" for number in range(3)]
    for words, rule in {
        ("synthetic:mix-1",): "`3 <= signals` must hold to leave one out, but got signals=1",
        ("synthetic:torus", *mixes): "the signals of a law must be of one kind, but got audio, volume",
        (*mixes, "--space", "wire"): "laws are fitted to space siren2, but got space=wire",
        (*mixes, "--pruner", "asha"): "a landscape is of whole fits, pruner none, but got pruner=asha",
        (*mixes, "--lr", "0.001"): "a law names the learning rate, which must be searched, but got lr=0.001",
        (*mixes, "--trials", "4"): "`13 <= trials` must hold for a landscape, but got trials=4",
        (*mixes, "--name", "../x"): "a name must begin with",
        ("--name", "corpus"): "there is no store at",
    }.items():
        code, out, err = shell("calibrate", *words)
        assert (code, out) == (2, ""), err
        assert rule in err
        assert err.count("\n") == 1


def test_two_confirm_seeds_are_the_least_from_python_too(tmp_path: Path) -> None:
    spec = StudySpec.model_validate(
        {
            "signals": [f"synthetic:mix-{number}" for number in range(3)],
            "search": {"confirm": 1},
            "store": {"store": tmp_path / "store"},
        }
    )
    with pytest.raises(UsageError, match="`2 <= seeds` must hold"):
        calibrate(spec)
    assert not (tmp_path / "store").exists()
