"""Where MLflow is: its address, a client, and the store's own database, which a crash never leaves half-made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from search.config import MLFLOWS_OWN
from trainers.checkpoint import PARTIAL

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A dead server must be known to be dead in seconds, not after the client's default of minutes. The client itself must
# not repeat what it does not know to have failed: it would make the same run again. The tracker does, and looks first.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
# Its database is made on first use, with a page of log about it.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
# It would print the address of each run, with credentials, where a command prints its document.
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def default_tracking_uri(store: Path) -> str:
    """The store's own database."""
    return f"sqlite:///{store.absolute() / 'mlflow.db'}"


def artifact_folder(uri: str, store: Path) -> Path | None:
    """Where artifacts of runs at `uri` go: a folder of the store, or None with a server, which keeps them itself."""
    return None if urlsplit(uri).scheme in ("http", "https") else store / "artifacts"


def connect(uri: str) -> MlflowClient:
    """A client for the tracking server or database at `uri`; a server is not asked anything yet."""
    from mlflow import MlflowClient

    _create_database(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs_of(client: MlflowClient, experiment: str, condition: str) -> Iterator[Run]:
    """All runs of an experiment that meet a condition, page by page."""
    token = None
    while True:
        page = client.search_runs([experiment], condition, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def newest_experiment(store: Path) -> tuple[str, frozenset[str]] | None:
    """Id and names of tags of the campaign that the store's own database had last."""
    from mlflow import MlflowClient

    found = MlflowClient(default_tracking_uri(store)).search_experiments(order_by=["last_update_time DESC"])
    campaigns = [experiment for experiment in found if experiment.name != MLFLOWS_OWN]
    return (str(campaigns[0].experiment_id), frozenset(campaigns[0].tags)) if campaigns else None


def _create_database(uri: str) -> None:
    """Make a SQLite database whole before it has its name: one that a crash left half-made never opens again."""
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or path.exists():
        return
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}{PARTIAL}{os.getpid()}")
    MlflowClient(tracking_uri=f"sqlite:///{partial}").search_experiments(max_results=1)
    try:
        os.link(partial, path)  # unlike a rename, it spares what another process has put there meanwhile
    except FileExistsError:
        return
    finally:
        partial.unlink()
