"""Addresses within the MLflow UI: relative ones, so that they hold on every server and behind every prefix."""

from __future__ import annotations

from urllib.parse import quote

TRAINING = "workflowType=machine_learning"
"""MLflow 3.17 opens pages in its view for language models unless the address says so."""


def run_link(experiment: str, run: str) -> str:
    """The page of a run."""
    return f"#/experiments/{experiment}/runs/{run}?{TRAINING}"


def artifact_link(experiment: str, run: str, name: str) -> str:
    """A run's artifact in MLflow's viewer."""
    return f"#/experiments/{experiment}/runs/{run}/artifacts/{quote(name)}?{TRAINING}"


def model_link(experiment: str, model: str) -> str:
    """The page of a logged model."""
    return f"#/experiments/{experiment}/models/{model}?{TRAINING}"


def picture_link(run: str, name: str) -> str:
    """A run's picture as a file."""
    return f"get-artifact?path={quote(name)}&run_uuid={run}"


def view_link(experiment: str, view: str | None, *, charts: bool = False) -> str:
    """An experiment's list in a preset view, or as charts."""
    mode = "&compareRunsMode=CHART" if charts else ""
    key = f"&viewStateShareKey={view}" if view else ""
    return f"#/experiments/{experiment}/runs?{TRAINING}{mode}{key}"
