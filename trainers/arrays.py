"""Read NumPy arrays (.npy, .npz) as Signal; nothing is ever unpickled."""

from __future__ import annotations

import tokenize
import warnings
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from trainers.crops import box, loudest_start, window
from trainers.scaling import build_signal, is_binary
from trainers.signals import DIMS_OF_KIND, Array, Crop, Signal, SignalError, check_kind

MAX_CHANNELS_TOLD = 4
"""A last axis of up to so many samples is taken for channels (RGB and alpha) unless --dims says otherwise."""

_MAGIC = (b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")
"""The first bytes of an .npy, of an .npz, and of an .npz without members."""

_DAMAGED = (
    *(ValueError, TypeError, OverflowError, SyntaxError, KeyError, RuntimeError),
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What numpy raises on files that break the format's rules."""

IMAGE_LIMITS = {"bool": (0.0, 1.0), "uint8": (0.0, 255.0), "uint16": (0.0, 65_535.0)}
"""Black and white of types that images are kept in; other integers hold measurements, scaled as floats are."""


def read_array(path: Path, crop: Crop, member: str | None = None) -> Signal:
    """Read an array of 1 to 3 grid axes, and channels as its last axis or none.

    A last axis of at most 4 is taken for channels, as is the last of 4; `crop.dims` says otherwise. The kind follows
    from the number of axes: audio, image, volume, or occupancy where a volume holds 0 and 1 alone. Images: uint8 and
    uint16 by their range; other numbers as they are where all lie within [0, 1], else from the least to the greatest.
    Lines and volumes: divided by max |x|. Only the crop of an .npy is read (it is memory-mapped); arrays in an .npz
    cannot be mapped and are read whole, as is a line whose loudest window is asked for.

    Args:
        path: the file.
        crop: which samples.
        member: name of an array in an .npz that holds several.

    Raises:
        SignalError: no array of real numbers, pickled, truncated, no such member, unusable axes, or as `build_signal`.
    """
    source = str(path) if member is None else f"{path}:{member}"
    with ExitStack() as stack:
        array = _open(path, member, source, stack)
        if array.dtype.kind not in "biuf":
            raise SignalError(f"{source}: an array must hold real numbers, but its type is {_one_line(array.dtype)}")
        dims = _grid_dims(array.shape, crop, source)
        if array.ndim == dims:
            array = array[..., None]
        total = array.shape[:-1]
        with np.errstate(over="ignore"):  # beyond float64 is infinite, and refused as such
            raw, start = _cropped(array, crop, total, source)
    kind = _kind(raw, array.dtype, dims, crop)
    check_kind(crop, kind, source)
    if crop.channels == "mono":
        raw = raw.mean(axis=-1, keepdims=True)
    name = path.stem if member is None else f"{path.stem}-{member}"
    limits = IMAGE_LIMITS.get(array.dtype.name) if kind == "image" else None
    return build_signal(raw, kind=kind, name=name, source=source, start=start, total=total, limits=limits)


def is_array(path: Path) -> bool:
    """Whether the content begins as that of an .npy or .npz."""
    with path.open("rb") as file:
        return file.read(6).startswith(_MAGIC)


def _open(path: Path, member: str | None, source: str, stack: ExitStack) -> NDArray[Any]:
    if not is_array(path):
        raise SignalError(f"{source}: an array must be in numpy's format, never pickled, but its content is not that")
    try:
        # numpy warns of headers that Python 2 wrote, and of shapes that overflow, which it refuses.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            file = stack.enter_context(path.open("rb"))
            if file.read(2) == b"PK":
                file.seek(0)
                archive = stack.enter_context(np.load(file, allow_pickle=False))
                return np.asarray(archive[_member(archive, member, source)])
            if member is not None:
                raise SignalError(f"{source}: the file must be an .npz to hold {member!r}, but it is one array")
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except SignalError:
        raise
    except MemoryError as error:
        raise SignalError(f"{source}: an array must fit into memory, but: {_one_line(error)}") from error
    except _DAMAGED as error:
        raise SignalError(f"{source}: {_rule(str(error))}, but: {_one_line(error)[:200]}") from error


def _rule(reason: str) -> str:
    if reason.startswith("Object arrays") or "Python objects" in reason:  # numpy's words for an array of Python objects
        return "an array must hold real numbers, nothing pickled"
    if "mmap length" in reason or "EOF: reading" in reason:
        return "the file is truncated: it must hold as many numbers as it announces"
    return "a signal must be an array that numpy reads"


def _member(archive: NpzFile, member: str | None, source: str) -> str:
    """The array's name within the archive."""
    assert archive.zip is not None
    names = [name.removesuffix(".npy") for name in archive.zip.namelist() if name.endswith(".npy")]
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    if not names:
        raise SignalError(f"{source}: an .npz must hold an array, but there is none in it")
    if member is not None and member not in names:
        raise SignalError(f"{source}: unknown array {member!r}; known arrays: {listed}")
    if member is None and len(names) > 1:
        raise SignalError(f"{source}: an .npz of several arrays needs a name, FILE.npz:NAME; known arrays: {listed}")
    return member or names[0]


def _grid_dims(shape: tuple[int, ...], crop: Crop, source: str) -> int:
    """How many leading axes are the grid."""
    ndim = len(shape)
    asked = crop.dims if crop.dims is not None or crop.kind is None else DIMS_OF_KIND.get(crop.kind)
    if not 1 <= ndim <= 4:
        raise SignalError(
            f"{source}: an array must have 1 to 3 axes, and channels as its last or none, but it has {ndim} axes"
        )
    if 0 in shape:
        raise SignalError(f"{source}: an array must hold samples, but its shape is {shape}")
    if asked is None:
        has_channels = ndim == 4 or (ndim > 1 and shape[-1] <= MAX_CHANNELS_TOLD)
        return ndim - has_channels
    if asked not in (ndim, ndim - 1) or not 1 <= asked <= 3:
        option = f"--dims {asked}" if crop.dims is not None else f"--kind {crop.kind}"
        choices = " or ".join(str(dims) for dims in (ndim - 1, ndim) if 1 <= dims <= 3)
        raise SignalError(f"{source}: --dims of an array of shape {shape} must be {choices}, but got {option}")
    return asked


def _cropped(array: NDArray[Any], crop: Crop, total: tuple[int, ...], source: str) -> tuple[Array, tuple[int, ...]]:
    """Samples (axes..., channels) in memory as float64, and the index of the first."""
    if len(total) > 1:
        start, sizes = box(crop, total, source)
        chosen = tuple(slice(first, first + size) for first, size in zip(start, sizes, strict=True))
        return np.array(array[chosen], dtype=np.float64), start
    cropped = window(crop, total[0], None, source)
    first, samples = cropped or (0, total[0])
    raw = np.array(array[first : first + samples], dtype=np.float64)
    if cropped is None:
        assert crop.samples is not None
        mixed = raw.mean(axis=1, keepdims=True) if crop.channels == "mono" else raw
        first = loudest_start(mixed, crop.samples)
        raw = raw[first : first + crop.samples]
    return raw, (first,)


def _kind(raw: Array, dtype: np.dtype[Any], dims: int, crop: Crop) -> str:
    if dims < 3:
        return {1: "audio", 2: "image"}[dims]
    if crop.kind in ("volume", "occupancy"):
        return crop.kind
    return "occupancy" if dtype.kind == "b" or is_binary(raw) else "volume"


def _one_line(thing: object) -> str:
    return " ".join(str(thing).split()).rstrip(".") or type(thing).__name__
