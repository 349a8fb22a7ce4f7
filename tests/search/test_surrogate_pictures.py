"""What the landscape of a study expects: importances, slices, the way from a prediction to the found point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from matplotlib.figure import Figure

from search.expected import End, Expected
from search.importance import MIN_TRIALS, importances
from search.objective import Objective
from search.plots import importance
from search.slices import draw_slices, draw_way
from search.smooth import fit_surrogate, scaled
from search.stats import Sample
from spaces.catalog import build_space
from spaces.parameters import Choice, Float, Int
from spaces.space import Space
from trainers.signals import Crop, read_signal

pytestmark = pytest.mark.pictures

OWN = Space(
    name="own",
    architecture="siren",
    parameters=(
        Choice(name="rule", choices=("a", "b", "c")),
        Float(name="x", low=0.1, high=10.0, log=True, doc="what matters, rad"),
        Int(name="k", low=1, high=5),
    ),
    defaults={"rule": "a", "x": 1.0, "k": 1},
)


def hill(space: Space, num: int) -> Expected:
    """40 dB at x = 1, 30 dB a decade away; the rest of the point does not matter."""
    rng = np.random.default_rng(0)
    points = [
        {"rule": "abc"[rng.integers(3)], "x": float(10 ** rng.uniform(-1, 1)), "k": int(rng.integers(1, 6))}
        for _ in range(num)
    ]
    surrogate = fit_surrogate(space, points, [{0: 40.0 - 10.0 * np.log10(float(p["x"])) ** 2} for p in points])
    assert surrogate is not None
    return Expected(
        space=space,
        objective=Objective.FIT,
        surrogate=surrogate,
        found=End(label="found #1", point={"rule": "b", "x": 1.0, "k": 3}, confirmed=Sample(mean=39.0, sd=1.0, num=3)),
        reference=End(label="prediction law", point={"rule": "a", "x": 0.1, "k": 2}, confirmed=None),
    )


def test_the_surrogate_is_sure_where_fits_are_and_unsure_where_none_is() -> None:
    x = Space(name="x", architecture="siren", parameters=(Float(name="x", low=0.0, high=1.0),), defaults={"x": 0.5})
    points = [{"x": float(value)} for value in np.linspace(0.4, 0.6, 20)]
    surrogate = fit_surrogate(x, points, [{0: 10.0 * np.sin(20.0 * float(point["x"]))} for point in points])
    assert surrogate is not None
    means, deviations = surrogate.expected_db(np.array([[0.5], [0.0]]))
    assert means[0] == pytest.approx(10.0 * np.sin(10.0), abs=0.5)
    assert deviations[1] > 5.0 * deviations[0]


def test_a_slice_shows_what_the_surrogate_expects_with_every_fit(figures: list[Figure], tmp_path: Path) -> None:
    view = hill(OWN, 30)
    draw_slices(tmp_path / "slices.png", view, title="t")
    panels = figures[0].axes
    assert [axes.get_xlabel() for axes in panels] == ["x: what matters, rad", "k"]
    assert [axes.get_xscale() for axes in panels] == ["log", "linear"]
    assert panels[0].get_ylabel() == "expected PSNR, mean over seeds (dB)"
    found, reference = panels[0].lines[:2]
    at, expected = found.get_xdata(), found.get_ydata()
    assert at[np.argmax(expected)] == pytest.approx(1.0, rel=0.3)
    assert max(expected) == pytest.approx(40.0, abs=1.0)
    line = [scaled(OWN, {"rule": "a", "x": float(value), "k": 2}) for value in reference.get_xdata()]
    assert reference.get_ydata() == pytest.approx(view.surrogate.expected_db(np.array(line))[0])
    fits = panels[0].collections[0].get_offsets()
    assert len(fits) == 30
    texts = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert {"found #1 (3 fresh seeds)", "prediction law (expected)"} <= set(texts)


def test_the_way_leads_from_the_prediction_to_the_found_point(figures: list[Figure], tmp_path: Path) -> None:
    view = hill(OWN, 30)
    draw_way(tmp_path / "path.png", view, title="t")
    [axes] = figures[0].axes
    shares, expected = axes.lines[0].get_data()
    ends = [view.surrogate.expected_db(view.place(end)[None])[0][0] for end in (view.reference, view.found) if end]
    assert np.interp([0.0, 1.0], shares, expected) == pytest.approx(ends, abs=0.1)
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[0] == "prediction law\nrule=a\nx=0.1\nk=2"
    assert labels[-1] == "found #1\nrule=b\nx=1\nk=3"


def test_every_coordinate_of_a_large_space_has_a_panel(figures: list[Figure], tmp_path: Path) -> None:
    space = build_space("finer", read_signal("synthetic:bright", Crop(samples=256)).spectrum(), width=16)
    space = Space(
        name="wide", architecture="finer", defaults={**space.defaults, "z": 0.5},
        parameters=(*space.parameters, Float(name="z", low=0.0, high=1.0)),
    )  # fmt: skip
    points = [{**point, "z": 0.1 * index} for index, point in enumerate(space.sweep(10))]
    surrogate = fit_surrogate(space, points, [{0: float(index)} for index in range(10)])
    assert surrogate is not None
    end = End(label="found #0", point=points[0], confirmed=None)
    view = Expected(space=space, objective=Objective.BOTH, surrogate=surrogate, found=end, reference=None)
    draw_slices(tmp_path / "slices.png", view, title="t")
    named = [axes.get_xlabel().split(":")[0] for axes in figures[0].axes if axes.axison]
    assert named == ["w_first", "k", "lr", "z"]
    assert figures[0].axes[0].get_ylabel() == "expected held-out PSNR, mean over seeds (dB)"


def searched(num: int, num_values: int = 1) -> optuna.Study:
    """Trials whose last value depends on x alone."""
    study = optuna.create_study(directions=["maximize"] * num_values, sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(num):
        trial = study.ask()
        x, other = trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("other", 0.0, 1.0)
        study.tell(trial, [10.0 * other] * (num_values - 1) + [-abs(x - 0.5)])
    return study


@pytest.mark.parametrize("num_values", [1, 2])
@pytest.mark.filterwarnings("error")
def test_the_coordinate_that_decides_has_the_largest_share(num_values: int) -> None:
    shares = importances(searched(60, num_values))
    assert list(shares) == ["x", "other"]
    assert shares["x"] > 0.8
    assert sum(shares.values()) == pytest.approx(1.0)


def test_too_few_trials_tell_no_importances() -> None:
    assert importances(searched(MIN_TRIALS - 1)) == {}
    assert len(importances(searched(MIN_TRIALS))) == 2


def test_importances_that_round_to_nothing_are_counted_and_not_drawn(figures: list[Figure], tmp_path: Path) -> None:
    importance(tmp_path / "i.png", title="t", shares={"lr": 0.997, "a": 0.002, "b": 0.001})
    [axes] = figures[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lr"]
    assert axes.get_xlabel() == "importance by PED-ANOVA (share of all; 2 below 0.005 are not drawn)"
