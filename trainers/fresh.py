"""FreSh: the point whose *untrained* network already has the target's spectrum [Kania2024].

Each candidate is built from R seeds (the same ones for every candidate) and rendered on the whole grid; the distance of
its amplitude spectrum to the target's is Wasserstein-1, averaged over the R draws; the smallest wins.

Two binnings (`spaces.spectrum.amplitude_spectra`). "published" is the public code's, to compare with. Its defects, none
of which "sound" inherits:

- 2-D: sums over anti-diagonals k1 + k2 of the unshifted DFT. The first n of them hold one diagonal orientation alone;
  of a wave along the other diagonal they see nothing. Sound: bins of equal radius |k|.
- n = 64 or 128, whatever the grid: 64 bins of a 0.74 s clip end at 86 Hz, and nearly all candidates look alike. Sound:
  every bin of the grid, up to Nyquist (in 2-D and 3-D up to the corner).
- other than square images are resized to a square first, and the spectrum is that of another image. Sound: any shape,
  whole cycles over each axis, which is what the network's coordinates mean; published is refused there.
- candidates on a linear grid (w_first 10, 20, ... 200). Here: `Space.sweep`, logarithmic where the parameter is.
- there is no 1-D. Published here: |rfft| without the mean, its first 64 bins.

The network sees coordinates that a padded or cropped signal does not change, so the target is the task's clean grid.

[Kania2024] arXiv 2410.05050, section 4, and the public code.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spaces.parameters import Point, Value
from spaces.space import Space
from spaces.spectrum import Binning, amplitude_spectra, wasserstein_1
from trainers.lane import DIVERGED_POWERS
from trainers.untrained import Grid, cpu_threads, draw_seeds, mean_and_error, network_on, render_untrained


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A point, and how far its untrained networks are from the target.

    Attributes:
        point: without the learning rate.
        distance: mean Wasserstein-1 distance over the draws, bins.
        standard_error: of that mean, bins; None for a single draw.
    """

    point: dict[str, Value]
    distance: float
    standard_error: float | None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What FreSh chose.

    Attributes:
        point: the nearest candidate's; the learning rate is left open.
        candidates: all of them, in the order given.
        binning: "sound" or "published".
        bins: n.
        draws: R.
        seconds: that it took.
    """

    point: dict[str, Value]
    candidates: tuple[Candidate, ...]
    binning: Binning
    bins: int
    draws: int
    seconds: float


def select(
    task: Grid,
    space: Space,
    *,
    width: int,
    depth: int,
    draws: int = 10,
    candidates: int = 20,
    binning: Binning = "sound",
    bins: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
    points: Sequence[Point] | None = None,
) -> Selection:
    """Choose a point of `space` for the task by the spectra of untrained networks.

    Args:
        task: its clean grid is the target.
        space: whose points are the candidates.
        width, depth: of the networks, where a point names none.
        draws: R, networks of each candidate.
        candidates: how many points of `space.sweep` are compared.
        binning: "sound" or "published".
        bins: n, the first so many; None for all (sound) or 64 (published).
        seed: of the draws.
        device: "cpu" or "cuda".
        threads: of torch on a CPU.
        points: the candidates in place of the sweep.

    Raises:
        SpectrumError: the grid lacks such bins or such a binning.
    """
    began = time.perf_counter()
    if draws < 1:
        raise ValueError(f"`1 <= draws` must hold, but got draws={draws}")
    target = amplitude_spectra(task.values, task.shape, binning=binning, bins=bins)
    open_points = [_without_lr(point) for point in (space.sweep(candidates) if points is None else points)]
    if not open_points:
        raise ValueError("at least one candidate is needed, but got none")
    networks = [network_on(task, space, point, width=width, depth=depth) for point in open_points]
    distances = np.zeros((len(networks), draws))
    limit = DIVERGED_POWERS * float(np.mean(np.square(task.values, dtype=np.float64)))
    each = [network for network in networks for _ in range(draws)]
    seeds = draw_seeds(seed, draws) * len(networks)
    with cpu_threads(threads):
        for indices, outputs in render_untrained(each, seeds, task, device):
            spectra = amplitude_spectra(outputs, task.shape, binning=binning, bins=bins)
            distances.reshape(-1)[indices] = wasserstein_1(spectra, target)
            power = np.mean(np.square(outputs, dtype=np.float64), axis=(-2, -1))
            # Such a network has left before it began: the spectrum is that of its rounding.
            distances.reshape(-1)[indices] = np.where(power > limit, np.nan, distances.reshape(-1)[indices])
    compared = tuple(
        Candidate(point=point, distance=mean, standard_error=error)
        for point, (mean, error) in zip(open_points, map(mean_and_error, distances), strict=True)
    )
    return Selection(
        # A network that is not finite, or has exploded, has no distance and is not chosen.
        point=compared[int(np.argmin([np.nan_to_num(each.distance, nan=np.inf) for each in compared]))].point,
        candidates=compared,
        binning=binning,
        bins=target.shape[-1],
        draws=draws,
        seconds=time.perf_counter() - began,
    )


def _without_lr(point: Point) -> dict[str, Value]:
    """A point as far as an untrained network shows it."""
    return {name: value for name, value in point.items() if name != "lr"}
