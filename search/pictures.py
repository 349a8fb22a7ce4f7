"""A study's pictures, drawn from its storage and the winner's sound."""

from __future__ import annotations

from pathlib import Path

from search import plots
from search.folder import CURVES, LANDSCAPE, RECONSTRUCTION, SPECTRA
from search.plan import Plan
from search.storage import Record, StudyStorage
from trainers.audio import read_wav


def draw_study(folder: Path, plan: Plan, storage: StudyStorage, found: Record) -> list[Path]:
    """Landscape, learning curves and spectra; the files written."""
    trials = storage.trials()
    by_number = {record.number: record for record in storage.references()}
    references = {name: by_number[facts["number"]] for name, facts in storage.facts("references").items()}
    title = f"{plan.name}: {plan.signal.num_samples:,} samples, width {plan.builder.width}, {plan.builder.steps} steps"
    landscape, curves, spectra = (folder / name for name in (LANDSCAPE, CURVES, SPECTRA))
    plots.landscape(
        landscape,
        title=title,
        space=plan.space,
        trials=trials,
        references=references,
        found=found,
        spectrum=plan.spectrum,
        width=plan.builder.width,
    )
    plots.curves(curves, title=title, trials=trials, references=references, found=found)
    plots.spectra(
        spectra,
        title=title,
        target=plan.signal.values[:, 0],
        output=read_wav(folder / RECONSTRUCTION)[:, 0],
        rate_hz=plan.signal.rate_hz or 1.0,
        centroid=plan.spectrum.centroid,
    )
    return [landscape, curves, spectra]
