import math

import numpy as np
import pytest

from spaces.embeddings import (
    EmbeddingError,
    complex_width,
    fourier_features,
    num_inputs,
    num_weights,
    octaves_at_nyquist,
    positional_features,
    positional_frequencies,
    whole,
)


def literal_positional(x: np.ndarray, octaves: int) -> np.ndarray:
    """As vsitzmann/siren writes it: coordinates, then sine and cosine in turn, octave by octave, axis by axis."""
    columns = list(x.T)
    for octave in range(octaves):
        for axis in range(x.shape[1]):
            columns += [np.sin(2**octave * np.pi * x[:, axis]), np.cos(2**octave * np.pi * x[:, axis])]
    return np.stack(columns, axis=1)


def test_the_positional_matrix_of_two_axes_is_known() -> None:
    expected = [[0.5, 0.0], [0.0, 0.5], [1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 2.0]]
    np.testing.assert_array_equal(positional_frequencies(2, 3), expected)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("octaves", [1, 4])
def test_positional_features_are_those_of_the_public_code_in_another_order(dims: int, octaves: int) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (7, dims))
    features = positional_features(x, octaves)
    assert features.shape == (7, num_inputs("positional", dims, {"octaves": octaves}))
    literal = literal_positional(x, octaves)
    first, rows = dims, dims * octaves
    np.testing.assert_allclose(features[:, :first], literal[:, :first])
    np.testing.assert_allclose(features[:, first : first + rows], literal[:, first::2], atol=1e-12)
    np.testing.assert_allclose(features[:, first + rows :], literal[:, first + 1 :: 2], atol=1e-12)


def test_a_fourier_feature_of_whole_cycles_is_a_tone_at_their_bin() -> None:
    x = (-1.0 + 2.0 * np.arange(64) / 64)[:, None]
    spectrum = np.abs(np.fft.rfft(fourier_features(x, np.array([[2.5]])), axis=0))
    assert spectrum.shape == (33, 2)
    assert spectrum[5] == pytest.approx([32.0, 32.0])  # 2.5 cycles a unit are 5 over [-1, 1]
    assert np.delete(spectrum, 5, axis=0).max() < 1e-9


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
