"""The union of spaces, and `any`."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.catalog import SPACES, build_space
from spaces.parameters import POSITIVE, Choice, Float, Int, Point, PointError
from spaces.space import Space
from spaces.spectrum import Spectrum, nyquist_rad
from spaces.union import union

AUDIO = Spectrum(kind="audio", shape=(4096,), channels=1, centroid=0.4, nyquist_rad=nyquist_rad(4096))
IMAGE = Spectrum(kind="image", shape=(128, 96), channels=3, centroid=0.3, nyquist_rad=nyquist_rad(128))
ANY = build_space("any", AUDIO, width=64)
NINE = [name for name in SPACES if name != "any"]


def assert_close(found: Point, expected: Point) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-11))


def test_any_holds_the_nine_spaces_of_the_catalogue() -> None:
    assert list(ANY.branches) == NINE  # type: ignore[attr-defined]
    assert len(NINE) == 9


@pytest.mark.parametrize("spectrum", [AUDIO, IMAGE], ids=["audio", "image"])
@pytest.mark.parametrize("name", NINE)
class TestEveryBranchOfAny:
    def test_an_architecture_alone_is_completed_to_the_published_default_of_its_space(
        self, name: str, spectrum: Spectrum
    ) -> None:
        own = build_space(name, spectrum, width=64).complete({})
        point = build_space("any", spectrum, width=64).complete({"architecture": name})
        assert point == {"architecture": name, **own}

    def test_points_survive_the_search_coordinates(self, name: str, spectrum: Spectrum) -> None:
        space = build_space("any", spectrum, width=64)
        for point in build_space(name, spectrum, width=64).sweep(7):
            whole = {"architecture": name, **point}
            assert_close(space.from_search(space.to_search(whole)), whole)
            assert space.architecture_of(whole) == name
            assert space.translate(name, point, width=64, depth=4) == whole

    def test_only_the_branchs_own_coordinates_are_drawn_under_its_name(self, name: str, spectrum: Spectrum) -> None:
        space = build_space("any", spectrum, width=64)
        own = build_space(name, spectrum, width=64)
        drawn = list(space.to_search({"architecture": name, **own.complete({})}))
        assert drawn == ["architecture", *(f"{name}.{parameter.name}" for parameter in own.searched)]

    def test_fixing_the_architecture_leaves_that_branch_alone(self, name: str, spectrum: Spectrum) -> None:
        space = build_space("any", spectrum, width=64).with_fixed("architecture", name)
        own = build_space(name, spectrum, width=64)
        assert [parameter.name for parameter in space.searched] == [f"{name}.{p.name}" for p in own.searched]
        assert [point["architecture"] for point in space.sweep(4)] == [name] * 4
        assert space.complete({}) == {"architecture": name, **own.complete({})}


@given(
    name=st.sampled_from(NINE),
    shares=st.lists(st.floats(1e-6, 1 - 1e-6), min_size=4, max_size=4),
    num=st.integers(20, 400_000),
)
def test_search_coordinates_of_any_signal_survive_the_way_to_a_point_and_back(
    name: str, shares: list[float], num: int
) -> None:
    spectrum = Spectrum(kind="audio", shape=(num,), channels=1, centroid=0.4, nyquist_rad=nyquist_rad(num))
    space = build_space("any", spectrum, width=64)
    drawn: dict[str, Any] = {"architecture": name}
    for parameter, share in zip((p for p in space.searched if p.name.startswith(f"{name}.")), shares, strict=False):
        assert not isinstance(parameter, Choice)
        value = parameter.low + share * (parameter.high - parameter.low)
        drawn[parameter.name] = round(value) if isinstance(parameter, Int) else value
    assert_close(space.to_search(space.from_search(drawn)), drawn)
    assert space.reason_not_proposed(space.from_search(drawn)) is None


def test_without_an_architecture_any_takes_siren2() -> None:
    assert ANY.complete({}) == {"architecture": "siren2", **build_space("siren2", AUDIO, width=64).complete({})}


def test_a_sweep_of_any_is_spread_over_the_branches() -> None:
    found = [point["architecture"] for point in ANY.sweep(20)]
    assert [found.count(name) for name in NINE] == [3, 3, 2, 2, 2, 2, 2, 2, 2]
    assert [point["architecture"] for point in ANY.sweep(4)] == NINE[:4]
    octaves = [point["octaves"] for point in ANY.sweep(180) if point["architecture"] == "positional"]
    assert octaves == list(range(2, 12))  # ten whole numbers are all there are


def test_a_fixed_learning_rate_reaches_every_branch() -> None:
    space = ANY.with_fixed("lr", 2e-3)
    assert {space.complete({"architecture": name})["lr"] for name in NINE} == {2e-3}
    with pytest.raises(PointError, match=r"^lr is fixed at 0.002, but got lr=0.001$"):
        space.check({"architecture": "siren", "w_first": 30.0, "lr": 1e-3})


def test_the_same_name_is_fixed_only_where_it_is_a_parameter() -> None:
    space = ANY.with_fixed("w_first", 100.0)
    assert space.complete({"architecture": "finer"})["w_first"] == 100.0
    assert "w_first" not in space.complete({"architecture": "wire"})


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"w_first": 30.0, "lr": 1e-3}, "space any needs architecture, but the point has only ['lr', 'w_first']"),
        (
            {"architecture": "sine"},
            f"architecture must be one of {', '.join(NINE)}, but got 'sine'",
        ),
        (
            {"architecture": "siren", "w_first": 30.0, "lr": 1e-3, "w": 3.0},
            "w has no effect where architecture in {wire} does not hold",
        ),
        ({"architecture": "finer", "w_first": 30.0, "lr": 1e-3}, "space finer needs k, but"),
        ({"architecture": "gauss", "s": -1.0, "lr": 1e-3}, "`0 < s` must hold, but got s=-1.0"),
        ({"architecture": "gauss", "scale": 1.0}, "unknown parameter 'scale' in space any; it has: architecture, "),
    ],
)
def test_what_is_no_point_is_refused_in_one_line(point: dict[str, Any], message: str) -> None:
    reason = ANY.reason_against(point)
    assert reason is not None
    assert reason.startswith(message)
    assert "\n" not in reason


def test_completing_without_an_architecture_refuses_what_the_default_one_lacks() -> None:
    with pytest.raises(PointError, match=r"^w has no effect where architecture in \{wire\} does not hold$"):
        ANY.complete({"w": 3.0})


def test_coordinates_of_another_branch_are_refused() -> None:
    with pytest.raises(PointError, match=r"^gauss.s has no effect where the architecture is siren$"):
        ANY.from_search({"architecture": "siren", "siren.w_first": 30.0, "siren.lr": 1e-3, "gauss.s": 30.0})


def test_plain_coordinates_reach_the_branches() -> None:
    plain = build_space("any", AUDIO, width=64, coordinates="plain")
    assert "siren2.s0" in [parameter.name for parameter in plain.searched]
    assert plain.fingerprint() != ANY.fingerprint()


def test_the_fingerprint_follows_the_branches() -> None:
    prints = {
        ANY.fingerprint(),
        build_space("any", IMAGE, width=64).fingerprint(),
        build_space("any", AUDIO, width=32).fingerprint(),
        ANY.with_fixed("lr", 1e-3).fingerprint(),
        ANY.with_fixed("architecture", "siren").fingerprint(),
    }
    assert len(prints) == 5


def test_a_union_of_ones_own() -> None:
    low = Space(
        name="low",
        architecture="gauss",
        parameters=(Float(name="s", low=1.0, high=5.0, domain=POSITIVE), Float(name="lr", low=1e-4, high=1e-2)),
        defaults={"s": 2.0, "lr": 1e-3},
    )
    mine = union("mine", [low, build_space("siren", AUDIO, width=64)])
    assert mine.complete({}) == {"architecture": "gauss", "s": 2.0, "lr": 1e-3}
    assert mine.translate("low", {"s": 2.0, "lr": 1e-3}, width=64, depth=4) == mine.complete({})
    assert mine.translate("gauss", {"s": 2.0, "lr": 1e-3}, width=64, depth=4) is None


SIREN = build_space("siren", AUDIO, width=64)
CONDITIONAL = Space(
    name="conditional",
    architecture="finer",
    parameters=(Choice(name="bias", choices=("a", "b")), Float(name="k", low=0.0, high=1.0, when={"bias": ("a",)})),
    defaults={},
)
TYPED = Space(name="typed", architecture="x", parameters=(Int(name="w_first", low=1, high=3),), defaults={})


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ([], "the architectures of a union must differ, but got none"),
        ([SIREN, SIREN], "the architectures of a union must differ, but got siren, siren"),
        ([SIREN, CONDITIONAL], "a space of a union must have no conditions, but conditional has some"),
        ([SIREN, ANY], "a space of a union must have no conditions, but any has some"),
        ([SIREN, TYPED], "w_first must be of one type in all spaces of a union"),
    ],
)
def test_spaces_that_make_no_union_are_refused(spaces: list[Space], message: str) -> None:
    with pytest.raises(PointError) as caught:
        union("u", spaces)
    assert str(caught.value) == message


def test_building_any_takes_milliseconds() -> None:
    began = time.perf_counter()
    for _ in range(10):
        build_space("any", AUDIO, width=64)
    assert (time.perf_counter() - began) / 10 < 0.02
