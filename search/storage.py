"""Open, create and resume studies in Optuna's storage, which is the truth; refuse another experiment under a name.

A study `<name>` holds the proposed points (and the references that its space contains); its siblings
`<name>/references` and `<name>/confirmations` hold the other fits. Each trial carries two user attributes: "spec",
what was asked, and "outcome", what came of it. Names with a slash are ours: campaigns and files cannot have two.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from search.errors import StorageError, StudyError, first_line
from search.history import History, Proposal, as_they_were, num_tells
from search.journal import open_journal
from search.lock import connect_args_of, parse_storage_url
from search.objective import Objective
from search.record import Record, outcome_facts, spec_facts, to_record
from search.suggest import told_trial
from search.trial import Attempt, Loss, Outcome, Score, State, TrialSpec
from spaces.parameters import Point
from spaces.space import Space

STORAGE_FORMAT = 3
"""Of what is written into Optuna's storage; raised whenever its meaning changes."""

READ_FORMATS = (2, 3)
"""What can be shown and exported; what is older than `STORAGE_FORMAT` is not written to."""

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What a file system says that takes no more."""

DERIVED = ("space_fingerprint", "rungs", "signal_sha256")
"""Parts of a fingerprint that follow from others."""

REFERENCES = "references"
CONFIRMATIONS = "confirmations"


HALF = "half"
"""User attribute of a study that is there in part: what is happening to it, "deleted" or "restored"; else empty."""

RUNG_SCORES = "rung_scores"
"""User attribute of a running trial that has a checkpoint: scores of the rungs that it passed before."""

ATTEMPTS = "attempts"
"""User attribute of a running trial: the tries at it that were lost, as in its outcome later."""

_STATES = {State.COMPLETE: TrialState.COMPLETE, State.PRUNED: TrialState.PRUNED, State.FAILED: TrialState.FAIL}


def open_storage(store: Path, url: str | None, *, to_write: bool = True) -> BaseStorage:
    """The Optuna storage at `url`, or the journal of the store.

    Args:
        store: folder of the journal.
        url: of another storage.
        to_write: make the journal where there is none, and mend its last line where a crash tore it.

    Raises:
        StorageError: it cannot be reached or written.
    """
    with storage_errors():
        if url:
            # A connection that died while it waited, as the server was started anew, is replaced.
            engine = {"pool_pre_ping": True, "connect_args": connect_args_of(parse_storage_url(url))}
            return optuna.storages.get_storage(optuna.storages.RDBStorage(url, engine_kwargs=engine))
        journal = store.absolute() / "journal.log"
        try:
            if journal.exists() and not journal.is_file():  # a pipe would wait, a device may never end
                raise StorageError(f"{journal} must be a regular file")
            return open_journal(journal, to_write=to_write)
        except OSError as error:
            raise StorageError(f"the store {store} must be a writable folder, but: {error}") from error


@contextmanager
def storage_errors(store: Path | None = None) -> Iterator[None]:
    """Turn what Optuna, its databases and the full disk of `store` raise into a StorageError."""
    try:
        yield
    except (OptunaError, SQLAlchemyError, ImportError) as error:
        # Optuna says of what went wrong in a database only that something did.
        said = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        raise StorageError(f"the storage failed: {type(said).__name__}: {first_line(said)}") from error
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where = f"the store {store}" if store else error.filename or "a file"
        raise StorageError(f"{where} cannot be written: {error.strerror}") from error


def open_to_read(store: Path, storage_url: str | None) -> BaseStorage:
    """The storage of a store that is there.

    Raises:
        StudyError: there is no store.
        StorageError: the storage cannot be read, or is none.
    """
    if storage_url is None and not (store / "journal.log").exists():
        raise StudyError(f"there is no store at {store}")
    return open_storage(store, storage_url, to_write=False)


def study_names(storage: BaseStorage) -> list[str]:
    """The studies of a storage that are ours, oldest first."""
    # Siblings, other programs' studies and those that a crash left half-made have no format.
    return [name for name, attrs in all_names(storage).items() if "format" in attrs and not attrs.get(HALF)]


def all_names(storage: BaseStorage) -> dict[str, dict[str, Any]]:
    """The studies that are ours, those that are there in part, too, each with its facts."""
    try:
        studies = {study.study_name: dict(study.user_attrs) for study in storage.get_all_studies()}
    except ValueError as error:
        raise StorageError(f"the studies of the storage must be Optuna's, but: {first_line(error)}") from error
    return {name: attrs for name, attrs in studies.items() if "format" in attrs or HALF in attrs}


def mark_half(storage: BaseStorage, name: str, what: str) -> None:
    """Mark a study as being "deleted" or "restored", or, with an empty word, as whole."""
    storage.set_study_user_attr(storage.get_study_id_from_name(name), HALF, what)


def delete_from_storage(storage: BaseStorage, name: str) -> None:
    """Delete a study and its siblings, those of them that are there; itself last, since it has the mark."""
    known = {study.study_name: study._study_id for study in storage.get_all_studies()}
    for full in (f"{name}/{REFERENCES}", f"{name}/{CONFIRMATIONS}", name):
        if full in known:
            storage.delete_study(known[full])


def refuse_half(name: str, facts: Mapping[str, Any]) -> None:
    """Refuse a study that is there in part.

    Raises:
        StudyError: it is.
    """
    if what := facts.get(HALF):
        again = f"winnow delete {name} completes that" if what == "deleted" else "restore its archive again"
        raise StudyError(f"study {name!r} is there in part, as it was being {what}: {again}")


class StudyStorage:
    """One study and its siblings.

    Args:
        storage: where they are.
        name: `<campaign>/<stem>-<digits>`.

    Raises:
        StudyError: there is none of that name, or of another format.
    """

    def __init__(self, storage: BaseStorage, name: str) -> None:
        self.name = name
        self._storage = storage
        self._num_tells: int | None = None
        try:
            self.search, self._references, self._confirmations = (
                optuna.load_study(study_name=full, storage=storage)
                for full in (name, f"{name}/{REFERENCES}", f"{name}/{CONFIRMATIONS}")
            )
        except KeyError:
            raise StudyError(f"there is no study {name!r}") from None
        _refuse_damaged(name, self.search, self._references, self._confirmations)
        found = self.search.user_attrs.get("format")
        if found not in READ_FORMATS:
            raise _format_error(name, found)
        try:
            self.objective = Objective(self.facts("fingerprint")["objective"])
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"study {name!r} must hold what winnow wrote, but: {first_line(error)}") from error

    @classmethod
    def create_or_resume(cls, storage: BaseStorage, name: str, fingerprint: Mapping[str, Any]) -> StudyStorage:
        """The study of that name, made if it is not there.

        Raises:
            StudyError: it is there with another fingerprint.
        """
        # The search study comes last and its format last of all: what has a format is whole.
        objective = Objective(fingerprint["objective"])
        known = {study.study_name for study in storage.get_all_studies()}  # who is refused has written nothing
        refuse_half(name, all_names(storage).get(name, {}))
        for full, num in ((f"{name}/{REFERENCES}", 1), (f"{name}/{CONFIRMATIONS}", 1), (name, objective.num_values)):
            directions = [StudyDirection.MAXIMIZE] * num
            if full not in known:
                optuna.create_study(storage=storage, study_name=full, directions=directions)
        study = optuna.load_study(storage=storage, study_name=name)
        if "format" not in study.user_attrs:
            study.set_user_attr("fingerprint", _plain(fingerprint))
            study.set_user_attr("id", uuid4().hex)
            study.set_user_attr("created", datetime.now(UTC).isoformat(timespec="milliseconds"))
            study.set_user_attr("format", STORAGE_FORMAT)
        opened = cls(storage, name)
        if opened.facts("format") != STORAGE_FORMAT:
            raise _format_error(name, opened.facts("format"))
        differences = _differences(opened.facts("fingerprint"), _plain(fingerprint))
        if differences:
            raise StudyError(
                f"study {name!r} holds another experiment ({'; '.join(differences)}); choose another --name"
            )
        return opened

    def facts(self, key: str) -> Any:
        """A JSON-able fact about the study, or None."""
        return self.search.user_attrs.get(key)

    def set_facts(self, key: str, value: Any) -> None:
        """Keep a JSON-able fact about the study."""
        self.search.set_user_attr(key, _plain(value))

    def asked(self) -> dict[str, Any]:
        """What the last session asked for that may change: a study that ended once is done for these."""
        return {key: self.facts(key) for key in ("trials", "confirm")}

    def history(self, space: Space, study_seed: int) -> History:
        """What a sampler that proposes the next trials has to see."""
        return History(space, study_seed, self.search.directions, self.search.get_trials(deepcopy=False))

    def history_as_it_was(self, space: Space, study_seed: int, since: Sequence[int]) -> History:
        """What the sampler saw when a session began, as `Proposal.seen` tells of it."""
        trials = as_they_were(self.search.get_trials(deepcopy=False), *since)
        return History(space, study_seed, self.search.directions, trials)

    def begin(self, proposal: Proposal, spec: TrialSpec) -> int:
        """Keep a proposed trial with all that a later driver needs to continue it, in one piece; its id.

        Raises:
            StorageError: another process adds trials to the study.
        """
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(proposal.params),
            distributions=dict(proposal.distributions),
            user_attrs={"spec": spec_facts(spec), "seen": proposal.seen},
        )
        trial_id = self._storage.create_new_trial(self.search._study_id, template_trial=trial)
        if self._storage.get_trial(trial_id).number != proposal.number:
            raise StorageError(f"study {self.name!r} is written by another process: a study has one driver")
        return trial_id

    def unfinished(self) -> list[FrozenTrial]:
        """Proposed trials that are still RUNNING."""
        return self.search.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def report(self, trial_id: int, scores: Mapping[int, Score]) -> None:
        """A running trial's scores by rung, those of earlier sessions included."""
        self._storage.set_trial_user_attr(trial_id, RUNG_SCORES, {str(step): list(s) for step, s in scores.items()})

    def report_attempts(self, trial_id: int, attempts: Sequence[Attempt]) -> None:
        """A running trial's lost tries, those of earlier sessions included."""
        self._storage.set_trial_user_attr(trial_id, ATTEMPTS, [asdict(attempt) for attempt in attempts])

    def tell(self, trial_id: int, outcome: Outcome) -> FrozenTrial:
        """End a proposed trial. A pruned one is told with its last value, never as complete.

        Its outcome has the order in which it ended, counted from 0: a replay tells the sampler in this order.
        """
        if self._num_tells is None:
            self._num_tells = num_tells(self.search.get_trials(deepcopy=False))
        scores, progress = dict(outcome.rung_scores), outcome.progress
        if outcome.state is State.PRUNED and progress and progress.psnr_db is not None:
            scores[progress.step] = Score(progress.psnr_db, progress.held_psnr_db)
        values = self.objective.values(outcome) if outcome.state is State.COMPLETE else None
        if outcome.state is State.COMPLETE and values is None:
            outcome = replace(outcome, state=State.FAILED, reason="its held-out PSNR is not finite")
        # Optuna has reports for studies of one objective alone, and a pruned trial has the last one as its value.
        by_step = {step: self.objective.score_db(score) for step, score in sorted(scores.items())}
        reports = {step: value for step, value in by_step.items() if value is not None}
        if self.objective.num_values == 1:
            for step, value in reports.items():
                self._storage.set_trial_intermediate_value(trial_id, step, value)
            if outcome.state is State.PRUNED and reports:
                values = [reports[max(reports)]]
        facts = {**outcome_facts(outcome), "order": self._num_tells}
        self._storage.set_trial_user_attr(trial_id, "outcome", facts)
        self._storage.set_trial_state_values(trial_id, _STATES[outcome.state], values)
        self._num_tells += 1
        return self._storage.get_trial(trial_id)

    def tell_reference(self, space: Space, record: Record, *, width: int, depth: int) -> None:
        """Let the sampler learn from a reference that it could have proposed; once, and not counted as a trial.

        Args:
            space: that is searched; the reference may be of another one that it contains.
            record: of the reference.
            width, depth: of the reference's network, where its point does not name them.
        """
        point = space.translate(record.space, record.point, width=width, depth=depth)
        values = self.objective.values(record)
        if record.state is not State.COMPLETE or values is None or point is None:
            return
        if space.reason_not_proposed(point):
            return
        told = {trial.user_attrs.get("told") for trial in self.search.get_trials(deepcopy=False)}
        if record.key not in told:
            trial = told_trial(space, point, values, {"told": record.key, "point": point})
            self.search.add_trial(trial)

    def told(self) -> list[tuple[Point, float]]:
        """References that the sampler knows, as points of the searched space, with the score that ranks points, dB."""
        trials = [trial for trial in self.search.get_trials(deepcopy=False) if "told" in trial.user_attrs]
        return [(trial.user_attrs["point"], trial.values[-1]) for trial in trials]

    def add_reference(self, outcome: Outcome) -> Record:
        """Keep a finished reference fit."""
        return _add(self._references, outcome, self.objective)

    def add_confirmation(self, outcome: Outcome) -> Record:
        """Keep a finished fit on a select or confirm seed."""
        return _add(self._confirmations, outcome, self.objective)

    def trials(self) -> list[Record]:
        """Finished proposed points, by number."""
        return [record_of(t) for t in self.search.get_trials(deepcopy=False) if _is_record(t)]

    def trial(self, number: int) -> Record:
        """The finished proposed point of that number."""
        return self._record(self.search, number)

    def reference(self, number: int) -> Record:
        """The finished reference fit of that number."""
        return self._record(self._references, number)

    def references(self) -> list[Record]:
        """Finished reference fits."""
        return [record_of(t) for t in self._references.get_trials(deepcopy=False)]

    def confirmations(self) -> list[Record]:
        """Finished fits on select and confirm seeds."""
        return [record_of(t) for t in self._confirmations.get_trials(deepcopy=False)]

    def _record(self, study: Study, number: int) -> Record:
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
        return record_of(self._storage.get_trial(trial_id))


def rung_scores(trial: FrozenTrial) -> dict[int, Score]:
    """The scores of a running trial at the rungs that it passed before its checkpoint."""
    return {int(rung): Score(*score) for rung, score in trial.user_attrs.get(RUNG_SCORES, {}).items()}


def lost_attempts(trial: FrozenTrial) -> tuple[Attempt, ...]:
    """The tries at a running trial that earlier sessions lost."""
    return tuple(
        Attempt(**{**attempt, "loss": Loss(attempt["loss"])}) for attempt in trial.user_attrs.get(ATTEMPTS, [])
    )


def _add(study: Study, outcome: Outcome, objective: Objective) -> Record:
    attrs = {"spec": spec_facts(outcome.spec), "outcome": outcome_facts(outcome)}
    value = objective.score_db(outcome) if outcome.state is State.COMPLETE else None
    # A fit without a finite held-out PSNR is complete, and worth nothing: Optuna has no such state.
    state = _STATES[outcome.state] if value is not None or outcome.state is not State.COMPLETE else TrialState.FAIL
    study.add_trial(create_trial(state=state, value=value, user_attrs=attrs))
    return record_of(study.get_trials(deepcopy=False)[-1])


def _is_record(trial: FrozenTrial) -> bool:
    return trial.state.is_finished() and "spec" in trial.user_attrs and "outcome" in trial.user_attrs


def record_of(trial: FrozenTrial) -> Record:
    """A finished trial of ours.

    Raises:
        StorageError: it was not written by us.
    """
    try:
        return to_record(trial.number, trial.user_attrs["spec"], trial.user_attrs["outcome"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(f"trial {trial.number} must hold what winnow wrote, but: {first_line(error)}") from error


def _refuse_damaged(name: str, *studies: Study) -> None:
    """Optuna reads a database's trials when they are asked for, and believes what it finds.

    Raises:
        StorageError: a trial that Optuna did not write.
    """
    try:
        for study in studies:
            study.get_trials(deepcopy=False)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(f"the trials of {name!r} must be Optuna's, but: {first_line(error)}") from error


def _format_error(name: str, found: object) -> StudyError:
    return StudyError(
        f"study {name!r} must be of format {STORAGE_FORMAT}, but it is of format {found}, which another version of "
        "winnow wrote: choose another --name"
    )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    # What follows from other settings is said only where nothing else explains it.
    changed = [key for key in changed if key not in DERIVED] or changed
    return [f"{key}: {_short(old.get(key))} there, {_short(new.get(key))} asked" for key in changed]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _plain(value: Any) -> Any:
    """As JSON would give it back, so that what is compared is alike."""
    return json.loads(json.dumps(value, default=str))
