"""The law that ships: its points are what its formulas say, and it is silent beyond what it was calibrated on."""

from __future__ import annotations

import math
from typing import Any

import pytest

from search.heuristics import SHIPPED
from search.law_files import read_law
from search.searched import spectrum_of
from spaces.laws import LAWS
from spaces.noise import NoiseScales, bandwidth
from spaces.spectrum import Spectrum, nyquist_rad

LAW = LAWS["calibrated"]


def stored(psi: float = 0.3, num: int = 4_096, kind: str = "audio") -> Spectrum:
    """A spectrum as storage holds it, without the features that the law does not need."""
    nyquist = nyquist_rad(num)
    return spectrum_of({"kind": kind, "shape": [num], "channels": 1, "centroid": psi, "nyquist_rad": nyquist})


def test_its_point_is_known() -> None:
    point = LAW.point(stored(), width=64, steps=300)
    assert point == pytest.approx({"s0": 1587.727, "s1": 0.0944889, "lr": 0.000988218}, rel=1e-6)


@pytest.mark.parametrize(("num", "width"), [(512, 222), (4_096, 64), (4_096, 32), (16_384, 64)])
@pytest.mark.parametrize("psi", [0.0, 0.05, 0.3, 0.95])
def test_its_bandwidth_rate_and_s1_are_those_of_its_printed_formulas(num: int, width: int, psi: float) -> None:
    spectrum = stored(psi, num)
    point = LAW.point(spectrum, width=width, steps=300)
    m = 1.0 / (1.0 + (2.0 * width**2 / num) ** 4)
    assert all(map(math.isfinite, point.values()))
    needed = 0.300 * max(psi, 1e-6) ** (0.98 * m) * spectrum.nyquist_rad
    least = bandwidth(NoiseScales(1.0, point["s1"]), width)  # s0 is at least 1 rad
    assert bandwidth(NoiseScales(point["s0"], point["s1"]), width) == pytest.approx(max(needed, least), rel=0.005)
    assert point["s1"] == pytest.approx(0.0945, rel=0.001)
    assert point["lr"] == pytest.approx(0.0304 * width**-0.824, rel=0.005)


def test_at_a_load_of_four_its_bandwidth_grows_with_the_centroid() -> None:
    s0 = [LAW.point(stored(psi, 16_384), width=64)["s0"] for psi in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)]
    assert s0 == sorted(set(s0))
    assert s0[-1] / s0[0] == pytest.approx(40.0**0.92, rel=0.05)


INSIDE: dict[str, Any] = {"width": 64, "depth": 4, "steps": 300, "trained_share": 1.0, "objective": "fit"}


@pytest.mark.parametrize(
    ("spectrum", "fit", "rule"),
    [
        (stored(kind="image"), {}, "audio, but the signal is of kind image"),
        (stored(num=511), {}, "512 to 16384 samples, but got samples=511"),
        (stored(num=16_385), {}, "512 to 16384 samples, but got samples=16385"),
        (stored(num=512), {"width": 31}, "32 to 222 width, but got width=31"),
        (stored(), {"width": 223}, "32 to 222 width, but got width=223"),
        (stored(), {"depth": 3}, "4 depth, but got depth=3"),
        (stored(), {"depth": 5}, "4 depth, but got depth=5"),
        (stored(), {"steps": 99}, "100 to 600 steps, but got steps=99"),
        (stored(), {"steps": 601}, "100 to 600 steps, but got steps=601"),
        (stored(num=512), {"width": 222, "trained_share": 0.9}, "0.01039 to 4 load, but got load=0.00935"),
        (stored(num=8_192), {"width": 32}, "0.01039 to 4 load, but got load=8"),
        (stored(), {"objective": "holdout"}, "objective fit, but got objective=holdout"),
    ],
)
def test_it_is_silent_outside_each_bound_of_its_domain(spectrum: Spectrum, fit: dict[str, Any], rule: str) -> None:
    assert LAW.reason_against(spectrum, **{**INSIDE, **fit}) == f"calibrated is for {rule}"


def test_it_speaks_at_every_size_that_it_was_calibrated_on() -> None:
    sizes = read_law(SHIPPED / "calibrated.json").facts["corpus"]["landscapes_by_size"]
    for size in sizes:
        num, width, steps = map(int, size.split("x"))
        assert LAW.reason_against(stored(num=num), **{**INSIDE, "width": width, "steps": steps}) is None
