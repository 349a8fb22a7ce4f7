"""Calibrated laws: formulas of powers, and the domain in which they speak."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from spaces.calibrated import FEATURES, CalibratedLaw, Domain, Formula, features_of
from spaces.laws import Bandwidth, Fit, LawError
from spaces.spectrum import Spectrum, nyquist_rad

DOMAIN = Domain(
    kinds=("audio",), samples=(512, 20_000), width=(16, 256), steps=(50, 1_000), depth=(3, 4), load=(0.1, 4.0)
)
LAW = CalibratedLaw(
    name="mine",
    source="a test",
    bandwidth=Formula(factor=1.0, powers={"psi": 1.5}, high=1.0),
    s1=Formula(factor=0.25),
    lr=Formula(factor=1e-3),
    domain=DOMAIN,
)


def spectrum_like(psi: float = 0.3, num: int = 4_096, kind: str = "audio") -> Spectrum:
    features = {"power_psi": psi / 2, "rms": psi / 1.5, "flatness": 0.1}
    return Spectrum(kind=kind, shape=(num,), channels=1, centroid=psi, nyquist_rad=nyquist_rad(num), features=features)


def test_a_formula_is_a_product_of_powers_between_its_bounds() -> None:
    formula = Formula(factor=2.0, powers={"psi": 2.0, "width": -0.5}, low=0.01, high=0.5)
    assert formula({"psi": 0.5, "width": 16.0}) == pytest.approx(2.0 * 0.25 / 4.0)
    assert formula({"psi": 1.0, "width": 1.0}) == 0.5
    assert formula({"psi": 1e-3, "width": 1.0}) == 0.01
    assert formula.spell() == "2 psi^2 width^-0.5, at least 0.01, at most 0.5"
    assert Formula(factor=0.25).spell() == "0.25"
    assert Formula(factor=1e-3, low=1e-4, high=5e-3).spell() == "0.001, at least 0.0001, at most 0.005"


def test_silence_has_a_finite_value_where_a_power_is_negative() -> None:
    assert math.isfinite(Formula(factor=1.0, powers={"psi": -1.5})({"psi": 0.0}))


@pytest.mark.parametrize("psi", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("width", [16, 64, 222])
def test_with_the_bandwidth_laws_constants_it_is_that_law(psi: float, width: int) -> None:
    spectrum = spectrum_like(psi)
    assert LAW.point(spectrum, width=width) == pytest.approx(Bandwidth().point(spectrum, width=width))


def test_every_feature_is_known_of_a_signal_and_a_fit() -> None:
    known = features_of(spectrum_like(), width=64, steps=300, trained_share=0.5)
    assert set(known) == set(FEATURES)
    assert (known["samples"], known["width"], known["steps"], known["trained_share"]) == (4_096, 64, 300, 0.5)


def test_the_centroid_counts_where_a_network_cannot_memorise() -> None:
    spectrum = spectrum_like(0.25)  # 4,096 samples
    at = {width: features_of(spectrum, width=width, steps=300, trained_share=1.0)["psi_matched"] for width in (222, 64)}
    assert at[222] == pytest.approx(1.0, abs=1e-4)
    assert at[64] == pytest.approx(0.25 ** (1 / 17))
    assert features_of(spectrum, width=16, steps=300, trained_share=1.0)["psi_matched"] == pytest.approx(0.25, abs=1e-3)
    half = features_of(spectrum, width=64, steps=300, trained_share=0.5)["psi_matched"]
    assert at[64] < half < 1.0


def test_a_law_that_leaves_the_rate_open_names_none() -> None:
    assert set(replace(LAW, lr=None).point(spectrum_like(), width=64)) == {"s0", "s1"}


@pytest.mark.parametrize(
    ("spectrum", "fit", "reason"),
    [
        (spectrum_like(kind="image"), {}, "mine is for audio, but the signal is of kind image"),
        (spectrum_like(num=511), {}, "mine is for 512 to 20000 samples, but got samples=511"),
        (spectrum_like(), {"width": 8}, "mine is for 16 to 256 width, but got width=8"),
        (spectrum_like(), {"steps": 5_000}, "mine is for 50 to 1000 steps, but got steps=5000"),
        (spectrum_like(), {"depth": 2}, "mine is for 3 to 4 depth, but got depth=2"),
        (spectrum_like(), {"width": 222, "trained_share": 1.0}, "mine is for 0.1 to 4 load, but got load=0.08311"),
        (spectrum_like(), {"width": 24, "trained_share": 1.0}, "mine is for 0.1 to 4 load, but got load=7.111"),
        (spectrum_like(), {"objective": "holdout"}, "mine is for objective fit, but got objective=holdout"),
    ],
)
def test_outside_its_domain_a_law_says_nothing_unless_it_is_told_to(spectrum: Spectrum, fit: Fit, reason: str) -> None:
    assert LAW.reason_against(spectrum, **fit) == reason
    assert replace(LAW, is_everywhere=True).reason_against(spectrum, **fit) is None


def test_inside_its_domain_and_as_far_as_it_is_known_a_law_speaks() -> None:
    assert LAW.reason_against(spectrum_like()) is None
    assert LAW.reason_against(spectrum_like(), width=64, steps=300) is None
    assert LAW.reason_against(spectrum_like(), width=24) is None  # its load depends on what is trained on
    assert LAW.reason_against(spectrum_like(), width=24, depth=3, trained_share=0.5, objective="both") is None


def test_a_law_for_held_out_samples_is_silent_where_the_fit_counts() -> None:
    law = replace(LAW, objective="holdout")
    assert law.reason_against(spectrum_like(), objective="holdout") is None
    assert (
        law.reason_against(spectrum_like(), objective="fit") == "mine is for objective holdout, but got objective=fit"
    )
    assert replace(law, is_everywhere=True).reason_against(spectrum_like(), objective="fit") is None


def test_a_spectrum_that_was_stored_without_a_feature_is_refused() -> None:
    law = replace(LAW, bandwidth=Formula(factor=1.0, powers={"rms": 1.0}), is_everywhere=True)
    old = replace(spectrum_like(), features={})
    assert law.reason_against(old) == "mine needs rms of the spectrum, which was stored without"


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Formula(factor=-1.0), "`0 <= factor`"),
        (lambda: Formula(factor=1.0, low=2.0, high=1.0), "low <= high"),
        (lambda: Formula(factor=1.0, powers={"loudness": 1.0}), "unknown feature 'loudness'"),
        (lambda: replace(DOMAIN, width=(9, 8)), "`1 <= least <= most` must hold for width, but got 9 and 8"),
        (lambda: replace(DOMAIN, depth=(4, 3)), "`1 <= least <= most` must hold for depth, but got 4 and 3"),
        (lambda: replace(DOMAIN, load=(0.0, 4.0)), "`0 < least <= most` must hold for load, but got 0 and 4"),
        (lambda: replace(LAW, name="../x"), "a law's name must begin with"),
    ],
)
def test_a_law_that_breaks_a_rule_is_refused(make: object, rule: str) -> None:
    assert callable(make)
    with pytest.raises(LawError, match=rule):
        make()
