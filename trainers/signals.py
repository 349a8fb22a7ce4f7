"""Signal: samples on a regular grid, from a file or made from a seed, ready to be fitted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spaces.spectrum import Spectrum, spectrum_of

Array: TypeAlias = NDArray[np.float64]

DIMS_OF_KIND: Mapping[str, int] = {"audio": 1, "image": 2, "volume": 3, "occupancy": 3}
"""The kinds of signals, and how many axes the grid of each has."""

SYNTHETIC_PREFIX = "synthetic:"

_SUFFIXES: Mapping[str, str] = {
    "audio": "wav wave flac ogg oga opus mp3 aif aiff aifc au snd caf rf64 w64 raw",
    "image": "png jpg jpeg tif tiff bmp webp gif ppm pgm pbm pnm pfm",
    "array": "npy npz",
}

FAMILIES: Mapping[str, str] = {
    f".{suffix}": family for family, suffixes in _SUFFIXES.items() for suffix in suffixes.split()
}
"""Which reader a file goes to, by its name's suffix."""


class SignalError(ValueError):
    """A source that is no usable signal; the message says the rule, then what came."""


@dataclass(frozen=True, kw_only=True)
class Crop:
    """Which samples of a source are fitted, and what an array's axes are.

    Attributes:
        samples: how many of a recording or another line; None takes all (from `start` on).
        start: seconds from the beginning (samples where there is no rate); "loudest" takes the window of most energy;
            None the middle.
        box: samples along each axis of an image or volume, from the middle; one number stands for every axis; None
            takes all.
        channels: "mono" is the mean over channels, "all" keeps them; None is "mono" for recordings and "all" else.
        dims: how many leading axes of an array are its grid; None is told by the shape.
        kind: one of DIMS_OF_KIND; None is told by the source.
    """

    samples: int | None = None
    start: float | Literal["loudest"] | None = None
    box: tuple[int, ...] | None = None
    channels: Literal["mono", "all"] | None = None
    dims: int | None = None
    kind: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Signal:
    """Samples on a regular grid in [-1, 1]^dims.

    Attributes:
        name: the stem of the file.
        source: what the user named.
        kind: one of DIMS_OF_KIND; decides the PSNR convention and the law's constants.
        values: (points, channels) in [-1, 1]: audio and volumes scaled to max |value| = 1, images 2 v - 1 of v in
            [0, 1], occupancy -1 outside and 1 inside.
        shape: samples per axis; the last axis varies fastest.
        rate_hz: samples per second, None where there is no such thing.
        peak, offset: value = (raw - offset) / peak.
        start: index of the first sample within the source, per axis.
        total: samples of the whole source, per axis.
    """

    name: str
    source: str
    kind: str
    values: Array
    shape: tuple[int, ...]
    rate_hz: float | None
    peak: float
    offset: float = 0.0
    start: tuple[int, ...]
    total: tuple[int, ...]

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
    """Read the signal that `source` names: a path, `FILE.npz:ARRAY`, or `synthetic:NAME`.

    The name's suffix says what kind of file it is; where it says nothing, the content does.

    Raises:
        SignalError: no such thing, unreadable, or not usable (silent, constant, not finite, too small).
    """
    crop = crop or Crop()
    if source.startswith(SYNTHETIC_PREFIX):
        from trainers.synthetic import read_synthetic

        return read_synthetic(source, crop)
    if not source:
        raise SignalError("a signal must be named, but the name is empty")
    if not source.isascii() and source != source.encode(errors="replace").decode():  # bytes that are no UTF-8
        raise SignalError(f"{source}: the name of a file must be UTF-8; rename it")
    path, member = path_and_member(source)
    if not os.path.exists(path):  # noqa: PTH110 (Path.exists raises where the name is too long)
        raise SignalError(f"{source}: no such file")
    if path.is_dir():
        raise SignalError(f"{source}: a signal must be a file, but this is a directory")
    if not path.is_file():
        raise SignalError(f"{source}: a signal must be a regular file")
    if not os.access(path, os.R_OK):
        raise SignalError(f"{source}: a signal must be a file that may be read, but permission is denied")
    if path.stat().st_size == 0:
        raise SignalError(f"{source}: the file is empty")
    family = _family_of(path)
    if family == "array":
        from trainers.arrays import read_array

        return read_array(path, crop, member)
    if family == "image":
        from trainers.images import read_image

        return read_image(path, crop)
    from trainers.audio import read_audio

    return read_audio(path, crop)


def path_and_member(source: str) -> tuple[Path, str | None]:
    """`FILE.npz:ARRAY` taken apart, unless a file has that very name."""
    cut = source.lower().rfind(".npz:")
    if cut < 0 or os.path.exists(source):  # noqa: PTH110
        return Path(source), None
    return Path(source[: cut + 4]), source[cut + 5 :]


def _family_of(path: Path) -> str:
    family = FAMILIES.get(path.suffix.lower())
    if family:
        return family
    from trainers.arrays import is_array
    from trainers.images import is_image

    if is_array(path):
        return "array"
    if is_image(path):
        return "image"
    from trainers.audio import is_audio

    if is_audio(path):
        return "audio"
    raise SignalError(
        f"{path}: a signal must be audio, an image or an array (.npy, .npz), "
        "but neither its name nor its content is that of one"
    )


def check_kind(crop: Crop, kind: str, source: str) -> None:
    """Options that say what the samples are must agree with what a source is.

    Raises:
        SignalError: `crop.kind`, `crop.dims` or `crop.channels` do not fit signals of that kind.
    """
    if crop.kind not in (None, kind):
        raise SignalError(f"{source}: --kind must be {kind}, which this is, but got --kind {crop.kind}")
    if crop.dims not in (None, DIMS_OF_KIND[kind]):
        raise SignalError(
            f"{source}: --dims must be {DIMS_OF_KIND[kind]}, as this is of kind {kind}, but got --dims {crop.dims}"
        )
    if crop.channels == "mono" and kind != "audio":
        raise SignalError(f"{source}: --channels mono is for audio, but this is of kind {kind}")
