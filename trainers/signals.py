"""Signal: samples on a regular grid, from a file or made from a seed, ready to be fitted."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spaces.spectrum import Spectrum, spectrum_of

Array: TypeAlias = NDArray[np.float64]

MIN_SAMPLES = 16
"""Fewer samples have a spectrum of under nine bins, of which a centroid says nothing."""

SYNTHETIC_PREFIX = "synthetic:"


class SignalError(ValueError):
    """A source that is no usable signal; the message says the rule, then what came."""


@dataclass(frozen=True, kw_only=True)
class Crop:
    """Which samples of a recording are fitted.

    Attributes:
        samples: how many; None takes all (from `start` on).
        start: seconds from the beginning; "loudest" takes the window of most energy; None the middle.
    """

    samples: int | None = None
    start: float | Literal["loudest"] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Signal:
    """Samples on a regular grid in [-1, 1]^dims.

    Attributes:
        name: the stem of the file.
        source: what the user named.
        kind: "audio"; decides the PSNR convention and the law's constants.
        values: (points, channels), scaled to max |value| = 1.
        shape: samples per axis.
        rate_hz: samples per second, where there is such a thing.
        peak: what the values were divided by.
        start: index of the first sample within the source.
        total: samples of the whole source.
    """

    name: str
    source: str
    kind: str
    values: Array
    shape: tuple[int, ...]
    rate_hz: float
    peak: float
    start: int
    total: int

    @property
    def num_samples(self) -> int:
        """Points of the grid."""
        return len(self.values)

    @property
    def channels(self) -> int:
        """Values per point."""
        return int(self.values.shape[1])

    @property
    def power(self) -> float:
        """Mean square of the values: the MSE of silence."""
        return float(np.mean(self.values**2))

    @property
    def digest(self) -> str:
        """SHA-256 of kind, shape and values (as float32, what a network is fitted to), hexadecimal."""
        header = f"{self.kind} {self.shape} ".encode()
        return hashlib.sha256(header + self.values.astype("<f4").tobytes()).hexdigest()

    def coordinates(self) -> Array:
        """The grid, (points, dims): each axis runs from -1 to 1, both included; the last axis varies fastest."""
        axes = [np.linspace(-1.0, 1.0, num) for num in self.shape]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(self.shape))

    def spectrum(self) -> Spectrum:
        """What laws and search ranges need to know."""
        return spectrum_of(self.values, kind=self.kind, shape=self.shape)


def read_signal(source: str, crop: Crop | None = None) -> Signal:
    """Read the signal that `source` names: a path, or `synthetic:NAME`.

    Raises:
        SignalError: no such thing, unreadable, or not usable (silent, not finite, too short).
    """
    crop = crop or Crop()
    if source.startswith(SYNTHETIC_PREFIX):
        from trainers.synthetic import read_synthetic

        return read_synthetic(source, crop)
    if not source:
        raise SignalError("a signal must be named, but the name is empty")
    path = Path(source)
    if not os.path.exists(path):  # noqa: PTH110 (Path.exists raises where the name is too long)
        raise SignalError(f"{source}: no such file")
    if path.is_dir():
        raise SignalError(f"{source}: a signal must be a file, but this is a directory")
    if not path.is_file():
        raise SignalError(f"{source}: a signal must be a regular file")
    if path.stat().st_size == 0:
        raise SignalError(f"{source}: the file is empty")
    from trainers.audio import read_audio

    return read_audio(path, crop)


def window(crop: Crop, total: int, rate_hz: float, source: str) -> tuple[int, int] | None:
    """First index and length of a crop of `total` samples; None where the samples must be read to know.

    Raises:
        SignalError: the crop does not lie within the recording.
    """
    if total < MIN_SAMPLES:
        raise SignalError(f"{source}: at least {MIN_SAMPLES} samples are needed, but it has {total}")
    if crop.samples is not None and not MIN_SAMPLES <= crop.samples <= total:
        raise SignalError(
            f"{source}: --samples must be from {MIN_SAMPLES} to the {total} that there are, but got {crop.samples}"
        )
    if crop.start == "loudest":
        return None if crop.samples else (0, total)
    if crop.start is None:
        samples = crop.samples or total
        return (total - samples) // 2, samples
    start = round(crop.start * rate_hz) if math.isfinite(crop.start) else -1
    samples = crop.samples or total - start
    if start < 0 or samples < MIN_SAMPLES or start + samples > total:
        wanted = f"{crop.samples} samples" if crop.samples else f"at least {MIN_SAMPLES} samples"
        raise SignalError(
            f"{source}: {wanted} from --start must lie within its {total / rate_hz:.3f} s, "
            f"but got --start {crop.start:g}"
        )
    return start, samples


def loudest_start(values: Array, samples: int) -> int:
    """First index of the window of `samples` with the most energy; the first such one."""
    energy = np.concatenate([[0.0], np.cumsum(np.sum(values**2, axis=1))])
    return int(np.argmax(energy[samples:] - energy[:-samples]))


def build_signal(values: Array, *, name: str, source: str, rate_hz: float, start: int, total: int) -> Signal:
    """An audio Signal from cropped samples (points, channels): checked, then scaled to a peak of 1.

    Raises:
        SignalError: a sample is not finite, or all are zero.
    """
    num_bad = int(np.sum(~np.isfinite(values)))
    if num_bad:
        first = int(np.argmax(~np.isfinite(values).all(axis=1)))
        raise SignalError(
            f"{source}: every sample must be finite, but {num_bad} are not (the first is sample {start + first})"
        )
    peak = float(np.max(np.abs(values)))
    if peak == 0.0:
        what = f"samples {start} to {start + len(values)} are" if len(values) < total else "all samples are"
        advice = "; choose others with --start (--start loudest finds them)" if len(values) < total else ""
        raise SignalError(f"{source}: a signal must not be silent, but {what} zero{advice}")
    return Signal(
        name=name,
        source=source,
        kind="audio",
        values=values / peak,
        shape=(len(values),),
        rate_hz=rate_hz,
        peak=peak,
        start=start,
        total=total,
    )
