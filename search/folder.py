"""The files of a study's folder, by name."""

from __future__ import annotations

from pathlib import Path

WEIGHTS, RECIPE, SNIPPET = "winner.safetensors", "recipe.json", "snippet.py"
RECONSTRUCTION, TARGET = "reconstruction.wav", "target.wav"
LANDSCAPE, CURVES, SPECTRA = "landscape.png", "curves.png", "spectra.png"
CHECKPOINTS, DIAGNOSES, LOCK = "checkpoints", "diagnoses", "driver.lock"


def study_folder(store: Path, name: str) -> Path:
    """Where a study keeps its files."""
    return store / "studies" / name
