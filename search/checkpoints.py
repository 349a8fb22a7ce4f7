"""States of running trials, one object each, in a folder or wherever fsspec reaches: gone when their trial ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from search.errors import StorageError, first_line, redact
from search.folder import file_stem
from trainers.checkpoint import remove_partials, write_atomically


class Checkpoints:
    """What the driver keeps for a driver after it: a session that dies costs what came since.

    Args:
        url: a folder, or a URL of fsspec's (`s3://bucket/checkpoints`, `memory://x`); what its protocol needs
            (credentials, a package) is the user's to provide.

    Raises:
        StorageError: the protocol is unknown or its package missing.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        with self._errors("used"):
            self._files, self._root = url_to_fs(url)
        self._is_local = isinstance(self._files, LocalFileSystem)

    def read(self, key: str) -> bytes:
        """The state of a trial; empty where there is none."""
        with self._errors("read"):
            try:
                return bytes(self._files.cat_file(self._path(key)))
            except FileNotFoundError:
                return b""

    def write(self, key: str, data: bytes) -> None:
        """Keep it: whole, or as it was before (other file systems than the local one put objects whole)."""
        with self._errors("written"):
            if self._is_local:
                write_atomically(Path(self._path(key)), data)
            else:
                self._files.pipe_file(self._path(key), data)

    def delete(self, key: str) -> None:
        """Its trial has ended."""
        with self._errors("written"):
            try:
                self._files.rm_file(self._path(key))
            except FileNotFoundError:
                return

    def remove_partials(self) -> None:
        """What a driver that was killed was writing."""
        if self._is_local:
            with self._errors("cleared"):
                remove_partials(Path(self._root))

    def _path(self, key: str) -> str:
        return f"{self._root}/{file_stem(key)}.safetensors"

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            raise StorageError(
                f"the checkpoints at {redact(self._url)} must be {verb}, but: {first_line(error)}"
            ) from error
