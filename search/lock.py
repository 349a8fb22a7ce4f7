"""One driver a study: the lock that it holds while it runs, and who holds it.

A file of the study's folder, and beside it what the holder says of itself. Where a database holds the trials, other
stores and other machines may share it: then also a file beside an SQLite database, or PostgreSQL's own advisory lock,
which the server releases when its connection ends. The system releases the files' locks of a process that died.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from search.errors import SpecError, StorageError
from search.folder import LOCK, study_folder
from trainers.checkpoint import write_atomically

PROBE_SECONDS = 1.0
"""So long a driver tries: `winnow status` looks at a file's lock by taking it for an instant."""

CONNECT_SECONDS = 10
"""After which a database server that does not answer is given up."""

TRY_LOCK = text("SELECT pg_try_advisory_lock(:key)")

WHO_HOLDS = text(
    "SELECT activity.application_name, activity.backend_start FROM pg_locks LEFT JOIN pg_stat_activity activity "
    "ON activity.pid = pg_locks.pid WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND CAST(classid AS bigint) = :high AND CAST(objid AS bigint) = :low"
)
"""Whose lock: PostgreSQL shows a key as its upper and its lower 32 bits."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who drives a study: what is known of it; `started` in ISO 8601, UTC."""

    host: str | None = None
    pid: int | None = None
    started: str | None = None

    def __str__(self) -> str:
        if self.host is None:
            return "another process"
        return f"process {self.pid} on {self.host}" + (f" since {self.started}" if self.started else "")


def this_process() -> Holder:
    """This process, from now on."""
    return Holder(host=socket.gethostname(), pid=os.getpid(), started=_spell(datetime.now(UTC)))


def check_storage_url(url: str | None) -> None:
    """Refuse a storage that could not be locked, before anything starts.

    Raises:
        SpecError: no address of SQLite or PostgreSQL.
    """
    if url is not None:
        parse_storage_url(url)


@contextmanager
def driving(store: Path, url: str | None, names: Sequence[str]) -> Iterator[Callable[[], None]]:
    """Hold the studies of these names.

    Yields:
        A check, for use before something is written: that they are still held. It raises a StorageError.

    Raises:
        StorageError: another driver holds one of them, or there is no place for locks.
    """
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(_holding_file(study_folder(store, name) / LOCK, name))
        if url is not None and (parsed := parse_storage_url(url)).get_backend_name() == "postgresql":
            lock = stack.enter_context(_ServerLock(parsed, names))
            yield lock.check
            return
        for name in names:
            path = _beside_database(url, name)
            if path is not None:
                stack.enter_context(_holding_file(path, name))
        yield lambda: None


def holder_of(store: Path, url: str | None, name: str) -> Holder | None:
    """Who drives a study right now; None where nobody does."""
    if url is not None and (parsed := parse_storage_url(url)).get_backend_name() == "postgresql":
        with _ServerLock(parsed, [name], is_watching=True) as lock:
            return lock.holder(name)
    folder = study_folder(store, name)  # which refuses names that lead elsewhere
    path = _beside_database(url, name) or folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(path)
    finally:
        os.close(descriptor)
    return None


def connect_args_of(url: URL) -> dict[str, Any]:
    """What a connection is opened with, unless the address says it itself."""
    if url.get_backend_name() != "postgresql":
        return {}
    me = this_process()
    ours = {"connect_timeout": CONNECT_SECONDS, "application_name": f"winnow {(me.host or '')[:40]}:{me.pid}"}
    return {key: value for key, value in ours.items() if key not in url.query}


def parse_storage_url(url: str) -> URL:
    """The address of a database whose studies can be locked.

    Raises:
        SpecError: no address of SQLite or PostgreSQL.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError):  # a port that is no number
        backend = None
    if backend not in ("sqlite", "postgresql"):
        came = f"an address of {backend}" if backend else "no address of a database"
        raise SpecError(
            f"storage must be sqlite:///FILE or postgresql://..., whose studies can be locked, but got {came}"
        )
    return parsed


def _beside_database(url: str | None, name: str) -> Path | None:
    """The file that is locked for a study of an SQLite database; None for one in memory, and for a journal."""
    database = parse_storage_url(url).database if url is not None else None
    if not database or database == ":memory:":
        return None
    return Path(f"{database.removeprefix('file:')}-locks") / f"{name}.lock"


@contextmanager
def _holding_file(path: Path, name: str) -> Iterator[None]:
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PROBE_SECONDS, poll_interval=0.05)
    except Timeout:
        raise _refusal(name, _read_holder(path)) from None
    except OSError as error:
        raise StorageError(f"the store {path.parent} must be a writable folder, but: {error.strerror}") from error
    try:
        write_atomically(_described(path), json.dumps(asdict(this_process())).encode())
        yield
    finally:
        with suppress(OSError):  # what ends the run is worth more than this
            _described(path).unlink(missing_ok=True)
        lock.release()


def _described(path: Path) -> Path:
    """Where the holder of a lock says who it is: the lock's own file is emptied by whoever tries it."""
    return path.with_suffix(".json")


def _read_holder(path: Path) -> Holder:
    try:
        found = json.loads(_described(path).read_bytes())
        return Holder(host=str(found["host"]), pid=int(found["pid"]), started=str(found["started"]))
    except (OSError, ValueError, KeyError, TypeError):  # it has only just taken the lock
        return Holder()


def _refusal(name: str, holder: Holder) -> StorageError:
    return StorageError(f"study {name!r} is being run by {holder}: a study has one driver at a time")


class _ServerLock:
    """PostgreSQL's advisory locks on studies, for as long as a connection of its own is open.

    Args:
        url: of the database; locks are the database's.
        names: of the studies.
        is_watching: only look at who holds them.
    """

    def __init__(self, url: URL, names: Sequence[str], *, is_watching: bool = False) -> None:
        self._names = () if is_watching else tuple(names)
        try:
            self._engine = create_engine(
                url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=connect_args_of(url)
            )
        except ModuleNotFoundError as error:
            raise StorageError(
                f"PostgreSQL needs {error.name}: pip install 'winnow-inr[postgresql]' brings psycopg"
            ) from error

    def __enter__(self) -> _ServerLock:
        self._connection = self._take()
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def check(self) -> None:
        """Take them again where the server ended the connection, and with it the locks.

        Raises:
            StorageError: meanwhile another driver has one.
        """
        try:
            self._connection.execute(text("SELECT 1"))
        except DBAPIError:
            self._connection.invalidate()
            self._connection.close()
            self._connection = self._take()

    def holder(self, name: str) -> Holder | None:
        """Who holds a study's lock."""
        return _server_holder(self._connection, name)

    def _take(self) -> Connection:
        connection = self._engine.connect()
        try:
            # Else the server would hold the locks of a machine that vanished for two hours.
            for setting in ("idle = 60", "interval = 10", "count = 6"):
                connection.execute(text(f"SET tcp_keepalives_{setting}"))
            for name in self._names:
                if not connection.execute(TRY_LOCK, {"key": _key(name)}).scalar_one():
                    raise _refusal(name, _server_holder(connection, name) or Holder())
        except BaseException:
            connection.close()
            raise
        return connection


def _server_holder(connection: Connection, name: str) -> Holder | None:
    key = _key(name)
    row = connection.execute(WHO_HOLDS, {"high": key >> 32 & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}).first()
    if row is None:
        return None
    # Of other users the server shows the name of the application alone.
    host, _, pid = (row.application_name or "").removeprefix("winnow ").rpartition(":")
    if not (host and pid.isdigit()):
        return Holder()
    return Holder(host=host, pid=int(pid), started=_spell(row.backend_start) if row.backend_start else None)


def _key(name: str) -> int:
    """A study's 64 bits, signed, as PostgreSQL's locks have them."""
    return int.from_bytes(hashlib.sha256(f"winnow/{name}".encode()).digest()[:8], "little", signed=True)


def _spell(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")
