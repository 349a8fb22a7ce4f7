"""The winner as a version of a model in MLflow's registry, on request; the same weights are registered once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.answer import answer_metrics
from search.connection import artifact_folder, connect, default_tracking_uri
from search.errors import StorageError, StudyError, TrackingError, UsageError, first_line, redact
from search.folder import WEIGHTS, study_folder
from search.lock import holder_of
from search.logged_model import DIGEST, mark_registered
from search.run_contents import confirmed_metrics
from search.status import find_study
from search.storage import StudyStorage, storage_errors
from search.study_runs import StudyRuns
from search.table import sentence_of
from search.view import StudyView, status_for_sync, view_of
from search.winner_model import WinnerModel

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,199}")
"""What a registered model may be called: MLflow would take more, and a shell or an address less."""


def register_winner(
    store: Path, storage_url: str | None, name: str, model: str | None, tracking_uri: str | None
) -> dict[str, Any]:
    """Register a study's winner as a new version of a model; again, it changes nothing.

    Args:
        store: folder of the studies.
        storage_url: of another storage than the store's journal.
        name: of the study, or of a campaign that has one.
        model: name in the registry; made of the study's unless given.
        tracking_uri: a server or database; the store's own unless given.

    Returns:
        The document that `winnow register --json` prints.

    Raises:
        UsageError: a name that no model may have.
        StudyError: no such study, or one without a winner that MLflow can load.
        StorageError: the storage failed.
        TrackingError: MLflow cannot be reached or written, or has no models.
    """
    if model is not None and not MODEL_NAME.fullmatch(model):
        raise UsageError(
            "a model's name must begin with a letter or digit and hold only those, ' ', '.', '_' and '-', "
            f"but got {model!r}"
        )
    uri = tracking_uri or default_tracking_uri(store)
    with storage_errors():
        study = find_study(store, storage_url, name)
        view = view_of(study, store, status_for_sync(study, store, storage_url))
        winner = _winner_of(study, view, store, storage_url)
    model = model or winner.title
    runs = StudyRuns(artifact_folder(uri, store))
    try:
        client = connect(uri)
        runs.bring_up(client, view)
        if runs.model_id is None:
            raise TrackingError(f"MLflow at {redact(uri)}: {runs.refusal}")
        version, is_new = _version(client, model, winner, runs, view.summary, str(view.id))
        mark_registered(client, runs.model_id, model, str(version.version))
    except TrackingError:
        raise
    except Exception as error:  # of MLflow, its database, its transport: it has no class for all of them
        what = f"{type(error).__name__}: {first_line(error)[:200]}"
        raise TrackingError(f"MLflow at {redact(uri)} cannot be written: {what}") from error
    return {
        "study": study.name,
        "tracking_uri": redact(uri),
        "model": model,
        "version": int(version.version),
        "new": is_new,
        "model_id": runs.model_id,
        "uri": f"models:/{model}/{version.version}",
    }


def _winner_of(study: StudyStorage, view: StudyView, store: Path, storage_url: str | None) -> WinnerModel:
    holder = holder_of(store, storage_url, study.name)
    if holder is not None:
        raise StudyError(f"study {study.name!r} is being run by {holder}: its winner is registered when it has ended")
    if view.ending is None:
        raise StudyError(f"study {study.name!r} has no winner yet: its command must run to its end")
    if view.ending.damage:
        raise StorageError(view.ending.damage)
    if view.ending.winner is not None:
        return view.ending.winner
    folder = study_folder(store, study.name)
    if not (folder / WEIGHTS).exists():
        raise StudyError(f"the winner of study {study.name!r} must be in {folder}, but is not: another --store?")
    raise StudyError(
        f"the winner of study {study.name!r} must be a network that winnow has the code of, but is one of your own"
    )


def _version(
    client: MlflowClient,
    model: str,
    winner: WinnerModel,
    runs: StudyRuns,
    summary: Mapping[str, Any],
    study_id: str,
) -> tuple[ModelVersion, bool]:
    """The version with these weights, and whether it was made now."""
    found = list(client.search_registered_models(f"name = '{model}'"))
    if not found:
        client.create_registered_model(model, description="Winners of searches by winnow.")
    for version in client.search_model_versions(f"name = '{model}' AND tags.`{DIGEST}` = '{winner.digest}'"):
        return version, False
    tags = {"winnow.study": winner.name, "winnow.id": study_id, DIGEST: winner.digest, **_scores(summary, winner)}
    assert runs.model_id
    version = client.create_model_version(
        model,
        client.get_logged_model(runs.model_id).artifact_location,  # "models:/..." would be looked up elsewhere
        run_id=runs.parent_id,
        tags=tags,
        description=f"Of {summary['signal']}, space {summary['space']}: {sentence_of(summary)}.",
        model_id=runs.model_id,
    )
    return version, True


def _scores(summary: Mapping[str, Any], winner: WinnerModel) -> dict[str, str]:
    """What the point is worth on fresh seeds, where there are any, and these very weights; as the run's metrics."""
    scores = {
        **confirmed_metrics(summary["best"]["confirmed"]),
        "regret_db": answer_metrics(summary).get("regret_db"),
        **winner.metrics,
    }
    return {key: f"{value:.2f}" for key, value in scores.items() if value is not None}
