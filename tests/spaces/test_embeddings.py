import math

import numpy as np
import pytest

from spaces.embeddings import (
    EmbeddingError,
    complex_width,
    num_inputs,
    num_weights,
    octaves_at_nyquist,
    positional_frequencies,
    whole,
)


def test_the_positional_matrix_of_two_axes_is_known() -> None:
    expected = [[0.5, 0.0], [0.0, 0.5], [1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 2.0]]
    np.testing.assert_array_equal(positional_frequencies(2, 3), expected)


@pytest.mark.parametrize(
    ("samples", "octaves"), [(2, 1), (8, 1), (16, 2), (128, 5), (512, 7), (4096, 10), (150_000, 15)]
)
def test_the_octaves_follow_the_public_nyquist_rule(samples: int, octaves: int) -> None:
    assert octaves_at_nyquist(samples) == octaves
    if samples >= 8:
        assert octaves == math.floor(math.log2(1 / (2 * (2 / samples))))
        assert 2 ** (octaves - 1) * math.pi <= math.pi * (samples - 1) / 2


@pytest.mark.parametrize(("width", "complex_features"), [(1, 1), (64, 45), (128, 91), (222, 157), (256, 181)])
def test_a_complex_width_has_about_as_many_real_weights(width: int, complex_features: int) -> None:
    assert complex_width(width) == complex_features
    assert 2 * complex_width(width) ** 2 == pytest.approx(width**2, rel=1 / width + 0.01, abs=1)


@pytest.mark.parametrize("value", [0.0, -1.0, 2.5, math.nan, math.inf])
def test_what_counts_something_must_be_whole(value: float) -> None:
    with pytest.raises(EmbeddingError, match=r"^`1 <= octaves` must hold and octaves must be whole, but got octaves="):
        whole("octaves", value)


def test_a_positional_encoding_needs_its_octaves() -> None:
    with pytest.raises(EmbeddingError, match=r"^positional needs octaves$"):
        num_inputs("positional", 1, {})


def test_the_weights_of_known_networks() -> None:
    extent = {"width": 256, "depth": 4, "dims": 2, "channels": 3}
    siren = 256 * 3 + 3 * 256 * 257 + 3 * 257
    assert num_weights("siren", **extent, knobs={}) == siren
    assert num_weights("fourier", **extent, knobs={}) == siren + 256 * 510
    assert num_weights("wire", **extent, knobs={}) == 181 * 3 + 2 * (3 * 181 * 182 + 3 * 182)


def test_the_weights_of_an_unknown_architecture_are_unknown() -> None:
    assert num_weights("mine", width=8, depth=2, dims=1, channels=1, knobs={}) is None
