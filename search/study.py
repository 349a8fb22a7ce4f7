"""One study from its references to its recommendation, phase by phase; every phase resumes from storage."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search import diagnosis_plot
from search.campaign import Phases
from search.checkpoints import Checkpoints
from search.config import StudySpec
from search.confirm import Candidate, judged, untuned
from search.display import Display
from search.driver import Source
from search.errors import Interrupted, NothingFoundError, StudyError
from search.export import build_recipe, has_weights_of, save_recipe, save_weights
from search.fixed import FixedSource
from search.folder import CHECKPOINTS, REPORT, USAGE, diagnosis_paths, study_folder
from search.heuristics import SELECTORS
from search.objective import best_by
from search.pictures import draw_study
from search.plan import Plan
from search.proposals import Proposals
from search.record import Record
from search.references import facts_of, is_same_point
from search.report import write_study_report
from search.rungs import rungs_of
from search.searched import spectrum_facts
from search.selection import race, race_sizes
from search.status import status_of
from search.storage import StudyStorage
from search.summary import best_prediction_db, found_record, summarise
from search.tracker import StudyTracker, Tracker
from search.trial import Outcome, Purpose, TrialSpec, spell
from search.usage import Usage, append_usage, read_usage
from search.view import SHOWN, Status, shown_facts, view_of
from search.workers import Workers
from trainers.checkpoint import remove_partials, write_atomically
from trainers.config import FitResult

USAGE_SECONDS = 30.0
"""Between two looks of MLflow's at what workers use."""


class StudyRun:
    """One study from its references to its report; every phase resumes from storage.

    `phases` gives what is to be fitted, `record` what follows once all is.
    """

    def __init__(
        self,
        spec: StudySpec,
        planned: Plan,
        storage: StudyStorage,
        workers: Workers,
        tracker: Tracker,
        display: Display,
    ) -> None:
        self.name = planned.name
        self.task = planned.task.digest
        self._spec = spec
        self._plan = planned
        self._storage = storage
        self._workers = workers
        self._tracker = tracker
        self._display = display
        self._tracked: StudyTracker | None = None
        self._standing = f"{planned.name} has not begun"
        self._folder = study_folder(spec.store.store, planned.name)
        elsewhere = spec.store.checkpoints
        self._checkpoints = Checkpoints(
            f"{elsewhere.rstrip('/')}/{planned.name}" if elsewhere else str((self._folder / CHECKPOINTS).absolute())
        )
        self._usage_logged = time.monotonic()
        self._results: dict[str, FitResult] = {}
        self._is_changed = False  # by this session, so that pictures must be drawn anew

    @property
    def standing(self) -> str:
        """What is kept if it is interrupted now, in one line."""
        return self._standing

    def phases(self) -> Phases:
        """What is to be fitted, source after source: all of it, or what earlier sessions left.

        Raises:
            NothingFoundError: every trial failed.
        """
        self._checkpoints.remove_partials()
        remove_partials(self._folder)
        self._workers.share(self.task, self._plan.task)
        store = self._spec.store.store
        self._tracked = self._tracker.begin(self.name, lambda status: view_of(self._storage, store, status))
        with self._aborting():
            with self._timed("references"):
                yield from self._fit_references()
            with self._timed("search"):
                yield from self._search()
                found = yield from self._select()
            with self._timed("confirm"):
                yield from self._confirm(found)
                yield from self._fit_winner(found)

    def record(self) -> None:
        """After the last fit: the winner, pictures and the summary, to the folder and to MLflow."""
        with self._aborting():
            found = found_record(self._storage, self._storage.trials())
            assert found is not None
            self._save_winner(found)
            is_as_it_was = self._storage.facts("finished") == self._storage.asked() and (self._folder / REPORT).exists()
            if self._is_changed or not is_as_it_was:
                self._report()
            self._tracking.end()
            self.keep_run_id()
            self._storage.set_facts("finished", self._storage.asked())

    def _report(self) -> None:
        """The pictures and the page that holds them."""
        pictures, store = draw_study(self._folder, self._storage), self._spec.store
        status = {**status_of(self._storage, store.store, store.storage), "state": "done"}
        write_study_report(self._storage, self._folder, status, pictures)

    def abort(self, error: BaseException) -> None:
        """What was to follow does not: close what MLflow shows."""
        if self._spec.workers.system_metrics:
            self._log_usage()
        self._tracking.abort(Status.KILLED if isinstance(error, Interrupted) else Status.FAILED)

    def keep_facts(self) -> None:
        """What was asked that may change from session to session, for whoever looks at the storage."""
        for key, value in {
            "signal": self._plan.signal.source,
            "spectrum": spectrum_facts(self._plan.spectrum),
            "space": self._plan.space.name,
            "confirm": self._spec.search.confirm,
            "trials": self._spec.search.trials,
        }.items():
            if self._storage.facts(key) != value:
                self._storage.set_facts(key, value)
        if self._storage.facts(SHOWN) is None:
            self._storage.set_facts(SHOWN, shown_facts(self._shown()))

    def keep_usage(self, worker: int, usage: Usage) -> None:
        """What one of its workers uses of its machine: to the folder, and from time to time to MLflow."""
        append_usage(self._folder / USAGE, worker, usage)
        if time.monotonic() - self._usage_logged > USAGE_SECONDS:
            self._usage_logged = time.monotonic()
            self._log_usage()

    def _log_usage(self) -> None:
        self._tracking.log_usage(lambda: read_usage(self._folder / USAGE))

    def keep_run_id(self) -> None:
        """The study's run in MLflow, as far as it is known: a slow MLflow tells it later."""
        run_id = self._tracked.parent_run_id if self._tracked else None
        if run_id and self._storage.facts("mlflow_run_id") != run_id:
            self._storage.set_facts("mlflow_run_id", run_id)

    @property
    def _tracking(self) -> StudyTracker:
        assert self._tracked is not None
        return self._tracked

    @contextmanager
    def _aborting(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.abort(error)
            raise

    def check_references(self) -> None:
        """Refuse a law of another content under the name of one that was fitted.

        Raises:
            StudyError: there is one.
        """
        fitted = {record.key: record for record in self._storage.references()}
        for spec in self._reference_specs():
            record = fitted.get(spec.key)
            if record and spec.label not in SELECTORS and not is_same_point(record.point, spec.point):
                raise StudyError(
                    f"{spec.label} of study {self.name!r} must be the law that was fitted, at {spell(record.point)}, "
                    f"but now says {spell(spec.point)}: give it another name"
                )

    def _reference_specs(self) -> list[TrialSpec]:
        return [spec for reference in self._plan.references for spec in reference.specs(self._plan.builder)]

    def _fit_references(self) -> Phases:
        known = {record.key for record in self._storage.references()}
        specs = self._reference_specs()

        def finish(outcome: Outcome) -> None:
            record = self._storage.add_reference(outcome)
            number = record.number
            self._tracking.log(lambda: self._storage.reference(number), "reference", self._draw_diagnosis(outcome))
            self._ended(record)

        yield from self._fits("references", specs, known, finish)
        records = self._storage.references()
        objective = self._storage.objective
        kept = self._storage.facts("references") or {}
        facts = facts_of(self._plan.references, records, objective, kept)
        if kept != facts:
            self._is_changed = True
            self._storage.set_facts("references", facts)
        by_number = {record.number: record for record in records}
        scores = {name: objective.score_db(by_number[fact["number"]]) for name, fact in facts.items()}
        self._display.references(self.name, {name: score for name, score in scores.items() if score is not None})
        if len(self._storage.trials()) >= self._spec.search.trials:
            return  # what joins a study that has ended must not change what it found
        # In the order of the plan, not of their ends: the sampler's numbers must not depend on timing.
        by_key = {record.key: record for record in records}
        shape = {"width": self._plan.builder.width, "depth": self._plan.builder.depth}
        complete = [reference for reference in self._plan.references if reference.is_complete]
        for spec in (spec for reference in complete for spec in reference.specs(self._plan.builder)):
            if spec.key in by_key:
                self._storage.tell_reference(self._plan.space, by_key[spec.key], **shape)

    def _search(self) -> Phases:
        search = self._spec.search

        def finished(record: Record, outcome: Outcome) -> None:
            self._is_changed = True
            number = record.number
            self._tracking.log(lambda: self._storage.trial(number), "trial", self._draw_diagnosis(outcome))
            self._ended(record)
            self._standing = standing()

        proposals = Proposals(
            self._storage,
            self._plan.space,
            self._plan.builder,
            budget=search.trials,
            objective=self._storage.objective,
            rungs=rungs_of(self._spec.fit.steps, search.pruner),
            deterministic=search.deterministic,
            checkpoints=self._checkpoints,
            finished=finished,
        )

        def standing() -> str:
            ended = f"{proposals.told} of {search.trials} trials of {self.name} ended"
            return f"{ended}, those on their way go on from where they are"

        self._standing = standing()
        self._display.phase(self.name, "search", search.trials, proposals.told)
        yield proposals

    def _select(self) -> Generator[Source, None, Record]:
        trials, objective = self._storage.trials(), self._storage.objective
        sizes, told, prediction_db = race_sizes(len(trials)), self._storage.told(), best_prediction_db(self._storage)
        while True:
            confirmations = self._storage.confirmations()
            standing = race(trials, told, confirmations, self._plan.space, objective, prediction_db, sizes)
            if not standing.candidates:
                reasons = {record.reason for record in trials}
                raise NothingFoundError(f"every trial of {self.name} failed: {'; '.join(sorted(reasons))}")
            if standing.repeat is None:
                break
            specs = [one.spec(self._plan.builder, Purpose.SELECT, standing.repeat) for one in standing.candidates]
            yield from self._confirmations(f"selection {standing.repeat + 1}/{len(sizes)}", specs)
        found = standing.candidates[0].record
        if self._storage.facts("found") != found.number:
            self._storage.set_facts("found", found.number)
        return found

    def _confirm(self, found: Record) -> Phases:
        repeats, builder = self._spec.search.confirm, self._plan.builder
        specs = self._candidate(found).specs(builder, Purpose.CONFIRM, repeats, keep=True)
        references, records = self._plan.references, self._storage.references()
        candidates = judged(references, records, self._storage.objective)
        if self._spec.search.confirm_untuned:
            candidates += untuned(references, records, self._storage.objective)
        for candidate in candidates:
            specs += candidate.specs(builder, Purpose.CONFIRM, repeats)
        yield from self._confirmations("confirmation", specs)

    def _winner(self, found: Record) -> tuple[TrialSpec, Record]:
        """The best of the found point's fits."""
        own = [record for record in self._storage.confirmations() if record.label == found.label]
        purpose = Purpose.CONFIRM if self._spec.search.confirm else Purpose.SELECT
        fits = [record for record in own if record.purpose == purpose]
        best = best_by(self._storage.objective, fits) or found
        specs = self._candidate(found).specs(self._plan.builder, Purpose(best.purpose), best.repeat + 1, keep=True)
        return specs[best.repeat], best

    def _fit_winner(self, found: Record) -> Phases:
        """Its weights: from the folder, from memory or, where they are gone, from a refit."""
        spec, _ = self._winner(found)
        if spec.key in self._results or has_weights_of(self._folder, spec):
            return
        yield from self._fits("the winner's weights", [spec], set(), self._keep_result)
        if spec.key not in self._results:
            raise NothingFoundError(f"the winner of {self.name} could not be fitted again")

    def _save_winner(self, found: Record) -> None:
        spec, best = self._winner(found)
        signal = self._plan.signal
        if not has_weights_of(self._folder, spec):
            save_weights(self._folder, spec, self._results[spec.key], signal)
        self._results.clear()
        confirmed = summarise(self._storage)["best"]["confirmed"]
        task, objective = self._spec.task_config, self._storage.objective
        recipe = build_recipe(spec, best, signal, confirmed, task=task, objective=objective)
        save_recipe(self._folder, recipe)

    def _confirmations(self, title: str, specs: list[TrialSpec]) -> Phases:
        known = {record.key for record in self._storage.confirmations()}

        def finish(outcome: Outcome) -> None:
            self._keep_result(outcome)
            self._ended(self._storage.add_confirmation(outcome))

        yield from self._fits(title, specs, known, finish)

    def _draw_diagnosis(self, outcome: Outcome) -> list[Path]:
        """Numbers and picture of a trial that was looked into, in the study's folder; none where it was not."""
        if outcome.diagnosis is None:
            return []
        numbers, picture = diagnosis_paths(self._folder, outcome.spec.key)
        write_atomically(numbers, json.dumps(outcome.diagnosis.to_dict()).encode())
        title = f"{self.name} {outcome.spec.label} {spell(outcome.spec.point)}"
        diagnosis_plot.draw(picture, outcome.diagnosis, title)
        return [numbers, picture]

    def _ended(self, record: Record) -> None:
        self._display.ended(self.name, record, self._storage.objective.score_db(record))

    def _keep_result(self, outcome: Outcome) -> None:
        if outcome.result is not None:
            self._results[outcome.spec.key] = outcome.result

    def _fits(self, title: str, specs: list[TrialSpec], known: set[str], finish: Callable[[Outcome], None]) -> Phases:
        missing = [spec for spec in specs if spec.key not in known]
        if not missing:
            return
        self._is_changed = True
        self._standing = f"{title} of {self.name}: the fits that ended are kept"
        self._display.phase(self.name, title, len(specs), len(specs) - len(missing))
        yield FixedSource(missing, finish, self._checkpoints)

    def _candidate(self, found: Record) -> Candidate:
        return Candidate(label=found.label, record=found, space=self._plan.space)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        """Add the seconds of this session to those of earlier ones."""
        began = time.monotonic()
        try:
            yield
        finally:
            walls = {"references": 0.0, "search": 0.0, "confirm": 0.0, **(self._storage.facts("wall_seconds") or {})}
            walls[phase] += time.monotonic() - began
            self._storage.set_facts("wall_seconds", walls)

    def _shown(self) -> dict[str, Any]:
        """What was asked, and the signal's spectrum."""
        spectrum, signal = self._plan.spectrum, self._plan.signal
        return {
            **self._plan.fingerprint,
            "signal": signal.source,
            "kind": signal.kind,
            "shape": " x ".join(str(num) for num in signal.shape),
            "num_samples": signal.num_samples,
            "rate_hz": signal.rate_hz,
            "centroid": spectrum.centroid,
            "nyquist_rad": spectrum.nyquist_rad,
            "num_weights": self._plan.num_weights,
        }
