"""What the sampler sees of a study: a copy in memory, bounded however long the study is.

All running trials, the best and the latest told: a function of which trials were told, so that a resumed study
proposes what an undisturbed one would have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.suggest import ask
from spaces.parameters import Value
from spaces.space import Space

BLOCK = 256
"""Told trials after which older ones are left out: the sampler sees them all up to twice as many, and from then on the
latest one or two blocks. Its time grows with what it sees."""

NUM_BEST = 64
"""Of the older ones, so many best stay. The sampler models its good ones on the best 25 of a study of one objective:
these are always among them."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What the sampler proposes.

    Attributes:
        number: of the trial within its study.
        params, distributions: search coordinates, as Optuna keeps them.
        point: what they mean.
        seen: what the sampler had seen, JSON-able: `tells` proposed trials that had ended, `since` a session that began
            when so many had ended and so many trials, references included, were there (see `as_they_were`).
    """

    number: int
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    point: Mapping[str, Value]
    seen: Mapping[str, Any] = field(compare=False)


def num_tells(trials: Sequence[FrozenTrial]) -> int:
    """How many proposed trials have ended, failed ones included and told references not."""
    return sum(trial.state.is_finished() and "spec" in trial.user_attrs for trial in trials)


def as_they_were(trials: Sequence[FrozenTrial], tells: int, num: int) -> list[FrozenTrial]:
    """The first `num` trials of a study, by number, as they were when so many proposed ones had ended.

    Which had is told by their outcomes' "order"; references are told as they are made.
    """
    return [trial if _had_ended(trial, tells) else _as_running(trial) for trial in trials[:num]]


def _had_ended(trial: FrozenTrial, tells: int) -> bool:
    if "spec" not in trial.user_attrs:
        return True
    return trial.state.is_finished() and int(trial.user_attrs["outcome"]["order"]) < tells


def _as_running(trial: FrozenTrial) -> FrozenTrial:
    running = create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
    )
    running.number = trial.number
    return running


class History:
    """The trials that the sampler sees.

    Args:
        space: where points come from.
        study_seed: of the draws.
        directions: of the study's values.
        trials: of the study so far, running ones too, by number.
    """

    def __init__(
        self, space: Space, study_seed: int, directions: Sequence[StudyDirection], trials: Sequence[FrozenTrial]
    ) -> None:
        self._space = space
        self._study_seed = study_seed
        self._directions = list(directions)
        self._next_number = len(trials)
        self._num_tells = num_tells(trials)
        self._since = [self._num_tells, len(trials)]
        told = [_seen(trial) for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        self._num_told = len(told)
        self._running = {trial.number: _seen(trial) for trial in trials if not trial.state.is_finished()}
        self._told: list[FrozenTrial] = []
        num_old = max(0, BLOCK * (self._num_told // BLOCK - 1))
        for start in range(0, num_old, BLOCK):
            self._told = self._best([*self._told, *told[start : start + BLOCK]])
        self._told += told[num_old:]
        self._study = self._build()

    def propose(self) -> Proposal:
        """A point that runs from now on."""
        number = self._next_number
        trial, point = ask(self._study, self._space, self._study_seed, number)
        self._next_number += 1
        self._trial_ids[number] = trial._trial_id
        self._running[number] = _seen(trial._get_latest_trial(), number)
        return Proposal(
            number=number,
            params=trial.params,
            distributions=trial.distributions,
            point=point,
            seen={"tells": self._num_tells, "since": self._since},
        )

    def tell(self, trial: FrozenTrial) -> None:
        """A running trial of the study, as it ended."""
        del self._running[trial.number]
        self._num_tells += 1
        trial_id, storage = self._trial_ids.pop(trial.number), self._study._storage
        for step, value in trial.intermediate_values.items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        storage.set_trial_state_values(trial_id, trial.state, trial.values)
        if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
            return
        self._told.append(_seen(trial))
        self._num_told += 1
        if self._num_told % BLOCK == 0 and self._num_told >= 2 * BLOCK:
            self._told.sort(key=lambda told: told.number)
            self._told = [*self._best(self._told[:-BLOCK]), *self._told[-BLOCK:]]
            self._study = self._build()

    def put_right(self, trial: FrozenTrial) -> None:
        """Take a running trial as it is, where `propose` gave another: for a replay that goes on."""
        self._running[trial.number] = _seen(_as_running(trial))
        self._study = self._build()

    def _build(self) -> Study:
        """A study in memory of what is seen, in order of number: the sampler weighs later trials more."""
        study = optuna.create_study(directions=self._directions)
        self._trial_ids: dict[int, int] = {}
        for trial in sorted([*self._told, *self._running.values()], key=lambda seen: seen.number):
            trial_id = study._storage.create_new_trial(study._study_id, template_trial=trial)
            if not trial.state.is_finished():
                self._trial_ids[trial.number] = trial_id
        return study

    def _best(self, told: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The best complete ones, by number; of two objectives, front by front."""
        left = [trial for trial in told if trial.state is TrialState.COMPLETE]
        best: list[FrozenTrial] = []
        while left and len(best) < NUM_BEST:
            front = _front(left)
            kept = {trial.number for trial in front}
            best += front
            left = [trial for trial in left if trial.number not in kept]
        return sorted(best[:NUM_BEST], key=lambda trial: trial.number)


def _seen(trial: FrozenTrial, number: int | None = None) -> FrozenTrial:
    """What the sampler looks at of a trial: without the curve and everything else that it carries."""
    seen = create_trial(
        state=trial.state,
        values=trial.values,
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=trial.intermediate_values,
    )
    seen.number = trial.number if number is None else number
    return seen


def _front(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those that no other beats in all values: of one value the first that is largest."""
    front: list[FrozenTrial] = []
    for trial in sorted(trials, key=lambda trial: [-value for value in trial.values]):
        if not front or trial.values[1:] > front[-1].values[1:]:
            front.append(trial)
    return front
