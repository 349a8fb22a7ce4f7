"""Propose every point of a study again: in the order of its log, from its seed, without a fit; compare bit for bit."""

from __future__ import annotations

from typing import Any

from optuna.trial import FrozenTrial

from search.errors import StorageError, StudyError
from search.searched import space_of
from search.storage import STORAGE_FORMAT, StudyStorage, storage_errors
from spaces.space import Space


@storage_errors()
def replay(study: StudyStorage) -> dict[str, Any]:
    """How many of a study's proposals agree with those that the sampler gives now, and the first that does not.

    Each proposal is stored with what the sampler had seen (`Proposal.seen`), each end with its order. A proposal that
    differs is put right before the next one is drawn.

    Returns:
        study, proposals (how many), agree (how many), first_difference: None, or number, stored and proposed (points).

    Raises:
        StudyError: the study was written without a log, or its space cannot be rebuilt here.
        StorageError: the log has a hole.
    """
    space, seed = _replayed_space(study), study.facts("fingerprint")["seed"]
    drawn = [trial for trial in study.search.get_trials(deepcopy=False) if "spec" in trial.user_attrs]
    ends = _ends(study, drawn)
    agree, num_told, since, first = 0, 0, None, None
    for trial in drawn:
        seen = trial.user_attrs["seen"]
        if seen["since"] != since:
            since = seen["since"]
            history, num_told = study.history_as_it_was(space, seed, since), since[0]
        for order in range(num_told, seen["tells"]):
            try:
                history.tell(ends[order])
            except LookupError:
                raise _hole(study, f"trial {trial.number} has seen end {order}, of no trial that ran") from None
        num_told = seen["tells"]
        proposal = history.propose()
        if proposal.number != trial.number:
            raise _hole(study, f"trial {proposal.number} is missing")
        stored = trial.user_attrs["spec"]["point"]
        if proposal.params == trial.params and dict(proposal.point) == stored:
            agree += 1
            continue
        history.put_right(trial)
        first = first or {"number": trial.number, "stored": stored, "proposed": dict(proposal.point)}
    return {"study": study.name, "proposals": len(drawn), "agree": agree, "first_difference": first}


def _ends(study: StudyStorage, drawn: list[FrozenTrial]) -> list[FrozenTrial]:
    """Trials in the order in which they ended."""
    ended = sorted(
        (trial for trial in drawn if trial.state.is_finished()), key=lambda trial: trial.user_attrs["outcome"]["order"]
    )
    for order, trial in enumerate(ended):
        found = trial.user_attrs["outcome"]["order"]
        if found != order:
            raise _hole(study, f"the end of trial {trial.number} has number {found} in place of {order}")
    return ended


def _hole(study: StudyStorage, what: str) -> StorageError:
    return StorageError(f"the log of study {study.name!r} must be whole to be replayed, but {what}")


def _replayed_space(study: StudyStorage) -> Space:
    found = study.facts("format")
    if found != STORAGE_FORMAT:
        raise StudyError(
            f"study {study.name!r} must be of format {STORAGE_FORMAT} to be replayed, but is of format {found}, which "
            "lacks the order in which trials ended, what each proposal had seen, and the signal's spectrum"
        )
    return space_of(study)
