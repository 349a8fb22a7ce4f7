"""One study from its references to its recommendation; every phase resumes from storage."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from search import diagnosis_plot
from search.config import StudySpec
from search.confirm import Candidate, judged
from search.display import Display
from search.driver import Driver, FixedSource
from search.errors import Interrupted, NothingFoundError
from search.export import build_recipe, has_weights_of, kept_files, save_recipe, save_weights
from search.folder import CHECKPOINTS, DIAGNOSES, study_folder
from search.objective import best_by
from search.pictures import draw_study
from search.plan import Plan
from search.proposals import Proposals
from search.record import Record
from search.references import best_of
from search.rungs import rungs_of
from search.selection import race, race_sizes
from search.storage import StudyStorage
from search.summary import best_prediction_db, summarise
from search.table import to_markdown
from search.tracking import TrackedStudy, Tracker
from search.trial import Outcome, Purpose, TrialSpec, spell
from search.workers import Workers
from trainers.checkpoint import write_atomically
from trainers.config import FitResult


class StudyRun:
    """One study from its references to its report; every phase resumes from storage."""

    def __init__(
        self,
        spec: StudySpec,
        planned: Plan,
        storage: StudyStorage,
        workers: Workers,
        tracker: Tracker,
        display: Display,
        stop: threading.Event,
    ) -> None:
        self._spec = spec
        self._plan = planned
        self._storage = storage
        self._workers = workers
        self._tracker = tracker
        self._display = display
        self._driver = Driver(workers, stop, display.watch)
        self._folder = study_folder(spec.store.store, planned.name)
        self._results: dict[str, FitResult] = {}

    def run(self) -> None:
        """All of it, or what earlier sessions left.

        Raises:
            Interrupted: the user stopped it.
            NothingFoundError: every trial failed.
        """
        self._workers.share(self._plan.task.digest, self._plan.task)
        trials, references = self._storage.trials(), self._storage.references()
        self._tracker.begin(self._tracked(), trials, references, self._diagnosis_files)
        try:
            with self._timed("references"):
                self._run_references()
            with self._timed("search"):
                self._run_search()
                found = self._select()
            with self._timed("confirm"):
                self._confirm(found)
                self._save_winner(found)
            self._record(found)
        except Exception as error:
            self._tracker.abort("KILLED" if isinstance(error, Interrupted) else "FAILED")
            raise

    def keep_facts(self) -> None:
        """What was asked that may change from session to session, for whoever looks at the storage."""
        for key, value in {
            "signal": self._plan.signal.source,
            "space": self._plan.space.name,
            "confirm": self._spec.search.confirm,
            "trials": self._spec.search.trials,
        }.items():
            if self._storage.facts(key) != value:
                self._storage.set_facts(key, value)

    def _run_references(self) -> None:
        known = {record.key for record in self._storage.references()}
        specs = [spec for reference in self._plan.references for spec in reference.specs(self._plan.builder)]

        def finish(outcome: Outcome) -> None:
            record = self._storage.add_reference(outcome)
            self._tracker.log(record, "reference", self._draw_diagnosis(outcome))
            self._ended(record)

        self._run_fixed("references", specs, known, finish)
        records = self._storage.references()
        objective = self._storage.objective
        best = {reference.name: best_of(reference, records, objective) for reference in self._plan.references}
        kinds = {reference.name: reference.kind for reference in self._plan.references}
        numbers = {name: {"number": record.number, "kind": kinds[name]} for name, record in best.items() if record}
        if self._storage.facts("references") != numbers:
            self._storage.set_facts("references", numbers)
        scores = {name: objective.score_db(record) for name, record in best.items() if record}
        self._display.references({name: score for name, score in scores.items() if score is not None})
        # In the order of the plan, not of their ends: the sampler's numbers must not depend on timing.
        by_key = {record.key: record for record in records}
        shape = {"width": self._plan.builder.width, "depth": self._plan.builder.depth}
        complete = [reference for reference in self._plan.references if reference.is_complete]
        for spec in (spec for reference in complete for spec in reference.specs(self._plan.builder)):
            if spec.key in by_key:
                self._storage.tell_reference(self._plan.space, by_key[spec.key], **shape)

    def _run_search(self) -> None:
        search = self._spec.search

        def finished(record: Record, outcome: Outcome) -> None:
            self._tracker.log(record, "trial", self._draw_diagnosis(outcome))
            self._ended(record)

        proposals = Proposals(
            self._storage,
            self._plan.space,
            self._plan.builder,
            budget=search.trials,
            objective=self._storage.objective,
            rungs=rungs_of(self._spec.fit.steps, search.pruner),
            deterministic=search.deterministic,
            checkpoints=self._folder / CHECKPOINTS,
            finished=finished,
        )
        self._display.phase("search", search.trials, proposals.told)
        if not self._driver.run(proposals):
            ended = f"{proposals.told} of {search.trials} trials of {self._plan.name} ended"
            raise Interrupted(f"{ended}, those on their way go on from where they are")

    def _select(self) -> Record:
        trials, objective = self._storage.trials(), self._storage.objective
        sizes, beside = race_sizes(len(trials)), self._storage.told()
        while True:
            confirmations, prediction_db = self._storage.confirmations(), best_prediction_db(self._storage)
            standing = race(trials, beside, confirmations, self._plan.space, objective, prediction_db, sizes)
            if not standing.candidates:
                reasons = {record.reason for record in trials}
                raise NothingFoundError(f"every trial of {self._plan.name} failed: {'; '.join(sorted(reasons))}")
            if standing.repeat is None:
                break
            specs = [one.spec(self._plan.builder, Purpose.SELECT, standing.repeat) for one in standing.candidates]
            self._run_confirmations(f"selection {standing.repeat + 1}/{len(sizes)}", specs)
        found = standing.candidates[0].record
        if self._storage.facts("found") != found.number:
            self._storage.set_facts("found", found.number)
        return found

    def _confirm(self, found: Record) -> None:
        repeats, builder = self._spec.search.confirm, self._plan.builder
        specs = self._candidate(found).specs(builder, Purpose.CONFIRM, repeats, keep=True)
        for candidate in judged(self._plan.references, self._storage.references(), self._storage.objective):
            specs += candidate.specs(builder, Purpose.CONFIRM, repeats)
        if specs:
            self._run_confirmations("confirmation", specs)

    def _save_winner(self, found: Record) -> None:
        """Keep the best of the found point's fits: weights from memory or, where they are gone, from a refit."""
        own = [record for record in self._storage.confirmations() if record.label == found.label]
        purpose = Purpose.CONFIRM if self._spec.search.confirm else Purpose.SELECT
        fits = [record for record in own if record.purpose == purpose]
        best = best_by(self._storage.objective, fits) or found
        specs = self._candidate(found).specs(self._plan.builder, Purpose(best.purpose), best.repeat + 1, keep=True)
        spec, signal = specs[best.repeat], self._plan.signal
        if not has_weights_of(self._folder, spec):
            if spec.key not in self._results:
                self._run_fixed("the winner's weights", [spec], set(), self._keep_result)
            if spec.key not in self._results:
                raise NothingFoundError(f"the winner of {self._plan.name} could not be fitted again")
            save_weights(self._folder, spec, self._results[spec.key], signal)
        confirmed = summarise(self._storage)["best"]["confirmed"]
        task, objective = self._spec.task_config, self._storage.objective
        recipe = build_recipe(spec, best, signal, confirmed, task=task, objective=objective)
        save_recipe(self._folder, recipe)

    def _record(self, found: Record) -> None:
        """Pictures and the summary, to the folder and to MLflow."""
        summary = summarise(self._storage)
        pictures = draw_study(self._folder, self._plan, self._storage, found)
        files = [*pictures, *kept_files(self._folder)]
        self._tracker.end(summary, found.key, to_markdown(summary), files)
        self._tracker.flush()
        if self._tracker.parent_run_id:
            self._storage.set_facts("mlflow_run_id", self._tracker.parent_run_id)
        self._storage.set_facts("finished", self._storage.asked())

    def _run_confirmations(self, title: str, specs: list[TrialSpec]) -> None:
        known = {record.key for record in self._storage.confirmations()}

        def finish(outcome: Outcome) -> None:
            self._keep_result(outcome)
            self._ended(self._storage.add_confirmation(outcome))

        self._run_fixed(title, specs, known, finish)

    def _draw_diagnosis(self, outcome: Outcome) -> list[Path]:
        """Numbers and picture of a trial that was looked into, in the study's folder; none where it was not."""
        if outcome.diagnosis is None:
            return []
        numbers, picture = self._diagnosis_paths(outcome.spec.key)
        write_atomically(numbers, json.dumps(outcome.diagnosis.to_dict()).encode())
        title = f"{self._plan.name} {outcome.spec.label} {spell(outcome.spec.point)}"
        diagnosis_plot.draw(picture, outcome.diagnosis, title)
        return [numbers, picture]

    def _diagnosis_files(self, record: Record) -> list[Path]:
        """What an earlier session drew, which MLflow may not have."""
        return [path for path in self._diagnosis_paths(record.key) if path.exists()]

    def _diagnosis_paths(self, key: str) -> tuple[Path, Path]:
        stem = self._folder / DIAGNOSES / key.replace("/", "-")
        return stem.with_name(f"{stem.name}.json"), stem.with_name(f"{stem.name}.png")

    def _ended(self, record: Record) -> None:
        self._display.ended(record, self._storage.objective.score_db(record))

    def _keep_result(self, outcome: Outcome) -> None:
        if outcome.result is not None:
            self._results[outcome.spec.key] = outcome.result

    def _run_fixed(
        self, title: str, specs: list[TrialSpec], known: set[str], finish: Callable[[Outcome], None]
    ) -> None:
        missing = [spec for spec in specs if spec.key not in known]
        if not missing:
            return
        self._display.phase(title, len(specs), len(specs) - len(missing))
        if not self._driver.run(FixedSource(missing, finish)):
            raise Interrupted(f"{title} of {self._plan.name}: the fits that ended are kept")

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

    def _tracked(self) -> TrackedStudy:
        spectrum, signal = self._plan.spectrum, self._plan.signal
        params = {
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
        return TrackedStudy(
            id=self._storage.facts("id"),
            campaign=self._plan.name.split("/")[0],
            study=self._plan.name,
            title=self._plan.name.split("/")[1],
            params=params,
        )
