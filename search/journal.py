"""The store's journal: Optuna's operations as lines of a file, mended after a crash, put to disk in groups."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.storages.journal._file import get_lock_file


def open_journal(path: Path, *, to_write: bool) -> BaseStorage:
    """The journal at `path`; made where there is none, and its last line mended where a crash tore it, `to_write`."""
    if to_write:
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)
    return JournalStorage(GroupedJournal(str(path)))


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


class GroupedJournal(JournalFileBackend):
    """Optuna's journal in a file, of which a thread may hold back the wait for the disk.

    Args:
        file_path: an absolute one (with a relative one a stale lock is never released).
    """

    def __init__(self, file_path: str) -> None:
        super().__init__(file_path)
        self._held = threading.local()

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
                with Path(self._file_path).open("ab") as file:
                    os.fsync(file.fileno())

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines; outside a group, wait until they are on disk."""
        if not hasattr(self._held, "has_written"):
            super().append_logs(logs)
            return
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with get_lock_file(self._lock), Path(self._file_path).open("ab") as file:
            file.write(lines.encode())
        self._held.has_written = True


def _cut_torn_line(journal: Path) -> None:
    """Remove a last line without an end: a crash tore it, and the next append would merge into it and be lost."""
    if not journal.exists():
        return
    lock = JournalFileSymlinkLock(str(journal))  # Optuna's own: another process may be writing this line right now
    lock.acquire()
    try:
        with journal.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            kept = _end_of_last_line(file, size)
            if kept < size:
                file.truncate(kept)
    finally:
        lock.release()


def _end_of_last_line(file: BinaryIO, size: int) -> int:
    """Bytes up to and with the last line end."""
    end = size
    while end:
        start = max(0, end - 65_536)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
