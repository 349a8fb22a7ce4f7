"""What a report does not show, and how far what it shows can be trusted: in sentences, from a study's storage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from search.errors import one_line
from search.objective import Objective
from search.record import Record
from search.storage import StudyStorage
from search.trial import Purpose, State

FEW_SEEDS = 10
"""Below it an interval says little: seeds differ by several dB, and not symmetrically."""


def limits_of(storage: StudyStorage, status: Mapping[str, Any], missing: Mapping[str, str]) -> list[str]:
    """The sentences.

    Args:
        storage: of the study.
        status: as `status_of` gives it.
        missing: by heading, why a picture or a sound is not there.
    """
    trials, references, confirmations = storage.trials(), storage.references(), storage.confirmations()
    return [
        *_on_the_state(status),
        *_on_trials(trials),
        *_on_references(references, storage.facts("references")),
        *_on_seeds(confirmations, storage.facts("confirm") or 0),
        *_on_the_score(Objective(status["objective"]), status["asked"]["task"]),
        *_on_what_is_missing(missing),
    ]


def _on_the_state(status: Mapping[str, Any]) -> list[str]:
    if status["state"] == "done":
        return []
    done = sum(status["trials"].values())
    what = "the search goes on" if status["state"] == "searching" else "the found point is not confirmed yet"
    if status["state"] != "searching" and status["best"] is None:
        what = "none of them is complete"
    return [f"The study is not at its end: {done} of {status['budget']} trials have ended, and {what}."]


def _on_trials(trials: Sequence[Record]) -> list[str]:
    states = Counter(record.state for record in trials)
    sentences = []
    if states[State.PRUNED]:
        sentences.append(
            f"{states[State.PRUNED]} of {len(trials)} trials were stopped early: pictures show them at the last score "
            "that they had, and the surrogate does not know them."
        )
    failed = [record for record in trials if record.state is State.FAILED]
    if failed:
        sentences.append(f"{len(failed)} of {len(trials)} trials failed and stand in no picture: {_reasons(failed)}.")
    lost = sum(record.attempts for record in trials)
    if lost:
        sentences.append(f"Tries at trials that were lost with a worker or a session, and repeated: {lost}.")
    return sentences


def _on_references(references: Sequence[Record], shown: Mapping[str, Any] | None) -> list[str]:
    if shown is None:  # some of them are still to be fitted
        return []
    sentences = []
    rates = Counter(record.label for record in references)
    tuned = [name for name in shown if rates[name] > 1]
    if tuned:
        sentences.append(
            f"{', '.join(tuned)}: the learning rate, which they leave open, was tried at several values on the "
            "search's seed, and the best one alone is shown."
        )
    failed = sorted({record.label for record in references} - set(shown))
    if failed:
        sentences.append(f"Every fit of {', '.join(failed)} failed: there is no row of it.")
    return sentences


def _on_seeds(confirmations: Sequence[Record], confirm: int) -> list[str]:
    failed = [record for record in confirmations if record.state is State.FAILED]
    fits = "1 fit" if len(failed) == 1 else f"{len(failed)} fits"
    sentences = [f"{fits} on fresh seeds failed: {_reasons(failed)}."] if failed else []
    if confirm == 0:
        return [
            *sentences,
            "Nothing was confirmed on fresh seeds: all numbers are those of one seed, by which the found point was "
            "chosen among many, and are too high by some dB.",
        ]
    if all(record.purpose != Purpose.CONFIRM for record in confirmations):
        return sentences
    if confirm == 1:
        return [*sentences, "One fresh seed gives neither a deviation nor an interval."]
    few = f" {confirm} seeds are few: raise --confirm where a decision hangs on it." if confirm < FEW_SEEDS else ""
    return [
        *sentences,
        f"Intervals are paired t intervals over the same {confirm} seeds; the spread over seeds is not symmetric.{few}",
    ]


def _on_the_score(objective: Objective, task: str) -> list[str]:
    if objective is not Objective.FIT:
        return [
            "Held-out PSNR is a validation score: trials, learning rates and the found point were chosen by it, and no "
            "sample is left that chose nothing."
        ]
    if task == "fit":
        return ["PSNR is that of the samples that were trained on: it says nothing of what the network does between."]
    return ["The objective is PSNR over the trained samples: held-out samples chose nothing."]


def _on_what_is_missing(missing: Mapping[str, str]) -> list[str]:
    headings: dict[str, list[str]] = {}
    for heading, why in missing.items():
        headings.setdefault(why, []).append(heading)
    return [f"{', '.join(those)}: not shown, since {why}." for why, those in headings.items()]


def _reasons(records: Sequence[Record]) -> str:
    counts = Counter(one_line(record.reason) or "no reason is known" for record in records)
    return "; ".join(f"{reason} ({count})" for reason, count in counts.most_common())
