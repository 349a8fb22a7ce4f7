"""A study's pictures, drawn from its storage and the winner's output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from search import plots, signal_plots
from search.convergence import draw_convergence
from search.errors import UsageError, first_line
from search.expected import confirmed_sample, expected_of
from search.folder import (
    COMPARISON,
    CONVERGENCE,
    CURVES,
    FRONT,
    IMPORTANCE,
    LANDSCAPE,
    PATH,
    PREVIEW,
    RECONSTRUCTION,
    SLICES,
    SPECTRA,
    TARGET,
    WAVEFORM,
)
from search.importance import MIN_TRIALS, importances
from search.landscape import Landscape, draw_landscape, placed_references, placed_trials
from search.objective import Objective
from search.record import Record
from search.samples import Grid
from search.searched import space_of, spectrum_of
from search.slices import draw_slices, draw_way
from search.storage import StudyStorage
from search.summary import found_record, front_records, summarise
from search.view import SHOWN
from search.waveform_plot import draw_waveform
from spaces.parameters import PointError
from spaces.space import Space
from spaces.spectrum import Spectrum
from trainers.checkpoint import write_atomically
from trainers.images import shrink_png

PREVIEW_SCALE = 0.6
"""Of a picture's 1,105 pixels: beside MLflow's side panels a description is about 800 wide."""


@dataclass(kw_only=True)
class Pictures:
    """A study's pictures before they are drawn.

    Attributes:
        drawings: what draws each at a path, by the name of its file.
        missing: by name, why it cannot be drawn.
    """

    drawings: dict[str, Callable[[Path], None]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def draw_study(folder: Path, storage: StudyStorage) -> Pictures:
    """Draw all pictures that a study has into its folder."""
    pictures = pictures_of(storage, folder)
    for name, draw in pictures.drawings.items():
        draw(folder / name)
    shown = next((name for name in (LANDSCAPE, CONVERGENCE) if name in pictures.drawings), None)
    if shown:
        write_atomically(folder / PREVIEW, shrink_png((folder / shown).read_bytes(), scale=PREVIEW_SCALE))
    return pictures


def pictures_of(storage: StudyStorage, folder: Path) -> Pictures:
    """Pictures of a study's fits and of its space, from storage; of the winner's output, from the study's folder."""
    pictures, title, trials = Pictures(), _title(storage), storage.trials()
    found = found_record(storage, trials)
    if found is None:
        fits = (LANDSCAPE, CONVERGENCE, CURVES, IMPORTANCE, SLICES, PATH)
        return Pictures(missing=dict.fromkeys((*fits, SPECTRA), "no trial is complete yet"))
    by_number = {record.number: record for record in storage.references()}
    facts = storage.facts("references") or {}
    references = {name: by_number[fact["number"]] for name, fact in facts.items()}
    summary = summarise(storage)
    _add_fits(pictures, storage, summary, title, trials, references, found)
    try:
        space, spectrum = space_of(storage), spectrum_of(storage.facts("spectrum"))
    except (UsageError, PointError) as error:
        pictures.missing |= dict.fromkeys((LANDSCAPE, SLICES, PATH), first_line(error))
    else:
        _add_space(pictures, storage, summary, title, trials, references, found, space, spectrum)
    _add_samples(pictures, storage, title, folder)
    return pictures


def _add_fits(
    pictures: Pictures,
    storage: StudyStorage,
    summary: Mapping[str, Any],
    title: str,
    trials: list[Record],
    references: dict[str, Record],
    found: Record,
) -> None:
    shown: dict[str, Any] = {"title": title, "trials": trials, "references": references}
    if storage.objective is Objective.BOTH:
        front = front_records(trials)
        pictures.drawings[FRONT] = partial(plots.front, **shown, front=front, found=found)
    confirmed = confirmed_sample(summary["best"]["confirmed"], storage.objective)
    pictures.drawings[CONVERGENCE] = partial(
        draw_convergence, **shown, objective=storage.objective, confirmed=confirmed
    )
    pictures.drawings[CURVES] = partial(plots.curves, **shown, found=found)
    shares = importances(storage.search)
    if shares:
        pictures.drawings[IMPORTANCE] = partial(plots.importance, shares=shares, title=title)
    else:
        pictures.missing[IMPORTANCE] = f"at least {MIN_TRIALS} complete trials are needed"


def _add_space(
    pictures: Pictures,
    storage: StudyStorage,
    summary: Mapping[str, Any],
    title: str,
    trials: list[Record],
    references: dict[str, Record],
    found: Record,
    space: Space,
    spectrum: Spectrum,
) -> None:
    fingerprint, objective = storage.facts("fingerprint"), storage.objective
    # Under a budget of weights, references have the largest width that it pays.
    width = int(space.complete({}).get("width", fingerprint["width"]))
    placed = placed_trials(trials, objective)
    view = Landscape(
        space=space,
        objective=objective,
        trials=placed,
        references=placed_references(space, references, objective, width=width, depth=fingerprint["depth"]),
        found=next(one for one in placed if one.record.number == found.number),
    )
    common = None if "width" in space.names else width
    pictures.drawings[LANDSCAPE] = partial(draw_landscape, view=view, title=title, spectrum=spectrum, width=common)
    try:
        expected = expected_of(storage, space, summary, list(view.references))
    except UsageError as error:
        pictures.missing |= dict.fromkeys((SLICES, PATH), first_line(error))
        return
    if expected.numeric:
        pictures.drawings[SLICES] = partial(draw_slices, view=expected, title=title)
    if expected.reference is None:
        pictures.missing[PATH] = "no reference lies within the search ranges"
    else:
        pictures.drawings[PATH] = partial(draw_way, view=expected, title=title)


def _add_samples(pictures: Pictures, storage: StudyStorage, title: str, folder: Path) -> None:
    spectrum, shown = storage.facts("spectrum"), (storage.facts(SHOWN) or {"params": {}})["params"]
    try:
        target, output = (_read(folder / name) for name in (TARGET, RECONSTRUCTION))
    except (OSError, ValueError, EOFError) as error:
        why = "the winner is not fitted yet" if isinstance(error, FileNotFoundError) else first_line(error)
        pictures.missing[SPECTRA] = why
        return
    if spectrum is None or target.shape != output.shape or target.ndim != len(spectrum["shape"]) + 1:
        pictures.missing[SPECTRA] = "the winner's files in the study's folder are not of this signal"
        return
    kind, rate_hz = spectrum["kind"], float(shown["rate_hz"]) if "rate_hz" in shown else None
    samples: dict[str, Any] = {"title": title, "target": target, "output": output}
    # The published centroid of other kinds is that of the samples in a row, no radial frequency.
    centroid = spectrum["centroid"] if kind == "audio" else None
    if kind == "audio":
        pictures.drawings[WAVEFORM] = partial(draw_waveform, **samples, rate_hz=rate_hz)
    else:
        pictures.drawings[COMPARISON] = partial(signal_plots.comparison, **samples, kind=kind)
    pictures.drawings[SPECTRA] = partial(signal_plots.spectra, **samples, rate_hz=rate_hz, centroid=centroid)


def _read(path: Path) -> Grid:
    values = np.load(path, allow_pickle=False)
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"{path.name} must hold real numbers, but its type is {values.dtype}")
    return np.asarray(values)


def _title(storage: StudyStorage) -> str:
    """`demo/bright-e20bff: 4,096 samples, width 128, 500 steps`."""
    fingerprint, spectrum = storage.facts("fingerprint"), storage.facts("spectrum")
    asked = []
    if spectrum is not None:
        shape = spectrum["shape"]
        asked.append(f"{shape[0]:,} samples" if len(shape) == 1 else f"{' x '.join(str(num) for num in shape)} samples")
    is_searched = fingerprint.get("max_weights") is not None
    asked.append("width and depth searched" if is_searched else f"width {fingerprint['width']}")
    asked.append(f"{fingerprint['steps']} steps")
    if fingerprint["task"] != "fit":
        asked.append(f"task {fingerprint['task']}")
    return fill(f"{storage.name}: {', '.join(asked)}", plots.TITLE_WIDTH)
