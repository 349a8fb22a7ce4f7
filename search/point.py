"""What needs no study: predictions for signals, and fits of one point."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from search.plan import read_signals
from search.references import check_heuristics
from search.trial import TrialBuilder
from spaces.catalog import build_space
from spaces.laws import law_named
from trainers.config import Progress
from trainers.signals import Crop, Signal, read_signal
from trainers.tasks import TASKS


def predict(
    sources: Sequence[str], *, crop: Crop | None = None, heuristics: Sequence[str] = (), width: int = 128
) -> dict[str, Any]:
    """Spectrum and every law's point of each signal: the document of `winnow predict --json`.

    Args:
        sources: files or synthetic:NAME.
        crop: which samples.
        heuristics: names of laws; all that apply unless given.
        width: of the network, for the laws that know it.

    Raises:
        InputError: signals that cannot be used.
        LawError: a named heuristic is unknown or does not apply.
    """
    return {"signals": [_predict_one(s, heuristics, width) for s in read_signals(sources, crop or Crop())]}


def _predict_one(signal: Signal, heuristics: Sequence[str], width: int) -> dict[str, Any]:
    spectrum = signal.spectrum()
    return {
        "signal": signal.source,
        "kind": signal.kind,
        "samples": signal.num_samples,
        "rate_hz": signal.rate_hz,
        "centroid": spectrum.centroid,
        "nyquist_rad": spectrum.nyquist_rad,
        "predictions": {
            name: law_named(name).point(spectrum, width=width) for name in check_heuristics(heuristics, spectrum)
        },
    }


def fit_point(
    source: str,
    partial: Mapping[str, Any],
    *,
    space: str = "siren2",
    heuristic: str | None = None,
    crop: Crop | None = None,
    width: int = 128,
    depth: int = 4,
    steps: int = 500,
    seeds: int = 1,
    study_seed: int = 0,
    threads: int = 1,
    watch: Callable[[int, Progress], None] | None = None,
) -> dict[str, Any]:
    """Fit one point with several seeds: the document of `winnow fit --json`.

    Seed number r is the one that a study of the same `study_seed` gives its search trials as repeat r, so one seed
    repeats a trial of a search bit for bit on the same kind of CPU.

    Args:
        source: file or synthetic:NAME.
        partial: values of the point; what is missing comes from `heuristic`, then from the published defaults.
        space, width, depth, steps: of the fit.
        seeds: how many.
        threads: of torch.
        watch: called after each fit with its seed's number and its last progress.

    Raises:
        SignalError, PointError, LawError, ConfigError: something cannot be used.
    """
    import torch

    from search.workers import pick_device
    from trainers.fit import fit_network

    signal = read_signal(source, crop or Crop())
    spectrum = signal.spectrum()
    searched = build_space(space, spectrum, width=width)
    predicted: Mapping[str, float] = {}
    if heuristic:
        check_heuristics([heuristic], spectrum)
        predicted = law_named(heuristic).point(spectrum, width=width)
    point = searched.complete({**predicted, **partial})
    task, device = TASKS["fit"](signal), pick_device()
    builder = TrialBuilder(
        task=task.digest,
        width=width,
        depth=depth,
        dims=spectrum.dims,
        channels=spectrum.channels,
        steps=steps,
        study_seed=study_seed,
    )
    specs = [
        builder.build(
            f"fit/{repeat}",
            label=f"seed {repeat}",
            space=searched,
            point=point,
            repeat=repeat,
        )
        for repeat in range(seeds)
    ]
    began, threads_before = time.monotonic(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        results = []
        for spec in specs:
            results.append(fit_network(task, spec.network, spec.fit, spec.seed, device))
            if watch:
                watch(spec.repeat, results[-1].progress)
    finally:
        torch.set_num_threads(threads_before)
    return {
        "signal": signal.source,
        "space": space,
        "params": point,
        "psnr_db": [result.progress.psnr_db for result in results],
        "snr_db": [result.progress.snr_db for result in results],
        "best_step": [result.progress.best_step for result in results],
        "status": [result.progress.status.value for result in results],
        "steps": steps,
        "wall_seconds": time.monotonic() - began,
    }
