"""Confirmation: points that are refitted on fresh seeds; `selection` chooses by some, others judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.objective import Objective, eligible, ranked_by
from search.record import Record
from search.references import Reference, best_of, untuned_of
from search.trial import Purpose, State, TrialBuilder, TrialSpec
from spaces.space import Space


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A point to be refitted on fresh seeds.

    Attributes:
        label: `#17`, or a reference's name.
        record: of the trial or reference fit that brought it here.
        space: that its point is of.
    """

    label: str
    record: Record
    space: Space

    def spec(self, builder: TrialBuilder, purpose: Purpose, repeat: int, *, keep: bool = False) -> TrialSpec:
        """The trial on one of the purpose's seeds."""
        return builder.build(
            f"{purpose}/{self.label}/{repeat}",
            label=self.label,
            space=self.space,
            point=self.record.point,
            purpose=purpose,
            repeat=repeat,
            keep=keep,
        )

    def specs(self, builder: TrialBuilder, purpose: Purpose, repeats: int, *, keep: bool = False) -> list[TrialSpec]:
        """One trial for each seed."""
        return [self.spec(builder, purpose, repeat, keep=keep) for repeat in range(repeats)]


def ranked_trials(trials: Sequence[Record], objective: Objective, prediction_db: float | None) -> list[Record]:
    """The trials that ran to their end with a score, best first.

    With two objectives, those alone that fit about as well as the best prediction (`eligible`).
    """
    complete = [record for record in trials if record.state is State.COMPLETE]
    return ranked_by(objective, eligible(complete, prediction_db) if objective is Objective.BOTH else complete)


def judged(references: Sequence[Reference], records: Sequence[Record], objective: Objective) -> list[Candidate]:
    """Every reference at its best learning rate."""
    best = [(reference, best_of(reference, records, objective)) for reference in references]
    return [
        Candidate(label=reference.name, record=record, space=reference.space)
        for reference, record in best
        if record is not None
    ]


def untuned(references: Sequence[Reference], records: Sequence[Record], objective: Objective) -> list[Candidate]:
    """Predictions at the papers' learning rate, where they leave it open and another one is their best."""
    pairs = [(each, untuned_of(each, records), best_of(each, records, objective)) for each in references]
    return [
        Candidate(label=untuned_label(reference.name), record=record, space=reference.space)
        for reference, record, best in pairs
        if record is not None and record != best and record.state is not State.FAILED
    ]


def untuned_label(name: str) -> str:
    """What a prediction is called at the papers' learning rate."""
    return f"{name}, untuned"


def seed_values(
    label: str, purpose: Purpose, confirmations: Sequence[Record], objective: Objective
) -> dict[int, float]:
    """The objective's score in dB by repeat, of the fits that brought one."""
    own = [record for record in confirmations if record.label == label and record.purpose == purpose]
    scores = {record.repeat: objective.score_db(record) for record in own}
    return {repeat: score for repeat, score in scores.items() if score is not None}
