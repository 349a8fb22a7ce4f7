"""Delete studies: their runs in MLflow, their files, and, last of all, what storage holds of them.

A study is marked before anything of it goes. So what a crash leaves is shown by nobody and run by nobody, and the same
command completes it. An MLflow that does not answer, or takes no deletion, leaves the study as it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.connection import connect, default_tracking_uri, runs_of
from search.errors import StorageError, StudyError, TrackingError, UsageError, first_line, redact
from search.experiment import show_campaign
from search.folder import LOCK, empty_folder, is_of_lock, study_folder
from search.lock import driving
from search.logged_model import is_registered, models_of
from search.preset_views import TAG, study_view_key
from search.storage import (
    HALF,
    all_names,
    delete_from_storage,
    mark_half,
    open_storage,
    open_to_read,
    storage_errors,
    study_names,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient


def names_to_delete(store: Path, storage_url: str | None, name: str) -> list[str]:
    """The study of that name, or a campaign's; those that an earlier deletion left in part, too.

    Raises:
        StudyError: there is none.
        StorageError: the storage cannot be read, or is none.
    """
    storage = open_to_read(store, storage_url)
    with storage_errors():
        known = all_names(storage)
        names = sorted({*_named(known, name), *_named(_emptied(store), name)})
        if not names:
            listed = ", ".join(study_names(storage)) or "none"
            raise StudyError(f"there is no study {name!r}; known studies: {listed}")
    return names


def delete_studies(
    store: Path, storage_url: str | None, names: Sequence[str], tracking_uri: str | None, *, leave_runs: bool = False
) -> dict[str, Any]:
    """Delete studies; again, it completes what a crash left.

    MLflow's runs are deleted as MLflow does it: `mlflow gc` makes it final. A model that its registry has stays.

    Args:
        store: folder of the studies.
        storage_url: of another storage than the store's journal.
        names: of studies, as `names_to_delete` gives them.
        tracking_uri: a server or database; the store's own unless given.
        leave_runs: ask no MLflow, and leave what it has.

    Returns:
        The document that `winnow delete --json` prints.

    Raises:
        UsageError: a tracking_uri beside leave_runs.
        StudyError: MLflow never had the runs of one that was shown in MLflow: they are elsewhere.
        StorageError: the storage failed, or a driver runs one of them.
        TrackingError: MLflow cannot be reached or written; nothing else is deleted.
    """
    if leave_runs and tracking_uri:
        raise UsageError(f"--leave-runs asks no MLflow, but got --tracking-uri {redact(tracking_uri)}")
    uri = tracking_uri or default_tracking_uri(store)
    deleted = []
    with storage_errors(store), driving(store, storage_url, names):
        storage = open_storage(store, storage_url)
        known = all_names(storage)
        with _asking(uri):
            client = None if leave_runs else _reach(uri)
            is_shown = {full: leave_runs or _has_had(client, full, known.get(full, {})) for full in names}
        for full in names:
            if not is_shown[full]:
                raise StudyError(
                    f"--tracking-uri must name the MLflow that has the runs of {full}, but {redact(uri)} never had "
                    "them: --leave-runs deletes the rest all the same"
                )
        for full in names:
            facts = known.get(full)
            num_runs = 0
            if facts is not None:
                mark_half(storage, full, "deleted")
                try:
                    with _asking(uri):
                        for _ in _runs_deleted(client, full, facts):
                            num_runs += 1
                except TrackingError:
                    if not num_runs:
                        mark_half(storage, full, str(facts.get(HALF, "")))
                    raise
            try:
                empty_folder(study_folder(store, full))
                delete_from_storage(storage, full)
                _remove(study_folder(store, full))
            except OSError as error:
                raise StorageError(f"the files of {full} cannot be deleted: {error}") from error
            deleted.append({"study": full, "runs": num_runs})
    return {"tracking_uri": None if leave_runs else redact(uri), "studies": deleted}


def _named(known: Iterator[str] | list[str] | dict[str, Any], name: str) -> list[str]:
    return [full for full in known if full == name or full.startswith(f"{name}/")]


def _emptied(store: Path) -> list[str]:
    """Studies of which a deletion, or a session that had no more than begun, left the lock alone."""
    locks = (store / "studies").glob(f"*/*/{LOCK}")
    folders = [
        lock.parent
        for lock in locks
        if all(is_of_lock(path.relative_to(lock.parent)) for path in lock.parent.iterdir())
    ]
    return [f"{folder.parent.name}/{folder.name}" for folder in folders]


def _remove(folder: Path) -> None:
    """The folder, and the campaign's once it holds no study."""
    shutil.rmtree(folder)
    campaign = folder.parent
    if not any(path.is_dir() for path in campaign.iterdir()):
        with suppress(FileNotFoundError):  # two deletions at once
            shutil.rmtree(campaign)


@contextmanager
def _asking(uri: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of MLflow, its database, its transport: it has no class for all of them
        what = f"{type(error).__name__}: {first_line(error)[:200]}"
        raise TrackingError(
            f"MLflow at {redact(uri)} must be there to delete its runs, or --leave-runs be given, but: {what}"
        ) from error


def _reach(uri: str) -> MlflowClient | None:
    """A client of an MLflow that answers; None for a file that is not there: a deletion makes no database."""
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///").partition("?")[0]).exists():
        return None
    client = connect(uri)
    client.search_experiments(max_results=1)
    return client


def _has_had(client: MlflowClient | None, name: str, facts: Mapping[str, Any]) -> bool:
    """Whether MLflow has a study's run, or had it, if a session showed the study anywhere; what is half gone may be."""
    if not facts.get("mlflow_run_id") or facts.get(HALF):
        return True
    if client is None:
        return False
    from mlflow.entities import ViewType

    # A deletion that left an experiment empty renamed it.
    experiments = client.search_experiments(ViewType.ALL, filter_string=f"name LIKE '{name.split('/')[0]}%'")
    ids = [str(experiment.experiment_id) for experiment in experiments]
    own = f"tags.`winnow.id` = '{facts['id']}'"
    return bool(ids and client.search_runs(ids, own, ViewType.ALL, max_results=1))


def _runs_deleted(client: MlflowClient | None, name: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """Delete what MLflow has of a study; each run once it is deleted."""
    campaign, study_id = name.split("/")[0], str(facts.get("id", ""))
    experiment = client.get_experiment_by_name(campaign) if client else None
    if client and experiment and experiment.lifecycle_stage != "deleted" and study_id:
        yield from _deleted_from(client, str(experiment.experiment_id), campaign, study_id)


def _deleted_from(client: MlflowClient, experiment: str, campaign: str, study_id: str) -> Iterator[str]:
    """The children before their parent, by which they are found; then the experiment, if nothing is left in it."""
    for parent in list(runs_of(client, experiment, f"tags.`winnow.id` = '{study_id}'")):
        children = runs_of(client, experiment, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
        for run in (*children, parent):
            client.delete_run(run.info.run_id)
            yield str(run.info.run_id)
        view = TAG + study_view_key(parent.info.run_id)
        if view in client.get_experiment(experiment).tags:
            client.delete_experiment_tag(experiment, view)
    for model in models_of(client, experiment, study_id):
        if not is_registered(model):
            client.delete_logged_model(model.model_id)
    is_empty = not client.search_runs([experiment], max_results=1)
    if is_empty and not client.search_logged_models([experiment], max_results=1):
        # Under another name: MLflow would give all of its runs back to whoever restores an experiment.
        client.rename_experiment(experiment, f"{campaign} (deleted, {experiment})")
        client.delete_experiment(experiment)
    else:
        show_campaign(client, experiment)
