"""Studies as one file, and back into a store: a ZIP of JSON and of the studies' folders.

An archive may come from anywhere. It is read whole and checked before anything is written; no name in it leads out of
a study's folder, and nothing in it is a link.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from search.errors import StorageError, StudyError, UsageError, first_line
from search.folder import NAME_PART, empty_folder, is_of_lock, study_folder
from search.journal import grouped
from search.lock import driving
from search.status import find_studies
from search.storage import mark_half, open_storage, storage_errors
from search.transcript import Part, parse, read_from_storage, refuse_known, write_to_storage
from trainers.checkpoint import PARTIAL

ARCHIVE_FORMAT = 1
"""Raised whenever what an archive holds changes its meaning."""

MANIFEST, TRANSCRIPT, FILES = "archive.json", "storage.json", "files"

DAMAGES = (
    zipfile.BadZipFile, zlib.error, EOFError, LookupError, TypeError, ValueError, AttributeError, OverflowError,
    RuntimeError, OSError,
)  # fmt: skip
"""What a file raises that is no archive, or a damaged one: encrypted (RuntimeError), offsets outside it (OSError)."""

NAME_BYTES, PATH_BYTES = 255, 4095
"""Of a file's or folder's name, and of its path, at most: what Linux takes."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of compression: what others raise on damage is not among `DAMAGES`."""


def archive_studies(store: Path, storage_url: str | None, name: str, out: Path | None) -> dict[str, Any]:
    """Write a study, or a campaign's, into one file, from which `restore_studies` brings them back.

    Args:
        store: folder of the studies.
        storage_url: of another storage than the store's journal.
        name: of a campaign, or of a study in full.
        out: the file, which must not be there; None: made of the name, in this folder.

    Returns:
        The document that `winnow archive --json` prints.

    Raises:
        UsageError: the file is there.
        StudyError: there is no such study.
        StorageError: the storage failed, a driver runs a study, or the file cannot be written.
    """
    names = [study.name for study in find_studies(store, storage_url, name)]
    out = out or Path(f"{name.replace('/', '-')}.winnow.zip")
    if out.exists():
        raise UsageError(f"--out must be a file that is not there yet, but {out} is")
    partial = out.with_name(f"{out.name}{PARTIAL}{os.getpid()}")
    manifest = {
        "format": ARCHIVE_FORMAT,
        "winnow": version("winnow-inr"),
        "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "studies": names,
    }
    with storage_errors(store), driving(store, storage_url, names):
        storage = open_storage(store, storage_url, to_write=False)
        try:
            with zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
                archive.writestr(MANIFEST, json.dumps(manifest, indent=2))
                num_files = {}
                for full in names:
                    archive.writestr(f"studies/{full}/{TRANSCRIPT}", json.dumps(read_from_storage(storage, full)))
                    num_files[full] = _add_files(archive, study_folder(store, full), full)
            _to_disk(partial)
            partial.rename(out)
            _to_disk(out.parent)
        except OSError as error:
            raise StorageError(f"{out} must be a file that can be written, but: {error}") from error
        finally:
            partial.unlink(missing_ok=True)
    studies = [{"study": full, "files": num} for full, num in num_files.items()]
    return {"file": str(out), "bytes": out.stat().st_size, "studies": studies}


def restore_studies(file: Path, store: Path, storage_url: str | None) -> dict[str, Any]:
    """Bring the studies of an archive back, into a store where none has their names; MLflow gets them by a sync.

    What a crash leaves is shown by nobody and run by nobody; the same call completes it.

    Returns:
        The document that `winnow restore --json` prints.

    Raises:
        UsageError: there is no such file, it is damaged, or another version of winnow wrote it.
        StudyError: a study is there already.
        StorageError: the file cannot be read, or the store not written.
    """
    if not file.is_file():
        raise UsageError(f"{file}: an archive must be a regular file")
    with _reading(file):
        opened = zipfile.ZipFile(file)
    with opened as archive:
        with _reading(file):
            parts = _read(archive, store)
        _restore(archive, parts, store, storage_url)
    return {"file": str(file), "studies": [{"study": name} for name in parts]}


def _add_files(archive: zipfile.ZipFile, folder: Path, name: str) -> int:
    inner = f"studies/{name}/{FILES}"
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and PARTIAL not in path.name)
    kept = [path for path in paths if not is_of_lock(path.relative_to(folder))]
    for path in kept:
        entry = f"{inner}/{path.relative_to(folder).as_posix()}"
        try:
            _place_of(entry, [name])
        except ValueError as error:  # somebody else put it there
            raise StorageError(f"a study's folder must hold files with plain names, but: {error}") from error
        archive.write(path, entry)
    return len(kept)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn what reading an archive raises into errors that name it."""
    try:
        yield
    except UsageError as error:  # of its format, or a study's
        raise UsageError(f"{file}: {error}") from error
    except DAMAGES as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise StorageError(f"{file} cannot be read: {error.strerror}") from error
        raise UsageError(f"{file}: an archive must be as winnow wrote it, but: {first_line(error)}") from error


def _read(archive: zipfile.ZipFile, store: Path) -> dict[str, dict[str, Part]]:
    """Each study's parts, once all that the archive holds is what it should be."""
    manifest = json.loads(archive.read(MANIFEST))
    found = manifest["format"]
    if found != ARCHIVE_FORMAT:
        raise UsageError(
            f"an archive must be of format {ARCHIVE_FORMAT}, but got {found!r}, which another version of winnow wrote"
        )
    names = [str(name) for name in manifest["studies"]]
    for name in names:
        parts = name.split("/")
        if len(parts) != 2 or not all(NAME_PART.fullmatch(part) for part in parts):
            raise ValueError(f"a study must be called NAME/FILE, but got {name!r}")
    entries = archive.infolist()
    for entry in entries:
        mode = entry.external_attr >> 16
        if entry.is_dir() or (stat.S_IFMT(mode) not in (0, stat.S_IFREG)):
            raise ValueError(f"{entry.filename!r} must be a regular file")
        if entry.compress_type not in METHODS:
            raise ValueError(f"{entry.filename!r} must be deflated")
    _refuse_unwritable([store / "studies" / name / place for _, name, place in _files_of(archive, names)])
    if len({entry.filename for entry in entries}) < len(entries):
        raise ValueError("two files have one name")
    torn = archive.testzip()
    if torn is not None:
        raise ValueError(f"{torn!r} is damaged")
    return {name: parse(json.loads(archive.read(f"studies/{name}/{TRANSCRIPT}"))) for name in names}


def _files_of(archive: zipfile.ZipFile, names: Sequence[str]) -> Iterator[tuple[zipfile.ZipInfo, str, PurePosixPath]]:
    """What goes into studies' folders, each with its study and its place there."""
    known = {MANIFEST, *(f"studies/{name}/{TRANSCRIPT}" for name in names)}
    for entry in archive.infolist():
        if entry.filename not in known:
            yield entry, *_place_of(entry.filename, names)


def _refuse_unwritable(paths: Sequence[Path]) -> None:
    """Refuse what no file system of Linux would take, half-way through."""
    files = set(paths)
    for path in paths:
        if any(len(os.fsencode(part)) > NAME_BYTES for part in path.parts):
            raise ValueError(f"a name of a file must have at most {NAME_BYTES} bytes, but got {path.name!r}")
        if len(os.fsencode(path)) > PATH_BYTES:
            raise ValueError(f"a path must have at most {PATH_BYTES} bytes, but got {str(path)!r}")
        if not files.isdisjoint(path.parents):
            raise ValueError(f"a folder must not have the name of a file, but got {path.parent.name!r}")


def _place_of(entry: str, names: Sequence[str]) -> tuple[str, PurePosixPath]:
    """The study that a file belongs to, and where in its folder it goes."""
    for name in names:
        begin = f"studies/{name}/{FILES}/"
        if entry.startswith(begin):
            parts = entry.removeprefix(begin).split("/")
            is_plain = entry.isprintable() and "\\" not in entry and not {"", ".", ".."} & set(parts)
            if is_plain and not is_of_lock(PurePosixPath(parts[0])):
                return name, PurePosixPath(*parts)
    raise ValueError(f"{entry!r} belongs to no study's folder")


def _restore(
    archive: zipfile.ZipFile, parts: Mapping[str, Mapping[str, Part]], store: Path, storage_url: str | None
) -> None:
    names = list(parts)
    for name in names:
        study_folder(store, name)  # a link is refused before a journal is made
    with storage_errors(store):
        storage = open_storage(store, storage_url)
        for name in names:  # who is refused has locked nothing
            _refuse_filled(study_folder(store, name), name, is_half=refuse_known(storage, name))
        with driving(store, storage_url, names):
            for name in names:
                _refuse_filled(study_folder(store, name), name, is_half=refuse_known(storage, name))
            for name in names:
                empty_folder(study_folder(store, name))
                with grouped(storage):
                    write_to_storage(storage, name, parts[name])
            for entry, name, place in _files_of(archive, names):
                _extract(archive, entry, study_folder(store, name) / place)
            for name in names:
                _folders_to_disk(study_folder(store, name), store)
            for name in names:
                mark_half(storage, name, "")


def _refuse_filled(folder: Path, name: str, *, is_half: bool) -> None:
    has_files = any(not is_of_lock(path.relative_to(folder)) for path in folder.glob("*"))
    if has_files and not is_half:  # of a study in another storage
        raise StudyError(f"the folder {folder} must be empty to restore {name!r}, but is not")


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
        _to_disk(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error


def _folders_to_disk(folder: Path, store: Path) -> None:
    """A study's folder, those in it, and those above it up to the store: a file has its name from them."""
    inner = [Path(path) for path, _, _ in os.walk(folder)]
    try:
        for path in (*inner, folder.parent, folder.parent.parent, store):
            _to_disk(path)
    except OSError as error:
        raise StorageError(f"the store {store} cannot be written: {error.strerror}") from error


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would outlast a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
