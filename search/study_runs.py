"""The runs of a study in MLflow: made, found again and brought in line with what storage holds.

An experiment is a campaign, a parent run a study, a child run a trial or a reference fit. Runs are found again by
their tags, whoever made them: bringing up twice logs nothing twice, and a run that was made though the answer was lost
is not made again. Everything written has the time of its fit, so that MLflow takes a repeated write for the same one.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.answer import ANSWER_TAGS, VARIED
from search.connection import runs_of
from search.dataset import SignalDataset
from search.errors import first_line
from search.experiment import show_campaign, show_trials
from search.logged_model import bring_up_model, is_refusal
from search.notes import CHILD_NOTE, NOTE, study_note
from search.record import Record
from search.references import reference_key
from search.run_contents import (
    RUN_STATUS,
    begins,
    confirmed_metrics,
    has_dataset,
    is_same,
    is_whole,
    metrics_of,
    params_of,
    run_name,
    summary_metrics,
    tags_of,
    to_inputs,
    to_ms,
    to_params,
)
from search.ui_links import run_link
from search.usage import Sample
from search.view import Child, Status, StudyView

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

USAGE_SAMPLES = "mlflow.winnow.usage"
"""Tag of the parent run: how many samples of its workers' usage it has."""

BATCH = 1000
"""Metrics that MLflow takes at once."""

JUDGED = ("regret_", "confirmed_", "found_")
"""How metrics begin that come from fresh seeds or say which point was found."""

FILES = "mlflow.winnow.files"
"""Tag of a run with artifacts: their digests by name. The UI hides what begins with "mlflow."."""

Lacking = list[tuple[Child, str | None]]
"""What is to be logged, each with the run in which an earlier session began to."""


class Stopped(Exception):  # noqa: N818 (not an error: it was asked for)
    """Whoever wrote gave up waiting."""


class StudyRuns:
    """One study's runs and model on one server; all but the constructor asks MLflow, and raises whatever it raises.

    Args:
        artifacts: folder for artifacts, where the server does not keep them.
        stop: set from outside to end between two runs with `Stopped`.
        is_driven: whether another session runs the study by now: its run and what it has more stay as they are.
    """

    def __init__(
        self,
        artifacts: Path | None,
        stop: threading.Event | None = None,
        is_driven: Callable[[], bool] = lambda: False,
    ) -> None:
        self.parent_id: str | None = None
        self.keys: dict[str, str] = {}
        self.model_id: str | None = None
        self.refusal = ""
        self._num_samples = 0
        self._artifacts = artifacts
        self._stop = stop or threading.Event()
        self._is_driven = is_driven
        self._experiment_id = ""
        self._status: Status | None = None
        self._dataset: SignalDataset | None = None

    def bring_up(self, client: MlflowClient, view: StudyView) -> int:
        """Make MLflow show `view`; how many child runs it lacked."""
        parent, lacking, listed = self._open(client, view)
        for child, unfinished in lacking:
            self.log(client, child, unfinished)
        for child in view.children:
            if child.record.key in listed:
                self._log_files(client, self.keys[child.record.key], child.files, listed[child.record.key].data.tags)
        self.log_usage(client, view.usage)
        if view.ending:
            self._end(client, parent, listed, view)
            self._bring_up_model(client, parent, view)
        self._show(client, parent, view)
        if not self._is_driven():
            self.close(client, view.status, view.ended)
        # Many studies begin at once: the first makes the experiment's description, how they stand or end renews it.
        show_campaign(client, self._experiment_id, only_first=view.status is Status.RUNNING)
        return len(lacking)

    def show_standing(self, client: MlflowClient, view: StudyView) -> None:
        """Have the parent run and the experiment say what `view` says; child runs stay as they are."""
        if self.parent_id is not None:
            self._show(client, client.get_run(self.parent_id), view)
            show_campaign(client, self._experiment_id)

    def num_lacking(self, client: MlflowClient, view: StudyView) -> int:
        """How many child runs `bring_up` would log."""
        return len(self._open(client, view)[1])

    def log(self, client: MlflowClient, child: Child, unfinished: str | None = None) -> None:
        """A child run, or the rest of one. Its status comes last: what has ended has all but, maybe, its files."""
        if self._stop.is_set():
            raise Stopped
        record = child.record
        if record.key in self.keys:
            self._log_files(client, self.keys[record.key], child.files, {})
            return
        if unfinished is None:
            run = client.create_run(
                self._experiment_id,
                start_time=to_ms(record.started),
                tags={
                    **tags_of(record),
                    "mlflow.parentRunId": self.parent_id,
                    "winnow.role": child.role,
                    NOTE: CHILD_NOTE.format(study=run_link(self._experiment_id, str(self.parent_id))),
                },
                run_name=run_name(record),
            )
            unfinished = str(run.info.run_id)
        client.log_batch(unfinished, metrics=metrics_of(record), params=to_params(params_of(record)))
        if self._dataset:
            client.log_inputs(unfinished, datasets=to_inputs(self._dataset))
        self._log_files(client, unfinished, child.files, {})
        client.set_terminated(unfinished, status=RUN_STATUS[record.state].value, end_time=to_ms(record.ended))
        self.keys[record.key] = unfinished

    def log_usage(self, client: MlflowClient, samples: Sequence[Sample]) -> None:
        """Those of them, all that the study has by now, that the parent run has not; once it is there."""
        from mlflow.entities import Metric

        if self.parent_id is None or len(samples) <= self._num_samples:
            return
        new = [Metric(one.key, one.value, to_ms(one.at), one.step) for one in samples[self._num_samples :]]
        for start in range(0, len(new), BATCH):
            client.log_batch(self.parent_id, metrics=new[start : start + BATCH])
        client.set_tag(self.parent_id, USAGE_SAMPLES, str(len(samples)))
        self._num_samples = len(samples)

    def close(self, client: MlflowClient, status: Status, ended: float | None) -> None:
        """Give the parent run its status, if it has another; what has failed is not called killed."""
        is_closed = status is self._status or (status is Status.KILLED and self._status is Status.FAILED)
        if self.parent_id is None or status is Status.RUNNING or is_closed:
            return
        client.set_terminated(self.parent_id, status=status.value, end_time=to_ms(ended) if ended else None)
        self._status = status

    def _open(self, client: MlflowClient, view: StudyView) -> tuple[Run, Lacking, dict[str, Run]]:
        """The parent run, what it lacks, and its child runs that are whole, by key. What belongs to no trial goes."""
        self._experiment_id = open_experiment(client, self._artifacts, view.campaign)
        self._dataset = view.dataset
        parent = self._open_parent(client, view)
        self.parent_id = str(parent.info.run_id)
        self._num_samples = int(parent.data.tags.get(USAGE_SAMPLES, 0))
        by_key: dict[str, list[Run]] = defaultdict(list)
        for run in self._children(client, self.parent_id):
            by_key[run.data.tags["winnow.key"]].append(run)
        lacking: Lacking = []
        listed: dict[str, Run] = {}
        for child in view.children:
            whole, part, others = _sorted_out(by_key.pop(child.record.key, []), child.record, view.dataset)
            if whole is None:
                lacking.append((child, part))
            else:
                listed[child.record.key] = whole
            for run_id in others:
                client.delete_run(run_id)
        # While a study runs, storage may know more by now than when it was read.
        if view.status is not Status.RUNNING and not self._is_driven():
            for run in (run for runs in by_key.values() for run in runs):
                client.delete_run(run.info.run_id)
        self.keys = {key: str(run.info.run_id) for key, run in listed.items()}
        return parent, lacking, listed

    def _open_parent(self, client: MlflowClient, view: StudyView) -> Run:
        found = list(client.search_runs([self._experiment_id], f"tags.`winnow.id` = '{view.id}'"))
        if len(found) > 1:  # made again, as the answer was lost: the children are all of one of them
            found.sort(key=lambda run: -sum(1 for _ in self._children(client, run.info.run_id)))
            for other in found[1:]:
                client.delete_run(other.info.run_id)
        if found:
            run = found[0]
        else:
            tags = {"winnow.id": view.id, "winnow.study": view.study, "winnow.role": "study", **view.tags}
            started = to_ms(view.began)
            run = client.create_run(self._experiment_id, start_time=started, tags=tags, run_name=view.title)
        # Only a driver's run is RUNNING: one who dies while rebuilding must not leave it so.
        self._status = Status(run.info.status)
        status = Status.RUNNING if view.status is Status.RUNNING or self._is_driven() else Status.KILLED
        if status is not self._status and Status.RUNNING in (status, self._status):
            client.update_run(run.info.run_id, status=status.value)
            self._status = status
        new = {key: value for key, value in view.params.items() if key not in run.data.params}
        client.log_batch(run.info.run_id, params=to_params(new))
        return run

    def _children(self, client: MlflowClient, parent_id: str) -> Iterator[Run]:
        own = runs_of(client, self._experiment_id, f"tags.`mlflow.parentRunId` = '{parent_id}'")
        return (run for run in own if "winnow.key" in run.data.tags)

    def _end(self, client: MlflowClient, parent: Run, listed: Mapping[str, Run], view: StudyView) -> None:
        """The summary on the parent run, confirmed values, roles and the front on the children they belong to."""
        assert self.parent_id
        assert view.ending
        summary, ending = view.summary, view.ending
        best, references = summary["best"] or {}, summary["references"]
        confirmed = {ending.found: confirmed_metrics(best.get("confirmed"))}
        for name, reference in references.items():
            values = {"regret_db": reference["regret_db"], **confirmed_metrics(reference["confirmed"])}
            confirmed[reference_key(name, reference["params"])] = values
        for key, values in confirmed.items():
            known = listed[key].data.metrics if key in listed else {}
            _set_metrics(client, self.keys[key], values, known)
        front = {f"search/{point['number']}" for point in summary.get("front", ())}
        self._set_tags(client, listed, ("winnow.role", "found"), {ending.found}, rest="trial")
        self._set_tags(client, listed, ("winnow.front", "true"), front, rest=None)
        known = parent.data.metrics
        past = dict.fromkeys(key for key in known if key.startswith(JUDGED))  # by seeds or laws that count no more
        _set_metrics(client, self.parent_id, {**past, **summary_metrics(summary)}, known)
        self._log_files(client, self.parent_id, ending.files, parent.data.tags)

    def _show(self, client: MlflowClient, parent: Run, view: StudyView) -> None:
        """What the parent run says of the study."""
        run_id = parent.info.run_id
        if not has_dataset(parent, view.dataset):
            assert view.dataset
            client.log_inputs(run_id, datasets=to_inputs(view.dataset))
        known = parent.data.tags
        note = study_note(
            view,
            self._experiment_id,
            run_id,
            self.keys,
            artifacts=json.loads(known.get(FILES, "{}")),
            model=self.model_id,
            trials=show_trials(client, self._experiment_id, run_id, view),
        )
        tags = {**view.tags, **view.answer, NOTE: note}
        for key in (*ANSWER_TAGS, VARIED):
            if key in known and key not in tags:
                client.delete_tag(run_id, key)
        for key, value in tags.items():
            if known.get(key) != value:
                client.set_tag(run_id, key, value)

    def _bring_up_model(self, client: MlflowClient, parent: Run, view: StudyView) -> None:
        """The winner as a model. A server that will not have it has all else; `refusal` says why it has none."""
        assert view.ending
        self.refusal = view.ending.damage
        if view.ending.winner is None:
            return
        shared = {
            key: value
            for key, value in summary_metrics(view.summary).items()
            if value is not None and key.startswith(("confirmed_", "regret_db"))
        }
        try:
            self.model_id = bring_up_model(client, parent, view.id, view.ending.winner, shared)
        except Exception as error:
            if not is_refusal(error):
                raise
            self.refusal = f"the server takes none ({type(error).__name__}: {first_line(error)[:200]})"

    def _set_tags(
        self, client: MlflowClient, listed: Mapping[str, Run], tag: tuple[str, str], keys: set[str], *, rest: str | None
    ) -> None:
        """Tag these children; others that an earlier session tagged get `rest` instead, or lose the tag."""
        name, value = tag
        has = {key for key, run in listed.items() if run.data.tags.get(name) == value}
        for key in sorted(keys - has):
            client.set_tag(self.keys[key], name, value)
        for key in sorted(has - keys):
            if rest is None:
                client.delete_tag(self.keys[key], name)
            else:
                client.set_tag(self.keys[key], name, rest)

    def _log_files(self, client: MlflowClient, run_id: str, files: Sequence[Path], tags: Mapping[str, str]) -> None:
        """Those that are not there as they are now."""
        if not files:
            return
        known: dict[str, str] = json.loads(tags.get(FILES, "{}"))
        now = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files}
        for path in files:
            if known.get(path.name) != now[path.name]:
                client.log_artifact(run_id, str(path))
        if not now.items() <= known.items():
            client.set_tag(run_id, FILES, json.dumps({**known, **now}))


def open_experiment(client: MlflowClient, artifacts: Path | None, name: str) -> str:
    """Id of the experiment of that name, made or restored if need be; its artifacts lie in `artifacts`, if anywhere."""
    known = client.get_experiment_by_name(name)
    if known is not None:
        if known.lifecycle_stage == "deleted":
            client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)
    location = (artifacts / name).absolute().as_uri() if artifacts else None
    # Without the tag, MLflow 3.17 opens the experiment in its view for language models.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(name, artifact_location=location, tags=tags))


def _sorted_out(
    runs: Sequence[Run], record: Record, dataset: SignalDataset | None
) -> tuple[Run | None, str | None, set[str]]:
    """Of the runs with a record's key: one that shows it, else one that begins to; and the ids of all others."""
    whole = [run for run in runs if is_whole(run, record, dataset)]
    part = [run for run in runs if begins(run, record)]
    kept = (whole or part or [None])[0]
    # By id: a page that was asked for while a run was made may list one again.
    others = {str(run.info.run_id) for run in runs} - ({str(kept.info.run_id)} if kept else set())
    if whole:
        return whole[0], None, others
    return None, str(part[0].info.run_id) if part else None, others


def _set_metrics(
    client: MlflowClient, run_id: str, metrics: Mapping[str, float | None], known: Mapping[str, float]
) -> None:
    """Log those that are not there yet with that value: a study that ends again adds no history.

    MLflow forgets no metric: one that has no value any more is no number.
    """
    from mlflow.entities import Metric

    now = round(time.time() * 1000)
    values = {key: math.nan if value is None else value for key, value in metrics.items()}
    new = {key: value for key, value in values.items() if not is_same(known.get(key, math.nan), value)}
    client.log_batch(run_id, metrics=[Metric(key, float(value), now, 0) for key, value in new.items()])
