import json
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spaces import catalog
from spaces.catalog import SPACES, baseline_w_first, build_space, register_space
from spaces.laws import BUILT_IN, LAWS, Law
from spaces.parameters import POSITIVE, Choice, Float, Int, Parameter, PointError, Value
from spaces.space import Space
from spaces.spectrum import Spectrum, nyquist_rad


def spectrum_like(kind: str, shape: tuple[int, ...], psi: float, channels: int = 1) -> Spectrum:
    return Spectrum(kind=kind, shape=shape, channels=channels, centroid=psi, nyquist_rad=nyquist_rad(max(shape)))


def clip(num_samples: int, psi: float = 0.3) -> Spectrum:
    return spectrum_like("audio", (num_samples,), psi)


def spectra(min_samples: int = 16, min_psi: float = 0.0) -> st.SearchStrategy[Spectrum]:
    samples, psi = st.integers(min_samples, 300_000), st.floats(min_psi, 1.0)
    return st.one_of(
        st.builds(lambda num, psi: spectrum_like("audio", (num,), psi), samples, psi),
        st.builds(lambda num, psi: spectrum_like("image", (num, num // 2), psi, 3), samples, psi),
        st.builds(lambda num, psi: spectrum_like("volume", (num, num, 9), psi), samples, psi),
    )


widths = st.integers(1, 512)

GRIDS = [
    clip(4096),
    clip(150_000, 0.573),
    spectrum_like("image", (128, 128), 0.31),
    spectrum_like("image", (512, 512), 0.31, 3),
    spectrum_like("volume", (32, 32, 32), 0.3),
    spectrum_like("occupancy", (32, 32, 32), 0.3),
]
GRID_NAMES = ["audio 4096", "audio 150k", "image 128", "image 512 RGB", "volume 32", "occupancy 32"]


def values_of(parameter: Parameter) -> st.SearchStrategy[Value]:
    """Values that a sampler could draw, but for the last 1e-9 at either end, where rounding decides."""
    if isinstance(parameter, Choice):
        return st.sampled_from(parameter.choices)
    if isinstance(parameter, Int):
        return st.integers(parameter.low, parameter.high)
    share = st.floats(1e-9, 1.0 - 1e-9)
    if parameter.log:
        low, high = math.log(parameter.low), math.log(parameter.high)
        return share.map(lambda u: math.exp(low + u * (high - low)))
    return share.map(lambda u: parameter.low + u * (parameter.high - parameter.low))


def draw_values(data: st.DataObject, parameters: tuple[Parameter, ...]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for parameter in parameters:
        if parameter.is_active(values):
            values[parameter.name] = data.draw(values_of(parameter), label=parameter.name)
    return values


def assert_close(actual: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert actual[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9))


@pytest.mark.parametrize("coordinates", ["ridge", "plain"])
@pytest.mark.parametrize("name", list(SPACES))
class TestEverySpace:
    @given(spectrum=spectra(), width=widths, data=st.data())
    def test_a_proposal_survives_the_way_to_a_point_and_back(
        self, name: str, coordinates: str, spectrum: Spectrum, width: int, data: st.DataObject
    ) -> None:
        space = build_space(name, spectrum, width=width, coordinates=coordinates)
        proposal = draw_values(data, space.searched)
        assert_close(space.to_search(space.from_search(proposal)), proposal)

    @given(spectrum=spectra(), width=widths, data=st.data())
    def test_a_point_survives_the_way_to_search_coordinates_and_back(
        self, name: str, coordinates: str, spectrum: Spectrum, width: int, data: st.DataObject
    ) -> None:
        space = build_space(name, spectrum, width=width, coordinates=coordinates)
        point = space.check(draw_values(data, space.parameters))
        assert_close(space.from_search(space.to_search(point)), point)

    @given(spectrum=spectra(), width=widths, data=st.data())
    def test_every_proposal_is_a_point_of_the_space(
        self, name: str, coordinates: str, spectrum: Spectrum, width: int, data: st.DataObject
    ) -> None:
        space = build_space(name, spectrum, width=width, coordinates=coordinates)
        assert space.reason_not_proposed(space.from_search(draw_values(data, space.searched))) is None

    @given(spectrum=spectra(), width=widths)
    def test_the_defaults_are_a_point_of_the_space(
        self, name: str, coordinates: str, spectrum: Spectrum, width: int
    ) -> None:
        space = build_space(name, spectrum, width=width, coordinates=coordinates)
        point = space.complete({})
        assert set(point) == {p.name for p in space.parameters if p.is_active(point)}

    @settings(max_examples=20)
    @given(spectrum=spectra(), width=widths)
    def test_building_it_twice_gives_the_same_fingerprint(
        self, name: str, coordinates: str, spectrum: Spectrum, width: int
    ) -> None:
        first, second = (build_space(name, spectrum, width=width, coordinates=coordinates) for _ in range(2))
        assert first.fingerprint() == second.fingerprint()

    @settings(max_examples=20)
    @given(spectrum=spectra(min_psi=0.05), width=widths)
    def test_its_published_default_can_be_proposed(
        self, name: str, coordinates: str, spectrum: Spectrum, width: int
    ) -> None:
        space = build_space(name, spectrum, width=width, coordinates=coordinates)
        assert space.reason_not_proposed(space.complete({})) is None

    @pytest.mark.parametrize("spectrum", GRIDS, ids=GRID_NAMES)
    def test_a_sweep_varies_the_first_coordinate_alone_over_its_whole_range(
        self, name: str, coordinates: str, spectrum: Spectrum
    ) -> None:
        space = build_space(name, spectrum, width=64, coordinates=coordinates)
        points = space.sweep(20)
        assert len({json.dumps(point) for point in points}) == len(points) <= 20
        assert all(space.reason_not_proposed(point) is None for point in points)
        assert {"lr"} <= set(points[0])

    @pytest.mark.parametrize("spectrum", GRIDS, ids=GRID_NAMES)
    def test_a_point_of_it_is_translated_to_itself_and_of_unknown_spaces_to_none(
        self, name: str, coordinates: str, spectrum: Spectrum
    ) -> None:
        space = build_space(name, spectrum, width=64, coordinates=coordinates)
        assert space.translate(name, space.complete({}), width=64, depth=4) == space.complete({})
        assert space.translate("foreign", {"x": 1.0}, width=64, depth=4) is None

    @pytest.mark.parametrize("spectrum", GRIDS, ids=GRID_NAMES)
    def test_a_fixed_learning_rate_is_in_every_point(self, name: str, coordinates: str, spectrum: Spectrum) -> None:
        space = build_space(name, spectrum, width=64, coordinates=coordinates).with_fixed("lr", 3e-4)
        assert {point["lr"] for point in (space.complete({}), *space.sweep(20))} == {3e-4}
        assert not [parameter.name for parameter in space.searched if parameter.name.endswith("lr")]
        assert space.describe()["fixed"] == {"lr": 3e-4}

    def test_its_description_is_plain_data(self, name: str, coordinates: str) -> None:
        described = build_space(name, clip(4096), width=64, coordinates=coordinates).describe()
        assert json.loads(json.dumps(described))["name"] == name

    def test_its_ranges_follow_the_length_of_the_signal(self, name: str, coordinates: str) -> None:
        short, long = (build_space(name, clip(num), width=64, coordinates=coordinates) for num in (4096, 262_144))
        assert short.fingerprint() != long.fingerprint()


@pytest.mark.parametrize("coordinates", ["ridge", "plain"])
@pytest.mark.parametrize("law", [law for law in BUILT_IN if not law.is_variant], ids=lambda law: law.name)
class TestEveryLawAndItsSpace:
    @given(spectrum=spectra(min_samples=2048, min_psi=0.2), width=widths)
    def test_its_point_can_be_proposed(self, law: Law, coordinates: str, spectrum: Spectrum, width: int) -> None:
        assume(law.reason_against(spectrum) is None)
        space = build_space(law.space, spectrum, width=width, coordinates=coordinates)
        point = space.complete(law.point(spectrum, width=width))
        assert space.reason_not_proposed(point) is None

    @pytest.mark.parametrize(
        "spectrum",
        [clip(1024, 0.02), clip(512, 0.1), spectrum_like("image", (512, 512), 0.1, 3)],
        ids=["dark clip", "short clip", "dark image"],
    )
    def test_its_point_can_be_proposed_where_little_noise_is_asked_for(
        self, law: Law, coordinates: str, spectrum: Spectrum
    ) -> None:
        space = build_space(law.space, spectrum, width=64, coordinates=coordinates)
        assert space.reason_not_proposed(space.complete(law.point(spectrum, width=64))) is None


def test_an_unknown_space_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PointError, match=r"^unknown space 'sine'; known spaces: siren, siren2"):
        build_space("sine", clip(4096), width=64)


def test_unknown_coordinates_are_refused_with_the_known_ones() -> None:
    with pytest.raises(PointError, match=r"^unknown coordinates 'polar'; known coordinates: ridge, plain$"):
        build_space("siren2", clip(4096), width=64, coordinates="polar")


def test_the_ridge_is_sampled_unless_the_caller_wants_the_parameters_themselves() -> None:
    assert [p.name for p in build_space("siren2", clip(4096), width=64).searched] == ["bandwidth", "root_s1", "lr"]
    plain = build_space("siren2", clip(4096), width=64, coordinates="plain")
    assert [p.name for p in plain.searched] == ["s0", "s1", "lr"]


def test_the_baselines_of_audio_are_30_and_3000_and_of_images_30() -> None:
    assert baseline_w_first(clip(4096)) == (30.0, 3000.0)
    assert baseline_w_first(spectrum_like("image", (64, 64), 0.3)) == (30.0,)


@pytest.mark.parametrize("spectrum", [clip(256), clip(150_000), spectrum_like("image", (64, 64), 0.3)])
def test_a_siren_search_can_return_to_every_plain_baseline(spectrum: Spectrum) -> None:
    space = build_space("siren", spectrum, width=64)
    for w_first in baseline_w_first(spectrum):
        assert space.reason_not_proposed(space.complete({"w_first": w_first})) is None


def test_the_published_default_of_siren_is_3000_for_audio_and_30_for_images() -> None:
    assert build_space("siren", clip(4096), width=64).complete({}) == {"w_first": 3000.0, "lr": 1e-4}
    image = build_space("siren", spectrum_like("image", (64, 64), 0.3), width=64)
    assert image.complete({}) == {"w_first": 30.0, "lr": 1e-4}


def test_the_range_of_w_first_ends_at_3e4_for_150_000_samples() -> None:
    w_first = build_space("siren", clip(150_000), width=64).searched[0]
    assert isinstance(w_first, Float)
    assert w_first.high == pytest.approx(3e4, rel=0.01)


def test_the_published_default_of_siren2_is_the_winners_point() -> None:
    spectrum = clip(4096, 0.3)
    point = build_space("siren2", spectrum, width=64).complete({})
    assert point == {**LAWS["winner"].point(spectrum, width=64), "lr": 1e-4}


def test_siren2_has_a_default_by_hand_where_no_law_is_published() -> None:
    point = build_space("siren2", spectrum_like("volume", (32, 32, 32), 0.3), width=64).complete({})
    assert point == {"s0": 30.0, "s1": 0.25, "lr": 1e-4}


def test_s0_is_searched_up_to_twice_nyquist_for_a_long_signal() -> None:
    s0 = build_space("siren2", clip(150_000), width=64, coordinates="plain").searched[0]
    assert isinstance(s0, Float)
    assert s0.high == pytest.approx(math.pi * 149_999)
    assert (s0.low, s0.log) == (1.0, True)


def test_s0_is_searched_up_to_the_winners_for_a_short_signal() -> None:
    spectrum = clip(256, 0.6)  # twice Nyquist is 801 rad, the published law asks for 3448
    s0 = build_space("siren2", spectrum, width=64, coordinates="plain").searched[0]
    assert isinstance(s0, Float)
    assert s0.high == LAWS["winner"].point(spectrum, width=64)["s0"] > 2 * spectrum.nyquist_rad


def test_s0_and_s1_of_zero_are_points_of_siren2_although_none_proposes_them() -> None:
    space = build_space("siren2", clip(4096), width=64)
    zero = {"s0": 0.0, "s1": 0.0, "lr": 1e-4}
    assert space.reason_against(zero) is None
    assert space.from_search(space.to_search(zero)) == zero
    assert space.reason_not_proposed(zero) == "bandwidth=0.0 lies outside the search range"


def test_a_negative_noise_scale_is_an_error() -> None:
    space = build_space("siren2", clip(4096), width=64)
    assert space.reason_against({"s0": -3, "s1": 0.0, "lr": 1e-4}) == "`0 <= s0` must hold, but got s0=-3"


def test_a_space_of_ones_own_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "SPACES", dict(SPACES))
    register_space("mine", lambda spectrum, width: Space(name="mine", architecture="siren", parameters=(
        Float(name="w_first", low=1.0, high=float(width), domain=POSITIVE),
    ), defaults={"w_first": 2.0}))  # fmt: skip
    assert build_space("mine", clip(4096), width=64).complete({}) == {"w_first": 2.0}


@pytest.mark.parametrize(
    ("name", "audio", "image", "volume"),
    [
        ("siren", {"w_first": 3000.0}, {"w_first": 30.0}, {"w_first": 30.0}),
        ("ws-siren", *({"alpha": 2.5, "w_first": w_first} for w_first in (3000.0, 30.0, 30.0))),
        (
            "finer",
            {"w_first": 3000.0, "k": 5.0},
            {"w_first": 30.0, "k": 1 / math.sqrt(2)},
            {"w_first": 30.0, "k": 1 / math.sqrt(3)},
        ),
        ("fourier", {"sigma": 10.0}, {"sigma": 10.0}, {"sigma": 10.0}),
        ("positional", {"octaves": 10}, {"octaves": 5}, {"octaves": 3}),  # floor(log2(N / 4))
        ("gauss", {"s": 30.0}, {"s": 30.0}, {"s": 30.0}),
        ("wire", *[{"w": 20.0, "s": 10.0}] * 3),
        ("siren-rff", {"sigma": 30.0, "w_first": 3000.0}, *[{"sigma": 10.0, "w_first": 30.0}] * 2),
    ],
)
def test_the_published_defaults_by_kind(
    name: str, audio: dict[str, float], image: dict[str, float], volume: dict[str, float]
) -> None:
    for spectrum, expected in ((GRIDS[0], audio), (GRIDS[2], image), (GRIDS[4], volume), (GRIDS[5], volume)):
        point = build_space(name, spectrum, width=64).complete({})
        assert {key: value for key, value in point.items() if key != "lr"} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "audio_150k", "image_512"),
    [
        ("siren", (30, 3e4), (10, 300)),
        ("ws-siren", (1, 4), (1, 4)),
        ("finer", (30, 3e4), (10, 300)),
        ("fourier", (10, 1e4), (1, 64)),
        ("positional", (2, 17), (2, 8)),
        ("gauss", (5, 60 * 293.5**0.25), (5, 60)),
        ("wire", (4, 40 * 293.5**0.25), (4, 40)),
        ("siren-rff", (10, 1e4), (1, 64)),
    ],
)
def test_the_customary_ranges_where_they_are_customary(
    name: str, audio_150k: tuple[float, float], image_512: tuple[float, float]
) -> None:
    for spectrum, expected in ((GRIDS[1], audio_150k), (GRIDS[3], image_512)):
        first = build_space(name, spectrum, width=64).searched[0]
        assert not isinstance(first, Choice)
        assert (first.low, first.high) == pytest.approx(expected, rel=0.01)


def test_the_ranges_of_images_grow_with_the_grid() -> None:
    large = spectrum_like("image", (2048, 2048), 0.3)
    highs = {name: build_space(name, large, width=64).searched[0].high for name in ("siren", "fourier", "gauss")}  # type: ignore[union-attr]
    assert highs == pytest.approx({"siren": 1200.0, "fourier": 256.0, "gauss": 60 * 2**0.5}, rel=0.01)


@pytest.mark.parametrize("name", [name for name in SPACES if name != "any"])
def test_the_learning_rate_is_searched_higher_for_relu_gauss_and_wire(name: str) -> None:
    rate = build_space(name, GRIDS[2], width=64).searched[-1]
    assert isinstance(rate, Float)
    steep = name in ("fourier", "positional", "gauss", "wire")
    assert (rate.name, rate.low, rate.high, rate.log) == ("lr", 1e-4, 2e-2 if steep else 5e-3, True)


def test_siren2_is_swept_along_the_bandwidth_at_one_s1() -> None:
    points = build_space("siren2", clip(4096, 0.6), width=64).sweep(12)
    assert {point["s1"] for point in points} == {0.25}
    steps = [math.log(float(b["s0"]) / float(a["s0"])) for a, b in pairwise(points)]
    assert steps == pytest.approx([steps[0]] * 11)


def test_a_sweep_of_one_is_the_middle_and_of_none_is_empty() -> None:
    space = build_space("siren", clip(150_000), width=64)
    [point] = space.sweep(1)
    assert point["w_first"] == pytest.approx(math.sqrt(30 * 3e4), rel=0.01)
    assert space.sweep(0) == []
    assert space.with_fixed("w_first", 30.0).with_fixed("lr", 1e-3).sweep(5) == [{"w_first": 30.0, "lr": 1e-3}]


@pytest.mark.parametrize("centroid", [0.01, 0.3, 0.9])
def test_siren2_is_first_proposed_around_the_predicted_bandwidth(centroid: float) -> None:
    space = build_space("siren2", clip(4096, centroid), width=64)
    band = space.searched[0]
    assert isinstance(band, Float)
    assert band.first is not None
    predicted = space.to_search(LAWS["bandwidth"].point(clip(4096, centroid), width=64))["bandwidth"]
    assert band.first[0] < float(predicted) < band.first[1]
