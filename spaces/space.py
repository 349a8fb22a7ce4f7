"""A space: ordered parameters, the conditions between them, and the coordinates in which it is searched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from spaces.parameters import Parameter, Point, PointError, Value, spread


class Coordinates(Protocol):
    """A change of variables: what a sampler draws, where it differs from what users see.

    `parameters` replace those parameters of the space that `replaces` names; the others are sampled as they are.
    """

    @property
    def name(self) -> str:
        """What messages call them."""

    def describe(self) -> dict[str, Any]:
        """All that decides them, JSON-able: it stands in fingerprints."""

    @property
    def replaces(self) -> tuple[str, ...]:
        """Names of the space's parameters that these coordinates give."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What is sampled instead."""

    def to_search(self, point: Point) -> dict[str, Value]:
        """The coordinates of a point."""

    def to_point(self, coordinates: Point) -> dict[str, Value]:
        """The inverse of `to_search`."""

    def at_width(self, width: int) -> Coordinates:
        """The same coordinates for networks of another width, with the same ranges."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """The parameters that may vary.

    Attributes:
        name: as in the catalogue.
        architecture: the network that its points describe (a name of `trainers.networks`); "" where the point tells.
        parameters: in the order in which they are shown; the main frequency parameter first.
        defaults: the published default of each parameter, used for what a caller leaves open.
        swept_at: search coordinates that `sweep` holds elsewhere than at the published default.
        fixed: parameters that do not vary in this study, with their values; part of every point.
        coordinates: what is sampled, where it differs from the parameters.
    """

    name: str
    architecture: str
    parameters: tuple[Parameter, ...]
    defaults: Mapping[str, Value]
    swept_at: Mapping[str, Value] = field(default_factory=dict)
    fixed: Mapping[str, Value] = field(default_factory=dict)
    coordinates: Coordinates | None = None

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise PointError(f"space {self.name}: parameter names must differ, but got {', '.join(names)}")
        for index, parameter in enumerate(self.parameters):
            unknown = set(parameter.when) - set(names)
            if unknown:
                raise PointError(f"{parameter.name} depends on {sorted(unknown)}, which space {self.name} lacks")
            later = set(parameter.when) - set(names[:index])
            if later:
                raise PointError(f"{parameter.name} depends on {sorted(later)}, which must come before it")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters, fixed ones included."""
        return tuple(parameter.name for parameter in self.parameters)

    def architecture_of(self, point: Point) -> str:
        """The network that `point` describes (a name of `trainers.networks`)."""
        return self.architecture

    @property
    def searched(self) -> tuple[Parameter, ...]:
        """What a sampler draws, in order."""
        replaced: tuple[str, ...] = self.coordinates.replaces if self.coordinates else ()
        replacing: tuple[Parameter, ...] = self.coordinates.parameters if self.coordinates else ()
        kept = [p for p in self.parameters if p.name not in self.fixed and p.name not in replaced]
        return (*replacing, *kept)

    def with_fixed(self, name: str, value: Value) -> Space:
        """This space with one parameter held at `value`.

        Raises:
            PointError: unknown name, value outside its domain, or a parameter that the coordinates mix.
        """
        parameter = self._parameter(name)
        if self.coordinates and name in self.coordinates.replaces:
            raise PointError(f"{name} cannot be fixed: space {self.name} samples {self.coordinates.name} instead")
        return replace(self, fixed={**self.fixed, name: parameter.check(value)})

    def check(self, point: Mapping[str, Any]) -> dict[str, Value]:
        """`point` in the space's order and types, fixed values included.

        Raises:
            PointError: a name that the space lacks, an active parameter that is missing, a value outside its
                domain, or another value for a fixed parameter.
        """
        for name in point:
            self._parameter(name)
        checked: dict[str, Value] = {}
        for parameter in self.parameters:
            if not parameter.is_active(checked):
                if parameter.name in point:
                    raise PointError(f"{parameter.name} has no effect where {_spell(parameter.when)} does not hold")
                continue
            value = point.get(parameter.name, self.fixed.get(parameter.name))
            if value is None:
                raise PointError(f"space {self.name} needs {parameter.name}, but the point has only {sorted(point)}")
            checked[parameter.name] = parameter.check(value)
            fixed = self.fixed.get(parameter.name, checked[parameter.name])
            if checked[parameter.name] != fixed:
                raise PointError(f"{parameter.name} is fixed at {fixed}, but got {parameter.name}={value}")
        return checked

    def complete(self, partial: Mapping[str, Any]) -> dict[str, Value]:
        """`partial` with the fixed values, then the published defaults, for what it leaves open.

        Raises:
            PointError: as `check`.
        """
        for name in partial:
            self._parameter(name)
        point: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.is_active(point):
                choices = (partial, self.fixed, self.defaults)
                given = [c[parameter.name] for c in choices if parameter.name in c]
                if given:  # else `check` says that it is missing
                    point[parameter.name] = given[0]
        return self.check({**point, **partial})

    def reason_against(self, point: Mapping[str, Any]) -> str | None:
        """Why `point` is not of this space, or None if it is."""
        try:
            self.check(point)
        except PointError as error:
            return str(error)
        return None

    def reason_not_proposed(self, point: Mapping[str, Any]) -> str | None:
        """Why a sampler could not draw `point`, or None if it could."""
        reason = self.reason_against(point)
        if reason:
            return reason
        coordinates = self.to_search(point)
        for parameter in self.searched:
            if parameter.name in coordinates and not parameter.is_in_range(coordinates[parameter.name]):
                return f"{parameter.name}={coordinates[parameter.name]} lies outside the search range"
        return None

    def to_search(self, point: Mapping[str, Any]) -> dict[str, Value]:
        """The search coordinates of a point."""
        checked = self.check(point)
        mixed = self.coordinates.to_search(checked) if self.coordinates else {}
        values = {**checked, **mixed}
        return {p.name: values[p.name] for p in self.searched if p.name in values}

    def from_search(self, coordinates: Mapping[str, Any]) -> dict[str, Value]:
        """The point at given search coordinates: the inverse of `to_search`."""
        point = dict(coordinates)
        if self.coordinates:
            needed = {parameter.name for parameter in self.coordinates.parameters}
            extra = set(self.coordinates.replaces) - needed
            if not needed <= set(point) or extra & set(point):
                raise PointError(
                    f"{self.coordinates.name} coordinates need {', '.join(sorted(needed))} and give "
                    f"{', '.join(sorted(extra))}, but got {', '.join(sorted(point))}"
                )
            mixed = {parameter.name: point.pop(parameter.name) for parameter in self.coordinates.parameters}
            point.update(self.coordinates.to_point(mixed))
        return self.check(point)

    def sweep(self, num: int) -> list[dict[str, Value]]:
        """Points along the first searched coordinate, evenly over its range, on its scale.

        The other coordinates stay at `swept_at`, else at the published default. A coordinate of whole numbers gives
        each of them once at most, so there may be fewer points than `num`; one point alone is the middle one. Where
        everything is fixed, there is one.
        """
        if not self.searched:
            return [self.complete({})][:num]
        first, *others = self.searched
        held = {**self.to_search(self.complete({})), **self.swept_at}
        held = {parameter.name: held[parameter.name] for parameter in others if parameter.name in held}
        return [self.from_search({first.name: value, **held}) for value in spread(first, num)]

    def translate(self, space_name: str, point: Point, *, width: int, depth: int) -> dict[str, Value] | None:
        """The point of this space that describes the network of `point`, a point of the space of that name.

        Args:
            space_name: of the catalogue.
            point: of that space.
            width, depth: of the network, where `point` names none.

        Returns:
            None where this space has no such points.
        """
        return dict(point) if space_name == self.name else None

    def at_width(self, width: int) -> Space:
        """The same parameters and ranges with search coordinates for networks of another width."""
        return replace(self, coordinates=self.coordinates.at_width(width)) if self.coordinates else self

    def in_plain_coordinates(self) -> Space:
        """This space with its parameters sampled as they are."""
        return replace(self, coordinates=None)

    def describe(self) -> dict[str, Any]:
        """All that decides what this space is, as JSON-able data."""
        return {
            "name": self.name,
            "architecture": self.architecture,
            "parameters": [_describe(p) for p in self.parameters],
            "fixed": dict(self.fixed),
            "coordinates": self.coordinates.describe() if self.coordinates else "plain",
            "searched": [_describe(p) for p in self.searched],
        }

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change when `describe` does."""
        text = json.dumps(self.describe(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _parameter(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise PointError(f"unknown parameter {name!r} in space {self.name}; it has: {', '.join(self.names)}")


def _describe(parameter: Parameter) -> dict[str, Any]:
    described = asdict(parameter)
    del described["doc"]
    if described.get("first") is None:
        described.pop("first", None)
    if isinstance(described.get("domain"), dict):
        described["domain"] = {key: str(value) for key, value in described["domain"].items()}
    return {"type": type(parameter).__name__, **described}


def _spell(conditions: Mapping[str, tuple[str, ...]]) -> str:
    return " and ".join(f"{name} in {{{', '.join(values)}}}" for name, values in conditions.items())
