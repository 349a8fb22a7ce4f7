"""A real MLflow server that can be killed, hung and started again, and a proxy in front of it that breaks answers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(uri: str, process: subprocess.Popen[bytes], seconds: float = 90.0) -> None:
    """Until MLflow answers at `uri`, whose server or whose server's command is this process."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended by itself"
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"no server at {uri}")


class MlflowServer:
    """`mlflow server` on 127.0.0.1 with a SQLite database in `folder`, always at the same port.

    Args:
        folder: where artifacts go through the server, and its database and log are.
        host: to listen at.
        backend: database in place of its own.
        words: more of its command line.
        environment: more of its variables.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        backend: str | None = None,
        words: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://{host}:{self.port}"
        self._host = host
        self._backend = backend or f"sqlite:///{folder}/server.db"
        self._words = list(words)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> MlflowServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, *, wait: bool = True) -> None:
        """Start it; wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", self._host, "--port", str(self.port)]
        command += ["--backend-store-uri", self._backend, "--workers", "1", *self._words]
        command += ["--artifacts-destination", (self.folder / "artifacts").as_uri()]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environment |= self._environment
        log = (self.folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        log.close()
        if wait:
            self.wait()

    def wait(self, seconds: float = 90.0) -> None:
        """Until it answers."""
        assert self._process
        wait_for(self.uri, self._process, seconds)

    def kill(self) -> None:
        """As `kill -9` of all its processes."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Connections are taken, nothing is answered."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """After `hang`."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGCONT)


Breaks = Callable[[str, str], bool]
"""Whether an answer is broken: method and path of the request."""


class Proxy:
    """Hands requests on to a server.

    Attributes:
        delay: seconds before each answer.
        refuses: answers `status` to these, and hands them on to nobody.
        status: 503, of a server that is busy, unless set to another.
        drops: hands these on and closes the connection without an answer.
        requests: method and path of all that came.
    """

    def __init__(self, port: int) -> None:
        self.delay = 0.0
        self.status = 503
        self.refuses: Breaks = lambda method, path: False
        self.drops: Breaks = lambda method, path: False
        self.requests: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, port))
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()


def _handler(proxy: Proxy, port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

        def _hand_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.split("?")[0]
            proxy.requests.append((self.command, path))
            time.sleep(proxy.delay)
            if proxy.refuses(self.command, path):
                self._answer(proxy.status, b"no", "text/plain")
                return
            upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            data = answer.read()
            upstream.close()
            if proxy.drops(self.command, path):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._answer(answer.status, data, answer.getheader("Content-Type", "application/json"))

        def _answer(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _hand_on  # noqa: N815

    return Handler
