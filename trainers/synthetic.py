"""Signals made from a seed, of known amplitude spectrum or known surface: `synthetic:NAME`.

f:     frequency in cycles per sample, 0 to 0.5 (radial on an image: at most 0.707)
|X|:   one-sided amplitude spectrum, N // 2 + 1 bins
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from trainers.crops import box, loudest_start, window
from trainers.mixes import NUM_MIXES, mix
from trainers.scaling import build_signal
from trainers.signals import SYNTHETIC_PREFIX, Array, Crop, Signal, SignalError, check_kind

NUM_SAMPLES = 32_768
RATE_HZ = 16_000.0
IMAGE_SIZE = 128
VOLUME_SIZE = 32
SEED = 20_250_912


def shaped_noise(amplitude: Array, seed: int) -> Array:
    """Real noise of shape (N,) with exactly the given |X| (N // 2 + 1 bins, N even) and phases drawn from `seed`."""
    phases = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, len(amplitude))
    phases[0] = phases[-1] = 0.0  # DC and Nyquist of a real signal are real
    return np.asarray(np.fft.irfft(amplitude * np.exp(1j * phases), n=2 * (len(amplitude) - 1)), dtype=np.float64)


def pink_image(size: int, seed: int) -> Array:
    """Real noise of shape (size, size) with exactly |X| = 1 / f, f the radial frequency, and mean 0.

    The phases are those of white noise drawn from `seed`: they have the symmetry of a real image.
    """
    white = np.fft.rfft2(np.random.default_rng(seed).standard_normal((size, size)))
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    amplitude = np.where(f > 0, 1.0 / np.maximum(f, 1.0 / size), 0.0)
    return np.asarray(np.fft.irfft2(amplitude * white / np.abs(white), s=(size, size)), dtype=np.float64)


def tone(f: Array) -> Array:
    """One sinusoid, at the bin next to f = 0.05: psi = 0.09998 exactly."""
    return np.asarray(np.arange(len(f)) == round(0.05 * 2 * (len(f) - 1)), dtype=np.float64)


def pink(f: Array) -> Array:
    """|X| = 1 / f from the first bin on: most energy at low frequencies, as in music."""
    return np.where(f > 0, 1.0 / np.maximum(f, f[1]), 0.0)


def bright(f: Array) -> Array:
    """|X| = 1 from f = 0.2 to 0.45 and 0 elsewhere, psi = 0.65: plain SIREN returns silence (spectral bottleneck)."""
    return ((f >= 0.2) & (f <= 0.45)).astype(np.float64)


def texture() -> Array:
    """RGB image: a disc of radius 0.6 (1 inside) over pink noise of standard deviation 0.25, a draw each channel."""
    rows, columns = _axes(IMAGE_SIZE, 2)
    disc = (np.hypot(rows, columns) < 0.6).astype(np.float64)
    noises = [pink_image(IMAGE_SIZE, SEED + channel) for channel in range(3)]
    return np.stack([disc + 0.25 * noise / noise.std() for noise in noises], axis=-1)


def torus() -> Array:
    """Signed distance to a torus of radii 0.6 and 0.25, negative inside."""
    x, y, z = _axes(VOLUME_SIZE, 3)
    return np.asarray(np.hypot(np.hypot(x, y) - 0.6, z) - 0.25)[..., None]


def blob() -> Array:
    """1 within one of six balls of radius 0.3 whose centres are drawn within [-0.5, 0.5]^3, 0 elsewhere."""
    grid = np.stack(np.broadcast_arrays(*_axes(VOLUME_SIZE, 3)), axis=-1)
    centres = np.random.default_rng(SEED).uniform(-0.5, 0.5, (6, 3))
    inside = [np.linalg.norm(grid - centre, axis=-1) < 0.3 for centre in centres]
    return np.asarray(np.any(inside, axis=0), dtype=np.float64)[..., None]


def _axes(size: int, dims: int) -> tuple[Array, ...]:
    """Coordinates in [-1, 1] along each axis, shaped to broadcast."""
    return tuple(np.meshgrid(*[np.linspace(-1.0, 1.0, size)] * dims, indexing="ij", sparse=True))


AMPLITUDES: dict[str, Callable[[Array], Array]] = {"tone": tone, "pink": pink, "bright": bright}
"""Known audio by name; each gives |X(f)|."""

GRIDS: dict[str, tuple[str, Callable[[], Array]]] = {
    "texture": ("image", texture),
    "torus": ("volume", torus),
    "blob": ("occupancy", blob),
}
"""Known images and volumes by name: kind, and samples (axes..., channels)."""


def read_synthetic(source: str, crop: Crop) -> Signal:
    """The signal `synthetic:NAME`, cropped and scaled as a file's would be.

    Audio: 32,768 samples at 16 kHz. Image: 128 x 128, its black and white being the least and greatest value.
    Volumes: 32 x 32 x 32 on [-1, 1]^3.

    Raises:
        SignalError: unknown name, or the crop lies outside it.
    """
    name = source.removeprefix(SYNTHETIC_PREFIX)
    if name in GRIDS:
        return _read_grid(name, source, crop)
    mixed = re.fullmatch(r"mix-(0|[1-9][0-9]{0,3})", name)
    if name not in AMPLITUDES and not mixed:
        known = ", ".join(SYNTHETIC_PREFIX + each for each in (*AMPLITUDES, *GRIDS, f"mix-0 to mix-{NUM_MIXES - 1}"))
        raise SignalError(f"{source}: unknown synthetic signal; known signals: {known}")
    check_kind(crop, "audio", source)
    f: Array = np.fft.rfftfreq(NUM_SAMPLES).astype(np.float64)
    samples_of = mix(int(mixed[1]), NUM_SAMPLES) if mixed else shaped_noise(AMPLITUDES[name](f), SEED)
    values = samples_of[:, None]
    cropped = window(crop, NUM_SAMPLES, RATE_HZ, source)
    start, samples = cropped or (loudest_start(values, crop.samples or NUM_SAMPLES), crop.samples or NUM_SAMPLES)
    return build_signal(
        values[start : start + samples],
        kind="audio",
        name=name,
        source=source,
        rate_hz=RATE_HZ,
        start=(start,),
        total=(NUM_SAMPLES,),
    )


def _read_grid(name: str, source: str, crop: Crop) -> Signal:
    kind, make = GRIDS[name]
    check_kind(crop, kind, source)
    raw = make()
    total = raw.shape[:-1]
    start, sizes = box(crop, total, source)
    chosen = tuple(slice(first, first + size) for first, size in zip(start, sizes, strict=True))
    return build_signal(raw[chosen], kind=kind, name=name, source=source, start=start, total=total)
