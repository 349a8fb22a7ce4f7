"""Metrics against known answers and independent computations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from trainers.metrics import iou, log_spectral_distance_db, mae
from trainers.quality import measure, si_snr_db, ssim
from trainers.signals import Crop, read_signal
from trainers.tasks import Task, build_task


def task_of(kind: str, *shape: int, channels: int = 1) -> Task:
    task = build_task(read_signal("synthetic:pink", Crop(samples=16)))
    values = np.random.default_rng(3).uniform(-1, 1, (int(np.prod(shape)), channels)).astype(np.float32)
    if len(shape) == 2:  # smooth, as pictures are
        smooth = [ndimage.gaussian_filter(v.reshape(shape), 2.0).reshape(-1) for v in values.T]
        values = np.stack(smooth, axis=-1)
        values = (values / np.abs(values).max()).astype(np.float32)
    return replace(task, kind=kind, shape=shape, values=values)


def noisy(task: Task, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(4).normal(0, sigma, task.values.shape)
    return (task.values + noise).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "shape", "names"),
    [
        ("audio", (2000,), {"mae", "si_snr_db", "lsd_db"}),
        ("image", (40, 30), {"mae", "ssim"}),
        ("volume", (12, 10, 9), {"mae", "iou"}),
        ("occupancy", (12, 10, 9), {"mae", "iou"}),
    ],
)
class TestMetricsOfAKind:
    """Laws of all metrics."""

    def test_each_kind_has_its_metrics(self, kind: str, shape: tuple[int, ...], names: set[str]) -> None:
        task = task_of(kind, *shape)
        assert measure(noisy(task, 0.1), task).keys() == names

    def test_more_noise_is_worse(self, kind: str, shape: tuple[int, ...], names: set[str]) -> None:
        task = task_of(kind, *shape)
        little, much = measure(noisy(task, 0.02), task), measure(noisy(task, 0.3), task)
        for name in names:
            is_error = name in ("mae", "lsd_db")
            assert (little[name] < much[name]) == is_error, name

    def test_an_output_that_is_the_target_is_perfect(self, kind: str, shape: tuple[int, ...], names: set[str]) -> None:
        task = task_of(kind, *shape)
        perfect = {"mae": 0.0, "lsd_db": 0.0, "ssim": 1.0, "iou": 1.0}
        for name, value in measure(task.values, task).items():
            if name in perfect:
                assert value == pytest.approx(perfect[name], abs=1e-6)
            else:
                assert value > 100.0

    def test_channels_are_averaged(self, kind: str, shape: tuple[int, ...], names: set[str]) -> None:
        task = task_of(kind, *shape, channels=2)
        output = noisy(task, 0.1)
        apart = [measure(output[:, [channel]], replace(task, values=task.values[:, [channel]])) for channel in range(2)]
        for name, value in measure(output, task).items():
            if name != "iou":  # a share of all points
                assert value == pytest.approx(np.mean([one[name] for one in apart]), rel=1e-3)


def test_si_snr_is_the_published_formula() -> None:
    task = task_of("audio", 500)
    output = (0.3 * noisy(task, 0.1)).astype(np.float32)
    x, y = (v[:, 0].astype(np.float64) - v[:, 0].mean() for v in (output, task.values))
    scaled = (x @ y) / (y @ y) * y
    assert si_snr_db(output, task) == pytest.approx(
        10 * np.log10((scaled @ scaled) / ((x - scaled) @ (x - scaled))), abs=1e-4
    )


def test_si_snr_does_not_see_a_factor() -> None:
    task = task_of("audio", 500)
    output = noisy(task, 0.1)
    assert si_snr_db(output * np.float32(0.25), task) == pytest.approx(si_snr_db(output, task), abs=1e-3)


def test_ssim_is_that_of_gaussian_windows() -> None:
    task = task_of("image", 48, 40)
    output = noisy(task, 0.1)
    x, y = ((v.astype(np.float64).reshape(48, 40) + 1) / 2 for v in (output, task.values))

    def blur(v: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(v, 1.5, radius=5, mode="mirror")

    c1, c2 = 0.01**2, 0.03**2
    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    literal = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(output, task) == pytest.approx(literal.mean(), abs=1e-4)


def test_si_snr_and_ssim_are_torchmetrics() -> None:
    from torchmetrics.functional.audio import scale_invariant_signal_noise_ratio
    from torchmetrics.functional.image import structural_similarity_index_measure

    audio, image = task_of("audio", 500, channels=2), task_of("image", 48, 40, channels=3)
    for sigma in (0.0, 1e-6, 0.1, 3.0):
        pairs = (torch.from_numpy(v.T.astype(np.float64)) for v in (noisy(audio, sigma), audio.values))
        theirs = scale_invariant_signal_noise_ratio(*pairs).mean()
        assert si_snr_db(noisy(audio, sigma), audio) == pytest.approx(float(theirs), abs=1e-6)
        pairs = (
            torch.from_numpy((v.T.astype(np.float64) + 1) / 2).reshape(1, 3, 48, 40)
            for v in (noisy(image, sigma), image.values)
        )
        theirs = structural_similarity_index_measure(*pairs, data_range=1.0)
        assert ssim(noisy(image, sigma), image) == pytest.approx(float(theirs), abs=1e-6)


def test_a_small_image_has_no_ssim() -> None:
    task = task_of("image", 40, 8)
    assert "ssim" not in measure(task.values, task)


def test_log_spectral_distance_is_that_of_scipys_frames() -> None:
    task = task_of("audio", 3000)
    output = noisy(task, 0.2)
    frames = signal.ShortTimeFFT(signal.windows.hann(512, sym=False), hop=128, fs=1.0)
    last = (3000 - 512) // 128
    powers = [frames.spectrogram(v[:, 0].astype(np.float64), p0=2, p1=2 + last + 1) for v in (output, task.values)]
    literal = np.sqrt(np.mean((10 * np.log10(powers[0] / powers[1])) ** 2, axis=0)).mean()
    assert log_spectral_distance_db(output, task.values) == pytest.approx(literal, rel=1e-6)


def test_a_constant_factor_is_its_own_log_spectral_distance() -> None:
    task = task_of("audio", 100)  # shorter than a frame
    assert log_spectral_distance_db(task.values * 10, task.values) == pytest.approx(20.0, abs=1e-4)


def test_silence_has_a_finite_log_spectral_distance() -> None:
    task = task_of("audio", 2000)
    assert 50 < log_spectral_distance_db(np.zeros_like(task.values), task.values) < 101


def test_absolute_errors_of_an_image_are_taken_on_0_to_1() -> None:
    target = np.zeros((10, 1))
    assert mae(target + 0.5, target, "audio") == 0.5
    assert mae(target + 0.5, target, "image") == 0.25


def test_intersection_over_union_of_intervals() -> None:
    x = np.linspace(-1, 1, 2001)
    narrow, wide = np.abs(x) - 0.25, np.abs(x) - 0.5
    assert iou(narrow, wide, "volume") == pytest.approx(0.5, abs=2e-3)
    assert iou(-narrow, -wide, "occupancy") == pytest.approx(0.5, abs=2e-3)
    assert iou(np.ones(5), np.ones(5), "volume") == 1.0
