"""The winner, for use elsewhere: weights (safetensors), recipe (JSON), a snippet of plain torch, and its output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from search.errors import StorageError
from search.folder import LISTEN, RECIPE, RECONSTRUCTION, SNIPPET, SOUNDS, TARGET, VIEWS, WEIGHTS
from search.objective import Objective
from search.record import Record
from search.samples import write_listening, write_samples
from search.snippet import all_knobs, snippet
from search.trial import TrialSpec
from trainers.checkpoint import CheckpointError, pack, unpack, write_atomically
from trainers.config import FitResult
from trainers.signals import Signal
from trainers.tasks import TaskConfig

RECIPE_FORMAT = 2


def build_recipe(
    spec: TrialSpec,
    record: Record,
    signal: Signal,
    confirmed: Mapping[str, Any] | None,
    *,
    task: TaskConfig,
    objective: Objective,
) -> dict[str, Any]:
    """All that it takes to build, train or use the winner's network, JSON-able.

    Args:
        spec: the winner's fit.
        record: what it brought.
        signal: what it was fitted to.
        confirmed: mean over fresh seeds of its point.
        task: what of the signal was trained on.
        objective: what was maximised.
    """
    return {
        "format": RECIPE_FORMAT,
        "signal": {
            "source": signal.source,
            "kind": signal.kind,
            "shape": list(signal.shape),
            "channels": signal.channels,
            "rate_hz": signal.rate_hz,
            "start": list(signal.start),
            "total": list(signal.total),
            "offset": signal.offset,  # value = (raw - offset) / peak
            "peak": signal.peak,
            "sha256": signal.digest,
        },
        "task": {"name": task.name, **task.options()},
        "objective": objective.value,
        "space": spec.space,
        "point": dict(spec.point),
        "network": {**asdict(spec.network), "knobs": all_knobs(spec.network)},
        "fit": asdict(spec.fit),
        "seed": spec.seed,
        "psnr_db": record.psnr_db,
        "held_psnr_db": record.held_psnr_db,
        "metrics": dict(record.metrics),
        "best_step": record.best_step,
        "confirmed": confirmed,
    }


def save_weights(folder: Path, spec: TrialSpec, result: FitResult, signal: Signal) -> None:
    """Write output and target, then the weights: what has weights has all of it, wherever a crash comes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).unlink(missing_ok=True)
    names = write_samples(folder, Path(RECONSTRUCTION).stem, result.output, signal)
    names += write_samples(folder, Path(TARGET).stem, signal.values, signal)
    if write_listening(folder / LISTEN, signal.values, result.output, signal):
        names.append(LISTEN)
    facts = {"psnr_db": result.progress.psnr_db, "seed": spec.seed, "point": dict(spec.point), "files": names}
    write_atomically(folder / WEIGHTS, pack(result.weights, facts))


def save_recipe(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write recipe and snippet."""
    write_atomically(folder / RECIPE, (json.dumps(recipe, indent=2) + "\n").encode())
    write_atomically(folder / SNIPPET, snippet(recipe).encode())


def has_weights_of(folder: Path, spec: TrialSpec) -> bool:
    """Whether the folder holds, undamaged, what a fit of that seed and point brought."""
    try:
        _, facts = unpack((folder / WEIGHTS).read_bytes())
    except (FileNotFoundError, CheckpointError):
        return False
    is_same = facts.get("seed") == spec.seed and facts.get("point") == dict(spec.point)
    names = facts.get("files", ())
    return is_same and bool(names) and all((folder / name).exists() for name in names)


def read_winner(folder: Path, names: Sequence[str] = (WEIGHTS, RECIPE, SNIPPET, TARGET)) -> dict[str, bytes]:
    """What `winnow export` writes, by name, checked: disks fail, and others may have put something else there.

    Args:
        folder: of the study.
        names: of files, weights and recipe among them.

    Raises:
        FileNotFoundError: there is no winner yet.
        StorageError: a file is not what it should be.
    """
    contents = {name: (folder / name).read_bytes() for name in names}
    try:
        unpack(contents[WEIGHTS])
    except CheckpointError as error:
        raise _damaged(folder / WEIGHTS, str(error)) from error
    try:
        found = json.loads(contents[RECIPE]).get("format")
    except (ValueError, AttributeError, RecursionError) as error:
        raise _damaged(folder / RECIPE, f"a recipe must be a JSON object, but: {error}") from error
    if found != RECIPE_FORMAT:
        raise _damaged(folder / RECIPE, f"a recipe must be of format {RECIPE_FORMAT}, but got {found!r}")
    if TARGET not in contents:
        return contents
    try:
        np.load(BytesIO(contents[TARGET]), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise _damaged(folder / TARGET, f"a target must be an array, but: {error}") from error
    return contents


def _damaged(path: Path, what: str) -> StorageError:
    return StorageError(f"{path} is damaged: {what}; the study's command writes it anew")


def kept_files(folder: Path) -> list[Path]:
    """What a study keeps of its winner, for MLflow too: how it looks or sounds depends on the kind of signal."""
    names = (LISTEN, *SOUNDS, *VIEWS, RECONSTRUCTION, TARGET, WEIGHTS, RECIPE, SNIPPET)
    return [folder / name for name in names if (folder / name).exists()]
