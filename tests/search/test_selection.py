"""The race of the leading trials."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search.objective import Objective
from search.record import Record
from search.selection import Standing, race, race_sizes
from search.trial import Purpose, State
from spaces.parameters import Float
from spaces.space import Space

SPACE = Space(
    name="line",
    architecture="siren",
    parameters=(Float(name="x", low=0.0, high=1.0), Float(name="lr", low=1e-4, high=1e-2, log=True)),
    defaults={"x": 0.5, "lr": 1e-3},
)


def trial(number: int, psnr_db: float, state: State = State.COMPLETE) -> Record:
    return Record(
        key=f"search/{number}",
        number=number,
        label=f"#{number}",
        space="line",
        point={"x": 0.1 * number, "lr": 1e-3},
        purpose="search",
        repeat=0,
        seed=0,
        state=state,
        psnr_db=psnr_db,
        snr_db=psnr_db,
        held_psnr_db=None,
        metrics={},
        best_step=1,
        step=1,
        steps=1,
        curve=[],
        rung_scores={},
        attempts=0,
        reason="",
        fit_seconds=0.0,
        started=0.0,
        ended=0.0,
    )


def refit(of: Record, repeat: int, psnr_db: float | None, state: State = State.COMPLETE) -> Record:
    key = f"{Purpose.SELECT}/{of.label}/{repeat}"
    return replace(of, key=key, purpose="select", repeat=repeat, psnr_db=psnr_db, state=state)


def standing(trials: list[Record], confirmations: list[Record], sizes: list[int]) -> Standing:
    return race(trials, [], confirmations, SPACE, Objective.FIT, None, sizes)


def labels(at: Standing) -> list[str]:
    return [one.label for one in at.candidates]


# Fewer than a landscape needs: each keeps the mean of its own scores.
TRIALS = [trial(number, 50.0 + number) for number in range(6)]


@pytest.mark.parametrize(
    ("num_trials", "sizes"), [(1, [2]), (30, [2]), (31, [3, 2]), (48, [4, 2]), (64, [5, 3, 2]), (10_000, [8, 4, 2])]
)
def test_a_fifteenth_of_the_trials_is_raced_and_then_the_better_half(num_trials: int, sizes: list[int]) -> None:
    assert race_sizes(num_trials) == sizes


def test_the_leading_trials_are_to_be_fitted_first() -> None:
    at = standing(TRIALS, [], [4, 2])
    assert (labels(at), at.repeat) == (["#5", "#4", "#3", "#2"], 0)


def test_the_better_half_goes_on_to_the_next_seed() -> None:
    fits = [refit(TRIALS[number], 0, score) for number, score in ((5, 30.0), (4, 60.0), (3, 40.0), (2, 60.0))]
    at = standing(TRIALS, fits, [4, 2])
    assert (labels(at), at.repeat) == (["#4", "#2"], 1)
    fits += [refit(TRIALS[4], 1, 40.0), refit(TRIALS[2], 1, 60.0)]
    at = standing(TRIALS, fits, [4, 2])
    assert (labels(at), at.repeat) == (["#2", "#4"], None)


def test_a_round_that_a_crash_cut_short_is_finished_as_it_began() -> None:
    fits = [refit(TRIALS[5], 0, 90.0)]
    at = standing(TRIALS, fits, [4, 2])
    assert (labels(at), at.repeat) == (["#5", "#4", "#3", "#2"], 0)


def test_a_candidate_that_failed_on_a_seed_is_out() -> None:
    fits = [refit(TRIALS[5], 0, None, State.FAILED), refit(TRIALS[4], 0, 20.0)]
    assert labels(standing(TRIALS, fits, [2])) == ["#4"]


def test_a_race_in_which_all_failed_goes_to_the_leading_trial() -> None:
    fits = [refit(TRIALS[number], 0, None, State.FAILED) for number in (5, 4)]
    assert labels(standing(TRIALS, fits, [2]))[0] == "#5"


def test_pruned_trials_are_not_raced_and_without_any_other_there_is_no_candidate() -> None:
    pruned = [replace(one, state=State.PRUNED) for one in TRIALS]
    assert labels(standing([*pruned[1:], TRIALS[0]], [], [2])) == ["#0"]
    assert standing(pruned, [], [2]).candidates == []
