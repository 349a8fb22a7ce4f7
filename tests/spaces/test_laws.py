import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.catalog import build_space
from spaces.laws import (
    BUILT_IN,
    LAWS,
    Bandwidth,
    Law,
    LawError,
    OwnLaw,
    Winner,
    WinnerConstants,
    law_named,
    laws_for,
    register_law,
)
from spaces.noise import NoiseScales, bandwidth
from spaces.spectrum import Spectrum, nyquist_rad


def spectrum_like(psi: float, *, kind: str = "audio", shape: tuple[int, ...] = (4096,), channels: int = 1) -> Spectrum:
    return Spectrum(
        kind=kind,
        shape=shape,
        channels=channels,
        centroid=psi,
        nyquist_rad=nyquist_rad(max(shape)),
        centroids={"flattened": psi, "rowwise": psi},
    )


def kind_of(law: Law) -> str:
    return next(kind for kind in ("audio", "image") if law.reason_against(spectrum_like(0.3, kind=kind)) is None)


@pytest.mark.parametrize(
    ("psi", "s0", "s1"),
    [
        (0.5729277473166572, 3436.564476236081, 1.7187832419499716),
        (0.07238933711955059, 1391.3717688245492, 0.21716801135865177),
        (0.7165810028204178, 3476.7930633449528, 2.1497430084612534),
    ],
    ids=["tetris", "gt_bach", "tap"],
)
def test_the_published_points_of_real_recordings(psi: float, s0: float, s1: float) -> None:
    assert LAWS["winner"].point(spectrum_like(psi), width=64) == pytest.approx({"s0": s0, "s1": s1}, rel=1e-12)


def test_the_published_point_of_an_image_has_its_own_constants() -> None:
    image = spectrum_like(0.312, kind="image", shape=(512, 512))
    expected = {"s0": 50 * (1 - math.exp(-5 * 0.312)), "s1": 0.4 * 0.312}
    assert LAWS["winner"].point(image, width=256) == pytest.approx(expected)


def test_the_published_law_divides_the_centroid_by_the_channels_once() -> None:
    colour = LAWS["winner"].point(spectrum_like(0.6, kind="image", shape=(64, 64), channels=3), width=64)
    grey = LAWS["winner"].point(spectrum_like(0.2, kind="image", shape=(64, 64)), width=64)
    assert colour == pytest.approx(grey)


def test_the_published_law_of_a_signal_without_frequencies_adds_no_noise() -> None:
    assert LAWS["winner"].point(spectrum_like(0.0), width=64) == {"s0": 0.0, "s1": 0.0}


def test_the_published_law_knows_neither_length_nor_width() -> None:
    winner = LAWS["winner"]
    short, long = spectrum_like(0.3, shape=(256,)), spectrum_like(0.3, shape=(150_000,))
    assert winner.point(short, width=8) == winner.point(long, width=512)


def test_the_published_law_leaves_the_learning_rate_open() -> None:
    assert set(LAWS["winner"].point(spectrum_like(0.3), width=64)) == {"s0", "s1"}


def test_the_published_law_says_nothing_about_volumes() -> None:
    winner = LAWS["winner"]
    assert winner.reason_against(spectrum_like(0.3)) is None
    assert winner.reason_against(spectrum_like(0.3, kind="image", shape=(64, 64))) is None
    reason = winner.reason_against(spectrum_like(0.3, kind="volume", shape=(8, 8, 8)))
    assert reason == "winner is published for audio, image, but the signal is of kind volume"


def test_the_papers_own_constant_can_be_given() -> None:
    paper = Winner(constants={"audio": WinnerConstants(s0_max=3500.0, a=5.0, b=3.0)})
    assert paper.point(spectrum_like(0.2), width=64)["s0"] == pytest.approx(3500 * (1 - math.exp(-1.0)))


@pytest.mark.parametrize(("psi", "share"), [(1.0, 1.0), (0.25, 0.125), (0.16, 0.064)])
@pytest.mark.parametrize("width", [32, 222])
def test_the_bandwidth_law_matches_psi_to_the_power_of_1_5(psi: float, share: float, width: int) -> None:
    spectrum = spectrum_like(psi, shape=(16_384,))
    point = LAWS["bandwidth"].point(spectrum, width=width)
    # The full closed form, SIREN's own uniform draw included, gives the band that was asked for.
    band = bandwidth(NoiseScales(point["s0"], point["s1"]), width)
    assert band == pytest.approx(share * spectrum.nyquist_rad)


def test_the_bandwidth_law_counts_the_uniform_draw_of_an_image_by_its_dims() -> None:
    spectrum = spectrum_like(0.5, kind="image", shape=(512, 512))
    point = LAWS["bandwidth"].point(spectrum, width=64)
    band = bandwidth(NoiseScales(point["s0"], point["s1"]), 64, dims=2)
    assert band == pytest.approx(0.5**1.5 * spectrum.nyquist_rad)


def test_the_bandwidth_law_asks_for_nyquist_at_most() -> None:
    spectrum = spectrum_like(0.9)
    point = Bandwidth(kappa=10.0).point(spectrum, width=64)
    assert bandwidth(NoiseScales(point["s0"], point["s1"]), 64) == pytest.approx(spectrum.nyquist_rad)


def test_the_bandwidth_law_adds_hardly_any_first_layer_noise_where_the_uniform_draw_is_enough() -> None:
    point = LAWS["bandwidth"].point(spectrum_like(0.01), width=64)
    assert point["s0"] <= 1.0


def test_the_bandwidth_law_fixes_s1_and_the_learning_rate() -> None:
    point = LAWS["bandwidth"].point(spectrum_like(0.5), width=64)
    assert (point["s1"], point["lr"]) == (0.25, 1e-3)


def test_the_bandwidth_law_applies_to_every_kind() -> None:
    for spectrum in (spectrum_like(0.3), spectrum_like(0.3, kind="volume", shape=(8, 8, 8))):
        assert LAWS["bandwidth"].reason_against(spectrum) is None


@pytest.mark.parametrize("law", LAWS.values(), ids=list(LAWS))
class TestEveryLaw:
    @given(psi=st.floats(0.0, 1.0), num=st.integers(2, 1_000_000), width=st.integers(1, 4096))
    def test_its_scales_are_finite_and_not_negative(self, law: Law, psi: float, num: int, width: int) -> None:
        point = law.point(spectrum_like(psi, kind=kind_of(law), shape=(num,)), width=width)
        assert all(math.isfinite(value) and value >= 0.0 for value in point.values())

    @given(psi=st.floats(0.0, 0.99), more=st.floats(0.0, 0.01))
    def test_a_brighter_signal_gets_no_less_noise(self, law: Law, psi: float, more: float) -> None:
        kind = kind_of(law)
        darker, brighter = (law.point(spectrum_like(value, kind=kind), width=64) for value in (psi, psi + more))
        assert darker["s0"] <= brighter["s0"]
        assert darker["s1"] <= brighter["s1"]

    def test_it_says_its_name_and_source(self, law: Law) -> None:
        assert LAWS[law.name] is law
        assert law.source


def test_a_law_is_found_by_its_name() -> None:
    assert law_named("winner") is LAWS["winner"]
    assert law_named("bandwidth") is LAWS["bandwidth"]


def test_an_unknown_law_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LawError, match=r"^unknown heuristic 'winer'; known heuristics: winner, bandwidth"):
        law_named("winer")


def test_a_law_with_other_constants_leaves_the_known_one_as_it_was() -> None:
    replace(Bandwidth(), kappa=2.0)
    assert LAWS["bandwidth"].point(spectrum_like(1.0), width=64) == Bandwidth().point(spectrum_like(1.0), width=64)


def test_the_papers_text_has_a_smaller_first_scale_for_audio() -> None:
    # a = 5 in place of 7: 3500 (1 - exp(-5 * 0.2)) = 2212.4, s1 = 3 * 0.2.
    point = LAWS["winner-a5"].point(spectrum_like(0.2), width=64)
    assert point == pytest.approx({"s0": 2212.421957, "s1": 0.6})
    assert LAWS["winner-a5"].reason_against(spectrum_like(0.2, kind="image", shape=(8, 8))) is not None


def test_the_public_code_divides_by_the_channels_twice() -> None:
    # psi / C^2 = 0.9 / 9 = 0.1: 50 (1 - exp(-0.5)) = 19.673, s1 = 0.4 * 0.1.
    colour = spectrum_like(0.9, kind="image", shape=(64, 64), channels=3)
    assert LAWS["winner-c2"].point(colour, width=64) == pytest.approx({"s0": 19.673467, "s1": 0.04})
    grey = spectrum_like(0.9, kind="image", shape=(64, 64))
    assert LAWS["winner-c2"].point(grey, width=64) == LAWS["winner"].point(grey, width=64)


def test_the_rowwise_variant_looks_at_the_rows_of_an_image() -> None:
    # camera, 512 x 512: 0.312 flattened, 0.173 row-wise: 50 (1 - exp(-0.865)) = 28.948, s1 = 0.4 * 0.173.
    camera = replace(spectrum_like(0.312, kind="image", shape=(512, 512)), centroids={"rowwise": 0.173})
    assert LAWS["winner-rowwise"].point(camera, width=256) == pytest.approx({"s0": 28.9474, "s1": 0.0692}, rel=1e-4)
    assert LAWS["winner-rowwise"].reason_against(spectrum_like(0.3)) is not None


def test_variants_apply_only_where_they_are_named() -> None:
    assert list(laws_for(spectrum_like(0.3), BUILT_IN)) == ["winner", "bandwidth"]
    assert list(laws_for(spectrum_like(0.3, kind="image", shape=(8, 8)), BUILT_IN)) == ["winner", "bandwidth"]
    assert list(laws_for(spectrum_like(0.3, kind="volume", shape=(8, 8, 8)), BUILT_IN)) == ["bandwidth"]
    assert {name for name, law in LAWS.items() if law.is_variant} == {"winner-a5", "winner-c2", "winner-rowwise"}


@pytest.mark.parametrize("name", ["winner", "winner-a5", "winner-c2", "winner-rowwise"])
def test_a_published_law_asked_outside_its_domain_says_its_rule(name: str) -> None:
    with pytest.raises(LawError, match=rf"^{name} is published for .*, but the signal is of kind volume$"):
        LAWS[name].point(spectrum_like(0.3, kind="volume", shape=(8, 8, 8)), width=64)


def test_a_law_of_ones_own_is_a_heuristic_like_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spaces.laws.LAWS", dict(LAWS))
    quarter = OwnLaw(name="quarter", rule=lambda spectrum, width: {"s0": spectrum.nyquist_rad / 4, "s1": 0.0})
    register_law("quarter", quarter)
    spectrum = spectrum_like(0.3)
    assert law_named("quarter").point(spectrum, width=64) == {"s0": spectrum.nyquist_rad / 4, "s1": 0.0}
    assert "quarter" in laws_for(spectrum)


def test_a_law_of_ones_own_moves_no_search_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spaces.laws.LAWS", dict(LAWS))
    spectrum = spectrum_like(0.3)
    before = build_space("siren2", spectrum, width=64).fingerprint()
    register_law("far", OwnLaw(name="far", rule=lambda spectrum, width: {"s0": 1e9}))
    assert build_space("siren2", spectrum, width=64).fingerprint() == before


def test_a_law_of_ones_own_can_be_for_some_kinds_alone() -> None:
    law = OwnLaw(name="half", rule=lambda spectrum, width: {"s0": 1.0}, kinds=("volume",))
    assert law.reason_against(spectrum_like(0.3, kind="volume", shape=(4, 4, 4))) is None
    assert law.reason_against(spectrum_like(0.3)) == "half is for volume, but the signal is of kind audio"
