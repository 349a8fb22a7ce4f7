"""Frequency embeddings as numbers, and how many weights the networks behind them have.

B:       frequencies of an embedding in cycles per coordinate unit, (rows, dims)
x:       coordinates in [-1, 1], (points, dims)
m:       random frequencies of a Fourier embedding; it has 2 m features, sines then cosines
octaves: of a positional encoding; octave i holds the angular frequency 2^i pi, i < octaves

[Tancik2020] Fourier features (checked against input_mapping of the authors' Demo.ipynb, in copies that name it:
sin, then cos of 2 pi B x). [Mildenhall2020] NeRF, positional encoding (checked against vsitzmann/siren,
PosEncodingNeRF: the coordinates themselves come first, the frequencies are 2^i pi; the copy in FINER's repository
leaves pi out). [Saragadam2023] WIRE.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DEFAULT_FEATURES = 256
"""m of [Tancik2020], for every kind of signal."""


class EmbeddingError(ValueError):
    """An embedding that cannot be; the message says the rule, then what came."""


def whole(name: str, value: float) -> int:
    """A knob that counts something, as an int.

    Raises:
        EmbeddingError: it is no whole number, or below 1.
    """
    if not (1 <= value < math.inf and value == math.floor(value)):
        raise EmbeddingError(f"`1 <= {name}` must hold and {name} must be whole, but got {name}={value}")
    return int(value)


def octaves_at_nyquist(num_samples: int) -> int:
    """floor(log2(N / 4)), at least 1: the highest octave stays below half the sampling rate [vsitzmann/siren].

    Args:
        num_samples: N, along one axis of [-1, 1].
    """
    return max(1, math.floor(math.log2(num_samples / 4)))


def positional_frequencies(dims: int, octaves: int) -> Array:
    """B of a positional encoding, (octaves dims, dims): row i dims + j is 2^(i-1) along axis j, an angle of 2^i pi."""
    scales = 2.0 ** (np.arange(octaves) - 1)
    return np.kron(scales[:, None], np.eye(dims))


def _fourier_inputs(dims: int, knobs: Mapping[str, float]) -> int:
    return 2 * whole("features", knobs.get("features", DEFAULT_FEATURES))


def _positional_inputs(dims: int, knobs: Mapping[str, float]) -> int:
    if "octaves" not in knobs:
        raise EmbeddingError("positional needs octaves")
    return dims * (1 + 2 * whole("octaves", knobs["octaves"]))


EMBEDDED_INPUTS: Mapping[str, Callable[[int, Mapping[str, float]], int]] = {
    "fourier": _fourier_inputs,
    "siren-rff": _fourier_inputs,
    "positional": _positional_inputs,
}
"""Features of an architecture's embedding, from dims and knobs; those that are missing take the coordinates."""

REAL_ARCHITECTURES = ("siren", "siren2", "ws-siren", "finer", "fourier", "positional", "gauss", "siren-rff")
"""Architectures of real layers of `width` features; `wire` has complex ones."""


def num_inputs(architecture: str, dims: int, knobs: Mapping[str, float]) -> int:
    """What the first trained layer takes: the embedding's features, or the coordinates."""
    inputs = EMBEDDED_INPUTS.get(architecture)
    return inputs(dims, knobs) if inputs else dims


def complex_width(width: int) -> int:
    """round(width / sqrt 2), at least 1: complex features with about as many real weights as `width` real ones.

    The public code rounds down, int(width / sqrt 2) [Saragadam2023]; rounding comes closer to an equal number.
    """
    return max(1, round(width / math.sqrt(2.0)))


def num_weights(
    architecture: str, *, width: int, depth: int, dims: int, channels: int, knobs: Mapping[str, float]
) -> int | None:
    """Trained weights and biases of `depth` hidden layers and a linear output; None for an unknown architecture.

    Fixed frequencies are not counted. A complex weight counts 2; wire's first layer is real, and counts 1.
    """
    if architecture == "wire":
        h = complex_width(width)
        return h * (dims + 1) + 2 * ((depth - 1) * h * (h + 1) + channels * (h + 1))
    if architecture not in REAL_ARCHITECTURES:
        return None
    inputs = num_inputs(architecture, dims, knobs)
    return width * (inputs + 1) + (depth - 1) * width * (width + 1) + channels * (width + 1)
