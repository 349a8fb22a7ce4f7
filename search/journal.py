"""The store's journal: Optuna's operations as lines of a file, whole or not there, put to disk in groups.

In place of Optuna's own file, whose lock outlives a killed process by 30 seconds, which keeps half a line when the disk
is full, and which reads over a last line that is none.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend

from search.errors import StorageError

BEGINNING = b'{"op_code":'
"""Of every line that Optuna writes."""


def open_journal(path: Path, *, to_write: bool) -> BaseStorage:
    """The journal at `path`; made where there is none, and its last line cut where a crash tore it, `to_write`.

    Raises:
        StorageError: the file holds something else; it is left as it is.
    """
    if to_write:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    journal = GroupedJournal(path)
    try:
        storage = JournalStorage(journal)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:  # of a line that is JSON
        raise journal.broken(journal.num_read) from error
    if to_write:
        journal.cut_torn_line()
    return storage


@contextmanager
def grouped(storage: BaseStorage) -> Iterator[None]:
    """Put what this thread writes inside to disk together, at the end: one wait for the disk instead of many.

    Another process sees each operation at once, and a killed driver loses none of them; only a machine that loses its
    power within the group loses its last operations, as it loses one that is on its way to disk. Storages other than
    the journal write as always.
    """
    backend = storage._backend if isinstance(storage, JournalStorage) else None
    if not isinstance(backend, GroupedJournal):
        yield
        return
    with backend.group():
        yield


class GroupedJournal(BaseJournalBackend):
    """A journal in a file, of which a thread may hold back the wait for the disk.

    Args:
        path: of the file, which must be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = threading.local()
        self.num_read = 0
        self._offset = 0

    @contextmanager
    def group(self) -> Iterator[None]:
        """Wait for the disk once, at the end, if this thread wrote anything."""
        self._held.has_written = False
        try:
            yield
        finally:
            has_written = self._held.has_written
            del self._held.has_written
            if has_written:
                with self._writing() as descriptor:
                    os.fsync(descriptor)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines; outside a group, wait until they are on disk.

        Raises:
            StorageError: they cannot be written, and none is.
        """
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._writing() as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is closed, or its process is killed
            _append_or_leave(descriptor, lines)
            if hasattr(self._held, "has_written"):
                self._held.has_written = True
            else:
                os.fsync(descriptor)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Operations from that number on, each a line; a last line without an end is not one yet.

        Raises:
            StorageError: a line that is no operation.
        """
        if log_number_from != self.num_read:
            self.num_read = self._offset = 0
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    if not _is_torn(line):
                        raise self.broken(self.num_read + 1)
                    return
                self.num_read += 1
                self._offset += len(line)
                if self.num_read > log_number_from:
                    yield self._operation(line)

    def cut_torn_line(self) -> None:
        """Remove a last line without an end: a crash tore it, and the next one would merge into it and be lost."""
        with self._writing() as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # another process may be writing this line right now
            with self._path.open("rb") as file:
                file.seek(self._offset)
                kept = self._offset + sum(len(line) for line in file if line.endswith(b"\n"))
            if kept < os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, kept)

    def broken(self, line: int) -> StorageError:
        """The error that names a line, counted from 1."""
        return StorageError(f"{self._path}, line {line}: must be an operation of Optuna's journal, but is not")

    def _operation(self, line: bytes) -> dict[str, Any]:
        try:
            operation = json.loads(line)
        except ValueError:
            operation = None
        if not isinstance(operation, dict) or not {"op_code", "worker_id"} <= operation.keys():
            raise self.broken(self.num_read)
        return operation

    @contextmanager
    def _writing(self) -> Iterator[int]:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(f"the store {self._path.parent} cannot be written: {error.strerror}") from error


def _append_or_leave(descriptor: int, data: bytes) -> None:
    """Append all of `data` or nothing: half a line would take the next one with it."""
    size = os.fstat(descriptor).st_size
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _is_torn(line: bytes) -> bool:
    """Whether a line without an end is the beginning of an operation, or a block that never reached the disk."""
    return line[: len(BEGINNING)] == BEGINNING[: len(line)] or not line.strip(b"\0")
