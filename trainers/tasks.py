"""Tasks: which samples of a signal are trained on, to what values, and which are scored as held out.

The network sees the trained samples alone, and the step that is kept is chosen on them: held-out ones choose nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.config import ConfigError
from trainers.signals import Signal

Indices = NDArray[np.int64]

GAPS_OF_AXIS = {1: 64}
"""How many default gaps an axis holds, by dims: a 64th of a recording, a 16th of each axis of a grid."""


class TaskError(ConfigError):
    """A task that a signal does not allow; the message says the rule, then what came."""


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """A task and its options; each option says which tasks it is for.

    Attributes:
        name: of `TASKS`.
        holdout: share of the samples that is held out (holdout, inpaint).
        pattern: "random", or "every": every k-th sample, k = round(1 / holdout) (holdout).
        factor: every so many samples along each axis are trained on (upsample).
        noise_db: SNR of the noisy signal, the noise against the signal's variance, dB (denoise).
        gap: samples of a gap along each axis; None for a 64th of a recording, a 16th of a grid's axis (inpaint).
        seed: of what is drawn: the held-out samples, the noise, the gaps. Not the study's: the data stay the same.
    """

    name: str = "fit"
    holdout: float = 0.1
    pattern: str = "random"
    factor: int = 2
    noise_db: float = 20.0
    gap: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in TASKS:
            raise ConfigError(f"unknown task {self.name!r}; known tasks: {', '.join(TASKS)}")
        if not 0.0 < self.holdout < 1.0:
            raise ConfigError(f"`0 < holdout < 1` must hold, but got holdout={self.holdout:g}")
        if self.pattern not in ("random", "every"):
            raise ConfigError(f"pattern must be one of random, every, but got {self.pattern!r}")
        if self.factor < 2:
            raise ConfigError(f"`2 <= factor` must hold, but got factor={self.factor}")
        if not np.isfinite(self.noise_db):
            raise ConfigError(f"noise_db must be finite, but got noise_db={self.noise_db}")
        if self.gap is not None and self.gap < 1:
            raise ConfigError(f"`1 <= gap` must hold, but got gap={self.gap}")

    def options(self) -> dict[str, Any]:
        """The options that this task looks at."""
        return {key: getattr(self, key) for key in TASK_OPTIONS[self.name]}


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What a fit sees and is scored on; all of it crosses to the workers.

    Attributes:
        kind: of the signal; decides the PSNR convention.
        shape: samples per axis of the whole grid.
        coordinates: (points, dims) of the whole grid in [-1, 1], float32.
        values: (points, channels), float32: the clean signal on it.
        trained: indices of the points that are trained on, ascending.
        targets: (len(trained), channels), float32: what they are trained to.
        held: indices of the points that are scored as held out, against `values`; none for a plain fit.
    """

    kind: str
    shape: tuple[int, ...]
    coordinates: NDArray[np.float32]
    values: NDArray[np.float32]
    trained: Indices
    targets: NDArray[np.float32]
    held: Indices

    @cached_property  # every trial's checkpoint names it
    def digest(self) -> str:
        """SHA-256 of all that a fit sees, hexadecimal."""
        digest = hashlib.sha256(f"{self.kind} {self.shape} ".encode())
        for array in (self.coordinates, self.values, self.trained, self.targets, self.held):
            digest.update(f"{array.shape} ".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    @cached_property
    def power(self) -> float:
        """Mean square of the targets: the MSE of silence."""
        return float(np.mean(self.targets.astype(np.float64) ** 2))

    @property
    def trained_share(self) -> float:
        """Share of the points that are trained on: 1 where none is held out."""
        return len(self.trained) / len(self.values)

    @property
    def has_held(self) -> bool:
        """Whether there are held-out samples."""
        return len(self.held) > 0


def build_task(signal: Signal, config: TaskConfig | None = None) -> Task:
    """The task of that name on a signal (fit unless given).

    Raises:
        TaskError: too few samples would be trained on or held out.
    """
    config = config or TaskConfig()
    held, noise = TASKS[config.name](signal, config)
    points = np.arange(signal.num_samples)
    trained = points if noise is not None else np.setdiff1d(points, held)
    values = signal.values.astype(np.float32)
    if config.name != "fit" and (not len(held) or not len(trained)):
        raise TaskError(
            f"{signal.source}: task {config.name} must leave samples to train on and to hold out, "
            f"but got {len(trained)} and {len(held)} of {signal.num_samples}"
        )
    if not np.any(values[trained]):
        raise TaskError(f"{signal.source}: the samples that are trained on must not be silent, but all are zero")
    if noise is not None:
        targets = (signal.values + noise).astype(np.float32)
    else:
        targets = values[trained] if len(held) else values
    return Task(
        kind=signal.kind,
        shape=signal.shape,
        coordinates=signal.coordinates().astype(np.float32),
        values=values,
        trained=trained.astype(np.int64),
        targets=targets,
        held=held.astype(np.int64),
    )


Drawn = tuple[Indices, NDArray[np.float64] | None]
"""The held-out points, and the noise (points, channels) on what is trained, if there is any."""


def _fit(signal: Signal, config: TaskConfig) -> Drawn:
    """Every sample is trained on; none is held out."""
    return np.zeros(0, dtype=np.int64), None


def _holdout(signal: Signal, config: TaskConfig) -> Drawn:
    """A share of the samples is held out: at random, or where the sum of a point's indices is k/2 modulo k."""
    num = signal.num_samples
    if config.pattern == "every":
        every = round(1.0 / config.holdout)
        if every < 2:
            raise TaskError(f"`holdout <= 0.66` must hold for pattern every, but got holdout={config.holdout:g}")
        if abs(1.0 / every - config.holdout) > 0.02 * config.holdout:
            raise TaskError(
                f"holdout must be one over a whole number for pattern every (the nearest is {1 / every:.4g}), "
                f"but got holdout={config.holdout:g}"
            )
        sums = np.indices(signal.shape).sum(axis=0).reshape(-1)
        return np.flatnonzero(sums % every == every // 2), None
    order = np.random.default_rng(config.seed).permutation(num)
    return np.sort(order[: round(config.holdout * num)]), None


def _upsample(signal: Signal, config: TaskConfig) -> Drawn:
    """Every `factor`-th sample along each axis is trained on, unfiltered; all others are held out."""
    on_grid = np.all(np.indices(signal.shape) % config.factor == 0, axis=0)
    return np.flatnonzero(~on_grid.reshape(-1)), None


def _denoise(signal: Signal, config: TaskConfig) -> Drawn:
    """Every sample is trained on with white Gaussian noise, and all are scored against the clean signal.

    Variance of the noise: that of the signal / 10^(noise_db / 10).
    """
    sigma = np.std(signal.values) * 10.0 ** (-config.noise_db / 20.0)
    noise = np.random.default_rng(config.seed).normal(0.0, sigma, signal.values.shape)
    return np.arange(signal.num_samples), noise


def _inpaint(signal: Signal, config: TaskConfig) -> Drawn:
    """Boxes of `gap` samples along each axis are held out, at random cells of a regular grid of such boxes."""
    share = GAPS_OF_AXIS.get(len(signal.shape), 16)
    gaps = [config.gap or max(2, round(size / share)) for size in signal.shape]
    cells = tuple(size // gap for size, gap in zip(signal.shape, gaps, strict=True))
    if min(cells) < 2:
        raise TaskError(f"{signal.source}: a gap must be at most half an axis, but got gap={config.gap}")
    num_cells = int(np.prod(cells))
    num = min(max(1, round(config.holdout * signal.num_samples / np.prod(gaps))), num_cells - 1)
    is_held = np.zeros(num_cells, dtype=bool)
    is_held[np.random.default_rng(config.seed).permutation(num_cells)[:num]] = True
    mask = is_held.reshape(cells)
    for axis, (gap, size) in enumerate(zip(gaps, signal.shape, strict=True)):
        mask = np.repeat(mask, gap, axis=axis)
        rest = [(0, size - mask.shape[axis]) if other == axis else (0, 0) for other in range(mask.ndim)]
        mask = np.pad(mask, rest)
    return np.flatnonzero(mask.reshape(-1)), None


TASKS: Mapping[str, Callable[[Signal, TaskConfig], Drawn]] = {
    "fit": _fit,
    "holdout": _holdout,
    "upsample": _upsample,
    "denoise": _denoise,
    "inpaint": _inpaint,
}
"""Known tasks by name."""

TASK_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "fit": (),
    "holdout": ("holdout", "pattern"),
    "upsample": ("factor",),
    "denoise": ("noise_db",),
    "inpaint": ("holdout", "gap"),
}
"""The options that each task looks at."""
