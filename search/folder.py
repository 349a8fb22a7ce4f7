"""The files of a study's folder, by name."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path, PurePath

from search.errors import StorageError, StudyError

WEIGHTS, RECIPE, SNIPPET = "winner.safetensors", "recipe.json", "snippet.py"
RECONSTRUCTION, TARGET = "reconstruction.npy", "target.npy"
SOUNDS = ("reconstruction.wav", "target.wav")
LISTEN = "listen.wav"
"""Of a short recording: both, long enough to be heard."""
VIEWS = ("reconstruction.png", "target.png")
PICTURES = (
    LANDSCAPE, FRONT, CONVERGENCE, CURVES, IMPORTANCE, SLICES, PATH, COMPARISON, WAVEFORM, SPECTRA
) = tuple(
    f"{name}.png"
    for name in (
        "landscape", "front", "convergence", "curves", "importance", "slices", "path", "comparison", "waveform",
        "spectra",
    )
)  # fmt: skip
REPORT = "report.html"
PREVIEW = "preview.png"
"""The landscape, small: MLflow shows pictures of its descriptions at their full size."""

CHECKPOINTS, DIAGNOSES, LOCK, SCORES = "checkpoints", "diagnoses", "driver.lock", "scores.json"
USAGE = "system.jsonl"


NAME_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Between the slashes of a study's name: no `..`, nothing absolute, nothing that a shell or terminal takes for more."""


def study_folder(store: Path, name: str) -> Path:
    """Where a study keeps its files: within the store, whatever its name says and whatever lies there.

    Raises:
        StudyError: a name that is none of ours; a storage that others write may hold any.
        StorageError: a link in the store, which would have files written or read elsewhere.
    """
    parts = name.split("/")
    if len(parts) > 2 or not all(NAME_PART.fullmatch(part) for part in parts):
        raise StudyError(f"a study must be called NAME/FILE of letters, digits, '.', '_' and '-', but got {name!r}")
    folder = store.joinpath("studies", *parts)
    own = [store / "journal.log", store / "mlflow.db", store / "artifacts", store / "artifacts" / parts[0]]
    for path in (*own, store / "studies", store / "studies" / parts[0], folder):
        _refuse_link(path)
    for inner, folders, files in os.walk(folder):
        for found in (*folders, *files):
            _refuse_link(Path(inner, found))
    return folder


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise StorageError(f"a store must hold its files itself, but {path} is a link to {path.readlink()}")


def is_of_lock(path: PurePath) -> bool:
    """Whether a path within a study's folder is its lock, or says who holds it."""
    return len(path.parts) == 1 and path.stem == PurePath(LOCK).stem


def empty_folder(folder: Path) -> None:
    """Remove all that a study's folder holds but its lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not is_of_lock(path.relative_to(folder)):
            path.unlink()


def diagnosis_paths(folder: Path, key: str) -> tuple[Path, Path]:
    """Numbers and picture of a trial that was looked into."""
    stem = file_stem(key)
    return folder / DIAGNOSES / f"{stem}.json", folder / DIAGNOSES / f"{stem}.png"


def file_stem(key: str) -> str:
    """A trial's key as the beginning of a file's name."""
    return key.replace("/", "-")
