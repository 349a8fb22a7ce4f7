import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.spectrum import (
    BLOCK,
    CENTROIDS,
    LONG,
    Array,
    Binning,
    Spectrum,
    SpectrumError,
    amplitude,
    amplitude_spectra,
    centroid,
    in_bands,
    normalised,
    nyquist_rad,
    rms_frequency,
    shape_features,
    smooth_length,
    spectrum_of,
    wasserstein_1,
)


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


def test_the_centroid_of_many_bins_is_the_quotient_of_their_sums() -> None:
    x = noise(300_007)
    weights = amplitude(x)
    expected = 2 * np.sum(np.fft.rfftfreq(len(x)) * weights) / weights.sum()
    assert centroid(x) == pytest.approx(expected, rel=1e-12)


def test_a_long_line_has_the_centroid_of_its_smooth_part() -> None:
    x = noise(LONG + 17)  # a prime number of samples
    assert centroid(x) == centroid(x[: smooth_length(len(x))]) == pytest.approx(0.5, abs=1e-3)


def test_a_smooth_length_is_the_greatest_that_has_small_prime_factors_alone() -> None:
    def is_smooth(num: int) -> bool:
        for prime in (2, 3, 5, 7, 11, 13):
            while num % prime == 0:
                num //= prime
        return num == 1

    for num in (1, 2, 16, 17, 997, 1000, 65_537, 2_097_321):
        assert smooth_length(num) == next(least for least in range(num, 0, -1) if is_smooth(least))


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
    assert CENTROIDS["flattened"](image) == pytest.approx(literal_centroid(image.reshape(-1)), rel=1e-10)


def test_the_rowwise_centroid_is_the_mean_over_rows() -> None:
    image = noise(6, 20) + 1.0
    expected = sum(literal_centroid(row) for row in image) / 6
    assert CENTROIDS["rowwise"](image) == pytest.approx(expected, rel=1e-10)


def test_the_image_variants_differ_on_a_picture_of_constant_rows() -> None:
    image = np.repeat(noise(64, 1), 64, axis=1)
    assert CENTROIDS["rowwise"](image) == pytest.approx(0.0, abs=1e-9)
    assert CENTROIDS["flattened"](image) > 0.01


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
    assert spectrum.centroid == pytest.approx(CENTROIDS["flattened"](image), rel=1e-12)
    assert spectrum.nyquist_rad == nyquist_rad(20)
    assert (spectrum.num_samples, spectrum.dims) == (240, 2)


def test_a_spectrum_is_plain_data_that_can_be_compared() -> None:
    first, second = (spectrum_of(noise(100, 1), kind="audio", shape=(100,)) for _ in range(2))
    assert isinstance(first, Spectrum)
    assert first == second


def test_the_colwise_centroid_is_the_rowwise_one_of_the_transpose() -> None:
    image = noise(6, 20)
    assert CENTROIDS["colwise"](image) == pytest.approx(CENTROIDS["rowwise"](image.T), rel=1e-12)


def test_the_axes_centroid_is_the_mean_of_all_axes() -> None:
    image = noise(6, 20)
    expected = (CENTROIDS["colwise"](image) + CENTROIDS["rowwise"](image)) / 2
    assert CENTROIDS["axes"](image) == pytest.approx(expected, rel=1e-12)
    assert CENTROIDS["axes"](image) == pytest.approx(CENTROIDS["axes"](image.T), rel=1e-12)


@pytest.mark.parametrize("name", CENTROIDS)
def test_every_variant_is_the_same_for_a_line_and_zero_for_silence(name: str) -> None:
    line = noise(100)
    assert CENTROIDS[name](line) == pytest.approx(centroid(line), rel=1e-12)
    assert CENTROIDS[name](np.zeros((4, 5, 6))) == 0.0


def test_a_spectrum_knows_all_variants_of_its_centroid() -> None:
    values = noise(240, 3)
    spectrum = spectrum_of(values, kind="image", shape=(12, 20))
    for name, variant in CENTROIDS.items():
        expected = np.mean([variant(values[:, channel].reshape(12, 20)) for channel in range(3)])
        assert spectrum.centroids[name] == pytest.approx(expected, rel=1e-12)
    assert spectrum.centroid == spectrum.centroids["flattened"]


def test_a_spectrum_without_variants_can_be_made_and_hashed() -> None:
    plain = Spectrum(kind="audio", shape=(100,), channels=1, centroid=0.3, nyquist_rad=100.0)
    assert dict(plain.centroids) == {}
    assert hash(plain) == hash(Spectrum(kind="audio", shape=(100,), channels=1, centroid=0.3, nyquist_rad=100.0))


def literal_radial(values: Array, shape: tuple[int, ...]) -> Array:
    """Every frequency of the full DFT after the other, into the bin of its rounded radius."""
    bins: dict[int, float] = {}
    for channel in values.T:
        X = np.fft.fftn(channel.reshape(shape))
        for place in np.ndindex(*shape):
            k = [min(i, num - i) for i, num in zip(place, shape, strict=True)]
            radius = round(math.sqrt(sum(each**2 for each in k)))
            bins[radius] = bins.get(radius, 0.0) + abs(X[place])
    return np.array([bins.get(radius, 0.0) for radius in range(1, max(bins) + 1)])


def literal_antidiagonals(values: Array, side: int) -> Array:
    """The public code's steps: mask, flip, diagonals, written out [Kania2024]."""
    y = np.zeros((side, side))
    for channel in values.T:
        y += np.abs(np.fft.fft2(channel.reshape(side, side)))
    unique = side // 2
    mask = np.triu(np.ones((side, side)))
    mask += np.diag(np.concatenate([np.ones(unique), np.zeros(side - 1 - unique)]), k=-1)
    mask = mask[:, ::-1].copy()
    mask[1 + unique :, 0] = 0
    mask[0, 1 + unique :] = 0
    flipped = (y * mask)[::-1]
    return np.array([np.trace(flipped, offset=k) for k in range(-side + 1, side)])[1:]


@pytest.mark.parametrize("shape", [(8, 8), (7, 7), (6, 10), (5, 8), (4, 5, 6), (5, 5, 5)])
def test_the_radial_spectrum_agrees_with_a_loop_over_the_dft(shape: tuple[int, ...]) -> None:
    values = noise(math.prod(shape), 2)
    np.testing.assert_allclose(amplitude_spectra(values, shape), literal_radial(values, shape), rtol=1e-10)


@pytest.mark.parametrize("side", [4, 7, 12, 33])
def test_the_published_spectrum_agrees_with_the_public_steps(side: int) -> None:
    values = noise(side * side, 3)
    expected = literal_antidiagonals(values, side)
    ours = amplitude_spectra(values, (side, side), binning="published", bins=len(expected))
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-9)
    default = amplitude_spectra(values, (side, side), binning="published")
    np.testing.assert_array_equal(default, ours[:64])


@pytest.mark.parametrize("binning", ["sound", "published"])
def test_the_spectrum_of_a_line_is_the_amplitude_without_the_mean(binning: Binning) -> None:
    values = noise(101, 2) + 3.0
    expected = (amplitude(values[:, 0]) + amplitude(values[:, 1]))[1:]
    np.testing.assert_allclose(amplitude_spectra(values, (101,), binning=binning, bins=50), expected)
    assert amplitude_spectra(noise(400, 1), (400,), binning=binning).shape == (200 if binning == "sound" else 64,)


@pytest.mark.parametrize("shape", [(30,), (8, 8), (4, 4, 4)])
def test_many_outputs_at_once_have_the_spectra_of_each(shape: tuple[int, ...]) -> None:
    values = noise(2, 3, math.prod(shape), 2).astype(np.float32)
    together = amplitude_spectra(values, shape)
    assert together.dtype == np.float64
    for place in np.ndindex(2, 3):
        np.testing.assert_allclose(together[place], amplitude_spectra(values[place], shape), rtol=1e-12)


def test_a_diagonal_wave_and_its_mirror_image_differ_in_the_published_spectrum_alone() -> None:
    i, j = np.mgrid[0:32, 0:32]
    waves = [np.cos(2 * np.pi * (5 * i + sign * 5 * j) / 32).reshape(-1, 1) for sign in (1, -1)]
    sound = [amplitude_spectra(wave, (32, 32)) for wave in waves]
    np.testing.assert_allclose(sound[0], sound[1], atol=1e-9)
    published = [amplitude_spectra(wave, (32, 32), binning="published", bins=20) for wave in waves]
    assert published[0].sum() > 100.0
    assert published[1].sum() < 1e-6  # its energy lies at k1 + k2 = 32, beyond the first bins


@pytest.mark.parametrize("bins", [0, 51, -1])
def test_bins_that_a_grid_does_not_have_are_refused(bins: int) -> None:
    with pytest.raises(SpectrumError, match=r"^`1 <= bins <= 50` must hold on a grid of \(100,\), but got bins="):
        amplitude_spectra(noise(100, 1), (100,), bins=bins)


@pytest.mark.parametrize("shape", [(8, 9), (4, 4, 4)])
def test_the_published_binning_is_refused_where_there_is_none(shape: tuple[int, ...]) -> None:
    with pytest.raises(SpectrumError, match=r"^the published binning is for 1-D and square 2-D grids, but"):
        amplitude_spectra(noise(math.prod(shape), 1), shape, binning="published")


def test_the_distance_of_two_lines_is_how_far_one_must_be_moved() -> None:
    lines = np.eye(10)
    assert wasserstein_1(lines[2], lines[7]) == 5.0
    np.testing.assert_array_equal(wasserstein_1(3.0 * lines, lines[0]), np.arange(10))


@given(seed=st.integers(0, 50))
def test_the_distance_is_a_metric(seed: int) -> None:
    p, q, r = np.random.default_rng(seed).uniform(size=(3, 12))
    assert wasserstein_1(p, p) == 0.0
    assert wasserstein_1(p, q) == pytest.approx(wasserstein_1(q, p))
    assert wasserstein_1(p, r) <= wasserstein_1(p, q) + wasserstein_1(q, r) + 1e-12


def test_the_distance_agrees_with_scipy() -> None:
    from scipy.stats import wasserstein_distance

    p, q = np.random.default_rng(1).uniform(size=(2, 40))
    expected = wasserstein_distance(np.arange(40), np.arange(40), p, q)
    assert wasserstein_1(p, q) == pytest.approx(expected, rel=1e-10)


def test_a_spectrum_without_energy_counts_as_the_lowest_frequency() -> None:
    np.testing.assert_array_equal(normalised(np.zeros((2, 3))), [[1.0, 0.0, 0.0]] * 2)
    assert wasserstein_1(np.zeros(4), np.array([0.0, 0.0, 0.0, 2.0])) == 3.0


def test_bands_are_means_of_bins_and_few_bins_stay_as_they_are() -> None:
    np.testing.assert_allclose(in_bands(np.arange(6.0), 3), [0.5, 2.5, 4.5])
    np.testing.assert_allclose(in_bands(np.arange(5.0), 2), [0.5, 3.0])
    np.testing.assert_array_equal(in_bands(np.arange(4.0), 8), np.arange(4.0))
    assert in_bands(np.ones((2, 3, 1000)), 200).shape == (2, 3, 200)


@pytest.mark.parametrize(("num", "k"), [(1000, 50), (1000, 1), (255, 17)])
def test_the_rms_frequency_of_a_tone_is_its_own(num: int, k: int) -> None:
    # A sample's spacing is 2 / (N - 1), so k cycles over N samples are pi k (N - 1) / N rad per coordinate unit.
    values = tone(num, k)[:, None] + 7.0
    assert rms_frequency(values, (num,)) == pytest.approx(math.pi * k * (num - 1) / num, rel=1e-9)


def test_the_rms_frequency_weighs_tones_by_power() -> None:
    values = (3.0 * tone(1000, 10) + 1.0 * tone(1000, 40))[:, None]
    expected = math.pi * 0.999 * math.sqrt((9 * 10**2 + 1 * 40**2) / 10)
    assert rms_frequency(values, (1000,)) == pytest.approx(expected, rel=1e-9)


def test_the_rms_frequency_of_a_plane_wave_is_its_vectors_length() -> None:
    i, j = np.mgrid[0:40, 0:40]
    wave = np.cos(2 * np.pi * (3 * i - 4 * j) / 40).reshape(-1, 1)
    assert rms_frequency(np.stack([wave, 2 * wave]), (40, 40)) == pytest.approx([math.pi * 5 * 39 / 40] * 2, rel=1e-9)


@pytest.mark.parametrize(("value", "shape"), [(2.0, (50,)), (0.1, (4_001,)), (0.1, (61, 67)), (0.1, (BLOCK + 9,))])
def test_a_constant_has_no_frequency(value: float, shape: tuple[int, ...]) -> None:
    constant = np.full((math.prod(shape), 1), value)
    assert rms_frequency(constant, shape) == 0.0
    assert shape_features(constant, shape) == {"power_psi": 0.0, "rms": 0.0, "flatness": 0.0}


def test_a_tone_of_a_millionth_of_the_mean_counts() -> None:
    faint = 0.1 + 1e-7 * tone(4_000, 400)[:, None]
    assert shape_features(faint, (4_000,))["rms"] == pytest.approx(0.2)
    assert rms_frequency(faint, (4_000,)) == pytest.approx(0.1 * 2 * math.pi * 3_999 / 2, rel=1e-6)


def test_the_rms_frequency_of_what_is_not_finite_is_not_finite() -> None:
    assert not np.isfinite(rms_frequency(np.full((8, 1), np.nan), (8,)))


def test_the_shape_of_a_tone_of_white_noise_and_of_silence() -> None:
    line = shape_features(tone(1_000, 100)[:, None], (1_000,))
    assert line["power_psi"] == pytest.approx(0.2, abs=1e-6)
    assert line["rms"] == pytest.approx(0.2, abs=1e-6)
    assert line["flatness"] < 1e-6
    white = shape_features(np.random.default_rng(0).standard_normal((8_192, 1)), (8_192,))
    assert white["power_psi"] == pytest.approx(0.5, abs=0.02)
    assert white["rms"] == pytest.approx(math.sqrt(1 / 3), abs=0.02)
    # The mean of ln of an exponential variable is minus Euler's constant.
    assert white["flatness"] == pytest.approx(math.exp(-0.5772), abs=0.03)
    assert shape_features(np.zeros((64, 1)), (64,)) == {"power_psi": 0.0, "rms": 0.0, "flatness": 0.0}


def test_the_shape_of_a_long_line_is_that_of_its_blocks() -> None:
    x = np.tile(tone(BLOCK, BLOCK // 8), 3)[:, None]
    assert shape_features(x, (3 * BLOCK,)) == pytest.approx(shape_features(x[:BLOCK], (BLOCK,)))


def test_the_shape_of_an_image_is_that_of_its_transpose() -> None:
    image = np.random.default_rng(0).standard_normal((32, 48))
    turned = shape_features(image.T.reshape(-1, 1), (48, 32))
    assert shape_features(image.reshape(-1, 1), (32, 48)) == pytest.approx(turned)
