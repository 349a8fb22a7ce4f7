"""An experiment's description and preset views, from what the runs of its studies show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from search.answer import VARIED
from search.notes import ShownStudy, campaign_note
from search.preset_views import preset_views

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NOTE = "mlflow.note.content"
"""MLflow's tag of a description."""


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
    runs = sorted(_studies(client, experiment_id), key=lambda run: (run.info.run_name, run.info.run_id))
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
    if studies:
        tags[NOTE] = campaign_note(studies, experiment_id)
    for key, value in tags.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment_id, key, value)


def _studies(client: MlflowClient, experiment_id: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs([experiment_id], "tags.`winnow.role` = 'study'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return
