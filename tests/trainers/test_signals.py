import numpy as np
import pytest

from trainers.signals import Crop, Signal, SignalError, read_signal
from trainers.synthetic import AMPLITUDES, GRIDS, pink_image, shaped_noise
from trainers.tasks import build_task


def signal_of(values: np.ndarray, shape: tuple[int, ...], kind: str = "audio") -> Signal:
    return Signal(name="x", source="x", kind=kind, values=values, shape=shape, rate_hz=1.0, peak=1.0,
                  start=(0,) * len(shape), total=shape)  # fmt: skip


def line(*changes: tuple[int, float]) -> Signal:
    values = np.sin(np.arange(100.0))[:, None]
    for index, value in changes:
        values[index] = value
    return signal_of(values, (100,))


def test_the_digest_is_that_of_the_samples_and_of_nothing_else() -> None:
    first = read_signal("synthetic:pink", Crop(samples=1000))
    again = Signal(name="other", source="elsewhere", kind="audio", values=first.values.copy(), shape=first.shape,
                   rate_hz=1.0, peak=7.0, offset=2.0, start=(3,), total=(9999,))  # fmt: skip
    assert first.digest == again.digest


def test_the_digest_changes_with_one_sample() -> None:
    assert line().digest != line((57, 0.123)).digest


def test_the_digest_does_not_see_what_float32_does_not_hold() -> None:
    assert line((57, 0.5)).digest == line((57, 0.5 + 1e-12)).digest


def test_the_digest_changes_with_the_shape_and_the_kind() -> None:
    values = np.sin(np.arange(100.0))[:, None]
    signals = [
        signal_of(values, (100,)),
        signal_of(values, (10, 10)),
        signal_of(values, (10, 10), "image"),
        signal_of(values, (4, 25), "image"),
    ]
    assert len({signal.digest for signal in signals}) == 4


def test_the_coordinates_of_a_line_run_from_minus_one_to_one() -> None:
    coordinates = signal_of(np.zeros((5, 1)), (5,)).coordinates()
    assert coordinates.tolist() == [[-1.0], [-0.5], [0.0], [0.5], [1.0]]


def test_the_last_axis_of_the_coordinates_varies_fastest() -> None:
    coordinates = signal_of(np.zeros((6, 1)), (2, 3), "image").coordinates()
    assert coordinates.tolist() == [[-1, -1], [-1, 0], [-1, 1], [1, -1], [1, 0], [1, 1]]


def test_the_power_is_the_mean_square() -> None:
    assert signal_of(np.array([[1.0], [-0.5], [0.0], [0.5]]), (4,)).power == pytest.approx(1.5 / 4)


def test_the_spectrum_of_a_signal_knows_its_grid() -> None:
    spectrum = read_signal("synthetic:tone", Crop(samples=4096)).spectrum()
    assert (spectrum.kind, spectrum.shape, spectrum.channels, spectrum.dims) == ("audio", (4096,), 1, 1)
    assert spectrum.nyquist_rad == pytest.approx(np.pi * 4095 / 2)


def test_a_fit_task_holds_every_sample_in_float32() -> None:
    signal = read_signal("synthetic:pink", Crop(samples=500))
    task = build_task(signal)
    assert task.coordinates.shape == task.values.shape == (500, 1)
    assert task.coordinates.dtype == task.values.dtype == np.float32
    np.testing.assert_allclose(task.values, signal.values, atol=1e-7)
    np.testing.assert_allclose(task.coordinates, signal.coordinates(), atol=1e-7)


def test_the_power_of_a_task_is_that_of_its_signal() -> None:
    signal = read_signal("synthetic:pink", Crop(samples=500))
    assert build_task(signal).power == pytest.approx(signal.power, rel=1e-6)


@pytest.mark.parametrize("name", [*AMPLITUDES, *GRIDS])
def test_a_synthetic_signal_is_the_same_every_time(name: str) -> None:
    first, second = (read_signal(f"synthetic:{name}") for _ in range(2))
    assert first.digest == second.digest


def test_the_synthetic_signals_differ() -> None:
    names = [*AMPLITUDES, *GRIDS]
    assert len({read_signal(f"synthetic:{name}").digest for name in names}) == len(names)


@pytest.mark.parametrize(("name", "psi"), [("tone", 0.1), ("bright", 0.65)])
def test_the_centroid_of_a_synthetic_signal_is_known(name: str, psi: float) -> None:
    assert read_signal(f"synthetic:{name}").spectrum().centroid == pytest.approx(psi, abs=1e-4)


def test_the_centroid_of_pink_noise_is_that_of_the_harmonic_sum() -> None:
    # |X| = 1 / f over M = N / 2 bins: psi = 2 M / (N H_M), where H_M = 1 + 1/2 + ... + 1/M.
    harmonic = sum(1.0 / k for k in range(1, 16_385))
    assert read_signal("synthetic:pink").spectrum().centroid == pytest.approx(1.0 / harmonic, rel=1e-6)


@pytest.mark.parametrize("name", AMPLITUDES)
def test_a_synthetic_signal_is_scaled_to_a_peak_of_one(name: str) -> None:
    signal = read_signal(f"synthetic:{name}", Crop(samples=1000))
    assert np.max(np.abs(signal.values)) == 1.0


def test_a_synthetic_signal_is_cropped_like_a_recording() -> None:
    whole = read_signal("synthetic:pink")
    middle = read_signal("synthetic:pink", Crop(samples=1000))
    assert (middle.start, middle.total, middle.rate_hz) == (((32_768 - 1000) // 2,), (32_768,), 16_000.0)
    np.testing.assert_allclose(
        middle.values * middle.peak, whole.values[middle.start[0] : middle.start[0] + 1000] * whole.peak, rtol=1e-12
    )
    assert read_signal("synthetic:pink", Crop(samples=1000, start=1.0)).start == (16_000,)


def test_the_loudest_window_of_a_synthetic_signal_has_the_most_energy() -> None:
    whole = read_signal("synthetic:pink").values[:, 0] ** 2
    loudest = read_signal("synthetic:pink", Crop(samples=1000, start="loudest"))
    energies = np.convolve(whole, np.ones(1000), mode="valid")
    assert energies[loudest.start[0]] == pytest.approx(energies.max(), rel=1e-9)


def test_an_unknown_synthetic_signal_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SignalError) as caught:
        read_signal("synthetic:violet")
    names = ("tone", "pink", "bright", "texture", "torus", "blob", "mix-0 to mix-9999")
    known = ", ".join(f"synthetic:{name}" for name in names)
    assert str(caught.value) == f"synthetic:violet: unknown synthetic signal; known signals: {known}"


@pytest.mark.parametrize(
    ("crop", "rule"),
    [
        (Crop(samples=0), "--samples must be from 16 to the 32768 that there are, but got 0"),
        (Crop(samples=40_000), "--samples must be from 16 to the 32768 that there are, but got 40000"),
        (Crop(samples=100, start=3.0), "100 samples from --start must lie within its 2.048 s, but got --start 3"),
    ],
)
def test_a_crop_outside_a_synthetic_signal_is_refused(crop: Crop, rule: str) -> None:
    with pytest.raises(SignalError, match=rule):
        read_signal("synthetic:tone", crop)


def test_shaped_noise_has_exactly_the_given_amplitudes() -> None:
    amplitude = np.abs(np.random.default_rng(0).standard_normal(65))
    noise = shaped_noise(amplitude, seed=5)
    assert noise.shape == (128,)
    np.testing.assert_allclose(np.abs(np.fft.rfft(noise)), amplitude, atol=1e-12)


def test_shaped_noise_follows_its_seed() -> None:
    first, second = shaped_noise(np.ones(65), 1), shaped_noise(np.ones(65), 2)
    assert np.max(np.abs(first - second)) > 0.01


def test_a_pink_image_has_exactly_the_amplitude_of_one_over_f() -> None:
    image = pink_image(32, seed=5)
    f = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)[None, :])
    f[0, 0] = np.inf  # the mean is 0
    assert image.shape == (32, 32)
    np.testing.assert_allclose(np.abs(np.fft.fft2(image)), 1.0 / f, atol=1e-12)


def test_the_channels_of_the_texture_share_a_disc_and_differ_in_noise() -> None:
    signal = read_signal("synthetic:texture")
    values = signal.values * signal.peak + signal.offset
    inside = np.hypot(*signal.coordinates().T) < 0.6
    means = values[inside].mean(axis=0) - values[~inside].mean(axis=0)
    assert np.all(np.abs(means - 1.0) < 0.5)
    noise = values - inside[:, None]
    np.testing.assert_allclose(noise.std(axis=0), 0.25)
    assert np.all(np.abs(np.corrcoef(noise.T) - np.eye(3)) < 0.5)


def test_the_torus_is_a_signed_distance() -> None:
    signal = read_signal("synthetic:torus")
    distances = (signal.values * signal.peak).reshape(signal.shape)
    x, y, z = signal.coordinates().T
    # A literal search over 4,000 points of the surface, for a few points of the grid.
    around, across = np.meshgrid(np.linspace(0, 2 * np.pi, 80), np.linspace(0, 2 * np.pi, 50))
    ring = 0.6 + 0.25 * np.cos(across)
    surface = np.stack([ring * np.cos(around), ring * np.sin(around), 0.25 * np.sin(across)], axis=-1).reshape(-1, 3)
    for point in (0, 5000, 16_912, 20_000, 32_767):
        nearest = np.linalg.norm(surface - (x[point], y[point], z[point]), axis=1).min()
        assert abs(distances.reshape(-1)[point]) == pytest.approx(nearest, abs=0.01)
    volume = np.sum(distances < 0) * (2 / 31) ** 3
    assert volume == pytest.approx(2 * np.pi**2 * 0.6 * 0.25**2, rel=0.05)


def test_the_blob_is_partly_inside() -> None:
    values = read_signal("synthetic:blob").values
    assert set(np.unique(values)) == {-1.0, 1.0}
    assert 0.01 < np.mean(values > 0) < 0.3
