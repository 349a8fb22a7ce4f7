"""A corpus without files: `synthetic:mix-0`, `synthetic:mix-1`, ..., each a seeded mix of sounds under envelopes.

f:  frequency in cycles per sample, 0 to 0.5

A mix has one to four parts: harmonic tones, chirps, bands of noise and noise of a power law, 0 to 18 dB below each
other; each is steady, struck again and again, or swells. Centroids and crest factors are spread as widely as those of
recordings of music, speech and noises.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from trainers.signals import Array

NUM_MIXES = 10_000
"""Mixes have numbers below."""

MAX_PARTS = 4
GAIN_DB = (-18.0, 0.0)
LOWEST, HIGHEST = 0.003, 0.48
"""Frequencies of tones, chirps and bands: 48 Hz to 7.7 kHz at 16 kHz, half of them drawn by ln f, half by f."""


def mix(number: int, num_samples: int) -> Array:
    """The samples (num_samples,) of a mix."""
    rng = np.random.default_rng([number, 20_261_124])
    total = np.zeros(num_samples)
    for _ in range(rng.integers(1, MAX_PARTS + 1)):
        part = PARTS[rng.integers(len(PARTS))](rng, num_samples)
        part *= ENVELOPES[rng.integers(len(ENVELOPES))](rng, num_samples)
        total += part / part.std() * 10.0 ** (rng.uniform(*GAIN_DB) / 20.0)
    return total


def harmonic_tone(rng: Generator, num: int) -> Array:
    """Harmonics h of one frequency up to Nyquist, amplitudes h^-a with a from 0.5 to 2.5."""
    f0, slope = _frequency(rng, 0.25), rng.uniform(0.5, 2.5)
    n, total = np.arange(num), np.zeros(num)
    for h in range(1, int(0.49 / f0) + 1):
        total += h**-slope * np.sin(2.0 * np.pi * (h * f0 * n + rng.uniform()))
    return total


def chirp(rng: Generator, num: int) -> Array:
    """One tone that glides from one frequency to another, as fast at every pitch."""
    first, last = _frequency(rng), _frequency(rng)
    f = first * (last / first) ** (np.arange(num) / num)
    return np.asarray(np.sin(2.0 * np.pi * np.cumsum(f)))


def noise_band(rng: Generator, num: int) -> Array:
    """White noise through a Gaussian of ln f, 0.2 to 1.5 octaves wide."""
    centre, octaves = _frequency(rng), rng.uniform(0.2, 1.5)
    f = np.maximum(np.fft.rfftfreq(num), 1.0 / num)
    return _filtered(rng, num, np.exp(-0.5 * (np.log2(f / centre) / octaves) ** 2))


def power_law_noise(rng: Generator, num: int) -> Array:
    """White noise times f^-a, a from -1 (violet by half) to 2 (brown)."""
    f = np.maximum(np.fft.rfftfreq(num), 1.0 / num)
    return _filtered(rng, num, f ** -rng.uniform(-1.0, 2.0))


def steady(rng: Generator, num: int) -> Array:
    """As loud all the time."""
    return np.ones(num)


def struck(rng: Generator, num: int) -> Array:
    """Strokes at random moments, each dying away over 200 to 8,000 samples."""
    decay = np.exp(rng.uniform(np.log(200.0), np.log(8_000.0)))
    strokes = np.zeros(num)
    strokes[rng.integers(num, size=rng.integers(4, 41))] = 1.0
    strokes[0] = 1.0
    ringing = np.exp(-np.arange(num) / decay)
    size = 2 * num
    return np.maximum(np.fft.irfft(np.fft.rfft(strokes, size) * np.fft.rfft(ringing, size), size)[:num], 0.0)


def swelling(rng: Generator, num: int) -> Array:
    """Between silent and loud, two to twenty times."""
    waves = rng.uniform(2.0, 20.0)
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi * (waves * np.arange(num) / num + rng.uniform())))


PARTS: tuple[Callable[[Generator, int], Array], ...] = (harmonic_tone, chirp, noise_band, power_law_noise)
ENVELOPES: tuple[Callable[[Generator, int], Array], ...] = (steady, struck, swelling)


def _frequency(rng: Generator, high: float = HIGHEST) -> float:
    if rng.uniform() < 0.5:
        return float(np.exp(rng.uniform(np.log(LOWEST), np.log(high))))
    return float(rng.uniform(LOWEST, high))


def _filtered(rng: Generator, num: int, response: Array) -> Array:
    white = np.fft.rfft(rng.standard_normal(num))
    white[0] = 0.0
    return np.asarray(np.fft.irfft(white * response, num))
