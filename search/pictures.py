"""A study's pictures, drawn from its storage and the winner's output."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

import numpy as np

from search import plots, signal_plots
from search.folder import COMPARISON, CURVES, FRONT, LANDSCAPE, RECONSTRUCTION, SPECTRA, TARGET
from search.landscape import Landscape, draw_landscape, placed_references, placed_trials
from search.objective import Objective
from search.plan import Plan
from search.record import Record
from search.storage import StudyStorage
from search.summary import front_records


def draw_study(folder: Path, plan: Plan, storage: StudyStorage, found: Record) -> list[Path]:
    """Landscape, learning curves, front, spectra and the samples side by side, as far as there are; the files."""
    trials = storage.trials()
    by_number = {record.number: record for record in storage.references()}
    references = {name: by_number[facts["number"]] for name, facts in storage.facts("references").items()}
    fits = [folder / LANDSCAPE, folder / CURVES]
    title = _title(plan)
    shape = {"width": plan.builder.width, "depth": plan.builder.depth}
    placed = placed_trials(trials, storage.objective)
    view = Landscape(
        space=plan.space,
        objective=storage.objective,
        trials=placed,
        references=placed_references(plan.space, references, storage.objective, **shape),
        found=next(one for one in placed if one.record.number == found.number),
    )
    width = None if "width" in plan.space.names else plan.builder.width
    draw_landscape(folder / LANDSCAPE, view, title=title, spectrum=plan.spectrum, width=width)
    plots.curves(folder / CURVES, title=title, trials=trials, references=references, found=found)
    if storage.objective is Objective.BOTH:
        front = front_records(trials)
        plots.front(folder / FRONT, title=title, trials=trials, front=front, references=references, found=found)
        fits.append(folder / FRONT)
    return [*fits, *_draw_samples(folder, plan, title)]


def _draw_samples(folder: Path, plan: Plan, title: str) -> list[Path]:
    target, output = (np.load(folder / name, allow_pickle=False) for name in (TARGET, RECONSTRUCTION))
    signal = plan.signal
    # The published centroid of other kinds is that of the samples in a row, no radial frequency.
    centroid = plan.spectrum.centroid if signal.kind == "audio" else None
    signal_plots.spectra(
        folder / SPECTRA, title=title, target=target, output=output, rate_hz=signal.rate_hz, centroid=centroid
    )
    if signal.kind == "audio":
        return [folder / SPECTRA]
    signal_plots.comparison(folder / COMPARISON, title=title, target=target, output=output, kind=signal.kind)
    return [folder / SPECTRA, folder / COMPARISON]


def _title(plan: Plan) -> str:
    """`demo/bright-e20bff: 4,096 samples, width 128, 500 steps`."""
    signal, builder = plan.signal, plan.builder
    size = f"{signal.num_samples:,}" if len(signal.shape) == 1 else " x ".join(str(num) for num in signal.shape)
    shape = "width and depth searched" if "width" in plan.space.names else f"width {builder.width}"
    task = plan.fingerprint["task"]
    asked = f"{size} samples, {shape}, {builder.steps} steps{'' if task == 'fit' else f', task {task}'}"
    return fill(f"{plan.name}: {asked}", plots.TITLE_WIDTH)
