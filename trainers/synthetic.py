"""Seeded audio signals whose amplitude spectrum is known exactly: `synthetic:NAME`.

f:     frequency in cycles per sample, 0 to 0.5
|X|:   one-sided amplitude spectrum, N // 2 + 1 bins
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trainers.signals import (
    SYNTHETIC_PREFIX,
    Array,
    Crop,
    Signal,
    SignalError,
    build_signal,
    loudest_start,
    window,
)

NUM_SAMPLES = 32_768
RATE_HZ = 16_000.0
SEED = 20_250_912


def shaped_noise(amplitude: Array, seed: int) -> Array:
    """Real noise of shape (N,) with exactly the given |X| (N // 2 + 1 bins, N even) and phases drawn from `seed`."""
    phases = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, len(amplitude))
    phases[0] = phases[-1] = 0.0  # DC and Nyquist of a real signal are real
    return np.asarray(np.fft.irfft(amplitude * np.exp(1j * phases), n=2 * (len(amplitude) - 1)), dtype=np.float64)


def tone(f: Array) -> Array:
    """One sinusoid, at the bin next to f = 0.05: psi = 0.09998 exactly."""
    return np.asarray(np.arange(len(f)) == round(0.05 * 2 * (len(f) - 1)), dtype=np.float64)


def pink(f: Array) -> Array:
    """|X| = 1 / f from the first bin on: most energy at low frequencies, as in music."""
    return np.where(f > 0, 1.0 / np.maximum(f, f[1]), 0.0)


def bright(f: Array) -> Array:
    """|X| = 1 from f = 0.2 to 0.45 and 0 elsewhere, psi = 0.65: plain SIREN returns silence (spectral bottleneck)."""
    return ((f >= 0.2) & (f <= 0.45)).astype(np.float64)


AMPLITUDES: dict[str, Callable[[Array], Array]] = {"tone": tone, "pink": pink, "bright": bright}
"""Known signals by name; each gives |X(f)|."""


def read_synthetic(source: str, crop: Crop) -> Signal:
    """The signal `synthetic:NAME`: 32,768 samples at 16 kHz, cropped and scaled as a recording would be.

    Raises:
        SignalError: unknown name, or the crop lies outside it.
    """
    name = source.removeprefix(SYNTHETIC_PREFIX)
    if name not in AMPLITUDES:
        known = ", ".join(SYNTHETIC_PREFIX + known for known in AMPLITUDES)
        raise SignalError(f"{source}: unknown synthetic signal; known signals: {known}")
    f: Array = np.fft.rfftfreq(NUM_SAMPLES).astype(np.float64)
    values = shaped_noise(AMPLITUDES[name](f), SEED)[:, None]
    cropped = window(crop, NUM_SAMPLES, RATE_HZ, source)
    start, samples = cropped or (loudest_start(values, crop.samples or NUM_SAMPLES), crop.samples or NUM_SAMPLES)
    return build_signal(
        values[start : start + samples], name=name, source=source, rate_hz=RATE_HZ, start=start, total=NUM_SAMPLES
    )
