"""Several studies as one source of trials."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from search.campaign import Campaign, Phases
from search.driver import Driver
from search.errors import NothingFoundError
from search.fixed import FixedSource
from search.trial import Outcome, TrialBuilder
from search.workers import InlineWorkers
from spaces.catalog import build_space
from trainers.signals import Crop, read_signal
from trainers.tasks import Task, build_task

SIREN = build_space("siren", read_signal("synthetic:bright", Crop(samples=256)).spectrum(), width=16)
OTHER = build_task(read_signal("synthetic:pink", Crop(samples=256)))


class Listed:
    """A study of some phases of so many trials; it finds nothing after a phase of none."""

    def __init__(self, name: str, task: Task, sizes: Sequence[int], log: list[str]) -> None:
        self.name, self._sizes, self._log = name, sizes, log
        self._builder = TrialBuilder(
            study=name, task=task.digest, width=16, depth=2, dims=1, channels=1, steps=5, study_seed=0
        )

    def phases(self) -> Phases:
        try:
            for phase, size in enumerate(self._sizes):
                if not size:
                    raise NothingFoundError(f"nothing in {self.name}")
                point = {"w_first": 30.0, "lr": 1e-3}
                keys = [f"search/{phase}/{number}" for number in range(size)]
                specs = [self._builder.build(key, label="#0", space=SIREN, point=point) for key in keys]
                yield FixedSource(specs, self._ended)
                self._log.append(f"{self.name} phase {phase}")
        except ValueError as error:
            self._log.append(f"{self.name} was told: {error}")
            raise

    def _ended(self, outcome: Outcome) -> None:
        self._log.append(f"{outcome.spec.study} {outcome.spec.key}")


def run(studies: Sequence[Listed], task: Task, lanes: int = 1) -> tuple[list[str], list[str]]:
    """Names of those that ended, and of those that found nothing."""
    ended: list[str] = []
    nothing: list[str] = []
    workers = InlineWorkers(lanes=lanes)
    for one in (task, OTHER):
        workers.share(one.digest, one)
    campaign = Campaign(
        studies, lambda study: ended.append(study.name), lambda study, error: nothing.append(f"{study.name}: {error}")
    )
    assert Driver(workers, threading.Event()).run(campaign)
    assert campaign.open_studies == []
    return ended, nothing


@pytest.mark.parametrize("lanes", [1, 3])
def test_every_phase_begins_when_the_one_before_has_ended_and_every_trial_ends_once(task: Task, lanes: int) -> None:
    log: list[str] = []
    sizes = {"a": [3, 2], "b": [1, 4], "c": [2]}
    tasks = {"a": task, "b": OTHER, "c": task}
    ended, _ = run([Listed(name, tasks[name], sizes[name], log) for name in sizes], task, lanes)
    assert sorted(ended) == ["a", "b", "c"]
    for name, own in sizes.items():
        lines = [line.removeprefix(f"{name} ") for line in log if line.startswith(f"{name} ")]
        for phase, size in enumerate(own):
            phase_lines, lines = lines[: size + 1], lines[size + 1 :]
            assert sorted(phase_lines[:-1]) == [f"search/{phase}/{number}" for number in range(size)]
            assert phase_lines[-1] == f"phase {phase}"
        assert lines == []


def test_another_study_begins_while_the_first_waits_for_its_last_trials(task: Task) -> None:
    log: list[str] = []
    run([Listed("a", task, [2, 1], log), Listed("b", task, [3], log)], task)
    # One worker, one trial drawn ahead: b's first trial is drawn while a's last one of the phase runs.
    assert log.index("b search/0/0") < log.index("a search/1/0")
    assert log.index("a phase 1") < log.index("b phase 0")


def test_a_study_that_finds_nothing_does_not_stop_the_others(task: Task) -> None:
    log: list[str] = []
    studies = [Listed("a", task, [1, 0, 1], log), Listed("b", task, [0], log), Listed("c", task, [2], log)]
    ended, nothing = run(studies, task)
    assert (ended, sorted(nothing)) == (["c"], ["a: nothing in a", "b: nothing in b"])


def test_open_studies_are_told_what_ended_the_campaign(task: Task) -> None:
    log: list[str] = []
    campaign = Campaign([Listed("a", task, [2], log)], lambda study: None, lambda study, error: None)
    assert campaign.next()
    campaign.abort(ValueError("the world failed"))
    assert log == ["a was told: the world failed"]
    assert campaign.open_studies == []
