"""Read and write audio files as Signal (wav of every subtype, flac, ogg, mp3: whatever libsndfile reads)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainers.crops import loudest_start, window
from trainers.scaling import build_signal
from trainers.signals import Array, Crop, Signal, SignalError, check_kind

_CLIPPED_CHUNK = re.compile(r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
"""libsndfile's log of a data chunk whose header promises other bytes than the file holds."""

_UNKNOWN_LENGTHS = (range(0x7FFF0000, 0x80000000), range(0xFFFF0000, 0x100000000))
"""Chunk lengths that programs write which stream to a pipe and cannot go back: no sign of truncation."""


BLOCK = 1 << 16
"""Frames that are read at once: they stay in cache, and memory follows what is kept."""


def read_audio(path: Path, crop: Crop) -> Signal:
    """Read a recording: the crop, then the mean over its channels (the published protocol), scaled to a peak of 1.

    `crop.channels` "all" keeps the channels; one peak scales them all.

    Raises:
        SignalError: not audio, truncated, too short, not finite, silent, or the crop lies outside it.
    """
    source = str(path)
    check_kind(crop, "audio", source)
    try:
        with _open(path) as file:
            _refuse_truncated(file, source)
            cropped = window(crop, file.frames, file.samplerate, source)
            start, samples = cropped or (0, file.frames)
            values = _read_frames(file, start, samples, source, is_mixed=crop.channels != "all")
            rate_hz, total = float(file.samplerate), file.frames
    except soundfile.LibsndfileError as error:
        reason = str(error).removeprefix(f"Error opening {source!r}: ").rstrip(".")
        raise SignalError(f"{source}: a signal must be an audio file that libsndfile reads, but: {reason}") from error
    if cropped is None:
        assert crop.samples is not None
        start = loudest_start(values, crop.samples)
        values = values[start : start + crop.samples]
    return build_signal(
        values, kind="audio", name=path.stem, source=source, rate_hz=rate_hz, start=(start,), total=(total,)
    )


def is_audio(path: Path) -> bool:
    """Whether libsndfile takes the content for a recording."""
    try:
        soundfile.SoundFile(path).close()
    except (soundfile.LibsndfileError, TypeError):
        return False
    return True


def write_audio(path: Path, values: NDArray[np.floating[Any]], rate_hz: float) -> None:
    """Write samples (points,) or (points, channels) as 32-bit float wav; nothing is scaled or clipped."""
    soundfile.write(path, np.asarray(values, dtype=np.float32), round(rate_hz), format="WAV", subtype="FLOAT")


def read_wav(path: Path) -> Array:
    """Samples (points, channels) as `write_audio` wrote them: not mixed, cropped or scaled."""
    values, _ = soundfile.read(path, dtype="float64", always_2d=True)
    return np.asarray(values)


def _open(path: Path) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(path)
    except TypeError as error:  # soundfile's own for headerless formats (.raw), which need a rate and a layout
        raise SignalError(f"{path}: a signal must be an audio file with a header, but: {error}") from error


def _read_frames(file: soundfile.SoundFile, start: int, samples: int, source: str, *, is_mixed: bool) -> Array:
    """`samples` frames from `start` on as (samples, channels)."""
    if file.seekable():
        file.seek(start)
    else:  # GSM 6.10 and the older ADPCMs can only be read from the beginning
        for skipped in range(0, start, BLOCK):
            file.read(min(start - skipped, BLOCK), dtype="float64")
    values = np.empty((samples, 1 if is_mixed else file.channels))
    read = 0
    while read < samples:
        block = file.read(min(samples - read, BLOCK), dtype="float64", always_2d=True)
        if not len(block):
            raise SignalError(
                f"{source}: the file is truncated: {file.frames} frames announced, but it ends after {start + read}"
            )
        values[read : read + len(block)] = _mixed(block) if is_mixed else block
        read += len(block)
    return values


def _mixed(block: Array) -> Array:
    """The mean over channels, (frames, 1): channel by channel, as numpy's mean over a short axis is slow."""
    total = block[:, :1]
    for channel in range(1, block.shape[1]):
        total = total + block[:, channel : channel + 1]
    return np.asarray(total / block.shape[1])


def _refuse_truncated(file: soundfile.SoundFile, source: str) -> None:
    match = _CLIPPED_CHUNK.search(file.extra_info)
    if match is None:
        return
    announced, present = int(match[1]), int(match[2])
    if announced > present and not any(announced in lengths for lengths in _UNKNOWN_LENGTHS):
        raise SignalError(
            f"{source}: the file is truncated: its header announces {announced} bytes of samples, "
            f"but {present} are there"
        )
