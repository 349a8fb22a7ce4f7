"""A study as MLflow shows it, from its storage and its folder alone, for a session and for `winnow sync`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from search.answer import VARIED, answer_tags
from search.dataset import SignalDataset, dataset_of
from search.errors import StorageError
from search.export import kept_files
from search.folder import PICTURES, PREVIEW, REPORT, USAGE, diagnosis_paths, study_folder
from search.lock import holder_of
from search.record import Record
from search.storage import StudyStorage
from search.summary import found_record, summarise
from search.trial import State
from search.usage import Sample, read_usage
from search.winner_model import WinnerModel, read_winner_model

SHOWN = "shown"
"""Fact of a study: the parameters and tags of its run, kept when it begins."""


class Status(StrEnum):
    """Of a run, in MLflow's words."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    KILLED = "KILLED"
    FAILED = "FAILED"


@dataclass(frozen=True, kw_only=True)
class Child:
    """A run for a finished trial or reference.

    Attributes:
        record: what it shows.
        role: "trial" or "reference".
        files: its artifacts.
    """

    record: Record
    role: str
    files: Sequence[Path] = ()


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What a study shows beside its trials once it came to its end.

    Attributes:
        found: key of the found trial.
        files: pictures, sound, the winner.
        winner: as a model; None where winnow does not have the code of its network, or a file of it is damaged.
        damage: which one, one line.
    """

    found: str
    files: Sequence[Path]
    winner: WinnerModel | None
    damage: str = ""


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """One study: a parent run with a child run for each finished trial and reference.

    Attributes:
        id: of the study; two stores may have studies of one name.
        study: full name.
        params, tags: of the parent run, for good.
        answer: tags of the parent run that say what was found by now; see `search.answer`.
        summary: as `summarise` gives it.
        budget: trials that were asked for.
        dataset: the signal; None where an old storage kept too little of it.
        began: when the study was made, seconds since the epoch.
        ended: when its last fit ended, likewise; None where none did.
        status: of the parent run.
        children: in the order of their numbers, references first.
        ending: None before the study came to its end, and while it runs.
        usage: what its workers used of their machines, where that was asked.
    """

    id: str
    study: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    answer: Mapping[str, str]
    summary: Mapping[str, Any]
    budget: int
    dataset: SignalDataset | None
    began: float
    ended: float | None
    status: Status
    children: Sequence[Child]
    ending: Ending | None
    usage: Sequence[Sample] = ()

    @property
    def campaign(self) -> str:
        """Name of the experiment."""
        return self.study.split("/")[0]

    @property
    def title(self) -> str:
        """Name of the parent run."""
        return self.study.split("/")[1]


def view_of(storage: StudyStorage, store: Path, status: Status) -> StudyView:
    """What MLflow is to show of a study now.

    Raises:
        StorageError and what Optuna raises: the storage failed.
    """
    folder = study_folder(store, storage.name)
    trials, references = storage.trials(), storage.references()
    shown = storage.facts(SHOWN) or {"params": _old_params(storage), "tags": {}}
    summary, params = summarise(storage), shown["params"]
    title = storage.name.split("/")[1]
    ends = [record.ended for record in [*trials, *references, *storage.confirmations()]]
    return StudyView(
        id=storage.facts("id"),
        study=storage.name,
        params=params,
        tags={**shown["tags"], **_size_tags(params)},
        answer={**answer_tags(summary), **_varied(trials)},
        summary=summary,
        budget=storage.facts("trials") or 0,
        dataset=dataset_of(title, storage.facts("fingerprint"), params, storage.facts("spectrum")),
        began=datetime.fromisoformat(storage.facts("created")).timestamp(),
        ended=max(ends, default=None),
        status=status,
        children=[
            Child(record=record, role=role, files=diagnosis_files(folder, record.key))
            for role, records in (("reference", references), ("trial", trials))
            for record in records
        ],
        ending=_ending(storage, folder, trials, status),
        usage=read_usage(folder / USAGE),
    )


def status_for_sync(storage: StudyStorage, store: Path, storage_url: str | None = None) -> Status:
    """The status of a study that no session of this process runs."""
    if holder_of(store, storage_url, storage.name) is not None:
        return Status.RUNNING
    if storage.facts("finished") is not None and storage.facts("finished") == storage.asked():
        return Status.FINISHED
    trials = storage.trials()
    has_failed = len(trials) == storage.facts("trials") and all(record.state is State.FAILED for record in trials)
    return Status.FAILED if has_failed else Status.KILLED


def spelled(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as MLflow holds them; those without a value it does not."""
    return {key: str(value) for key, value in params.items() if value is not None}


def shown_facts(params: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The fact SHOWN, of what was asked and the signal's spectrum."""
    return {
        "params": spelled(params),
        "tags": source_tags(),
    }


@cache
def source_tags() -> dict[str, str]:
    """The version of this program, and the commit where it runs from a checkout."""
    tags = {"winnow.version": version("winnow-inr"), "mlflow.source.name": "winnow", "mlflow.source.type": "LOCAL"}
    root = Path(__file__).parents[1]
    git = shutil.which("git")
    if git and (root / ".git").exists():
        command = [git, "-C", str(root), "rev-parse", "HEAD"]  # fixed words, no shell
        commit = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if commit.returncode == 0:
            tags["mlflow.source.git.commit"] = commit.stdout.strip()
    return tags


def diagnosis_files(folder: Path, key: str) -> list[Path]:
    """What was drawn of a trial that was looked into; nothing of others."""
    return [path for path in diagnosis_paths(folder, key) if path.exists()]


def _size_tags(params: Mapping[str, str]) -> dict[str, str]:
    """What tells studies of one signal apart, for the list and the comparison."""
    names = {"winnow.space": "space", "winnow.samples": "num_samples", "winnow.width": "width", "winnow.steps": "steps"}
    return {tag: params[name] for tag, name in names.items() if name in params}


def _varied(trials: Sequence[Record]) -> dict[str, str]:
    names = dict.fromkeys(name for record in trials for name in record.point)
    return {VARIED: " ".join(names)} if names else {}


def _ending(storage: StudyStorage, folder: Path, trials: Sequence[Record], status: Status) -> Ending | None:
    is_or_was_finished = status is Status.FINISHED or storage.facts("finished") is not None
    found = found_record(storage, trials)
    if status is Status.RUNNING or not is_or_was_finished or found is None:
        return None
    pictures = [folder / name for name in (*PICTURES, PREVIEW, REPORT)]
    files = [path for path in [*pictures, *kept_files(folder)] if path.exists()]
    try:
        winner, damage = read_winner_model(folder, storage.name), ""
    except StorageError as error:  # all else is there to be shown
        winner, damage = None, str(error)
    return Ending(found=found.key, files=files, winner=winner, damage=damage)


def _old_params(storage: StudyStorage) -> dict[str, str]:
    """Of a study whose version did not keep what it showed: what was asked."""
    return spelled({**storage.facts("fingerprint"), "signal": storage.facts("signal")})
