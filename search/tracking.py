"""MLflow as an observer: a view of what storage holds, written by one thread, which no study waits for.

The only door to mlflow. An experiment is a campaign, a parent run a study, a child run a trial or a reference fit.
Runs are found again by their tags, so a resumed study logs what is missing and nothing twice.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import first_line
from search.record import Record
from search.references import reference_key
from search.trial import State, spell

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A dead server must be known to be dead in seconds, not after the client's default of minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
# Its database is made on first use, with a page of log about it.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

if TYPE_CHECKING:
    from mlflow import MlflowClient

CLOSE_SECONDS = 120.0
"""How long the end of a run waits for MLflow to take what is queued."""

RUN_STATUS = {State.COMPLETE: "FINISHED", State.PRUNED: "KILLED", State.FAILED: "FAILED"}


@dataclass(frozen=True, kw_only=True)
class TrackedStudy:
    """What the parent run of a study shows.

    Attributes:
        id: of the study; two stores may have studies of one name.
        campaign: name of the experiment.
        study: full name of the study.
        title: name of the parent run.
        params: what was asked, and the signal's spectrum.
    """

    id: str
    campaign: str
    study: str
    title: str
    params: Mapping[str, Any]


def default_tracking_uri(store: Path) -> str:
    """The store's own database."""
    return f"sqlite:///{store.absolute() / 'mlflow.db'}"


def newest_experiment(store: Path) -> str | None:
    """Id of the campaign that the store's own database had last."""
    from mlflow import MlflowClient

    found = MlflowClient(default_tracking_uri(store)).search_experiments(order_by=["last_update_time DESC"])
    campaigns = [experiment for experiment in found if experiment.name != "Default"]
    return str(campaigns[0].experiment_id) if campaigns else None


class Tracker:
    """Writes to MLflow from a thread of its own.

    What waits for it is small however far it is behind: records are read from storage when their turn comes.

    Args:
        uri: tracking server or database.
        artifacts: folder for artifacts, where the server does not keep them; None with a server.
        warn: called once, with one line, if MLflow does not answer; what follows is dropped then, and logged by the
            next session of the study.
    """

    def __init__(self, uri: str, artifacts: Path | None, warn: Callable[[str], None]) -> None:
        self._uri = uri
        self._artifacts = artifacts
        self._warn = warn
        self._queue: queue.SimpleQueue[Callable[[MlflowClient], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="winnow-mlflow", daemon=True)
        self._is_broken = False
        self._thread.start()

    def begin(
        self,
        study: TrackedStudy,
        trials: Sequence[Record],
        references: Sequence[Record],
        files_of: Callable[[Record], Sequence[Path]],
    ) -> StudyTracker:
        """Open or reopen a study's parent run, and log what storage holds and MLflow does not, with its files."""
        began = round(time.time() * 1000)
        opened = StudyTracker(self, study, self._artifacts)
        self.put(lambda client: opened.begin(client, began, trials, references, files_of))
        return opened

    @property
    def is_broken(self) -> bool:
        """Whether MLflow did not answer."""
        return self._is_broken

    def put(self, job: Callable[[MlflowClient], None]) -> None:
        """Have the thread do this."""
        self._queue.put(job)

    def flush(self) -> None:
        """Wait until all of it is written, at most two minutes."""
        done = threading.Event()
        self.put(lambda client: done.set())
        deadline = time.monotonic() + CLOSE_SECONDS
        while not done.wait(0.1):
            if self._is_broken or time.monotonic() > deadline:
                return

    def close(self) -> None:
        """Flush, then end the thread."""
        self.flush()
        self._queue.put(None)
        self._thread.join(timeout=5.0)

    def _work(self) -> None:
        client = None
        while (job := self._queue.get()) is not None:
            if self._is_broken:
                continue
            try:
                client = client or self._connect()
                job(client)
            except Exception as error:  # MLflow is a view: whatever it raises, the study goes on
                self._is_broken = True
                self._warn(
                    f"MLflow does not answer ({type(error).__name__}: {first_line(error)[:200]}); the study goes on, "
                    "and the same command logs the rest when it does"
                )

    def _connect(self) -> MlflowClient:
        from mlflow import MlflowClient

        _create_database(self._uri)
        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)


class StudyTracker:
    """One study's runs; `Tracker.begin` makes it.

    Args:
        tracker: whose thread writes.
        study: what the parent run shows.
        artifacts: as in the tracker.
    """

    def __init__(self, tracker: Tracker, study: TrackedStudy, artifacts: Path | None) -> None:
        self._tracker = tracker
        self._study = study
        self._artifacts = artifacts
        self._experiment_id = ""
        self._parent_id: str | None = None
        self._children: dict[str, str] = {}

    @property
    def parent_run_id(self) -> str | None:
        """Of the study, once it is known; None where MLflow does not answer."""
        return None if self._tracker.is_broken else self._parent_id

    def log(self, read: Callable[[], Record], role: str, files: Sequence[Path] = ()) -> None:
        """A child run for a finished trial or reference, read when its turn comes, with these files."""
        self._tracker.put(lambda client: self._log(client, read(), role, files))

    def end(self, summary: Mapping[str, Any], found: str, note: str, files: Sequence[Path]) -> None:
        """The summary on the parent run, confirmed values on the children they belong to, pictures and files."""
        self._tracker.put(lambda client: self._end(client, summary, found, note, files))

    def abort(self, status: str) -> None:
        """Close the parent run as KILLED or FAILED; the next session reopens it."""
        self._tracker.put(lambda client: self._set_status(client, status))

    def begin(
        self,
        client: MlflowClient,
        began: int,
        trials: Sequence[Record],
        references: Sequence[Record],
        files_of: Callable[[Record], Sequence[Path]],
    ) -> None:
        """On the tracker's thread: open the parent run and log what is missing."""
        self._experiment_id = self._open_experiment(client, self._study.campaign)
        self._parent_id = self._open_parent(client, self._study, began)
        self._children, unfinished = self._known_children(client)
        for role, records in (("reference", references), ("trial", trials)):
            for record in records:
                if record.key not in self._children:
                    self._log(client, record, role, files_of(record), unfinished=unfinished.get(record.key))

    def _open_experiment(self, client: MlflowClient, campaign: str) -> str:
        known = client.get_experiment_by_name(campaign)
        if known is not None:
            return str(known.experiment_id)
        location = (self._artifacts / campaign).absolute().as_uri() if self._artifacts else None
        # Without the tag, MLflow 3.17 opens the experiment in its view for language models.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(campaign, artifact_location=location, tags=tags))

    def _open_parent(self, client: MlflowClient, study: TrackedStudy, began: int) -> str:
        found = client.search_runs([self._experiment_id], f"tags.`winnow.id` = '{study.id}'", max_results=1)
        if found:
            run_id, known = str(found[0].info.run_id), found[0].data.params
            client.update_run(run_id, status="RUNNING")
        else:
            tags = {"winnow.id": study.id, "winnow.study": study.study, "winnow.role": "study", **source_tags()}
            run = client.create_run(self._experiment_id, start_time=began, tags=tags, run_name=study.title)
            run_id, known = str(run.info.run_id), {}
        client.log_batch(run_id, params=_params({k: v for k, v in study.params.items() if k not in known}))
        return run_id

    def _known_children(self, client: MlflowClient) -> tuple[dict[str, str], dict[str, str]]:
        """Run ids by key: of those that are complete, and of those that an earlier session could not finish."""
        ended: dict[str, str] = {}
        unfinished: dict[str, str] = {}
        token = None
        while True:
            page = client.search_runs(
                [self._experiment_id], f"tags.`mlflow.parentRunId` = '{self._parent_id}'", page_token=token
            )
            for run in page:
                if "winnow.key" in run.data.tags:
                    found = unfinished if run.info.status == "RUNNING" else ended
                    found[run.data.tags["winnow.key"]] = str(run.info.run_id)
            token = page.token
            if not token:
                return ended, unfinished

    def _log(
        self,
        client: MlflowClient,
        record: Record,
        role: str,
        files: Sequence[Path] = (),
        *,
        unfinished: str | None = None,
    ) -> None:
        from mlflow.entities import Metric

        tags = {
            "mlflow.parentRunId": self._parent_id or "",
            "winnow.key": record.key,
            "winnow.role": role,
            "winnow.state": record.state.value,
            "winnow.label": record.label,
        }
        if record.reason:
            tags["winnow.reason"] = record.reason
        started, ended = round(record.started * 1000), round(record.ended * 1000)
        run_id = unfinished
        if run_id is None:
            run = client.create_run(self._experiment_id, start_time=started, tags=tags, run_name=run_name(record))
            run_id = str(run.info.run_id)
        metrics = [Metric("curve_psnr_db", value, ended, step) for step, value in record.curve]
        for rung, score in record.rung_scores.items():
            metrics.append(Metric("rung_psnr_db", score.psnr_db, ended, rung))
            if score.held_psnr_db is not None:
                metrics.append(Metric("rung_held_psnr_db", score.held_psnr_db, ended, rung))
        scalars = {
            "psnr_db": record.psnr_db,
            "snr_db": record.snr_db,
            "held_psnr_db": record.held_psnr_db,
            **record.metrics,
            "best_step": record.best_step,
            "fit_seconds": record.fit_seconds,
        }
        metrics += [Metric(key, float(value), ended, 0) for key, value in scalars.items() if value is not None]
        params = {
            **record.point,
            "space": record.space,
            "steps": record.steps,
            "seed": record.seed,
            "number": record.number,
        }
        client.log_batch(run_id, metrics=metrics, params=_params(params))
        for path in files:
            client.log_artifact(run_id, str(path))
        client.set_terminated(run_id, status=RUN_STATUS[record.state], end_time=ended)
        self._children[record.key] = run_id

    def _end(
        self, client: MlflowClient, summary: Mapping[str, Any], found: str, note: str, files: Sequence[Path]
    ) -> None:
        assert self._parent_id
        best, references = summary["best"] or {}, summary["references"]
        metrics = {"psnr_db": best.get("psnr_db"), "held_psnr_db": best.get("held_psnr_db")}
        metrics |= {**best.get("metrics", {}), **_confirmed_metrics(best.get("confirmed"))}
        for name, reference in references.items():
            metrics[_metric_name(f"regret_db_{name}")] = reference["regret_db"]
        metrics |= {f"num_{state}": float(count) for state, count in summary["trials"].items()}
        metrics |= {f"wall_seconds_{phase}": seconds for phase, seconds in summary["wall_seconds"].items()}
        self._set_metrics(client, self._parent_id, metrics)
        client.set_tag(self._parent_id, "mlflow.note.content", note)
        for name, reference in references.items():
            run_id = self._children[reference_key(name, reference["params"])]
            values = {"regret_db": reference["regret_db"], **_confirmed_metrics(reference["confirmed"])}
            self._set_metrics(client, run_id, values)
        own = f"tags.`mlflow.parentRunId` = '{self._parent_id}'"
        for run in client.search_runs([self._experiment_id], f"{own} and tags.`winnow.role` = 'found'"):
            client.set_tag(run.info.run_id, "winnow.role", "trial")  # of an earlier session, with fewer trials
        if found in self._children:
            self._set_metrics(client, self._children[found], _confirmed_metrics(best.get("confirmed")))
            client.set_tag(self._children[found], "winnow.role", "found")
        keys = [f"search/{point['number']}" for point in summary.get("front", ())]
        front = {self._children[key] for key in keys if key in self._children}
        for run in client.search_runs([self._experiment_id], f"{own} and tags.`winnow.front` = 'true'"):
            if run.info.run_id not in front:
                client.delete_tag(run.info.run_id, "winnow.front")
        for member in front:
            client.set_tag(member, "winnow.front", "true")
        for path in files:
            client.log_artifact(self._parent_id, str(path))
        self._set_status(client, "FINISHED")

    def _set_metrics(self, client: MlflowClient, run_id: str, metrics: Mapping[str, float | None]) -> None:
        """Log those that are not there yet with that value: a study that ends again adds no history."""
        from mlflow.entities import Metric

        known = client.get_run(run_id).data.metrics
        now = round(time.time() * 1000)
        new = [
            Metric(key, float(value), now, 0)
            for key, value in metrics.items()
            if value is not None and known.get(key) != value
        ]
        if new:
            client.log_batch(run_id, metrics=new)

    def _set_status(self, client: MlflowClient, status: str) -> None:
        if self._parent_id:
            client.set_terminated(self._parent_id, status=status)


def run_name(record: Record) -> str:
    """What a person reads in the list: `#17 s0=412 s1=0.21 lr=0.0005`."""
    return f"{record.label} {spell(record.point)}"


def source_tags() -> dict[str, str]:
    """The version of this program, and the commit where it runs from a checkout."""
    tags = {"winnow.version": version("winnow-inr"), "mlflow.source.name": "winnow", "mlflow.source.type": "LOCAL"}
    root = Path(__file__).parents[1]
    git = shutil.which("git")
    if git and (root / ".git").exists():
        command = [git, "-C", str(root), "rev-parse", "HEAD"]  # fixed words, no shell
        commit = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if commit.returncode == 0:
            tags["mlflow.source.git.commit"] = commit.stdout.strip()
    return tags


def _create_database(uri: str) -> None:
    """Make a SQLite database whole before it has its name: one that a crash left half-made never opens again."""
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or path.exists():
        return
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    MlflowClient(tracking_uri=f"sqlite:///{partial}").search_experiments(max_results=1)
    try:
        os.link(partial, path)  # unlike a rename, it spares what another process has put there meanwhile
    except FileExistsError:
        return
    finally:
        partial.unlink()


def _metric_name(text: str) -> str:
    """`text` with what MLflow refuses in names replaced: users name spaces and heuristics as they like."""
    return re.sub(r"[^\w\-. :/]", "_", text)


def _confirmed_metrics(confirmed: Mapping[str, Any] | None) -> dict[str, float | None]:
    if not confirmed:
        return {}
    names = {
        "confirmed_psnr_db": "mean_psnr_db",
        "confirmed_sd_db": "sd_db",
        "confirmed_held_psnr_db": "mean_held_psnr_db",
        "confirmed_held_sd_db": "held_sd_db",
    }
    return {name: confirmed.get(key) for name, key in names.items()}


def _params(values: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(key, str(value)) for key, value in values.items() if value is not None]
