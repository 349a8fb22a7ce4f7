"""Width and depth under a budget of weights."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.capacity import MIN_WIDTH, Capacity, with_capacity
from spaces.catalog import SPACES, build_space
from spaces.noise import NoiseScales, noise_bandwidth
from spaces.parameters import Choice, Int, Point, PointError
from spaces.space import Space
from spaces.spectrum import Spectrum, nyquist_rad

AUDIO = Spectrum(kind="audio", shape=(4096,), channels=1, centroid=0.4, nyquist_rad=nyquist_rad(4096))


def num_weights(point: Point, width: int, depth: int) -> int:
    """Of a network in 1-D with one channel; wire's width is rounded, octaves and Fourier features cost inputs."""
    inputs = 1 + 2 * int(point["octaves"]) if "octaves" in point else 512 if "sigma" in point else 1
    if "s" in point and "w" in point:
        width = round(width / 2**0.5)
        return width * (inputs + 1) + 2 * ((depth - 1) * width * (width + 1) + width + 1)
    return width * (inputs + 1) + (depth - 1) * width * (width + 1) + width + 1


@functools.cache
def budgeted(name: str, max_weights: int = 20_000, **more: Any) -> Capacity:
    space = build_space(name, AUDIO, width=64)
    return with_capacity(space, max_weights, num_weights, **{"width": 64, "depth": 4, **more})


def draw(data: st.DataObject, space: Space) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    for parameter in space.searched:
        if not parameter.is_active({**space.fixed, **drawn}):
            continue
        if isinstance(parameter, Choice):
            drawn[parameter.name] = data.draw(st.sampled_from(parameter.choices))
        elif isinstance(parameter, Int):
            drawn[parameter.name] = data.draw(st.integers(parameter.low, parameter.high))
        else:
            share = data.draw(st.floats(1e-6, 1 - 1e-6))
            drawn[parameter.name] = parameter.low * (parameter.high / parameter.low) ** share if parameter.log else (
                parameter.low + share * (parameter.high - parameter.low)
            )  # fmt: skip
    return drawn


@pytest.mark.parametrize("max_weights", [5_000, 20_000, 1_000_000])
@pytest.mark.parametrize("name", list(SPACES))
class TestEverySpaceUnderABudget:
    @settings(max_examples=30)
    @given(data=st.data())
    def test_every_proposal_keeps_within_it_and_a_wider_network_would_not(
        self, name: str, max_weights: int, data: st.DataObject
    ) -> None:
        space = budgeted(name, max_weights)
        drawn = draw(data, space)
        point = space.from_search(drawn)
        width, depth = int(point["width"]), int(point["depth"])
        assert 2 <= depth <= 8
        assert num_weights(point, width, depth) <= max(
            round(float(drawn["share"]) * max_weights), num_weights(point, MIN_WIDTH, depth)
        )
        assert num_weights(point, width, depth) <= max_weights
        assert num_weights(point, width + 1, depth) > round(float(drawn["share"]) * max_weights)
        assert space.reason_not_proposed(point) is None

    @settings(max_examples=30)
    @given(data=st.data())
    def test_a_point_survives_the_search_coordinates(self, name: str, max_weights: int, data: st.DataObject) -> None:
        space = budgeted(name, max_weights)
        point = space.from_search(draw(data, space))
        again = space.from_search(space.to_search(point))
        assert list(again) == list(point)
        for key, value in point.items():
            assert again[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-11))

    def test_its_default_is_the_studys_width_and_depth_or_the_largest_that_fits(
        self, name: str, max_weights: int
    ) -> None:
        space = budgeted(name, max_weights)
        point = space.complete({})
        assert point["depth"] == 4
        assert point["width"] == min(64, space.largest_width(point, 4))
        assert space.reason_not_proposed(point) is None

    def test_a_sweep_of_it_can_be_proposed(self, name: str, max_weights: int) -> None:
        space = budgeted(name, max_weights)
        points = space.sweep(20)
        assert all(space.reason_not_proposed(point) is None for point in points)
        assert len({str(point) for point in points}) == len(points)
        assert len(points) == len(space.base.sweep(20))


def test_the_ridge_has_the_width_of_each_point() -> None:
    space = budgeted("siren2")
    coordinates = {"bandwidth": 0.5, "root_s1": 1.0, "lr": 1e-3, "depth": 3}
    for share in (0.2, 1.0):
        point = space.from_search({**coordinates, "share": share})
        scales = NoiseScales(float(point["s0"]), float(point["s1"]))
        assert noise_bandwidth(scales, int(point["width"])) == pytest.approx(0.5 * AUDIO.nyquist_rad)


def test_the_known_width_of_a_share() -> None:
    # 2 layers of width: (w + w) + w (w + 1) + w + 1 = w^2 + 4 w + 1 <= 10,000 up to 98.
    point = budgeted("siren", 10_000).from_search({"w_first": 30.0, "lr": 1e-3, "depth": 2, "share": 1.0})
    assert point == {"w_first": 30.0, "lr": 1e-3, "width": 98, "depth": 2}


def test_a_network_beyond_the_budget_is_a_point_but_not_proposed() -> None:
    space = budgeted("siren", 10_000)
    point = {"w_first": 30.0, "lr": 1e-3, "width": 99, "depth": 2}
    assert space.reason_against(point) is None
    assert space.reason_not_proposed(point) == "share=1.0198 lies outside the search range"


def test_the_study_of_a_small_network_under_a_large_budget_can_be_proposed() -> None:
    space = budgeted("siren", 10_000_000, width=16, depth=2)
    assert space.complete({})["width"] == 16
    assert space.reason_not_proposed(space.complete({})) is None


def test_the_depth_can_be_fixed_and_the_width_cannot() -> None:
    space = budgeted("any").with_fixed("depth", 3).with_fixed("lr", 1e-3)
    assert {(point["depth"], point["lr"]) for point in space.sweep(20)} == {(3, 1e-3)}
    assert space.from_search({"architecture": "siren", "siren.w_first": 30.0, "share": 1.0})["depth"] == 3
    with pytest.raises(PointError, match=r"^width cannot be fixed: space any\+capacity samples its share of"):
        space.with_fixed("width", 32)


def test_what_is_missing_or_wrong_is_refused() -> None:
    space = budgeted("siren")
    assert space.reason_against({"w_first": 30.0, "lr": 1e-3, "depth": 2}) == (
        "space siren+capacity needs width, but the point has only ['depth']"
    )
    reason = space.reason_against({"w_first": 30.0, "lr": 1e-3, "width": 0, "depth": 2})
    assert reason == "`1 <= width` must hold, but got width=0"
    with pytest.raises(PointError, match=r"^capacity needs share, but got depth, lr, w_first$"):
        space.from_search({"w_first": 30.0, "lr": 1e-3, "depth": 2})


def test_a_budget_that_pays_for_no_network_of_a_branch_is_refused() -> None:
    with pytest.raises(PointError, match=r"^`2197 <= max_weights` must hold for fourier with 8 layers of 4, but got"):
        budgeted("any", 2000)


def test_references_of_other_spaces_get_the_width_and_depth_that_they_had() -> None:
    space, point = budgeted("any"), {"w_first": 30.0, "lr": 1e-3}
    whole = {"architecture": "siren", **point, "width": 48, "depth": 3}
    assert space.translate("siren", point, width=48, depth=3) == whole
    assert space.translate("any", {"architecture": "siren", **point}, width=48, depth=3) == whole
    assert space.translate("any+capacity", whole, width=1, depth=1) == whole
    assert space.translate("foreign", point, width=48, depth=3) is None
    assert space.reason_not_proposed(whole) is None


def test_the_fingerprint_follows_the_budget_and_the_base() -> None:
    spaces = [budgeted("any"), budgeted("any", 30_000), budgeted("siren"), budgeted("any", depths=(2, 6))]
    assert len({space.fingerprint() for space in (*spaces, budgeted("any").with_fixed("lr", 1e-3))}) == 5
