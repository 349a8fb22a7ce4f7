"""Many trials and many studies on a simulated pool: nobody idles, nothing is lost, nothing is kept for ever."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from simulated import Landscape, SimulatedWorkers, campaign_spec, run_campaign, search

from search.history import BLOCK, History
from search.record import Record
from search.storage import open_storage
from spaces.catalog import build_space
from trainers.signals import Crop, read_signal

SPACE = build_space("siren2", read_signal("synthetic:bright", Crop(samples=256)).spectrum(), width=16)


def test_three_hundred_trials_keep_64_workers_busy_and_are_all_told(tmp_path: Path) -> None:
    workers = SimulatedWorkers(64, Landscape(seconds=6.0).script)
    told: list[Record] = []
    study = search(open_storage(tmp_path, None), workers, tmp_path, trials=300, told=told.append)
    assert [record.number for record in study.trials()] == list(range(300))
    assert sorted(record.number for record in told) == list(range(300))
    assert study.unfinished() == []
    assert workers.idle_seconds < 0.01 * workers.busy_seconds


def test_a_campaign_keeps_the_pool_as_busy_as_one_study_of_as_many_trials(tmp_path: Path) -> None:
    landscape = Landscape(seconds=6.0)
    shared = SimulatedWorkers(16, landscape.script)
    run_campaign(campaign_spec(tmp_path / "many", studies=20, trials=5), shared)
    one = SimulatedWorkers(16, landscape.script)
    num_fits = round(shared.busy_seconds / landscape.seconds)
    search(open_storage(tmp_path / "one", None), one, tmp_path, trials=num_fits, told=lambda record: None)
    assert shared.busy_share > one.busy_share - 0.1  # its clock follows the real one while it draws


def told_study(num: int) -> tuple[History, list[optuna.trial.FrozenTrial]]:
    """A history after `num` trials that were told in order, and the trials."""
    study = optuna.create_study(direction="maximize")
    history = History(SPACE, 0, study.directions, [])
    for _ in range(num):
        proposal = history.propose()
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(proposal.params),
                distributions=dict(proposal.distributions),
                value=-abs(proposal.params["root_s1"] - 0.1),
            )
        )
        history.tell(study.get_trials(deepcopy=False)[-1])
    return history, study.get_trials(deepcopy=False)


@pytest.mark.parametrize("num", [40, 2 * BLOCK, 3 * BLOCK + 20])
def test_a_resumed_sampler_sees_what_an_undisturbed_one_does(num: int) -> None:
    history, trials = told_study(num)
    resumed = History(SPACE, 0, [optuna.study.StudyDirection.MAXIMIZE], trials)
    for _ in range(3):
        assert resumed.propose() == history.propose()


def test_the_sampler_sees_few_of_many_and_the_best_of_all() -> None:
    history, trials = told_study(3 * BLOCK)
    seen = history._study.get_trials(deepcopy=False)
    assert len(seen) < 2 * BLOCK
    best = sorted((trial.value for trial in trials), reverse=True)[:25]  # type: ignore[type-var]
    assert set(best) <= {trial.value for trial in seen}
