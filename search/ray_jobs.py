"""Jobs of a Ray cluster, by the address of its dashboard: submit, find, follow."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from search.errors import UsageError, WorkersError, first_line, one_line, redact
from search.ray_session import SUBMITTED, check_token, knock, token_refused

ANSWER_SECONDS = 60.0
"""So long a dashboard may take for an answer: it unpacks what it is sent."""

AWAY_SECONDS = 120.0
"""So long a dashboard may be away before who follows a job gives up; the job goes on."""

QUIET_SECONDS = 60.0
"""So long a job may say nothing before its log is asked for anew."""

LOOK_SECONDS = 1.0
"""Between two looks at a job whose log has ended, or whose dashboard is away."""

STOP_SECONDS = 150
"""So long a job that is asked to end may take for it, which is what MLflow may take for the last runs, and some more.

Ray's own limit of 3 s kills it in between.
"""

_OVERRIDES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
"""Ray takes these for the address, whatever it is told."""

_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging",
)  # fmt: skip
"""Loggers that tell of every package and every look at a log."""

ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the cluster says of a job.

    Attributes:
        id: which.
        status: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        exit_code: of its command; None as long as it has none.
        message: why it is where it is.
        started: seconds since the epoch.
        metadata: what who submitted it said of it.
    """

    id: str
    status: str
    exit_code: int | None
    message: str
    started: float
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in ENDED


class UnknownJobError(WorkersError):
    """A cluster that has forgotten a job."""


class _Client(JobSubmissionClient):  # type: ignore[misc]
    """One that waits for no answer for ever."""

    def _do_request(self, method: str, endpoint: str, **more: Any) -> Any:
        return super()._do_request(method, endpoint, **{"timeout": ANSWER_SECONDS, **more})


class Jobs:
    """The jobs of the cluster whose dashboard is at an address.

    Args:
        address: http://host:port or https://host:port.

    Raises:
        UsageError: no such address.
        WorkersError: nothing listens there, it is no dashboard, or it does not take our token.
    """

    def __init__(self, address: str) -> None:
        self.address = _checked(address)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        check_token()
        with self._errors(is_probe=True), _unset(_OVERRIDES):
            self._client = _Client(self.address)

    def submit(self, id: str, command: str, folder: Path, metadata: Mapping[str, str]) -> Job:
        """Send the folder, and have the command run in it on the head.

        Raises:
            WorkersError: the cluster does not take it.
        """
        with self._errors():
            self._client.submit_job(
                submission_id=id,
                entrypoint=command,
                runtime_env={
                    "working_dir": str(folder),
                    "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)},
                },
                metadata=dict(metadata),
            )
        return Job(id=id, status="PENDING", exit_code=None, message="", started=time.time(), metadata=metadata)

    def all(self) -> list[Job]:
        """The jobs that were submitted, the latest last."""
        with self._errors():
            details = self._client.list_jobs()
        return sorted((_job(each) for each in details if each.submission_id), key=lambda job: job.started)

    def find(self, name: str) -> Job:
        """The job of an id, or the latest of a campaign.

        Raises:
            UsageError: there is none.
        """
        jobs = self.all()
        for job in reversed(jobs):
            if name in (job.id, job.metadata.get(SUBMITTED)):
                return job
        known = ", ".join(f"{job.metadata.get(SUBMITTED, '')} {job.id}".strip() for job in jobs[-5:]) or "none"
        raise UsageError(
            f"a job must be named by its id or campaign, but got {name!r}; jobs at {self.address}: {known}"
        )

    def stop(self, id: str) -> bool:
        """Ask a job to end, which keeps what it has; False where it has ended already."""
        with self._errors():
            return bool(self._client.stop_job(id))

    def follow(self, id: str, take: Callable[[str], None]) -> Job:
        """Hand on what a job has said and says, until it ends; where the connection is lost, from where it was.

        Raises:
            WorkersError: the dashboard is away for too long, or knows the job no more.
        """
        taken, away_since, job = 0, None, None

        def take_new(text: str, at: int) -> int:
            nonlocal taken
            if at + len(text) > taken:
                take(text[max(taken - at, 0) :])
                taken = at + len(text)
            return at + len(text)

        while True:
            with suppress(RuntimeError, TimeoutError, aiohttp.ClientError, OSError):
                asyncio.run(self._tail(id, take_new))
            try:
                job = self.look(id)
                with self._errors():
                    take_new(self._client.get_job_logs(id), 0)  # what no tail brought
                away_since = None
                if job.has_ended:
                    return job
            except UnknownJobError:
                raise
            except WorkersError as error:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > AWAY_SECONDS:
                    if job and job.has_ended:  # its log left with its node
                        return job
                    raise WorkersError(f"the dashboard at {self.address} is away: {first_line(error)}") from error
            time.sleep(LOOK_SECONDS)

    def look(self, id: str) -> Job:
        """Where a job stands.

        Raises:
            UnknownJobError: nowhere.
            WorkersError: the dashboard is away.
        """
        with self._errors():
            try:
                return _job(self._client.get_job_info(id))
            except RuntimeError as error:
                if "status code 404" not in str(error):
                    raise
                raise UnknownJobError(
                    f"the cluster at {self.address} knows no job {id} any more, as if its head was started anew: "
                    "the same submit continues"
                ) from error

    async def _tail(self, id: str, take_new: Callable[[str, int], int]) -> None:
        """The log as it comes, up to its end, or a pause: a connection that died in silence looks like one."""
        at, pieces = 0, aiter(self._client.tail_job_logs(id))
        while (text := await asyncio.wait_for(anext(pieces, None), QUIET_SECONDS)) is not None:
            at = take_new(text, at)

    @contextmanager
    def _errors(self, *, is_probe: bool = False) -> Iterator[None]:
        """What Ray's client raises, in one line; a server's traceback says it in its last."""
        try:
            yield
        except AuthenticationError as error:
            raise token_refused(self.address) from error
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            if isinstance(error, WorkersError):
                raise
            lines = [line for line in str(error).splitlines() if line.strip(" .")] or [type(error).__name__]
            if is_probe:
                said = f"what answers at {self.address} must be a Ray cluster's dashboard, but: {lines[0]}"
            else:
                said = f"the Ray cluster at {self.address} does not do it: {lines[-1]}"
            raise WorkersError(one_line(said)) from error


def _checked(address: str) -> str:
    """Without a path; fails at once where nothing listens."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme not in ("http", "https") or parts.path.strip("/") or parts.username:
        raise UsageError(f"--address must be that of a Ray dashboard, http://host:8265, but got {redact(address)!r}")
    knock(host, port, f"no Ray dashboard answers at {address}")
    return address.rstrip("/")


def _job(details: JobDetails) -> Job:
    return Job(
        id=details.submission_id,
        status=str(getattr(details.status, "value", details.status)),
        exit_code=details.driver_exit_code,
        message=details.message or "",
        started=(details.start_time or 0) / 1000,
        metadata=details.metadata or {},
    )


@contextmanager
def _unset(names: tuple[str, ...]) -> Iterator[None]:
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
