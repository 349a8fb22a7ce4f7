import math

import numpy as np
import pytest

from trainers.metrics import psnr_db, snr_db


@pytest.mark.parametrize(("mse", "expected"), [(1.0, 0.0), (0.1, 10.0), (1e-6, 60.0), (0.0242, 16.16)])
def test_the_psnr_of_audio_is_minus_ten_log_mse(mse: float, expected: float) -> None:
    assert psnr_db(mse, "audio") == pytest.approx(expected, abs=0.003)


def test_an_image_reads_6_02_db_higher_than_audio_for_the_same_error() -> None:
    assert psnr_db(0.01, "image") - psnr_db(0.01, "audio") == pytest.approx(20 * math.log10(2))


def test_the_psnr_of_an_image_is_the_usual_one_on_zero_to_one() -> None:
    generator = np.random.default_rng(0)
    truth, fitted = generator.uniform(0.0, 1.0, (2, 64, 64))
    usual = -10 * math.log10(np.mean((truth - fitted) ** 2))
    mse = float(np.mean(((2 * truth - 1) - (2 * fitted - 1)) ** 2))
    assert psnr_db(mse, "image") == pytest.approx(usual)


def test_volumes_are_scored_as_audio_and_occupancy_as_images() -> None:
    assert psnr_db(0.01, "volume") == psnr_db(0.01, "audio") == pytest.approx(20.0)
    assert psnr_db(0.01, "occupancy") == psnr_db(0.01, "image")


def test_the_psnr_of_a_perfect_fit_is_finite() -> None:
    assert psnr_db(0.0, "audio") == pytest.approx(3000.0)


def test_silence_has_an_snr_of_zero() -> None:
    assert snr_db(0.3, 0.3) == 0.0


@pytest.mark.parametrize(("mse", "power", "expected"), [(0.01, 0.1, 10.0), (1.0, 0.01, -20.0)])
def test_the_snr_is_power_over_error(mse: float, power: float, expected: float) -> None:
    assert snr_db(mse, power) == pytest.approx(expected)


def test_the_snr_of_a_perfect_fit_is_finite() -> None:
    assert math.isfinite(snr_db(0.0, 0.1))
