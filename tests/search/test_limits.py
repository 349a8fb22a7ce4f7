"""What a report says it does not show, from studies of every ending."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.storages import InMemoryStorage

from search.limits import limits_of
from search.storage import StudyStorage
from search.trial import Attempt, Loss, Outcome, Purpose, State, TrialBuilder
from spaces.catalog import build_space
from spaces.space import Space
from trainers.signals import Signal


@pytest.fixture
def space(signal: Signal) -> Space:
    return build_space("siren2", signal.spectrum(), width=16)


@pytest.fixture
def study() -> StudyStorage:
    return StudyStorage.create_or_resume(InMemoryStorage(), "c/clip-123456", {"objective": "fit", "steps": 40})


def status(**more: Any) -> dict[str, Any]:
    plain = {"state": "done", "budget": 4, "trials": {"complete": 4}, "best": {}, "objective": "fit"}
    return {**plain, "asked": {"task": "fit"}, **more}


def sentences(study: StudyStorage, confirm: int = 20, **more: Any) -> str:
    study.set_facts("confirm", confirm)
    return "\n".join(limits_of(study, status(**more), {}))


def end(study: StudyStorage, space: Space, builder: TrialBuilder, state: State, **more: Any) -> None:
    proposal = study.history(space, 0).propose()
    spec = builder.build(f"search/{proposal.number}", label="#", space=space, point=dict(proposal.point))
    study.tell(study.begin(proposal, spec), Outcome(spec=spec, state=state, progress=None, **more))


def test_trials_that_failed_or_were_lost_are_counted_with_their_reasons(
    study: StudyStorage, space: Space, builder: TrialBuilder
) -> None:
    lost = Attempt(loss=Loss.WORKER, failure="gone", step=3, lost_seconds=None)
    for reason in ("out of memory", "not finite\nat step 3", "out of memory"):
        end(study, space, builder, State.FAILED, reason=reason, attempts=(lost,))
    end(study, space, builder, State.PRUNED)
    text = sentences(study)
    assert "3 of 4 trials failed and stand in no picture: out of memory (2); not finite at step 3 (1)." in text
    assert "1 of 4 trials were stopped early" in text
    assert "were lost with a worker or a session, and repeated: 3." in text


def test_references_that_failed_or_were_tuned_are_named(
    study: StudyStorage, space: Space, builder: TrialBuilder
) -> None:
    point = space.complete({})
    for label, state in (("winner", State.PRUNED), ("winner", State.PRUNED), ("fresh", State.FAILED)):
        spec = builder.build(f"references/{label}", label=label, space=space, point=point)
        study.add_reference(Outcome(spec=spec, state=state, progress=None))
    assert "every fit" not in sentences(study).lower()  # others may be on their way
    study.set_facts("references", {"winner": {}})
    text = sentences(study)
    assert "winner: the learning rate, which they leave open, was tried at several values" in text
    assert "Every fit of fresh failed: there is no row of it." in text


def test_fits_on_fresh_seeds_that_failed_are_counted(study: StudyStorage, space: Space, builder: TrialBuilder) -> None:
    spec = builder.build("confirm/#1/0", label="#1", space=space, point=space.complete({}), purpose=Purpose.CONFIRM)
    study.add_confirmation(Outcome(spec=spec, state=State.FAILED, progress=None, reason="it diverged"))
    assert "1 fit on fresh seeds failed: it diverged (1)." in sentences(study)


@pytest.mark.parametrize(
    ("confirm", "said", "not_said"),
    [
        (0, "Nothing was confirmed on fresh seeds", "interval"),
        (1, "One fresh seed gives neither a deviation nor an interval", "paired"),
        (5, "5 seeds are few", "Nothing was confirmed"),
        (20, "paired t intervals over the same 20 seeds", "are few"),
    ],
)
def test_how_far_the_seeds_go_is_said(
    study: StudyStorage, space: Space, builder: TrialBuilder, confirm: int, said: str, not_said: str
) -> None:
    assert "interval" not in sentences(study, confirm)
    for repeat in range(confirm):
        spec = builder.build(
            "key", label="#1", space=space, point=space.complete({}), purpose=Purpose.CONFIRM, repeat=repeat
        )
        study.add_confirmation(Outcome(spec=spec, state=State.PRUNED, progress=None))
    text = sentences(study, confirm)
    assert said in text
    assert not_said not in text


@pytest.mark.parametrize(
    ("objective", "task", "said"),
    [
        ("holdout", "holdout", "Held-out PSNR is a validation score"),
        ("both", "upsample", "Held-out PSNR is a validation score"),
        ("fit", "holdout", "held-out samples chose nothing"),
        ("fit", "fit", "it says nothing of what the network does between"),
    ],
)
def test_what_the_score_is_worth_is_said(study: StudyStorage, objective: str, task: str, said: str) -> None:
    assert said in sentences(study, objective=objective, asked={"task": task})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"state": "searching", "trials": {"complete": 1}}, "1 of 4 trials have ended, and the search goes on"),
        ({"state": "confirming"}, "4 of 4 trials have ended, and the found point is not confirmed yet"),
        ({"state": "confirming", "best": None}, "4 of 4 trials have ended, and none of them is complete"),
    ],
)
def test_a_study_before_its_end_says_so(study: StudyStorage, more: dict[str, Any], said: str) -> None:
    assert said in sentences(study, **more)
    assert "not at its end" not in sentences(study)
