"""What the landscape expects of its points."""

from __future__ import annotations

import numpy as np
import pytest

from search.smooth import smoothed_db
from spaces.parameters import Float
from spaces.space import Space

LINE = Space(
    name="line",
    architecture="siren",
    parameters=(Float(name="x", low=0.0, high=1.0), Float(name="lr", low=1e-4, high=1e-2, log=True)),
    defaults={"x": 0.5, "lr": 1e-3},
)
POINTS = [{"x": float(x), "lr": 1e-3} for x in np.linspace(0.0, 1.0, 21)]


def hill(x: float) -> float:
    return 60.0 - 100.0 * (x - 0.5) ** 2


def test_a_lucky_point_on_the_slope_does_not_beat_the_top() -> None:
    scores = [{0: hill(float(point["x"]))} for point in POINTS]
    scores[3] = {0: 64.0}  # x 0.15: worth 47.8 dB
    expected = smoothed_db(LINE, POINTS, scores)
    assert int(np.argmax(expected)) in range(8, 13)
    assert expected[3] < 58.0


def test_a_point_that_many_seeds_confirm_is_believed() -> None:
    rng = np.random.default_rng(0)
    scores = [{0: hill(float(point["x"])) + rng.normal(0.0, 3.0)} for point in POINTS]
    once, often = 62.0, dict.fromkeys(range(9), 62.0)
    values = [smoothed_db(LINE, POINTS, [*scores[:3], one, *scores[4:]])[3] for one in ({0: once}, often)]
    assert values[1] > values[0] + 1.0


def test_an_easy_seed_does_not_favour_who_met_it() -> None:
    scores = [{0: 40.0 + index} for index in range(6)]
    scores[1][1], scores[2][1] = 61.0, 62.0  # seed 1 gives 20 dB more to everyone
    assert smoothed_db(LINE, POINTS[:6], scores) == pytest.approx([40.0, 41.0, 42.0, 43.0, 44.0, 45.0])


def test_points_of_a_conditional_space_keep_their_own_means(conditional: Space) -> None:
    points = [{"kind": "a", "k": 1.0, "lr": 1e-3}] * 10 + [{"kind": "b", "lr": 1e-3}] * 10
    assert smoothed_db(conditional, points, [{0: float(score)} for score in range(20)]) == list(range(20))


def test_the_same_fits_give_the_same_landscape_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    scores = [{0: hill(float(point["x"])) + rng.normal(0.0, 5.0)} for point in POINTS]
    assert smoothed_db(LINE, POINTS, scores) == smoothed_db(LINE, POINTS, scores)
