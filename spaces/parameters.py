"""Parameters of a space: each has a domain (outside it is an error) and a search range (where proposals come from)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, TypeAlias

Value: TypeAlias = float | int | str
Point: TypeAlias = Mapping[str, Value]


class PointError(ValueError):
    """A point or a value that breaks a rule of its space; the message says the rule, then what came."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The finite numbers from `low` to `high`; `is_open` excludes `low` itself."""

    low: float
    high: float = math.inf
    is_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.is_open else value >= self.low
        return math.isfinite(value) and above and value <= self.high

    def rule(self, name: str) -> str:
        """The interval as a sentence: "`0 < lr` must hold"."""
        lower = f"{self.low:g} {'<' if self.is_open else '<='} {name}"
        upper = f" <= {self.high:g}" if math.isfinite(self.high) else ""
        return f"`{lower}{upper}` must hold"


NAME_PATTERN = r"[A-Za-z][A-Za-z0-9_.-]{0,39}"
"""A parameter's name stands in tables, options and MLflow."""

POSITIVE = Interval(low=0.0, is_open=True)
NOT_NEGATIVE = Interval(low=0.0)


@dataclass(frozen=True, kw_only=True)
class _Parameter:
    """What all parameters share.

    Attributes:
        name: the field's term.
        doc: one line, with the unit.
        when: conditions; active only if every named choice has one of the given values.
    """

    name: str
    doc: str = ""
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME_PATTERN, self.name):
            raise PointError(
                "a parameter's name must begin with a letter and hold at most 40 letters, digits, '_', '.' and '-', "
                f"but got {self.name!r}"
            )

    def is_active(self, point: Point) -> bool:
        """Whether the conditions hold in `point`."""
        return all(point.get(parent) in values for parent, values in self.when.items())


@dataclass(frozen=True, kw_only=True)
class Float(_Parameter):
    """A real number, searched from `low` to `high`, on a logarithmic scale if `log`.

    Attributes:
        first: the part of the range that a sampler without any trial to learn from draws from; None for all of it.
    """

    low: float
    high: float
    log: bool = False
    domain: Interval = NOT_NEGATIVE
    first: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range(self, self.low, self.high, self.log, self.domain)
        if self.first is not None and not self.low <= self.first[0] < self.first[1] <= self.high:
            raise PointError(f"{self.name}: first must lie within {self.low}..{self.high}, but got {self.first}")

    def check(self, value: Any) -> float:
        """`value` as a float of the domain.

        Raises:
            PointError: not a number, or outside the domain.
        """
        if isinstance(value, bool) or not isinstance(value, Real):  # numpy's scalars are Real
            raise PointError(f"{self.name} must be a number, but got {value!r}")
        number = float(value)
        if number not in self.domain:
            raise PointError(f"{self.domain.rule(self.name)}, but got {self.name}={value}")
        return number

    def is_in_range(self, value: Value) -> bool:
        """Whether proposals could reach `value`."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class Int(_Parameter):
    """A whole number, searched from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False
    domain: Interval = NOT_NEGATIVE

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range(self, self.low, self.high, self.log, self.domain)

    def check(self, value: Any) -> int:
        """`value` as an int of the domain.

        Raises:
            PointError: not a whole number, or outside the domain.
        """
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value != math.floor(value):
            raise PointError(f"{self.name} must be a whole number, but got {value!r}")
        if value not in self.domain:
            raise PointError(f"{self.domain.rule(self.name)}, but got {self.name}={value}")
        return int(value)

    def is_in_range(self, value: Value) -> bool:
        """Whether proposals could reach `value`."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class Choice(_Parameter):
    """One of a few names."""

    choices: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.choices or len(set(self.choices)) != len(self.choices):
            raise PointError(f"{self.name} needs choices that differ, but got {list(self.choices)}")

    def check(self, value: Any) -> str:
        """`value`, if it is one of the choices.

        Raises:
            PointError: it is not.
        """
        if value not in self.choices:
            raise PointError(f"{self.name} must be one of {', '.join(self.choices)}, but got {value!r}")
        return str(value)

    def is_in_range(self, value: Value) -> bool:
        """Whether proposals could reach `value`."""
        return value in self.choices


Parameter: TypeAlias = Float | Int | Choice


def spread(parameter: Parameter, num: int) -> list[Value]:
    """At most `num` values over the search range, even on the parameter's scale; 1 is the middle."""
    if isinstance(parameter, Choice):
        return list(parameter.choices[:num])
    shares = [index / (num - 1) for index in range(num)] if num > 1 else [0.5] * num
    low, high = (math.log(end) if parameter.log else float(end) for end in (parameter.low, parameter.high))
    # A hair inside the ends: a change of variables rounds, and must not lead out of the range.
    hair = 0.0 if isinstance(parameter, Int) else 1e-9 * (high - low)
    values = [low + hair + share * (high - low - 2.0 * hair) for share in shares]
    values = [math.exp(value) for value in values] if parameter.log else values
    return list(dict.fromkeys(round(value) if isinstance(parameter, Int) else value for value in values))


def _check_range(parameter: _Parameter, low: float, high: float, log: bool, domain: Interval) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise PointError(f"{parameter.name}: the search range must be finite and low < high, got {low}..{high}")
    if log and low <= 0:
        raise PointError(f"{parameter.name}: a logarithmic search range must begin above 0, but got {low}")
    if low not in domain or high not in domain:
        raise PointError(f"{parameter.name}: the search range {low}..{high} leaves the domain")
