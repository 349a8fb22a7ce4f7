"""Which samples of a signal are trained on: a task turns a Signal into the arrays that a fit needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.signals import Signal


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What a fit sees; all of it crosses to the workers.

    Attributes:
        kind: decides the PSNR convention.
        coordinates: (points, dims) in [-1, 1], float32.
        values: (points, channels), float32.
    """

    kind: str
    coordinates: NDArray[np.float32]
    values: NDArray[np.float32]

    @property
    def digest(self) -> str:
        """SHA-256 of all that a fit sees, hexadecimal."""
        data = self.kind.encode() + self.coordinates.tobytes() + self.values.tobytes()
        return hashlib.sha256(data).hexdigest()

    @property
    def power(self) -> float:
        """Mean square of the values: the MSE of silence."""
        return float(np.mean(self.values.astype(np.float64) ** 2))


def fit_task(signal: Signal) -> Task:
    """Every sample is trained on and scored."""
    return Task(
        kind=signal.kind,
        coordinates=signal.coordinates().astype(np.float32),
        values=signal.values.astype(np.float32),
    )


TASKS: Mapping[str, Callable[[Signal], Task]] = {"fit": fit_task}
"""Known tasks by name."""
