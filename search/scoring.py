"""Zero-cost scores of a study's finished trials, as if no network had been trained; kept in the study's folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.config import SignalSettings, TaskSettings
from search.errors import StudyError
from search.folder import SCORES, study_folder
from search.record import Record
from search.searched import space_of
from search.storage import StudyStorage
from trainers.checkpoint import write_atomically
from trainers.signals import SignalError, read_signal
from trainers.tasks import Task, TaskConfig, build_task

DRAWS = 3
"""Networks of each point, from the same seeds for all: one draw's scores of equal points differ, and blur ranks."""


def score_trials(study: StudyStorage, store: Path, trials: Sequence[Record], names: Sequence[str]) -> list[list[float]]:
    """Each named score of each trial's point: (scores, trials); nan where a network has nothing to compute one from.

    What was computed before is read from the study's folder.

    Raises:
        StudyError: the signal is not where the study found it, or another one is there.
    """
    path = study_folder(store, study.name) / SCORES
    known = _read(path)
    missing = [record for record in trials if any(str(record.number) not in known.get(name, {}) for name in names)]
    if missing:
        from search.workers import pick_device
        from trainers.probe import score_points

        fingerprint = study.facts("fingerprint")
        scored = score_points(
            task_of(study),
            space_of(study),
            [record.point for record in missing],
            width=fingerprint["width"],
            depth=fingerprint["depth"],
            names=names,
            draws=DRAWS,
            seed=fingerprint["seed"],
            device=pick_device(),
        )
        for record, values in zip(missing, scored, strict=True):
            for name in names:
                known.setdefault(name, {})[str(record.number)] = values[name].mean
        write_atomically(path, json.dumps({"draws": DRAWS, "scores": known}).encode())
    return [[known[name][str(record.number)] for record in trials] for name in names]


def task_of(study: StudyStorage) -> Task:
    """What a study's networks were trained on, read anew.

    Raises:
        StudyError: the signal is not where the study found it, or another one is there.
    """
    fingerprint, source = study.facts("fingerprint"), study.facts("signal")
    settings = SignalSettings(**{key: fingerprint[key] for key in SignalSettings.model_fields})
    options = {key: fingerprint[key] for key in TaskSettings.model_fields if key != "task" and key in fingerprint}
    try:
        signal = read_signal(source, settings.to_crop())
    except SignalError as error:
        raise StudyError(f"the signal of study {study.name!r} must be where it was, but: {error}") from error
    if signal.digest != fingerprint["signal_sha256"]:
        raise StudyError(f"{source} must be what study {study.name!r} was fitted to, but its samples differ")
    return build_task(signal, TaskConfig(name=fingerprint["task"], **options))


def _read(path: Path) -> dict[str, dict[str, float]]:
    """By score and trial's number; nothing where the file is of other draws or damaged: then it is made anew."""
    try:
        kept: Any = json.loads(path.read_bytes())
        if kept["draws"] != DRAWS:
            return {}
        return {
            name: {str(int(number)): float(value) for number, value in values.items()}
            for name, values in kept["scores"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
