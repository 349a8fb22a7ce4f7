"""Check the raw samples of a grid, and scale them into a Signal."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trainers.signals import Array, Signal, SignalError


def build_signal(
    raw: Array,
    *,
    kind: str,
    name: str,
    source: str,
    start: tuple[int, ...],
    total: tuple[int, ...],
    rate_hz: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Signal:
    """A Signal from cropped samples: checked, then scaled.

    Args:
        raw: (samples of each axis..., channels).
        kind: decides the scale: audio and volumes are divided by max |raw|; an image's black is -1 and its white 1;
            occupancy maps 0 to -1 and 1 to 1.
        name, source, start, total, rate_hz: as of Signal.
        limits: raw values of an image's black and white; None takes (0, 1) where all values lie within, else the
            least and the greatest value.

    Raises:
        SignalError: a sample is not finite, all samples of audio are zero, all of another grid are the same, or those
            of occupancy are not 0 and 1.
    """
    shape = raw.shape[:-1]
    values = raw.reshape(-1, raw.shape[-1])
    _refuse_not_finite(raw, start, source)
    if kind == "audio":
        _refuse_silence(values, start[0], total[0], source)
    elif np.all(values == values[0]):
        part, advice = (
            ("", "")
            if shape == total
            else (f" of the middle {_spell(shape)} of {_spell(total)}", "; choose another with --crop")
        )
        raise SignalError(
            f"{source}: a signal must not be constant, but all samples{part} are {_few(values[0])}{advice}"
        )
    if kind == "occupancy" and not is_binary(values):
        raise SignalError(f"{source}: occupancy must hold 0 and 1 alone, but got {_few(values[~_binary(values)])}")
    offset, peak = _scale(values, kind, limits)
    scaled = values - offset
    scaled /= peak
    np.clip(scaled, -1.0, 1.0, out=scaled)  # rounding alone leaves [-1, 1]
    return Signal(
        name=name,
        source=source,
        kind=kind,
        values=scaled,
        shape=shape,
        rate_hz=rate_hz,
        peak=peak,
        offset=offset,
        start=start,
        total=total,
    )


def is_binary(values: Array) -> bool:
    """Whether there is nothing but 0 and 1."""
    return bool(_binary(values).all())


def _binary(values: Array) -> NDArray[np.bool_]:
    return np.asarray((values == 0.0) | (values == 1.0))


def _scale(values: Array, kind: str, limits: tuple[float, float] | None) -> tuple[float, float]:
    """Offset and peak."""
    if kind == "occupancy":
        return 0.5, 0.5
    low, high = float(np.min(values)), float(np.max(values))
    if kind != "image":
        return 0.0, max(high, -low)
    black, white = limits or ((0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high))
    return black / 2 + white / 2, max(white / 2 - black / 2, math.ulp(0.0))  # halves first: the sum may overflow


def _refuse_not_finite(raw: Array, start: tuple[int, ...], source: str) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(raw)):  # the usual case, without an array as long as `raw`
            return
    bad = ~np.isfinite(raw)
    num_bad = int(np.sum(bad))
    if not num_bad:
        return
    index = np.argwhere(bad.any(axis=-1))[0] + np.array(start)
    place = str(index[0]) if len(start) == 1 else str(tuple(index.tolist()))
    raise SignalError(f"{source}: every sample must be finite, but {num_bad} are not (the first is sample {place})")


def _refuse_silence(values: Array, start: int, total: int, source: str) -> None:
    if np.any(values):
        return
    what = f"samples {start} to {start + len(values)} are" if len(values) < total else "all samples are"
    advice = "; choose others with --start (--start loudest finds them)" if len(values) < total else ""
    raise SignalError(f"{source}: a signal must not be silent, but {what} zero{advice}")


def _spell(shape: tuple[int, ...]) -> str:
    return " x ".join(str(num) for num in shape)


def _few(values: Array) -> str:
    return ", ".join(f"{value:g}" for value in values[:4])
