"""What judges heuristics has its own defaults, from the command line and from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.config import StudySpec
from search.corpus import validate
from search.status import find_studies
from search.transfers import transfer
from search.trial import State


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    """A spec that says nothing of pruner and seeds."""
    return StudySpec.model_validate(
        {
            "name": "judged",
            "signals": ["synthetic:tone"],
            "signal": {"samples": 64},
            "network": {"width": 8, "depth": 2},
            "fit": {"steps": 30},
            "search": {"trials": 6, "heuristic": ["bandwidth"]},
            "workers": {"workers": 0},
            "store": {"store": tmp_path / "store"},
        }
    )


def test_validate_and_transfer_judge_with_eight_seeds_against_trials_that_ran_to_their_end(spec: StudySpec) -> None:
    [judged] = validate(spec, scores=())["settings"]
    assert judged["seeds"] == 8
    assert transfer(spec, times=2)["there"]["seeds"] == 8
    trials = [record for study in find_studies(spec.store.store, None, None) for record in study.trials()]
    assert [record.state for record in trials] == 3 * 6 * [State.COMPLETE]


def test_a_signal_that_is_named_no_longer_is_left_out(spec: StudySpec) -> None:
    alone = validate(spec, scores=())
    both = spec.model_copy(update={"signals": ("synthetic:tone", "synthetic:pink")})
    assert validate(both, scores=())["settings"][0]["signals"] == 2
    assert validate(spec, scores=()) == alone
    carried = transfer(spec, times=2)["carried"]["relative"]
    transfer(both, times=2)
    assert transfer(spec, times=2)["carried"]["relative"]["mean_regret_db"] == carried["mean_regret_db"]
    from_store = validate(spec.model_copy(update={"signals": (), "name": "judged"}), scores=())
    assert from_store["settings"][0]["signals"] == 2


def test_what_a_spec_says_of_seeds_and_pruner_stays(spec: StudySpec) -> None:
    search = StudySpec.model_validate({"search": {"pruner": "asha", "confirm": 5}}).for_judging().search
    assert (search.pruner, search.confirm) == ("asha", 5)
    search = StudySpec.model_validate({"search": {"confirm": 3}}).for_judging().search
    assert (search.pruner, search.confirm) == ("none", 3)
    assert spec.for_judging().for_judging() == spec.for_judging()
