"""Who goes on at a rung."""

from __future__ import annotations

import pytest

from search.rungs import forecast_psnr_db, is_among_best, rungs_of


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
    values = [float(value) for value in range(12)]
    assert [is_among_best(value, values) for value in values] == [False] * 8 + [True] * 4
    assert is_among_best(0.0, [0.0, 1.0, 2.0])


@pytest.mark.parametrize(("steps", "pruner", "expected"), [(300, "asha", (150,)), (300, "none", ()), (1, "asha", ())])
def test_rungs_lie_inside_the_fit(steps: int, pruner: str, expected: tuple[int, ...]) -> None:
    assert rungs_of(steps, pruner) == expected
