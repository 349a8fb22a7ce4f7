"""Search trials as the driver's source: ask ahead, judge at rungs, tell; an interrupted trial comes back first."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from search.checkpoints import Checkpoints
from search.driver import Drawn
from search.errors import StorageError
from search.objective import Objective
from search.record import Record
from search.rungs import Standing, is_among_best, standing_of
from search.storage import StudyStorage, lost_attempts, record_of, rung_scores
from search.trial import Attempt, Loss, Outcome, Score, TrialBuilder, TrialSpec
from spaces.space import Space
from trainers.config import Curve, Progress

BATCH = 4
"""Trials of a deterministic batch: proposed together and told together, in order of number."""


class Proposals:
    """The proposed trials of one study.

    Args:
        storage: of the study.
        space: where points come from.
        builder: of TrialSpecs.
        budget: points to propose in all, those of earlier sessions included.
        objective: by which they are judged there.
        rungs: steps at which trials are judged.
        deterministic: propose and tell in batches of four, and judge against earlier batches alone, so that
            neither placement nor timing has a say.
        checkpoints: where states of running trials are kept.
        finished: called with the record of each trial that ended, and its outcome.
    """

    def __init__(
        self,
        storage: StudyStorage,
        space: Space,
        builder: TrialBuilder,
        *,
        budget: int,
        objective: Objective,
        rungs: tuple[int, ...],
        deterministic: bool,
        checkpoints: Checkpoints,
        finished: Callable[[Record, Outcome], None],
    ) -> None:
        self._storage = storage
        self._space = space
        self._builder = builder
        self._budget = budget
        self._objective = objective
        self._rungs = rungs
        self._deterministic = deterministic
        self._checkpoints = checkpoints
        self._finished = finished
        self._at_rung: dict[int, list[Standing]] = {rung: [] for rung in rungs}
        self._history = storage.history(space, builder.study_seed)
        self._trial_ids: dict[str, int] = {}
        self._passed: dict[str, dict[int, Score]] = {}
        self._untold: list[Outcome] = []
        told = storage.trials()
        self._told = len(told)
        # A driver that died while it told a batch: the rest of that batch must not be judged against what was told.
        whole = BATCH * (self._told // BATCH) if deterministic else self._told
        for record in told[:whole]:
            self._count_rungs(record.rung_scores, record.curve)
        self._uncounted = [(record.rung_scores, record.curve) for record in told[whole:]]
        self._resumed = deque(storage.unfinished())
        self._asked = self._told + len(self._resumed)

    @property
    def told(self) -> int:
        """Proposed points that ended, in this session or earlier."""
        return self._told

    def next(self) -> Drawn | None:
        """An interrupted trial, else a new proposal, else None: budget spent, or the batch is not told yet."""
        if self._resumed:
            return self._resume(self._resumed.popleft())
        batch_end = BATCH * (self._told // BATCH + 1) if self._deterministic else self._budget
        if self._asked >= min(self._budget, batch_end):
            return None
        proposal = self._history.propose()
        self._asked += 1
        spec = self._spec_of(proposal.number, proposal.point)
        self._trial_ids[spec.key] = self._storage.begin(proposal, spec)
        return Drawn(spec=spec)

    def goes_on(self, spec: TrialSpec, rung: int, progress: Progress) -> bool:
        """Successive halving from memory: whether the trial is heading for the best share of those seen here."""
        assert progress.psnr_db is not None
        score = Score(progress.psnr_db, progress.held_psnr_db)
        self._passed[spec.key] = {**self._passed.get(spec.key, {}), rung: score}  # anew: the clerk may be reading it
        standing = standing_of(self._objective, progress.curve, progress, rung, spec.fit.steps)
        seen = self._at_rung[rung]
        if not self._deterministic:
            insort(seen, standing)
            return is_among_best(standing, seen)
        return is_among_best(standing, sorted([*seen, standing]))

    def save_checkpoint(self, spec: TrialSpec, data: bytes) -> None:
        """Keep a running trial's state in the store's folder; in storage, first, the scores of the rungs before it."""
        if spec.key in self._passed:
            self._storage.report(self._trial_ids[spec.key], self._passed[spec.key])
        self._checkpoints.write(spec.key, data)

    def save_attempts(self, spec: TrialSpec, attempts: Sequence[Attempt]) -> None:
        """Keep them in storage, with its running trial."""
        self._storage.report_attempts(self._trial_ids[spec.key], attempts)

    def finish(self, outcome: Outcome) -> None:
        """Tell Optuna, at once or, in deterministic mode, when the batch is complete."""
        self._untold.append(outcome)
        if self._deterministic:
            size = min(BATCH, self._budget - BATCH * (self._told // BATCH))
            if self._told % BATCH + len(self._untold) < size:
                return
        self._untold.sort(key=lambda outcome: self._trial_ids[outcome.spec.key])
        for told in self._untold:
            self._tell(told)
        self._untold.clear()

    def _resume(self, frozen: FrozenTrial) -> Drawn:
        if "spec" not in frozen.user_attrs:
            raise StorageError(f"trial {frozen.number} must hold its spec: an earlier version left it half-proposed")
        spec = self._spec_of(frozen.number, frozen.user_attrs["spec"]["point"])
        self._trial_ids[spec.key] = frozen._trial_id
        ended = Attempt(loss=Loss.DRIVER, failure="its session ended", step=0, lost_seconds=None)
        attempts = (*lost_attempts(frozen), ended)
        self._storage.report_attempts(frozen._trial_id, attempts)
        known = {rung: score for rung, score in rung_scores(frozen).items() if rung in self._rungs}
        if known:
            self._passed[spec.key] = dict(known)
        checkpoint = self._checkpoints.read(spec.key)
        return Drawn(spec=spec, checkpoint=checkpoint, rung_scores=known, attempts=attempts)

    def _spec_of(self, number: int, point: Mapping[str, Any]) -> TrialSpec:
        return self._builder.build(
            f"search/{number}", label=f"#{number}", space=self._space, point=self._space.check(point), rungs=self._rungs
        )

    def _tell(self, outcome: Outcome) -> None:
        frozen = self._storage.tell(self._trial_ids.pop(outcome.spec.key), outcome)
        self._history.tell(frozen)
        record = record_of(frozen)
        self._passed.pop(outcome.spec.key, None)
        self._told += 1
        if self._deterministic:
            self._uncounted.append((outcome.rung_scores, record.curve))
            if self._told % BATCH == 0:
                for scores, curve in self._uncounted:
                    self._count_rungs(scores, curve)
                self._uncounted.clear()
        self._checkpoints.delete(outcome.spec.key)
        self._finished(record, outcome)

    def _count_rungs(self, scores: Mapping[int, Score], curve: Curve) -> None:
        for rung, score in scores.items():
            insort(self._at_rung[rung], standing_of(self._objective, curve, score, rung, self._builder.steps))
