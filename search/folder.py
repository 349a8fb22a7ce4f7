"""The files of a study's folder, by name."""

from __future__ import annotations

from pathlib import Path

WEIGHTS, RECIPE, SNIPPET = "winner.safetensors", "recipe.json", "snippet.py"
RECONSTRUCTION, TARGET = "reconstruction.npy", "target.npy"
SOUNDS = ("reconstruction.wav", "target.wav")
VIEWS = ("reconstruction.png", "target.png")
LANDSCAPE, CURVES, FRONT, SPECTRA, COMPARISON = (
    f"{name}.png" for name in ("landscape", "curves", "front", "spectra", "comparison")
)
CHECKPOINTS, DIAGNOSES, LOCK = "checkpoints", "diagnoses", "driver.lock"


def study_folder(store: Path, name: str) -> Path:
    """Where a study keeps its files."""
    return store / "studies" / name


def diagnosis_paths(folder: Path, key: str) -> tuple[Path, Path]:
    """Numbers and picture of a trial that was looked into."""
    stem = folder / DIAGNOSES / key.replace("/", "-")
    return stem.with_name(f"{stem.name}.json"), stem.with_name(f"{stem.name}.png")
