"""How points are ranked, and which of them are the front."""

from __future__ import annotations

from search.objective import Objective, best_by, eligible, front_of, ranked_by
from search.trial import Score

POINTS = [Score(50.0, 10.0), Score(40.0, 30.0), Score(45.0, 20.0), Score(44.0, 20.0), Score(39.0, 30.0)]


def test_the_front_is_what_no_other_beats_in_both() -> None:
    assert front_of(POINTS) == [Score(50.0, 10.0), Score(45.0, 20.0), Score(40.0, 30.0)]


def test_of_equal_points_the_front_has_one() -> None:
    assert front_of([Score(1.0, 2.0), Score(1.0, 2.0)]) == [Score(1.0, 2.0)]


def test_what_has_no_held_out_score_is_on_no_front() -> None:
    assert front_of([Score(99.0), *POINTS]) == front_of(POINTS)


def test_each_objective_ranks_by_its_own_score() -> None:
    assert best_by(Objective.FIT, POINTS) == Score(50.0, 10.0)
    assert best_by(Objective.HOLDOUT, POINTS) == Score(40.0, 30.0)
    assert best_by(Objective.HOLDOUT, [Score(1.0)]) is None
    assert [point.psnr_db for point in ranked_by(Objective.BOTH, POINTS)] == [40.0, 39.0, 45.0, 44.0, 50.0]


def test_a_point_may_fit_one_decibel_worse_than_the_prediction() -> None:
    assert eligible(POINTS, 45.9) == [Score(50.0, 10.0), Score(45.0, 20.0)]
    assert eligible(POINTS, 60.0) == POINTS
    assert eligible(POINTS, None) == POINTS


def test_two_objectives_are_told_as_two_values() -> None:
    assert Objective.BOTH.values(Score(1.0, 2.0)) == [1.0, 2.0]
    assert Objective.BOTH.values(Score(1.0)) is None
    assert Objective.HOLDOUT.values(Score(1.0, 2.0)) == [2.0]
    assert Objective.FIT.values(Score(1.0)) == [1.0]
