"""The winner as MLflow's LoggedModel, an output of its study's run: made, found again by its tags, and replaced."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from search.notes import NOTE
from search.winner_model import EXAMPLE_POINTS, WinnerModel, write_model_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

DIGEST = "winnow.digest"
"""Tag: what the model was made from."""

VERSIONS = "mlflow.modelVersions"
"""Tag that MLflow gives to models that its registry refers to."""

MODEL_TYPE = "implicit neural representation"


def bring_up_model(
    client: MlflowClient, run: Run, study_id: str, winner: WinnerModel, metrics: Mapping[str, float]
) -> str:
    """Make MLflow hold this model of a study, once; its id. Others of the study go, unless the registry has them.

    Args:
        client: raises whatever it raises.
        run: of the study.
        study_id: that its tag says.
        winner: the model.
        metrics: of the study, that the model shows beside its own; `run` has these already.
    """
    own = models_of(client, run.info.experiment_id, study_id)
    whole = [model for model in own if model.tags.get(DIGEST) == winner.digest and _is_ready(model)]
    model = whole[0] if whole else _log(client, run, study_id, winner)
    for other in own:
        if other.model_id != model.model_id and not is_registered(other):
            client.delete_logged_model(other.model_id)
    note = _note(model, winner)
    if model.tags.get(NOTE) != note:
        client.set_logged_model_tags(model.model_id, {NOTE: note})
    _link(client, run, model)
    _set_metrics(client, run, model, {**metrics, **winner.metrics})
    return str(model.model_id)


def models_of(client: MlflowClient, experiment_id: str, study_id: str) -> list[LoggedModel]:
    """All models of a study; one, if all is well and none is registered."""
    return list(client.search_logged_models([experiment_id], f"tags.`winnow.id` = '{study_id}'"))


def is_registered(model: LoggedModel) -> bool:
    """Whether a version in the registry is this model, and would be lost with it."""
    return bool(model.tags.get(VERSIONS, "[]") != "[]")


def mark_registered(client: MlflowClient, model_id: str, name: str, version: str) -> None:
    """Tag a model as MLflow's server does, and a database without a server does not."""
    known = json.loads(client.get_logged_model(model_id).tags.get(VERSIONS, "[]"))
    this = {"name": name, "version": version}
    if not any({**entry, "version": str(entry["version"])} == this for entry in known):
        client.set_logged_model_tags(model_id, {VERSIONS: json.dumps([*known, this])})


def is_refusal(error: Exception) -> bool:
    """Whether the server has understood and will not: it is too old, or its user may not. Others fail for a while."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and error.get_http_status_code() in (400, 401, 403, 404, 405, 501)


def _note(model: LoggedModel, winner: WinnerModel) -> str:
    return (
        f"The winner of {winner.name}, in plain torch: coordinates (points, {winner.dims}) in [-1, 1] along each axis, "
        f"float32, give values (points, {winner.channels}). `recipe.json` says how signal and values relate.\n\n"
        "```python\nimport mlflow, numpy as np\n\n"
        f'winner = mlflow.pyfunc.load_model("models:/{model.model_id}")\n'
        f"values = winner.predict(np.zeros(({EXAMPLE_POINTS}, {winner.dims}), np.float32))\n```"
    )


def _is_ready(model: LoggedModel) -> bool:
    return str(model.status) == "READY"


def _log(client: MlflowClient, run: Run, study_id: str, winner: WinnerModel) -> LoggedModel:
    """It is called ready last: what a crash leaves half-made is not, and goes next time."""
    tags = {"winnow.id": study_id, "winnow.study": winner.name, DIGEST: winner.digest}
    model = client.create_logged_model(
        run.info.experiment_id,
        name=winner.title,
        source_run_id=run.info.run_id,
        tags=tags,
        params=dict(winner.params),
        model_type=MODEL_TYPE,
    )
    with TemporaryDirectory() as folder:
        write_model_folder(
            Path(folder), winner, model_id=model.model_id, run_id=run.info.run_id, location=model.artifact_location
        )
        client.log_model_artifacts(model.model_id, folder)
    return client.finalize_logged_model(model.model_id, "READY")


def _link(client: MlflowClient, run: Run, model: LoggedModel) -> None:
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(run.info.run_id).outputs
    known = [output.model_id for output in outputs.model_outputs] if outputs else []
    if model.model_id not in known:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])


def _set_metrics(client: MlflowClient, run: Run, model: LoggedModel, metrics: Mapping[str, float]) -> None:
    """Those that the model has not; of the run's data set, where it has one."""
    from mlflow.entities import Metric

    known = {metric.key: metric.value for metric in model.metrics or ()}
    new = {key: value for key, value in metrics.items() if known.get(key) != value}
    if not new:
        return
    run_id = run.info.run_id
    inputs = client.get_run(run_id).inputs
    data = {}
    if inputs and inputs.dataset_inputs:
        dataset = inputs.dataset_inputs[0].dataset
        data = {"dataset_name": dataset.name, "dataset_digest": dataset.digest}
    logged = []
    for key, value in new.items():
        # MLflow writes them to the run, too: those that it has keep their time, and are taken for the same.
        times = [past.timestamp for past in client.get_metric_history(run_id, key) if past.value == value]
        at = times[-1] if times else round(time.time() * 1000)
        logged.append(Metric(key, value, at, 0, model_id=model.model_id, **data))
    client.log_batch(run_id, metrics=logged)
