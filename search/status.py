"""Where studies stand, finished or not, and their winners, from the store alone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.errors import StorageError, StudyError
from search.export import read_winner
from search.folder import study_folder
from search.lock import holder_of
from search.storage import StudyStorage, open_to_read, storage_errors, study_names
from search.summary import summarise
from trainers.checkpoint import write_atomically


@storage_errors()
def find_studies(store: Path, storage_url: str | None, name: str | None) -> list[StudyStorage]:
    """All studies, those of a campaign, or the one of that name.

    Raises:
        StudyError: there is none.
        StorageError: the storage cannot be read, or is none.
    """
    storage = open_to_read(store, storage_url)
    names = [full for full in study_names(storage) if name is None or full == name or full.startswith(f"{name}/")]
    if name is not None and not names:
        known = ", ".join(study_names(storage)) or "none"
        raise StudyError(f"there is no study {name!r}; known studies: {known}")
    return [StudyStorage(storage, full) for full in names]


def find_study(store: Path, storage_url: str | None, name: str) -> StudyStorage:
    """The one study of that name, or of a campaign that has but one.

    Raises:
        StudyError: there is none, or there are several.
        StorageError: the storage cannot be read, or is none.
    """
    studies = find_studies(store, storage_url, name)
    if len(studies) > 1:
        raise StudyError(f"one study must be named, but {name!r} has {', '.join(study.name for study in studies)}")
    return studies[0]


@storage_errors()
def status_of(study: StudyStorage, store: Path, storage_url: str | None = None) -> dict[str, Any]:
    """The summary, with what was asked, one word of state (searching, confirming, done), and who runs it now.

    Raises:
        StorageError: the storage cannot be read.
    """
    summary = summarise(study)
    budget, fingerprint = study.facts("trials"), study.facts("fingerprint")
    if sum(summary["trials"].values()) < budget:
        state = "searching"
    else:
        state = "done" if study.facts("finished") == study.asked() else "confirming"
    holder = holder_of(store, storage_url, study.name)
    asked = {key: fingerprint[key] for key in ("samples", "crop", "task", "width", "depth", "steps", "seed")}
    driver = asdict(holder) if holder else None
    return {
        **summary,
        "asked": asked,
        "budget": budget,
        "state": state,
        "running": holder is not None,
        "driver": driver,
    }


def export_winner(store: Path, storage_url: str | None, name: str, out: Path) -> list[Path]:
    """Write the winner's weights, recipe, snippet and target into `out`; the files written.

    Raises:
        StudyError: no such study, several of that name, or none that has a winner yet.
        StorageError: a file of the winner is damaged, or `out` cannot be written.
    """
    study = find_study(store, storage_url, name)
    try:
        contents = read_winner(study_folder(store, study.name))
    except FileNotFoundError:
        raise StudyError(f"study {study.name!r} has no winner yet: its command must run to its end") from None
    try:
        for file, content in contents.items():
            write_atomically(out / file, content)
    except OSError as error:
        raise StorageError(f"--out must be a writable folder, but: {error}") from error
    return [out / file for file in contents]
