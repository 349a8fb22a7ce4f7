import math

import pytest

from spaces.parameters import NOT_NEGATIVE, POSITIVE, Choice, Float, Int, Interval, PointError


@pytest.mark.parametrize(
    ("interval", "value"),
    [
        (NOT_NEGATIVE, 0.0),
        (NOT_NEGATIVE, 1e300),
        (POSITIVE, 5e-324),
        (Interval(low=-1.0, high=1.0), -1.0),
        (Interval(low=-1.0, high=1.0), 1.0),
    ],
)
def test_an_interval_contains_its_ends(interval: Interval, value: float) -> None:
    assert value in interval


@pytest.mark.parametrize(
    ("interval", "value"),
    [
        (NOT_NEGATIVE, -5e-324),
        (POSITIVE, 0.0),
        (POSITIVE, math.nan),
        (POSITIVE, math.inf),
        (NOT_NEGATIVE, math.nan),
        (Interval(low=-1.0, high=1.0), 1.0000001),
        (Interval(low=-1.0, high=1.0), math.inf),
    ],
)
def test_an_interval_lacks_what_lies_beyond_it_and_what_is_not_finite(interval: Interval, value: float) -> None:
    assert value not in interval


def test_an_interval_spells_its_rule() -> None:
    assert POSITIVE.rule("lr") == "`0 < lr` must hold"
    assert NOT_NEGATIVE.rule("s0") == "`0 <= s0` must hold"
    assert Interval(low=0.5, high=20.0).rule("k") == "`0.5 <= k <= 20` must hold"


def test_a_value_outside_the_domain_is_refused_with_the_rule_and_what_came() -> None:
    with pytest.raises(PointError) as caught:
        Float(name="s0", low=1.0, high=100.0).check(-3)
    assert str(caught.value) == "`0 <= s0` must hold, but got s0=-3"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(PointError, match=r"`0 < lr` must hold, but got lr=-?(nan|inf)"):
        Float(name="lr", low=1e-4, high=1e-2, log=True, domain=POSITIVE).check(value)


def test_a_value_outside_the_search_range_is_valid_but_not_in_range() -> None:
    parameter = Float(name="s0", low=1.0, high=100.0)
    assert parameter.check(1000.0) == 1000.0
    assert not parameter.is_in_range(1000.0)
    assert parameter.is_in_range(1.0)
    assert parameter.is_in_range(100.0)


@pytest.mark.parametrize("value", [True, "3", None, [3.0], 3j])
def test_what_is_no_number_is_refused_by_a_float(value: object) -> None:
    with pytest.raises(PointError, match="s0 must be a number, but got"):
        Float(name="s0", low=1.0, high=100.0).check(value)


def test_a_float_takes_a_whole_number_as_a_float() -> None:
    value = Float(name="s0", low=1.0, high=100.0).check(30)
    assert value == 30.0
    assert type(value) is float


@pytest.mark.parametrize("value", [2.5, True, "3", None, math.inf, -math.inf, math.nan])
def test_what_is_no_whole_number_is_refused_by_an_int(value: object) -> None:
    with pytest.raises(PointError, match="octaves must be a whole number, but got"):
        Int(name="octaves", low=2, high=12).check(value)


def test_an_int_takes_a_whole_float_as_an_int() -> None:
    value = Int(name="octaves", low=2, high=12).check(7.0)
    assert value == 7
    assert type(value) is int


def test_an_int_outside_its_domain_is_refused_with_the_rule_and_what_came() -> None:
    with pytest.raises(PointError, match=r"^`1 <= octaves` must hold, but got octaves=0$"):
        Int(name="octaves", low=2, high=12, domain=Interval(low=1.0)).check(0)


def test_both_ends_of_an_int_are_in_range() -> None:
    parameter = Int(name="octaves", low=2, high=12)
    assert [value for value in range(20) if parameter.is_in_range(value)] == list(range(2, 13))


def test_an_unknown_choice_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PointError, match=r"^architecture must be one of siren, wire, but got 'relu'$"):
        Choice(name="architecture", choices=("siren", "wire")).check("relu")


@pytest.mark.parametrize("choices", [(), ("siren", "siren")])
def test_choices_must_differ_and_be_there(choices: tuple[str, ...]) -> None:
    with pytest.raises(PointError, match="architecture needs choices that differ"):
        Choice(name="architecture", choices=choices)


@pytest.mark.parametrize(
    ("low", "high", "log", "rule"),
    [
        (2.0, 2.0, False, "finite and low < high"),
        (3.0, 2.0, False, "finite and low < high"),
        (1.0, math.inf, False, "finite and low < high"),
        (math.nan, 1.0, False, "finite and low < high"),
        (0.0, 1.0, True, "logarithmic search range must begin above 0"),
        (-1.0, 1.0, False, "leaves the domain"),
    ],
)
def test_a_search_range_that_makes_no_sense_is_refused(low: float, high: float, log: bool, rule: str) -> None:
    with pytest.raises(PointError, match=rule):
        Float(name="s0", low=low, high=high, log=log)


def test_the_domain_may_be_wider_than_the_search_range_but_not_narrower() -> None:
    Float(name="x", low=1.0, high=2.0, domain=Interval(low=1.0, high=2.0))
    with pytest.raises(PointError, match="leaves the domain"):
        Float(name="x", low=1.0, high=2.0, domain=Interval(low=1.0, high=1.5))


def test_a_parameter_is_active_only_where_each_condition_holds() -> None:
    k = Float(name="k", low=0.0, high=5.0, when={"architecture": ("finer", "finer2"), "bias": ("wide",)})
    assert k.is_active({"architecture": "finer", "bias": "wide"})
    assert k.is_active({"architecture": "finer2", "bias": "wide"})
    assert not k.is_active({"architecture": "finer", "bias": "narrow"})
    assert not k.is_active({"architecture": "siren", "bias": "wide"})
    assert not k.is_active({"architecture": "finer"})
