"""Jobs of a dashboard: addresses, refusals, and a connection that is lost while a job is followed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from aiohttp import WSCloseCode, web
from mlflow_server import free_port

from search.errors import UsageError, WorkersError
from search.ray_jobs import Jobs

Shell = Callable[..., tuple[int, str, str]]

LOG = "".join(f"line {number}\n" for number in range(30))


class Dashboard:
    """A server that speaks as much of Ray's Jobs as is asked of it, and breaks off.

    Attributes:
        num_tails: how often a log was followed; the first two break off.
        is_silent: whether a log that is followed says nothing and does not end.
        is_anew: whether it has forgotten all jobs.
    """

    def __init__(self) -> None:
        self.num_tails = 0
        self.is_silent = self.is_anew = False
        self.status = 200
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve)
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(30)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        application = web.Application()
        application.router.add_get("/api/version", self._version)
        application.router.add_get("/api/jobs/", self._list)
        application.router.add_get("/api/jobs/one", self._job)
        application.router.add_get("/api/jobs/one/logs", self._logs)
        application.router.add_get("/api/jobs/one/logs/tail", self._tail)
        application.router.add_post("/api/jobs/one/stop", self._stop)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", self.port).start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())

    async def _version(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.Response(status=self.status, text="no")
        return web.json_response({"version": "4", "ray_version": "2.60.0", "ray_commit": "x"})

    def _details(self) -> dict[str, object]:
        status = "SUCCEEDED" if self.num_tails > 2 else "RUNNING"
        job = {"type": "SUBMISSION", "submission_id": "one", "status": status, "entrypoint": "e", "driver_exit_code": 0}
        return {**job, "start_time": 5000, "metadata": {"winnow": "mine"}}

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response([self._details()])

    async def _job(self, request: web.Request) -> web.Response:
        if self.is_anew:
            return web.Response(status=404, text="Job one does not exist")
        return web.json_response(self._details())

    async def _stop(self, request: web.Request) -> web.Response:
        return web.Response(status=500, text="Traceback (most recent call last):\n  x\nKeyError: 'no such thing'\n")

    async def _logs(self, request: web.Request) -> web.Response:
        return web.json_response({"logs": LOG})

    async def _tail(self, request: web.Request) -> web.WebSocketResponse:
        self.num_tails += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.is_silent:
            await asyncio.sleep(3600)
        cut = {1: 100, 2: 50}.get(self.num_tails, len(LOG) - 8)
        for at in range(0, cut, 33):
            await socket.send_str(LOG[at : min(at + 33, cut)])
        if self.num_tails <= 2:
            assert request.transport
            request.transport.abort()
        await socket.close(code=WSCloseCode.OK)
        return socket

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    running = Dashboard()
    yield running
    running.close()


def test_who_follows_a_job_gets_each_character_once_whatever_breaks_off(dashboard: Dashboard) -> None:
    jobs, taken = Jobs(dashboard.address), list[str]()
    job = jobs.follow(jobs.find("mine").id, taken.append)
    assert "".join(taken) == LOG
    assert dashboard.num_tails == 3
    assert (job.status, job.exit_code, job.started) == ("SUCCEEDED", 0, 5.0)
    with pytest.raises(UsageError, match=r"named by its id or campaign, but got 'other'; jobs at .*: mine one"):
        jobs.find("other")


def test_a_log_that_brings_nothing_and_does_not_end_is_asked_for_anew(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.ray_jobs.QUIET_SECONDS", 0.2)
    dashboard.is_silent = True  # as a connection whose other end lost its power
    taken: list[str] = []
    job = Jobs(dashboard.address).follow("one", taken.append)
    assert (job.status, "".join(taken)) == ("SUCCEEDED", LOG)


def test_a_job_that_the_cluster_has_forgotten_is_said_at_once(dashboard: Dashboard) -> None:
    jobs = Jobs(dashboard.address)
    dashboard.is_anew = True
    with pytest.raises(WorkersError, match=r"knows no job one any more, .*: the same submit continues"):
        jobs.follow("one", print)


def test_an_answer_that_is_a_traceback_is_its_last_line(dashboard: Dashboard) -> None:
    with pytest.raises(WorkersError, match=r"does not do it: KeyError: 'no such thing'"):
        Jobs(dashboard.address).stop("one")


@pytest.mark.parametrize(("status", "why"), [(401, "takes only who has its token"), (404, "must be a Ray cluster's")])
def test_a_dashboard_that_refuses_us_or_is_none_is_said(dashboard: Dashboard, status: int, why: str) -> None:
    dashboard.status = status
    with pytest.raises(WorkersError, match=why):
        Jobs(dashboard.address)


def test_where_nothing_listens_or_nothing_can_is_one_line(shell: Shell) -> None:
    words = ["submit", "synthetic:bright", "--samples", "256", "--store", "/vol"]
    nowhere = f"http://127.0.0.1:{free_port()}"
    code, out, err = shell(*words, "--address", nowhere)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: no Ray dashboard answers at {nowhere}: ")
    for address in ("10.0.0.5:6379", "ray://head:10001", "http://ada:s3cr3t@head:8265"):
        code, out, err = shell(*words, "--address", address)
        assert (code, out) == (2, "")
        assert err.startswith("error: --address must be that of a Ray dashboard, http://host:8265, but got ")
        assert "s3cr3t" not in err
