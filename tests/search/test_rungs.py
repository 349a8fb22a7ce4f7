"""Who goes on at a rung."""

from __future__ import annotations

import pytest

from search.objective import Objective
from search.rungs import forecast_psnr_db, is_among_best, rungs_of, standing_of
from search.trial import Score


def test_a_straight_curve_is_forecast_to_keep_half_its_slope() -> None:
    curve = [(step, 0.1 * step) for step in range(101)]
    # Before step 60 the best is p(59), before step 40 p(39).
    assert forecast_psnr_db(curve, 60, 120) == pytest.approx(5.9 + 0.5 * 60 * 0.1)


def test_a_flat_curve_is_forecast_to_stay() -> None:
    assert forecast_psnr_db([(0, 11.8), (30, 11.8), (50, 11.8)], 50, 100) == pytest.approx(11.8)


def test_what_comes_after_the_rung_has_no_say() -> None:
    curve = [(0, 1.0), (30, 2.0), (57, 4.0)]
    assert forecast_psnr_db([*curve, (60, 50.0), (90, 99.0)], 60, 120) == forecast_psnr_db(curve, 60, 120)


def test_a_late_climber_is_forecast_above_an_early_leader() -> None:
    early = [(0, 10.0), (20, 40.0), (59, 41.0)]
    late = [(0, 10.0), (30, 20.0), (39, 28.0), (59, 40.0)]
    assert forecast_psnr_db(late, 60, 120) > forecast_psnr_db(early, 60, 120)


def test_a_third_goes_on_and_few_values_say_nothing() -> None:
    values = [(float(value),) for value in range(12)]
    assert [is_among_best(value, values) for value in values] == [False] * 8 + [True] * 4
    assert is_among_best((0.0,), [(0.0,), (1.0,), (2.0,)])


def test_with_two_objectives_the_front_goes_on_and_what_many_dominate_does_not() -> None:
    front = [(float(value), 10.0 - value) for value in range(6)]
    weak = [(0.5 * value, 4.0 - value) for value in range(4)]
    standings = sorted(front + weak)
    assert all(is_among_best(standing, standings) for standing in front)
    assert not is_among_best((0.0, 4.0), standings)


def test_held_out_psnr_is_judged_as_it_stands() -> None:
    curve = [(0, 10.0), (20, 20.0), (49, 30.0)]
    assert standing_of(Objective.HOLDOUT, curve, Score(30.0, 12.0), 50, 100) == (12.0,)
    assert standing_of(Objective.BOTH, curve, Score(30.0, 12.0), 50, 100) == (forecast_psnr_db(curve, 50, 100), 12.0)
    assert standing_of(Objective.FIT, curve, Score(30.0), 50, 100) == (forecast_psnr_db(curve, 50, 100),)


@pytest.mark.parametrize(("steps", "pruner", "expected"), [(300, "asha", (150,)), (300, "none", ()), (1, "asha", ())])
def test_rungs_lie_inside_the_fit(steps: int, pruner: str, expected: tuple[int, ...]) -> None:
    assert rungs_of(steps, pruner) == expected
