import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.laws import LAWS
from spaces.noise import NoiseScales, Ridge, bandwidth, gain, noise_bandwidth, scales_on_ridge
from spaces.spectrum import Spectrum, nyquist_rad


def winners_scales(psi: float) -> NoiseScales:
    spectrum = Spectrum(kind="audio", shape=(64,), channels=1, centroid=psi, nyquist_rad=nyquist_rad(64))
    point = LAWS["winner"].point(spectrum, width=64)
    return NoiseScales(point["s0"], point["s1"])


def test_the_published_law_gives_0_265_of_nyquist_where_it_was_made() -> None:
    assert bandwidth(winners_scales(0.573), 222) / nyquist_rad(150_000) == pytest.approx(0.265, abs=5e-4)


def test_the_published_law_asks_for_5_3_nyquist_of_4096_samples() -> None:
    assert bandwidth(winners_scales(0.58), 64) / nyquist_rad(4096) == pytest.approx(5.3, abs=0.05)


def test_the_good_points_of_the_first_grid_lie_on_one_ridge() -> None:
    # (s0 300, s1 0.25), (100, 1) and (30, 4) at width 64: within a few dB of each other, B 520 to 681 rad.
    bands = [noise_bandwidth(NoiseScales(s0, s1), 64) for s0, s1 in ((300.0, 0.25), (100.0, 1.0), (30.0, 4.0))]
    assert bands == pytest.approx([300 * 3**0.5, 100 * 33**0.5, 30 * 513**0.5])


@pytest.mark.parametrize(("s1", "width", "expected"), [(0.0, 512, 1.0), (1.0, 6, 2.0), (2.0, 4, 3.0), (0.5, 64, 3.0)])
def test_the_gain_of_the_second_layer(s1: float, width: int, expected: float) -> None:
    assert gain(s1, width) == pytest.approx(expected)


@pytest.mark.parametrize(("dims", "expected"), [(1, 30 / 3**0.5), (2, 15 / 3**0.5), (3, 10 / 3**0.5)])
def test_without_noise_the_uniform_draw_gives_the_band(dims: int, expected: float) -> None:
    assert bandwidth(NoiseScales(0.0, 0.0), 64, dims) == pytest.approx(expected)


def test_the_uniform_part_hardly_counts_above_an_s0_of_100() -> None:
    scales = NoiseScales(100.0, 1.0)
    assert bandwidth(scales, 64) == pytest.approx(noise_bandwidth(scales, 64), rel=0.02)


scale = st.floats(1e-3, 1e6)
second = st.floats(0.0, 4.0)
widths = st.integers(1, 2048)


@given(bandwidth_rad=scale, s1=second, width=widths)
def test_the_scales_on_a_ridge_give_its_bandwidth(bandwidth_rad: float, s1: float, width: int) -> None:
    scales = scales_on_ridge(bandwidth_rad, s1, width)
    assert scales.s1 == s1
    assert noise_bandwidth(scales, width) == pytest.approx(bandwidth_rad, rel=1e-12)


@given(s0=scale, s1=second, width=widths, nyquist=st.floats(10.0, 1e6))
def test_the_ridge_is_undone_by_its_inverse(s0: float, s1: float, width: int, nyquist: float) -> None:
    ridge = Ridge(width=width, nyquist_rad=nyquist, high=2.0)
    point = ridge.to_point(ridge.to_search({"s0": s0, "s1": s1}))
    assert point == pytest.approx({"s0": s0, "s1": s1}, rel=1e-12)


def test_along_a_ridge_s1_grows_while_s0_falls() -> None:
    ridge = Ridge(width=64, nyquist_rad=1000.0, high=2.0)
    s0 = [float(ridge.to_point({"bandwidth": 0.2, "root_s1": root})["s0"]) for root in (0.0, 0.5, 1.0, 2.0)]
    assert s0 == pytest.approx([200.0 / math.sqrt(gain) for gain in (1.0, 3.0, 33.0, 513.0)])


def test_the_ridge_is_searched_from_10_rad_to_its_high() -> None:
    band, root = Ridge(width=64, nyquist_rad=1000.0, high=2.0).parameters
    assert (band.name, band.low, band.high, band.log) == ("bandwidth", 0.01, 2.0, True)  # type: ignore[union-attr]
    assert (root.name, root.low, root.high, root.log) == ("root_s1", 0.0, 2.0, False)  # type: ignore[union-attr]


def test_the_first_bandwidths_lie_within_a_factor_of_10_of_the_expected_one() -> None:
    middle, end = (Ridge(width=64, nyquist_rad=1000.0, high=2.0, expected=at).parameters[0] for at in (0.15, 0.5))
    root = Ridge(width=64, nyquist_rad=1000.0, high=2.0, expected=0.15).parameters[1]
    assert root.first == (0.0, 1.0)  # type: ignore[union-attr]
    assert middle.first == pytest.approx((0.015, 1.5))  # type: ignore[union-attr]
    assert end.first == pytest.approx((0.05, 2.0))  # type: ignore[union-attr]


def test_the_ridge_of_a_tiny_signal_still_has_a_range() -> None:
    band = Ridge(width=64, nyquist_rad=4.0, high=2.0).parameters[0]  # 10 rad would be 2.5 Nyquist
    assert (band.low, band.high) == (0.2, 2.0)  # type: ignore[union-attr]
