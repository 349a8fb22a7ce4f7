from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from spaces.noise import Ridge
from spaces.parameters import POSITIVE, Choice, Float, Int, Interval, PointError
from spaces.space import Space

RATE = Float(name="lr", low=1e-4, high=1e-2, log=True, domain=POSITIVE, doc="Adam's rate")
PLAIN = Space(
    name="plain",
    architecture="siren",
    parameters=(Float(name="w_first", low=10.0, high=300.0, log=True, domain=POSITIVE), RATE),
    defaults={"w_first": 30.0, "lr": 1e-4},
)
CONDITIONAL = Space(
    name="any",
    architecture="any",
    parameters=(
        Choice(name="family", choices=("siren", "finer", "positional")),
        Float(name="w_first", low=10.0, high=300.0, when={"family": ("siren", "finer")}),
        Float(name="k", low=0.0, high=5.0, when={"family": ("finer",)}),
        Int(name="octaves", low=2, high=12, when={"family": ("positional",)}),
        RATE,
    ),
    defaults={"family": "siren", "w_first": 30.0, "k": 0.0, "octaves": 8, "lr": 1e-4},
)
RIDGED = Space(
    name="noise",
    architecture="siren2",
    parameters=(Float(name="s0", low=1.0, high=4000.0, log=True), Float(name="s1", low=0.0, high=4.0), RATE),
    defaults={"s0": 30.0, "s1": 0.25, "lr": 1e-4},
    coordinates=Ridge(width=8, nyquist_rad=1000.0, high=2.0),
)


def test_a_point_comes_back_in_the_order_and_types_of_the_space() -> None:
    checked = CONDITIONAL.check({"lr": 1, "octaves": 7.0, "family": "positional"})
    assert list(checked.items()) == [("family", "positional"), ("octaves", 7), ("lr", 1.0)]
    assert [type(value) for value in checked.values()] == [str, int, float]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PointError, match=r"^unknown parameter 'lr_rate' in space plain; it has: w_first, lr$"):
        PLAIN.check({"w_first": 30.0, "lr_rate": 1e-4})


def test_a_missing_name_is_refused_with_those_that_came() -> None:
    with pytest.raises(PointError, match=r"^space plain needs lr, but the point has only \['w_first'\]$"):
        PLAIN.check({"w_first": 30.0})


def test_a_value_outside_its_domain_is_refused_but_one_outside_its_range_is_not() -> None:
    with pytest.raises(PointError, match=r"^`0 < lr` must hold, but got lr=0$"):
        PLAIN.check({"w_first": 30.0, "lr": 0})
    assert PLAIN.check({"w_first": 30_000.0, "lr": 1.0}) == {"w_first": 30_000.0, "lr": 1.0}


def test_a_conditional_parameter_is_neither_needed_nor_allowed_where_its_condition_fails() -> None:
    assert CONDITIONAL.check({"family": "siren", "w_first": 30.0, "lr": 1e-4})
    with pytest.raises(PointError, match=r"^k has no effect where family in \{finer\} does not hold$"):
        CONDITIONAL.check({"family": "siren", "w_first": 30.0, "k": 1.0, "lr": 1e-4})


def test_a_conditional_parameter_is_needed_where_its_condition_holds() -> None:
    with pytest.raises(PointError, match="needs k, but the point has only"):
        CONDITIONAL.check({"family": "finer", "w_first": 30.0, "lr": 1e-4})


def test_a_condition_on_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(PointError, match=r"k depends on \['family'\], which space broken lacks"):
        Space(
            name="broken",
            architecture="finer",
            parameters=(Float(name="k", low=0.0, high=5.0, when={"family": ("finer",)}),),
            defaults={},
        )


def test_a_condition_on_a_later_parameter_is_refused() -> None:
    # Parameters are looked at in order: such a condition could never hold.
    with pytest.raises(PointError, match="k depends on"):
        Space(
            name="broken",
            architecture="finer",
            parameters=(
                Float(name="k", low=0.0, high=5.0, when={"family": ("finer",)}),
                Choice(name="family", choices=("siren", "finer")),
            ),
            defaults={},
        )


def test_two_parameters_of_one_name_are_refused() -> None:
    with pytest.raises(PointError, match=r"space twice: parameter names must differ, but got lr, lr"):
        Space(name="twice", architecture="siren", parameters=(RATE, RATE), defaults={})


def test_what_a_caller_leaves_open_is_completed_from_the_defaults() -> None:
    assert PLAIN.complete({}) == {"w_first": 30.0, "lr": 1e-4}
    assert PLAIN.complete({"lr": 1e-3}) == {"w_first": 30.0, "lr": 1e-3}


def test_only_active_parameters_are_completed() -> None:
    assert CONDITIONAL.complete({"family": "positional"}) == {"family": "positional", "octaves": 8, "lr": 1e-4}
    assert CONDITIONAL.complete({}) == {"family": "siren", "w_first": 30.0, "lr": 1e-4}


def test_completing_keeps_an_inactive_value_from_passing_quietly() -> None:
    with pytest.raises(PointError, match="octaves has no effect"):
        CONDITIONAL.complete({"octaves": 8})


def test_completing_an_unknown_name_is_refused() -> None:
    with pytest.raises(PointError, match="unknown parameter 'w'"):
        PLAIN.complete({"w": 30.0})


def test_completing_without_a_default_is_refused_as_a_missing_name() -> None:
    with pytest.raises(PointError, match="needs w_first"):
        replace(PLAIN, defaults={"lr": 1e-4}).complete({})


def test_a_fixed_parameter_is_part_of_every_point_and_is_not_searched() -> None:
    fixed = PLAIN.with_fixed("lr", 5e-4)
    assert fixed.check({"w_first": 30.0}) == {"w_first": 30.0, "lr": 5e-4}
    assert [parameter.name for parameter in fixed.searched] == ["w_first"]
    assert fixed.to_search({"w_first": 30.0}) == {"w_first": 30.0}
    assert fixed.from_search({"w_first": 30.0}) == {"w_first": 30.0, "lr": 5e-4}


def test_a_fixed_value_goes_before_the_default() -> None:
    assert PLAIN.with_fixed("lr", 5e-4).complete({}) == {"w_first": 30.0, "lr": 5e-4}


def test_another_value_for_a_fixed_parameter_is_refused() -> None:
    fixed = PLAIN.with_fixed("lr", 5e-4)
    assert fixed.check({"w_first": 30.0, "lr": 5e-4})["lr"] == 5e-4
    with pytest.raises(PointError, match=r"^lr is fixed at 0.0005, but got lr=0.001$"):
        fixed.check({"w_first": 30.0, "lr": 1e-3})


def test_fixing_leaves_the_space_itself_as_it_was() -> None:
    PLAIN.with_fixed("lr", 5e-4)
    assert PLAIN.fixed == {}


def test_two_parameters_can_be_fixed_one_after_the_other() -> None:
    fixed = PLAIN.with_fixed("lr", 5e-4).with_fixed("w_first", 60)
    assert fixed.check({}) == {"w_first": 60.0, "lr": 5e-4}
    assert fixed.searched == ()


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("lr_rate", 1e-3, "unknown parameter 'lr_rate'"),
        ("lr", -1.0, "`0 < lr` must hold, but got lr=-1.0"),
        ("lr", "fast", "lr must be a number, but got 'fast'"),
    ],
)
def test_fixing_checks_the_name_and_the_value(name: str, value: Any, rule: str) -> None:
    with pytest.raises(PointError, match=rule):
        PLAIN.with_fixed(name, value)


def test_a_parameter_that_the_coordinates_mix_cannot_be_fixed() -> None:
    with pytest.raises(PointError, match=r"^s0 cannot be fixed: space noise samples ridge instead$"):
        RIDGED.with_fixed("s0", 300.0)
    assert replace(RIDGED, coordinates=None).with_fixed("s0", 300.0).check({"s1": 0.0, "lr": 1e-3})["s0"] == 300.0


def test_coordinates_replace_the_parameters_that_they_give() -> None:
    assert [parameter.name for parameter in RIDGED.searched] == ["bandwidth", "root_s1", "lr"]
    assert RIDGED.names == ("s0", "s1", "lr")


def test_search_coordinates_of_a_known_point() -> None:
    # width 8, s1 1: the gain is sqrt(1 + 8 / 2) = sqrt 5.
    coordinates = RIDGED.to_search({"s0": 100.0, "s1": 1.0, "lr": 1e-3})
    assert coordinates == pytest.approx({"bandwidth": 0.1 * 5**0.5, "root_s1": 1.0, "lr": 1e-3})
    assert list(coordinates) == ["bandwidth", "root_s1", "lr"]


def test_the_point_at_known_search_coordinates() -> None:
    point = RIDGED.from_search({"bandwidth": 0.2, "root_s1": 1.0, "lr": 1e-3})
    assert point == pytest.approx({"s0": 200.0 / 5**0.5, "s1": 1.0, "lr": 1e-3})


@pytest.mark.parametrize(
    "point",
    [
        {"family": "siren", "w_first": 30.0, "lr": 1e-4},
        {"family": "finer", "w_first": 30.0, "k": 2.0, "lr": 1e-4},
        {"family": "positional", "octaves": 5, "lr": 1e-4},
    ],
)
def test_a_conditional_point_survives_the_search_coordinates(point: Mapping[str, Any]) -> None:
    assert CONDITIONAL.from_search(CONDITIONAL.to_search(point)) == point


def test_search_coordinates_that_lack_one_are_refused() -> None:
    with pytest.raises(PointError, match="s1"):
        RIDGED.from_search({"bandwidth": 0.2, "lr": 1e-3})


def test_search_coordinates_with_a_value_that_they_replace_are_refused() -> None:
    # s0 follows from the bandwidth: a caller's own must not be overwritten quietly.
    with pytest.raises(PointError, match="s0"):
        RIDGED.from_search({"bandwidth": 0.2, "root_s1": 1.0, "lr": 1e-3, "s0": 5.0})


def test_the_reason_against_a_point_is_the_message_of_its_error() -> None:
    assert PLAIN.reason_against({"w_first": 30.0, "lr": 1e-3}) is None
    assert PLAIN.reason_against({"w_first": 30.0, "lr": -1}) == "`0 < lr` must hold, but got lr=-1"


def test_a_point_outside_the_search_range_has_a_reason_not_to_be_proposed() -> None:
    assert PLAIN.reason_not_proposed({"w_first": 300.0, "lr": 1e-3}) is None
    assert PLAIN.reason_against({"w_first": 301.0, "lr": 1e-3}) is None
    reason = PLAIN.reason_not_proposed({"w_first": 301.0, "lr": 1e-3})
    assert reason == "w_first=301.0 lies outside the search range"


def test_a_point_that_is_not_of_the_space_is_not_proposed_either() -> None:
    assert PLAIN.reason_not_proposed({"w_first": 30.0, "lr": 0}) == "`0 < lr` must hold, but got lr=0"


def test_whether_a_point_is_proposed_is_judged_in_search_coordinates() -> None:
    # s0 4001 lies beyond s0's own range, which nothing samples here; bandwidth 4.001 lies beyond the ridge's.
    reason = RIDGED.reason_not_proposed({"s0": 4001.0, "s1": 0.0, "lr": 1e-3})
    assert reason == "bandwidth=4.001 lies outside the search range"


def with_rate(**changes: Any) -> Space:
    return replace(PLAIN, parameters=(PLAIN.parameters[0], replace(RATE, **changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"low": 2e-4},
        {"high": 2e-2},
        {"log": False},
        {"domain": Interval(low=0.0, high=1.0, is_open=True)},
        {"name": "rate"},
        {"when": {"w_first": ("30",)}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_fingerprint_changes_with_a_parameter(changes: dict[str, Any]) -> None:
    assert with_rate(**changes).fingerprint() != PLAIN.fingerprint()


def test_the_fingerprint_does_not_change_with_the_doc() -> None:
    assert with_rate(doc="another sentence").fingerprint() == PLAIN.fingerprint()


def test_the_fingerprint_changes_with_the_choices() -> None:
    family = Choice(name="family", choices=("siren", "finer", "positional", "wire"))
    more = replace(CONDITIONAL, parameters=(family, *CONDITIONAL.parameters[1:]))
    assert more.fingerprint() != CONDITIONAL.fingerprint()


def test_the_fingerprint_changes_with_a_fixed_value() -> None:
    prints = {space.fingerprint() for space in (PLAIN, PLAIN.with_fixed("lr", 1e-3), PLAIN.with_fixed("lr", 2e-3))}
    assert len(prints) == 3


def test_the_fingerprint_changes_with_the_search_coordinates() -> None:
    wider = replace(RIDGED, coordinates=Ridge(width=8, nyquist_rad=1000.0, high=3.0))
    prints = {space.fingerprint() for space in (RIDGED, wider, replace(RIDGED, coordinates=None))}
    assert len(prints) == 3


def test_the_fingerprint_changes_with_the_meaning_of_a_search_coordinate() -> None:
    # The same bandwidth and s1 are another s0 at another width.
    wider = replace(RIDGED, coordinates=Ridge(width=64, nyquist_rad=1000.0, high=2.0))
    assert wider.from_search({"bandwidth": 1.0, "root_s1": 1.0, "lr": 1e-3}) != RIDGED.from_search(
        {"bandwidth": 1.0, "root_s1": 1.0, "lr": 1e-3}
    )
    assert wider.fingerprint() != RIDGED.fingerprint()


def test_a_fingerprint_is_sixteen_hexadecimal_digits() -> None:
    assert len(PLAIN.fingerprint()) == 16
    int(PLAIN.fingerprint(), 16)
