"""What needs no study: predictions for signals, and fits of one point."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from search.heuristics import ALL_LAWS, SELECTORS, check_heuristics, known_heuristics, predict_point, silent_laws
from search.plan import read_all
from search.result import Predictions
from search.trial import TrialBuilder
from spaces.catalog import build_space
from spaces.laws import STEPS, Fit, LawError
from spaces.parameters import Value
from trainers.config import Progress
from trainers.signals import Crop, Signal, read_signal
from trainers.tasks import TaskConfig, build_task


def predict(
    sources: Sequence[str],
    *,
    crop: Crop | None = None,
    heuristics: Sequence[str] = (),
    space: str = "siren2",
    width: int = 128,
    depth: int = 4,
    steps: int = STEPS,
    seed: int = 0,
    beyond_domain: bool = False,
) -> Predictions:
    """Spectrum and every law's point of each signal: the document of `winnow predict --json`.

    Args:
        sources: files or synthetic:NAME.
        crop: which samples.
        heuristics: names of laws and selectors; all laws that apply unless given.
        space: in which a selector chooses.
        width, depth, steps: of the network and its fit, for the heuristics that know them.
        seed: of a selector's draws.
        beyond_domain: let calibrated laws that are named speak outside what they were calibrated on.

    Returns:
        For each signal its grid, centroid, nyquist_rad, predictions by heuristic, and silent: why laws that were not
        named say nothing.

    Raises:
        InputError: signals that cannot be used.
        LawError: a named heuristic is unknown or does not apply.
    """
    with known_heuristics(heuristics, beyond_domain=beyond_domain) as named:
        signals = read_all(sources, lambda source: read_signal(source, crop or Crop()))
        entries = [_predict_one(signal, named, space, width, depth, steps, seed) for signal in signals]
    return Predictions(signals=entries)


def _predict_one(
    signal: Signal, heuristics: Sequence[str], space: str, width: int, depth: int, steps: int, seed: int
) -> dict[str, Any]:
    spectrum = signal.spectrum()
    fit = Fit(width=width, depth=depth, steps=steps, trained_share=1.0)
    names = check_heuristics(heuristics, spectrum, **fit)
    task = build_task(signal) if any(name in SELECTORS for name in names) else None
    searched = build_space(space, spectrum, width=width)
    return {
        "signal": signal.source,
        "kind": signal.kind,
        "samples": signal.num_samples,
        "shape": list(signal.shape),
        "channels": signal.channels,
        "rate_hz": signal.rate_hz,
        "centroid": spectrum.centroid,
        "nyquist_rad": spectrum.nyquist_rad,
        "predictions": {
            name: predict_point(name, spectrum, task, searched, width=width, depth=depth, steps=steps, seed=seed).point
            for name in names
        },
        "silent": silent_laws(spectrum, **fit) if set(heuristics) <= {ALL_LAWS} else {},
    }


def fit_point(
    source: str,
    partial: Mapping[str, Any],
    *,
    space: str = "siren2",
    heuristic: str | None = None,
    beyond_domain: bool = False,
    crop: Crop | None = None,
    task: TaskConfig | None = None,
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
        heuristic: a law, a law's file, or a selector.
        beyond_domain: let a law from a file speak outside what it was calibrated on.
        task: what is trained on and what held out; fit unless given.
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
    built, device = build_task(signal, task), pick_device()
    predicted: Mapping[str, Value] = {}
    if heuristic:
        share = built.trained_share
        with known_heuristics([heuristic], beyond_domain=beyond_domain) as named:
            if ALL_LAWS in named:
                raise LawError(f"one heuristic must be named, but got {heuristic!r}")
            check_heuristics(named, spectrum, width=width, depth=depth, steps=steps, trained_share=share)
            predicted = predict_point(
                named[0],
                spectrum,
                built,
                searched,
                width=width,
                depth=depth,
                steps=steps,
                seed=study_seed,
                trained_share=share,
            ).point
    point = searched.complete({**predicted, **partial})
    builder = TrialBuilder(
        task=built.digest,
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
            results.append(fit_network(built, spec.network, spec.fit, spec.seed, device))
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
        **({"held_psnr_db": [result.progress.held_psnr_db for result in results]} if built.has_held else {}),
        "metrics": [dict(result.progress.metrics) for result in results],
        "best_step": [result.progress.best_step for result in results],
        "status": [result.progress.status.value for result in results],
        "steps": steps,
        "wall_seconds": time.monotonic() - began,
    }
