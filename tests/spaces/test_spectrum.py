import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.spectrum import IMAGE_CENTROIDS, Array, Spectrum, amplitude, centroid, nyquist_rad, spectrum_of


def literal_centroid(x: Array) -> float:
    """psi by its definition, one term of the O(N^2) Fourier sum after the other."""
    num = len(x)
    weighted = total = 0.0
    for k in range(num // 2 + 1):
        X = sum(x[n] * cmath.exp(-2j * math.pi * k * n / num) for n in range(num))
        weighted += k / num * abs(X)
        total += abs(X)
    return 2.0 * weighted / total


def tone(num: int, k: int) -> Array:
    return np.cos(2.0 * np.pi * k * np.arange(num) / num + 0.4)


def noise(*shape: int) -> Array:
    return np.random.default_rng(7).standard_normal(shape)


@pytest.mark.parametrize("num", [16, 33, 64, 101])
def test_the_centroid_agrees_with_a_literal_fourier_sum(num: int) -> None:
    x = noise(num) + 0.5
    assert centroid(x) == pytest.approx(literal_centroid(x), rel=1e-10)


@pytest.mark.parametrize(("num", "k"), [(1000, 50), (1000, 1), (1000, 499), (255, 17)])
def test_the_centroid_of_a_tone_is_twice_its_frequency(num: int, k: int) -> None:
    assert centroid(tone(num, k)) == pytest.approx(2 * k / num, abs=1e-9)


def test_the_centroid_of_two_tones_is_weighted_by_amplitude_and_not_by_power() -> None:
    x = 3.0 * tone(1000, 50) + 1.0 * tone(1000, 250)  # psi 0.1 and 0.5
    assert centroid(x) == pytest.approx((3 * 0.1 + 1 * 0.5) / 4, abs=1e-9)


def test_the_centroid_of_white_noise_is_about_one_half() -> None:
    assert centroid(noise(100_000)) == pytest.approx(0.5, abs=0.005)


def test_the_centroid_of_an_alternation_is_one() -> None:
    assert centroid(np.tile([1.0, -1.0], 500)) == pytest.approx(1.0)


def test_the_centroid_of_zeros_is_zero() -> None:
    assert centroid(np.zeros(100)) == 0.0


def test_the_centroid_of_a_constant_is_zero() -> None:
    assert centroid(np.full(100, 3.0)) == pytest.approx(0.0, abs=1e-12)


def test_the_mean_is_kept() -> None:
    # |X(0)| of a mean of 1 is N, a unit tone's line is N / 2: psi = 0.2 (N / 2) / (N / 2 + N).
    assert centroid(tone(1000, 100) + 1.0) == pytest.approx(0.2 / 3, abs=1e-9)


@given(factor=st.floats(1e-6, 1e6), seed=st.integers(0, 100))
def test_the_centroid_does_not_change_with_loudness(factor: float, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal(64)
    assert centroid(factor * x) == pytest.approx(centroid(x), rel=1e-9)


@given(
    x=st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=64).map(np.array),
)
def test_the_centroid_lies_between_zero_and_one(x: Array) -> None:
    assert 0.0 <= centroid(x) <= 1.0 + 1e-12


def test_the_centroid_of_float32_samples_is_computed_in_float64() -> None:
    x = noise(4096).astype(np.float32)
    assert centroid(x) == centroid(x.astype(np.float64))  # type: ignore[arg-type]


def test_the_amplitude_spectrum_has_half_the_bins_and_one() -> None:
    assert amplitude(np.zeros((3, 10))).shape == (3, 6)
    assert amplitude(np.zeros((3, 11))).shape == (3, 6)


def test_the_flattened_centroid_is_that_of_the_raster_scan_line() -> None:
    image = noise(12, 20)
    assert IMAGE_CENTROIDS["flattened"](image) == pytest.approx(literal_centroid(image.reshape(-1)), rel=1e-10)


def test_the_rowwise_centroid_is_the_mean_over_rows() -> None:
    image = noise(6, 20) + 1.0
    expected = sum(literal_centroid(row) for row in image) / 6
    assert IMAGE_CENTROIDS["rowwise"](image) == pytest.approx(expected, rel=1e-10)


def test_the_image_variants_differ_on_a_picture_of_constant_rows() -> None:
    image = np.repeat(noise(64, 1), 64, axis=1)
    assert IMAGE_CENTROIDS["rowwise"](image) == pytest.approx(0.0, abs=1e-9)
    assert IMAGE_CENTROIDS["flattened"](image) > 0.01


def test_the_nyquist_frequency_turns_the_phase_by_pi_from_sample_to_sample() -> None:
    assert nyquist_rad(150_000) == pytest.approx(2.36e5, rel=2e-3)
    for num in (16, 4096):
        spacing = 2.0 / (num - 1)
        assert nyquist_rad(num) * spacing == pytest.approx(math.pi)


def test_a_spectrum_knows_the_mean_centroid_of_its_channels() -> None:
    values = np.stack([tone(1000, 50), tone(1000, 150)], axis=1)
    spectrum = spectrum_of(values, kind="audio", shape=(1000,))
    assert spectrum.channels == 2
    assert spectrum.centroid == pytest.approx((0.1 + 0.3) / 2, abs=1e-9)


def test_a_spectrum_of_an_image_follows_the_flattened_variant_and_the_longest_axis() -> None:
    image = noise(12, 20)
    spectrum = spectrum_of(image.reshape(-1, 1), kind="image", shape=(12, 20))
    assert spectrum.centroid == pytest.approx(IMAGE_CENTROIDS["flattened"](image), rel=1e-12)
    assert spectrum.nyquist_rad == nyquist_rad(20)
    assert (spectrum.num_samples, spectrum.dims) == (240, 2)


def test_a_spectrum_is_plain_data_that_can_be_compared() -> None:
    first, second = (spectrum_of(noise(100, 1), kind="audio", shape=(100,)) for _ in range(2))
    assert isinstance(first, Spectrum)
    assert first == second
