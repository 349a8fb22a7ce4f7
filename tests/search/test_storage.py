"""Optuna's storage as the truth: create, resume, refuse, recover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from search.errors import SpecError, StorageError, StudyError
from search.storage import StudyStorage, open_storage, record_of, rung_scores, study_names
from search.trial import Attempt, Loss, Outcome, Purpose, Score, State, TrialBuilder, TrialSpec
from spaces.catalog import build_space
from spaces.space import Space
from trainers.config import Progress, Status
from trainers.signals import Signal

FINGERPRINT = {"objective": "fit", "steps": 40, "seed": 0, "rungs": (20,)}


@pytest.fixture
def space(signal: Signal) -> Space:
    return build_space("siren2", signal.spectrum(), width=16)


@pytest.fixture
def study() -> StudyStorage:
    return StudyStorage.create_or_resume(InMemoryStorage(), "c/clip-123456", FINGERPRINT)


def outcome_of(spec: Any, state: State = State.COMPLETE, psnr_db: float | None = 30.5, **more: Any) -> Outcome:
    progress = Progress(
        step=40,
        status=Status.DONE,
        psnr_db=psnr_db,
        snr_db=psnr_db,
        best_step=39,
        curve=[(0, 11.0), (39, 30.5)],
        fit_seconds=0.25,
    )
    return Outcome(spec=spec, state=state, progress=progress, started=1.0, ended=2.0, **more)


def propose(study: StudyStorage, space: Space, builder: TrialBuilder) -> tuple[int, TrialSpec]:
    """A proposed trial's id in storage, and its spec."""
    proposal = study.history(space, 0).propose()
    key, label = f"search/{proposal.number}", f"#{proposal.number}"
    spec = builder.build(key, label=label, space=space, point=dict(proposal.point))
    return study.begin(proposal, spec), spec


def test_a_told_trial_comes_back_as_its_record(study: StudyStorage, space: Space, builder: TrialBuilder) -> None:
    trial, spec = propose(study, space, builder)
    attempts = (Attempt(loss=Loss.WORKER, failure="gone", step=3, lost_seconds=1.5),)
    told = study.tell(trial, outcome_of(spec, rung_scores={20: Score(22.0)}, attempts=attempts))
    [record] = study.trials()
    assert record == record_of(told)
    assert (record.key, record.label, record.number) == ("search/0", "#0", 0)
    assert (record.point, record.seed, record.purpose) == (spec.point, spec.seed, Purpose.SEARCH)
    assert (record.psnr_db, record.curve, record.attempts) == (30.5, [(0, 11.0), (39, 30.5)], 1)
    frozen = study.search.trials[0]
    assert (frozen.state, frozen.value, frozen.intermediate_values) == (TrialState.COMPLETE, 30.5, {20: 22.0})


@pytest.mark.parametrize(
    ("state", "psnr_db", "expected"),
    [(State.PRUNED, 21.0, (TrialState.PRUNED, 21.0)), (State.FAILED, None, (TrialState.FAIL, None))],
)
def test_a_trial_that_did_not_complete_is_never_told_as_complete(
    study: StudyStorage, space: Space, builder: TrialBuilder, state: State, psnr_db: float, expected: Any
) -> None:
    trial, spec = propose(study, space, builder)
    study.tell(trial, outcome_of(spec, state, psnr_db))
    frozen = study.search.trials[0]
    assert (frozen.state, frozen.value) == expected


def test_running_trials_are_found_again_with_their_spec(
    study: StudyStorage, space: Space, builder: TrialBuilder
) -> None:
    trial, spec = propose(study, space, builder)
    study.report(trial, {20: Score(22.0)})
    again = StudyStorage(study.search._storage, study.name)
    [frozen] = again.unfinished()
    facts = frozen.user_attrs["spec"]
    assert (frozen.number, facts["point"], facts["seed"]) == (0, spec.point, spec.seed)
    assert rung_scores(frozen) == {20: Score(22.0)}
    again.tell(frozen._trial_id, outcome_of(spec))
    assert again.unfinished() == []


def test_a_reference_is_told_once_and_is_not_a_trial(study: StudyStorage, space: Space, builder: TrialBuilder) -> None:
    point = space.complete({})
    spec = builder.build("references/winner/lr=0.0001", label="winner", space=space, point=point)
    record = study.add_reference(outcome_of(spec))
    study.tell_reference(space, record, width=16, depth=2)
    study.tell_reference(space, record, width=16, depth=2)
    assert len(study.search.trials) == 1
    assert study.search.trials[0].value == record.psnr_db
    assert study.trials() == []
    assert study.references() == [record]


def test_a_reference_of_a_space_that_the_searched_one_contains_is_told_as_its_point(
    study: StudyStorage, space: Space, builder: TrialBuilder, signal: Signal
) -> None:
    spec = builder.build("references/winner/lr=0.0001", label="winner", space=space, point=space.complete({}))
    record = study.add_reference(outcome_of(spec))
    whole = build_space("any", signal.spectrum(), width=16)
    study.tell_reference(whole, record, width=16, depth=2)
    [told] = study.search.trials
    assert told.user_attrs["point"] == {"architecture": "siren2", **record.point}
    assert set(told.params) == {"architecture", "siren2.bandwidth", "siren2.root_s1", "siren2.lr"}
    siren = build_space("siren", signal.spectrum(), width=16)
    study.tell_reference(siren, record, width=16, depth=2)
    assert len(study.search.trials) == 1


def test_a_reference_outside_the_search_range_is_not_told(
    study: StudyStorage, space: Space, builder: TrialBuilder
) -> None:
    spec = builder.build(
        "references/far/lr=1",
        label="far",
        space=space,
        point={"s0": 1e9, "s1": 0.1, "lr": 1e-3},
    )
    study.tell_reference(space, study.add_reference(outcome_of(spec)), width=16, depth=2)
    assert study.search.trials == []


def test_the_same_fingerprint_resumes_and_another_is_refused_with_what_differs(study: StudyStorage) -> None:
    storage = study.search._storage
    StudyStorage.create_or_resume(storage, study.name, dict(FINGERPRINT))
    with pytest.raises(StudyError, match="holds another experiment \\(steps: 40 there, 50 asked\\)"):
        StudyStorage.create_or_resume(storage, study.name, {**FINGERPRINT, "steps": 50})
    with pytest.raises(StudyError, match="width: null there, 3 asked"):
        StudyStorage.create_or_resume(storage, study.name, {**FINGERPRINT, "width": 3})


def test_a_study_of_another_format_is_refused(study: StudyStorage) -> None:
    study.search.set_user_attr("format", 99)
    with pytest.raises(StudyError, match="must be of format 3, but it is of format 99"):
        StudyStorage(study.search._storage, study.name)


def test_siblings_are_not_listed(study: StudyStorage) -> None:
    assert study_names(study.search._storage) == ["c/clip-123456"]
    with pytest.raises(StudyError, match="there is no study 'other'"):
        StudyStorage(study.search._storage, "other")


def test_a_line_that_a_crash_tore_is_cut_and_nothing_before_or_after_is_lost(
    tmp_path: Path, space: Space, builder: TrialBuilder
) -> None:
    first = StudyStorage.create_or_resume(open_storage(tmp_path, None), "c/a", FINGERPRINT)
    trial, spec = propose(first, space, builder)
    first.tell(trial, outcome_of(spec))
    journal = tmp_path / "journal.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker_id": "torn')
    second = StudyStorage(open_storage(tmp_path, None), "c/a")
    assert len(second.trials()) == 1
    trial, spec = propose(second, space, builder)
    second.tell(trial, outcome_of(spec))
    third = StudyStorage(open_storage(tmp_path, None), "c/a")
    assert [record.number for record in third.trials()] == [0, 1]


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="must be a writable folder"):
        open_storage(tmp_path / "file", None)
    with pytest.raises(SpecError, match="storage must be sqlite"):
        open_storage(tmp_path, "nonsense://x")


def test_sqlite_holds_a_study_as_the_journal_does(tmp_path: Path, space: Space, builder: TrialBuilder) -> None:
    def fill(storage: BaseStorage) -> list[Any]:
        study = StudyStorage.create_or_resume(storage, "c/a", FINGERPRINT)
        for _ in range(3):
            trial, spec = propose(study, space, builder)
            study.tell(trial, outcome_of(spec))
        return StudyStorage(storage, "c/a").trials()

    journal = fill(open_storage(tmp_path, None))
    assert fill(open_storage(tmp_path, f"sqlite:///{tmp_path}/optuna.db")) == journal
