"""What must hold of a store after a storm, whatever died."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from search.driver import MAX_DEATHS
from search.record import Record
from search.storage import CONFIRMATIONS, REFERENCES, StudyStorage, open_storage, study_names
from search.trial import State


@dataclass(frozen=True, kw_only=True)
class Table:
    """A study after its end.

    Attributes:
        name: of the study.
        trials, references, confirmations: as storage holds them.
        found: number of the recommended point.
    """

    name: str
    trials: list[Record]
    references: list[Record]
    confirmations: list[Record]
    found: int

    @property
    def fit_seconds(self) -> float:
        """Of all fits that count."""
        return sum(record.fit_seconds for record in (*self.trials, *self.references, *self.confirmations))

    def without_times(self) -> list[dict[str, Any]]:
        """The trials, but for what no two runs share."""
        timed = {"fit_seconds", "started", "ended", "attempts"}
        return [{key: value for key, value in vars(trial).items() if key not in timed} for trial in self.trials]


def tables(store: Path, url: str | None = None) -> list[Table]:
    """The studies of a store, or of the database at `url`."""
    storage = open_storage(store, url, to_write=False)
    return [_table(storage, name) for name in study_names(storage)]


def _table(storage: BaseStorage, name: str) -> Table:
    study = StudyStorage(storage, name)
    return Table(
        name=name,
        trials=study.trials(),
        references=study.references(),
        confirmations=study.confirmations(),
        found=study.facts("found"),
    )


def violations(store: Path, budget: int, url: str | None = None) -> Iterator[str]:
    """What does not hold, one line each: trials lost, told twice or left open, in storage and in the folder.

    A database, at `url`, refuses to be told twice, and keeps no log of it.
    """
    storage = open_storage(store, url, to_write=False)
    ended = _ends_by_trial(store / "journal.log") if url is None else None
    for name in study_names(storage):
        table = _table(storage, name)
        numbers = [trial.number for trial in table.trials if trial.key.startswith("search/")]
        if len(numbers) != budget:
            yield f"{name}: {len(numbers)} trials told, {budget} asked"
        if len(set(numbers)) != len(numbers):
            yield f"{name}: a number twice among {numbers}"
        for trial in table.trials:
            if trial.state is State.FAILED and not is_worn_out(trial):
                yield f"{name}: trial {trial.number} failed: {trial.reason}"
        for part, records in (("references", table.references), ("confirmations", table.confirmations)):
            doubled = [key for key, count in Counter(record.key for record in records).items() if count > 1]
            if doubled:
                yield f"{name}/{part}: twice: {doubled}"
        for full in (name, f"{name}/{REFERENCES}", f"{name}/{CONFIRMATIONS}"):
            for trial in storage.get_all_trials(storage.get_study_id_from_name(full), deepcopy=False):
                if trial.state is TrialState.RUNNING:
                    yield f"{full}: trial {trial.number} is still RUNNING"
                elif ended is not None and ended[trial._trial_id] != 1:
                    yield f"{full}: trial {trial.number} was told {ended[trial._trial_id]} times"
    for path in (store / "studies").rglob("checkpoints/*"):
        yield f"{path} was left behind"


def is_worn_out(trial: Record) -> bool:
    """Whether it failed as it must: its worker died again and again without its getting on in between."""
    return trial.state is State.FAILED and trial.attempts >= MAX_DEATHS and trial.reason.startswith("its worker died")


def _ends_by_trial(journal: Path) -> Counter[int]:
    """How often each trial was given an end. Ids are given in the order of creation."""
    ends: Counter[int] = Counter()
    next_id = 0
    for line in journal.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["op_code"] == JournalOperation.CREATE_TRIAL:
            ends[next_id] += TrialState(entry.get("state", TrialState.RUNNING)).is_finished()
            next_id += 1
        elif entry["op_code"] == JournalOperation.SET_TRIAL_STATE_VALUES:
            ends[entry["trial_id"]] += TrialState(entry["state"]).is_finished()
    return ends
