"""Rebuild what MLflow shows of studies, at any address, from their storage and folders."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from search.config import StoreSettings
from search.connection import artifact_folder, connect, default_tracking_uri
from search.errors import TrackingError, first_line, redact
from search.lock import holder_of
from search.status import find_studies
from search.storage import StudyStorage, storage_errors
from search.study_runs import StudyRuns
from search.view import status_for_sync, view_of


def sync_studies(store: Path, storage_url: str | None, name: str, tracking_uri: str | None) -> dict[str, Any]:
    """Bring MLflow in line with what storage holds of a study, or of a campaign's; again, it changes nothing.

    Args:
        store: folder of the studies.
        storage_url: of another storage than the store's journal.
        name: of a campaign, or of a study in full.
        tracking_uri: a server or database; the store's own unless given.

    Returns:
        The document that `winnow sync --json` prints.

    Raises:
        StudyError: there is no such study.
        StorageError: the storage failed.
        TrackingError: MLflow cannot be reached or written.
    """
    uri = tracking_uri or default_tracking_uri(store)
    with storage_errors():
        studies = find_studies(store, storage_url, name)
        return {
            "tracking_uri": redact(uri),
            "studies": [_sync(study, store, storage_url, uri) for study in studies],
        }


def sync_command(settings: StoreSettings, name: str) -> str:
    """The command that does so for what a session with these settings kept; without credentials."""
    words = ["winnow", "sync", name]
    if settings.store != StoreSettings().store:
        words += ["--store", str(settings.store)]
    if settings.storage:
        words += ["--storage", redact(settings.storage)]
    if settings.tracking_uri:
        words += ["--tracking-uri", redact(settings.tracking_uri)]
    return shlex.join(words)


def _sync(study: StudyStorage, store: Path, storage_url: str | None, uri: str) -> dict[str, Any]:
    view = view_of(study, store, status_for_sync(study, store, storage_url))
    runs = StudyRuns(
        artifact_folder(uri, store), is_driven=lambda: holder_of(store, storage_url, study.name) is not None
    )
    try:
        num_logged = runs.bring_up(connect(uri), view)
    except Exception as error:  # of MLflow, its database, its transport: it has no class for all of them
        what = f"{type(error).__name__}: {first_line(error)[:200]}"
        raise TrackingError(f"MLflow at {redact(uri)} cannot be written: {what}") from error
    return {
        "study": study.name,
        "status": view.status.value,
        "runs": 1 + len(view.children),
        "logged": num_logged,
        "mlflow_run_id": runs.parent_id,
        "model_id": runs.model_id,
        "warning": runs.refusal or None,
    }
