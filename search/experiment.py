"""An experiment's description and preset views, from what the runs of its studies show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.answer import VARIED
from search.connection import runs_of
from search.logged_model import is_refusal
from search.notes import NOTE, OLD_EXPERIMENT_LIMIT, ShownStudy, campaign_note
from search.preset_views import MOST_STUDIES, TAG, TRIALS, preset_views, study_view, study_view_key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

    from search.view import StudyView


STUDY_RUNS = "tags.`winnow.role` = 'study'"
"""Which runs of an experiment are studies."""


def show_campaign(client: MlflowClient, experiment_id: str, *, only_first: bool = False) -> None:
    """Bring an experiment's description and preset views in line with its studies' runs; again, it changes nothing.

    Args:
        client: of the server.
        experiment_id: of the campaign.
        only_first: do nothing where the experiment has a description.
    """
    experiment = client.get_experiment(experiment_id)
    if only_first and NOTE in experiment.tags:
        return
    found = runs_of(client, experiment_id, STUDY_RUNS)
    runs = sorted(found, key=lambda run: (run.info.run_name, run.info.run_id))
    studies = [
        ShownStudy(
            title=run.info.run_name,
            run=run.info.run_id,
            params=run.data.params,
            tags=run.data.tags,
            metrics=run.data.metrics,
        )
        for run in runs
    ]
    varied = list(dict.fromkeys(name for study in studies for name in study.tags.get(VARIED, "").split()))
    is_held = any(study.params.get("objective", "fit") != "fit" for study in studies)
    tags = preset_views(varied, is_held=is_held, made_ms=experiment.creation_time or 0)
    for key, value in tags.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment_id, key, value)
    _describe(client, experiment, studies)


def show_trials(client: MlflowClient, experiment_id: str, run: str, view: StudyView) -> str:
    """Bring the preset view of one study's trials in line with it; the key of the view that lists them.

    Args:
        client: of the server.
        experiment_id: of the campaign.
        run: id of the study's.
        view: of the study.
    """
    experiment = client.get_experiment(experiment_id)
    key, varied = study_view_key(run), view.answer.get(VARIED, "").split()
    if TAG + key not in experiment.tags:
        others = client.search_runs([experiment_id], STUDY_RUNS, max_results=MOST_STUDIES + 1)
        if len(others) > MOST_STUDIES:
            return TRIALS
    is_held = view.params.get("objective", "fit") != "fit"
    value = study_view(view.title, run, varied, is_held=is_held, made_ms=experiment.creation_time or 0)
    if experiment.tags.get(TAG + key) != value:
        client.set_experiment_tag(experiment_id, TAG + key, value)
    return key


def _describe(client: MlflowClient, experiment: Experiment, studies: Sequence[ShownStudy]) -> None:
    known, id = experiment.tags.get(NOTE), experiment.experiment_id
    if not studies:
        if known is not None:
            client.delete_experiment_tag(id, NOTE)
        return
    note = campaign_note(studies, id)
    if note == known:
        return
    try:
        client.set_experiment_tag(id, NOTE, note)
    except Exception as error:
        if not is_refusal(error):
            raise
        client.set_experiment_tag(id, NOTE, campaign_note(studies, id, OLD_EXPERIMENT_LIMIT))
