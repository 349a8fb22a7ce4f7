"""Ray for this process: one of its own, which nobody else enters, or the cluster at an address.

A Ray of our own listens on 127.0.0.1 alone and takes only who has its token, drawn anew each time. The token stands in
the environment of its processes, which other users cannot read, and neither on a command line nor in a file or log.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import grpc
import ray
from ray import exceptions as ray_exceptions
from ray._private import ray_constants
from ray._private import utils as ray_utils
from ray._private.authentication.authentication_token_setup import AuthenticationTokenLoader, Config
from ray._private.authentication.authentication_utils import is_token_auth_enabled
from ray._private.grpc_utils import init_grpc_channel
from ray._private.state import state
from ray._raylet import (  # type: ignore[attr-defined]
    GCS_AUTOSCALER_STATE_NAMESPACE,
    GCS_AUTOSCALER_V2_ENABLED_KEY,
)
from ray.autoscaler._private.util import format_readonly_node_type
from ray.experimental.internal_kv import _internal_kv_get
from ray.util.client import ray as client

import search
import spaces
import trainers
from search.config import WorkerSettings
from search.errors import WorkersError, first_line, one_line, redact
from search.placement import Node

PROBE_SECONDS = 5.0
"""Within which something must answer at an address: ray.init itself retries for minutes."""

JOIN_TRIES = 3
"""Where a head must start a server for its new client (ray://): one that is young or busy may give up on it."""

REPORT_SECONDS = 10.0
"""Within which the autoscaler of a young head says what nodes there are, if there is one."""

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"

SUBMITTED = "winnow"
"""Metadata of jobs that `winnow submit` made: the name of their campaign."""

JOB, OVERRIDE = "RAY_JOB_CONFIG_JSON_ENV_VAR", "RAY_OVERRIDE_JOB_RUNTIME_ENV"
"""What a job brought along, as Ray tells its driver; whether a driver may change that."""

_ALIVE = {"": "/ray.rpc.NodeInfoGcsService/CheckAlive", "ray": "/ray.rpc.RayletDriver/ClusterInfo"}
"""What a head answers to an empty message at its own port, and at the one for clients, by an address' scheme."""


def connect(settings: WorkerSettings) -> Callable[[], None]:
    """Make sure that Ray is there; what ends what was begun for it, which may be called again.

    Raises:
        WorkersError: Ray cannot start, or no cluster that takes us answers at the address.
    """
    if settings.address is not None:
        _probe(settings.address)
    if ray.is_initialized():
        return lambda: None
    if settings.address is not None:
        return _join(settings.address)
    num_workers = (settings.workers or 0) + settings.cpu_workers
    return start_local(max(os.cpu_count() or 1, num_workers * settings.cpus_per_worker))


def look_around() -> list[Node]:
    """The nodes of the cluster that this process is in, those that left lately too."""
    if client.is_connected():  # the client's protocol tells little: somebody inside looks
        inside: list[Node] = ray.get(ray.remote(num_cpus=0)(look_around).remote())
        return inside
    free, draining = state.available_resources_per_node(), state.get_draining_nodes()
    return [
        Node(
            id=each["NodeID"],
            name=each["NodeName"],
            address=each["NodeManagerAddress"],
            is_alive=each["Alive"],
            is_draining=each["NodeID"] in draining,
            total=each["Resources"],
            free=free.get(each["NodeID"], {}),
            labels=each["Labels"],
        )
        for each in ray.nodes()
    ]


def can_grow(settings: WorkerSettings) -> bool:
    """Whether an autoscaler may bring nodes.

    A head runs one in any case. Where it cannot bring nodes, it calls each by its own id.
    """
    if settings.address is None:
        return False
    if _internal_kv_get(GCS_AUTOSCALER_V2_ENABLED_KEY, namespace=GCS_AUTOSCALER_STATE_NAMESPACE) == b"1":
        return True
    deadline = time.monotonic() + REPORT_SECONDS
    while (report := _internal_kv_get(ray_constants.DEBUG_AUTOSCALING_STATUS)) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    kinds = json.loads(report).get("autoscaler_report", {}).get("active_nodes", {})
    return not all(kind.startswith(format_readonly_node_type("")) for kind in kinds)


def start_local(num_cpus: int) -> Callable[[], None]:
    """A Ray of our own, with a token of its own unless the user chose one or none."""
    before = {name: os.environ.get(name) for name in (MODE, TOKEN)}
    _refuse_unreadable_token()
    if os.environ.get(MODE, "token").lower() == "token" and TOKEN not in os.environ and TOKEN_PATH not in os.environ:
        os.environ |= {MODE: "token", TOKEN: secrets.token_hex(32)}
    _reload_token()
    ray_constants.ENABLE_RAY_CLUSTER = False  # what Ray does elsewhere than on Linux: 127.0.0.1 and no other address

    def end() -> None:
        ray.shutdown()
        ray_constants.ENABLE_RAY_CLUSTER = True
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        _reload_token()

    try:
        _init(address="local", num_cpus=num_cpus, include_dashboard=False)
    except Exception as error:  # Ray raises one of no class where a machine is too busy to start it in time
        end()
        raise WorkersError(f"Ray cannot start here: {first_line(error)}") from error
    except BaseException:
        end()
        raise
    return end


def _join(address: str) -> Callable[[], None]:
    # A cluster may lack our packages: ship them, so that nothing needs a shared disk. As folders: modules reach no ray://
    modules = [str(Path(str(package.__file__)).parent) for package in (spaces, trainers, search)]
    for number in range(1, JOIN_TRIES + 1):
        try:
            with _environment_of_workers(modules) as runtime_env:
                _init(address=address, runtime_env=runtime_env)
            break
        except (OSError, RuntimeError, ValueError, TimeoutError, ray_exceptions.RayError) as error:
            if number < JOIN_TRIES and isinstance(error, ConnectionAbortedError):
                continue
            raise _not_joined(address, error) from error

    def end() -> None:
        ray.shutdown()

    return end


def _not_joined(address: str, error: Exception) -> WorkersError:
    """What to say; of a traceback of the cluster's its last line."""
    if str(error).startswith("Version mismatch"):
        return WorkersError(f"the Ray cluster at {address} has other versions: {one_line(str(error))}")
    if isinstance(error, ConnectionAbortedError):
        *_, last = [line for line in str(error).splitlines() if line.strip()]
        return WorkersError(f"the Ray cluster at {address} lets nobody in: {one_line(last)}")
    return WorkersError(f"no Ray cluster answers at {address}: {first_line(error)}")


@contextmanager
def _environment_of_workers(modules: list[str]) -> Iterator[dict[str, Any]]:
    """Our packages, beside those that a Ray job which runs us has brought along.

    A job of `winnow submit` brings signals and passwords too: its folder stays on the head, and workers get another.
    """
    job = json.loads(os.environ.get(JOB, "{}"))
    brought = job.get("runtime_env", {}).get("py_modules", [])
    runtime_env: dict[str, Any] = {"py_modules": [*brought, *modules]}
    override = os.environ.get(OVERRIDE)
    with TemporaryDirectory(prefix="winnow-") as folder:
        if SUBMITTED in job.get("metadata", {}):
            Path(folder, "README").write_text("Workers get their trials by Ray's object store.\n", encoding="utf-8")
            runtime_env["working_dir"] = folder
        os.environ[OVERRIDE] = "1"  # Ray refuses to put what we bring beside what the job has
        try:
            yield runtime_env
        finally:
            del os.environ[OVERRIDE]
            if override is not None:
                os.environ[OVERRIDE] = override


def _init(**options: Any) -> None:
    """ray.init, quiet; it would show our command line, which may hold passwords, to whoever may enter the cluster."""
    named = ray_utils.get_entrypoint_name
    ray_utils.get_entrypoint_name = lambda: "winnow"
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    finally:
        ray_utils.get_entrypoint_name = named


def _reload_token() -> None:
    """Ray reads its variables once, when it is imported or first asked."""
    Config.initialize("")  # the mode first: a thread that still drains must not look for a token that is gone
    AuthenticationTokenLoader.instance().reset_cache()


def _refuse_unreadable_token() -> None:
    """Ray aborts the process where it cannot read what RAY_AUTH_TOKEN_PATH names."""
    path = os.environ.get(TOKEN_PATH)
    if path is None or os.environ.get(TOKEN):
        return
    try:
        is_empty = not Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise WorkersError(f"{TOKEN_PATH} must name a file with a token, but {path} cannot be read: {error}") from error
    if is_empty:
        raise WorkersError(f"{TOKEN_PATH} must name a file with a token, but {path} is empty")


def _probe(address: str) -> None:
    """Fail at once, and say why, where nothing listens, or nothing that takes us."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if address == "auto":
        return
    if not host or not port or parts.scheme not in _ALIVE or parts.path or parts.username:
        shown = redact(f"//{address}").removeprefix("//")
        raise WorkersError(f"an address must be host:port or ray://host:port, but got {shown!r}")
    knock(host, port, f"no Ray cluster answers at {address}")
    check_token()
    with init_grpc_channel(f"[{host}]:{port}" if ":" in host else f"{host}:{port}") as channel:
        try:
            channel.unary_unary(_ALIVE[parts.scheme])(b"", timeout=PROBE_SECONDS)
        except grpc.RpcError as error:
            _refuse(address, parts.scheme == "ray", error)


def knock(host: str, port: int, nobody: str) -> None:
    """Fail at once where nothing listens.

    Raises:
        WorkersError: `nobody`, and why.
    """
    try:
        with socket.create_connection((host, port), timeout=PROBE_SECONDS):
            pass
    except (OSError, UnicodeError) as error:
        raise WorkersError(f"{nobody}: {error}") from error


def check_token() -> None:
    """Ray would abort the process, or ask for nothing.

    Raises:
        WorkersError: authentication is on, and there is no token.
    """
    _refuse_unreadable_token()
    if is_token_auth_enabled() and not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        raise WorkersError(
            f"{MODE}=token needs a token, but there is none in {TOKEN}, {TOKEN_PATH} or ~/.ray/auth_token"
        )


def token_refused(address: str) -> WorkersError:
    """What to say where a cluster does not take our token."""
    token = "another one" if is_token_auth_enabled() else f"none, as {MODE}=token is not set"
    return WorkersError(f"the Ray cluster at {address} takes only who has its token, but this has {token}")


def _refuse(address: str, is_client: bool, error: grpc.RpcError) -> None:
    code = error.code()
    if code == grpc.StatusCode.UNAUTHENTICATED:
        raise token_refused(address) from error
    if is_client and code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return  # whoever it is that asks, it does not say: but it has understood
    raise WorkersError(f"what answers at {address} must be a Ray cluster's head, but: {code.name.lower()}") from error
