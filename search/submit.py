"""A search as a job of a Ray cluster: sent, followed, and followed again."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from search.config import StoreSettings, StudySpec
from search.errors import UsageError, WorkersError, one_line, redact
from search.job_log import JobLog
from search.lock import check_storage_url
from search.ray_jobs import Job, Jobs
from search.ray_session import SUBMITTED
from search.shipment import COMMAND, build_shipment, check_for_cluster, read_environment

STORE, TRACKING = "winnow.store", "winnow.tracking_uri"
"""Metadata of a job: where its results are, without passwords."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What came of a job.

    Attributes:
        job: as it ended.
        document: that `winnow run --json` printed; None where there is none.
        failure: why it failed, one line; empty where it did not.
        exit_code: for the command that followed it.
        store: where its results are, on the cluster.
    """

    job: Job
    document: dict[str, Any] | None
    failure: str
    exit_code: int
    store: StoreSettings


def submit_study(spec: StudySpec, jobs: Jobs, *, env: Sequence[str], say: Callable[[str], None]) -> Job:
    """Check everything here, then have the cluster run it.

    Args:
        spec: as `winnow run` takes it; its store is a folder of the cluster, its signals are files of this machine.
        jobs: of the cluster.
        env: names of variables of this environment that the job gets.
        say: called with the names of the studies before anything is sent.

    Raises:
        UsageError: what cannot be used, or a job that searches under this name in this store already.
        WorkersError: the cluster does not take it.
    """
    spec = spec.model_copy(update={"name": spec.name or spec.default_name(f"{datetime.now(UTC):%Y%m%d}")})
    check_storage_url(spec.store.storage)
    environment = read_environment(env)
    names = check_for_cluster(spec)
    assert spec.name is not None
    metadata = {SUBMITTED: spec.name, STORE: str(spec.store.store), TRACKING: redact(spec.store.tracking_uri or "")}
    for job in jobs.all():
        if not job.has_ended and all(job.metadata.get(key) == metadata[key] for key in (SUBMITTED, STORE)):
            raise UsageError(
                f"a campaign must have one driver, but job {job.id} searches {spec.name} already: "
                f"winnow attach {job.id} --address {jobs.address}"
            )
    for name in names:
        say(name)
    id = f"winnow-{spec.name}-{secrets.token_hex(3)}"
    with TemporaryDirectory(prefix="winnow-") as folder:
        build_shipment(spec, Path(folder), environment)
        return jobs.submit(id, COMMAND, Path(folder), metadata)


def follow_job(job: Job, jobs: Jobs, show: Callable[[str], None]) -> Ended:
    """Show what a job has said and says, until it ends.

    Args:
        job: that is followed.
        jobs: of its cluster.
        show: called with each line that is not of the document.

    Raises:
        WorkersError: the cluster is away for too long.
    """
    log = JobLog()

    def take(text: str) -> None:
        for line in log.feed(text):
            show(line)

    job = jobs.follow(job.id, take)
    for line in log.end():
        show(line)
    exit_code = 0 if job.status == "SUCCEEDED" else job.exit_code or 1
    return Ended(
        job=job,
        document=log.document if "studies" in (log.document or {}) else None,
        failure=_failure(job, log) if exit_code else "",
        exit_code=exit_code if exit_code >= 0 else 128 - exit_code,  # as a shell has it
        store=_store_of(job.metadata),
    )


def _failure(job: Job, log: JobLog) -> str:
    if job.status == "STOPPED":
        return f"job {job.id} was stopped; the same submit continues"
    if job.exit_code is None:  # it never began, or nobody saw its end
        return f"job {job.id} failed: {one_line(job.message) or 'no reason given'}"
    if job.exit_code < 0:
        hint = " (did its node run out of memory?)" if job.exit_code == -signal.SIGKILL else ""
        return f"job {job.id} was killed by signal {-job.exit_code}{hint}; the same submit continues"
    reason = log.last_line.removeprefix("error: ") or job.message
    return f"job {job.id} ended with exit code {job.exit_code}: {reason}"


def _store_of(metadata: Mapping[str, str]) -> StoreSettings:
    return StoreSettings(
        store=Path(metadata.get(STORE) or StoreSettings().store), tracking_uri=metadata.get(TRACKING) or None
    )


def check_document(ended: Ended) -> dict[str, Any]:
    """The document of a job that ended well.

    Raises:
        WorkersError: it printed none.
    """
    if ended.document is None:
        raise WorkersError(
            f"job {ended.job.id} must print a document, but it printed none: was it submitted by winnow?"
        )
    return ended.document
