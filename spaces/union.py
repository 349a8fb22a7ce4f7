"""The union of spaces: a space in which the architecture itself is searched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spaces.parameters import Choice, Float, Int, Parameter, Point, PointError, Value
from spaces.space import Space

ARCHITECTURE = "architecture"
"""The parameter that chooses the branch."""


@dataclass(frozen=True, kw_only=True)
class Union(Space):
    """Spaces of different architectures as one; `union` makes it.

    A point names its architecture, then the parameters of that branch: {architecture: finer, w_first: 30, k: 5,
    lr: 1e-3}. A sampler draws the architecture, then that branch's own search coordinates under a name with prefix
    ("finer.w_first", "siren2.bandwidth"): the same parameter is another variable, with another range and another
    optimum, in another branch.

    Attributes:
        branches: by architecture; they hold what is fixed, each what it has of it.
    """

    branches: Mapping[str, Space]

    def architecture_of(self, point: Point) -> str:
        """What the point names."""
        return str(point[ARCHITECTURE])

    @property
    def searched(self) -> tuple[Parameter, ...]:
        """The architecture, then each branch's search coordinates."""
        possible = {**self.branches}
        if ARCHITECTURE in self.fixed:
            possible = {name: possible[name] for name in (str(self.fixed[ARCHITECTURE]),)}
        prefixed = [
            replace(parameter, name=f"{name}.{parameter.name}", when={ARCHITECTURE: (name,)})
            for name, branch in possible.items()
            for parameter in branch.searched
        ]
        return tuple(prefixed) if ARCHITECTURE in self.fixed else (self._parameter(ARCHITECTURE), *prefixed)

    def with_fixed(self, name: str, value: Value) -> Space:
        """This union with the parameter held at `value`: in every branch that has it.

        Raises:
            PointError: as in the branches.
        """
        if name == ARCHITECTURE:
            return super().with_fixed(name, value)
        self._parameter(name)
        held = self._with_branches(lambda b: b.with_fixed(name, value) if name in b.names else b)
        return replace(held, fixed={**self.fixed, name: value})

    def check(self, point: Mapping[str, Any]) -> dict[str, Value]:
        """`point` in order and types: the architecture, then what its branch makes of the rest.

        Raises:
            PointError: no architecture, a parameter of other branches, or whatever the branch refuses.
        """
        return self._in_branch(point, lambda branch, own: branch.check(own), {})

    def complete(self, partial: Mapping[str, Any]) -> dict[str, Value]:
        """`partial` with what it leaves open; without an architecture, the union's default one.

        Raises:
            PointError: as `check`.
        """
        return self._in_branch(partial, lambda branch, own: branch.complete(own), self.defaults)

    def to_search(self, point: Mapping[str, Any]) -> dict[str, Value]:
        """The architecture, where it is searched, and the branch's coordinates, with prefix."""
        checked = self.check(point)
        name = self.architecture_of(checked)
        own = self.branches[name].to_search(_without_architecture(checked))
        chosen: dict[str, Value] = {} if ARCHITECTURE in self.fixed else {ARCHITECTURE: name}
        return {**chosen, **{f"{name}.{key}": value for key, value in own.items()}}

    def from_search(self, coordinates: Mapping[str, Any]) -> dict[str, Value]:
        """The point at given coordinates.

        Raises:
            PointError: a coordinate of another branch, or whatever the branch refuses.
        """
        name = self._check_architecture({**self.fixed, **coordinates})
        own = _without_architecture(coordinates)
        foreign = sorted(key for key in own if not key.startswith(f"{name}."))
        if foreign:
            raise PointError(f"{foreign[0]} has no effect where the architecture is {name}")
        point = self.branches[name].from_search({key.removeprefix(f"{name}."): value for key, value in own.items()})
        return {ARCHITECTURE: name, **point}

    def sweep(self, num: int) -> list[dict[str, Value]]:
        """`num` points spread over the branches, the first ones taking what is left over; each as in its space."""
        possible = [p.name.partition(".")[0] for p in self.searched if p.name != ARCHITECTURE]
        names = list(dict.fromkeys(possible))
        shares = {name: num // len(names) + (index < num % len(names)) for index, name in enumerate(names)}
        return [
            {ARCHITECTURE: name, **point}
            for name, share in shares.items()
            for point in self.branches[name].sweep(share)
        ]

    def translate(self, space_name: str, point: Point, *, width: int, depth: int) -> dict[str, Value] | None:
        """A branch's point with its architecture."""
        if space_name == self.name:
            return dict(point)
        for name, branch in self.branches.items():
            translated = branch.translate(space_name, point, width=width, depth=depth)
            if translated is not None:
                return {ARCHITECTURE: name, **translated}
        return None

    def at_width(self, width: int) -> Space:
        """Every branch at that width."""
        return self._with_branches(lambda branch: branch.at_width(width))

    def in_plain_coordinates(self) -> Space:
        """Every branch in plain coordinates."""
        return self._with_branches(lambda branch: branch.in_plain_coordinates())

    def describe(self) -> dict[str, Any]:
        """The branches' descriptions, and what is sampled."""
        described = super().describe()
        described["coordinates"] = {name: b.describe()["coordinates"] for name, b in self.branches.items()}
        return {**described, "branches": {name: branch.describe() for name, branch in self.branches.items()}}

    def _with_branches(self, change: Callable[[Space], Space]) -> Space:
        return replace(self, branches={name: change(branch) for name, branch in self.branches.items()})

    def _check_architecture(self, point: Mapping[str, Any]) -> str:
        if ARCHITECTURE not in point:
            raise PointError(f"space {self.name} needs {ARCHITECTURE}, but the point has only {sorted(point)}")
        name = str(self._parameter(ARCHITECTURE).check(point[ARCHITECTURE]))
        if self.fixed.get(ARCHITECTURE, name) != name:
            raise PointError(f"{ARCHITECTURE} is fixed at {self.fixed[ARCHITECTURE]}, but got {ARCHITECTURE}={name}")
        return name

    def _in_branch(
        self,
        point: Mapping[str, Any],
        method: Callable[[Space, Mapping[str, Any]], dict[str, Value]],
        defaults: Mapping[str, Value],
    ) -> dict[str, Value]:
        for key in point:
            self._parameter(key)
        name = self._check_architecture({**defaults, **self.fixed, **point})
        branch, own = self.branches[name], _without_architecture(point)
        for key in own:
            if key not in branch.names:
                owners = ", ".join(other for other, space in self.branches.items() if key in space.names)
                raise PointError(f"{key} has no effect where {ARCHITECTURE} in {{{owners}}} does not hold")
        return {ARCHITECTURE: name, **method(branch, own)}


def union(name: str, spaces: Sequence[Space], *, default: str | None = None) -> Union:
    """A space whose points name their architecture first, then the parameters of the space of that architecture.

    Args:
        name: of the union.
        spaces: of different architectures, without conditions of their own.
        default: the architecture that `complete` takes where none is given; the first space's unless named.

    Raises:
        PointError: one architecture twice or none, a space with conditions, or one name for different types.
    """
    branches = {space.architecture: space for space in spaces}
    architectures = [space.architecture for space in spaces]
    if not spaces or len(branches) < len(spaces):
        raise PointError(f"the architectures of a union must differ, but got {', '.join(architectures) or 'none'}")
    for space in spaces:
        conditional = [parameter.name for parameter in space.parameters if parameter.when]
        if conditional or not space.architecture:
            raise PointError(f"a space of a union must have no conditions, but {space.name} has some")
    chosen = Choice(name=ARCHITECTURE, choices=tuple(branches), doc="network that is fitted")
    return Union(
        name=name,
        architecture="",
        parameters=(chosen, *_merged_parameters(branches)),
        defaults={ARCHITECTURE: chosen.check(default or architectures[0])},
        branches=branches,
    )


def _merged_parameters(branches: Mapping[str, Space]) -> list[Parameter]:
    """Every name once, active in the branches that have it, over the widest of their ranges; for display."""
    found: dict[str, list[Parameter]] = {}
    owners: dict[str, tuple[str, ...]] = {}
    for name, space in branches.items():
        for parameter in space.parameters:
            found.setdefault(parameter.name, []).append(parameter)
            owners[parameter.name] = (*owners.get(parameter.name, ()), name)
    return [
        replace(_widest(same), when={} if len(same) == len(branches) else {ARCHITECTURE: owners[name]})
        for name, same in found.items()
    ]


def _widest(same: Sequence[Parameter]) -> Parameter:
    first = same[0]
    match first:
        case Float():
            floats = [p for p in same if isinstance(p, Float)]
            widest: Parameter = replace(first, low=min(p.low for p in floats), high=max(p.high for p in floats))
            alike = len(floats) == len(same)
        case Int():
            ints = [p for p in same if isinstance(p, Int)]
            widest = replace(first, low=min(p.low for p in ints), high=max(p.high for p in ints))
            alike = len(ints) == len(same)
        case Choice():
            choices = [choice for p in same if isinstance(p, Choice) for choice in p.choices]
            widest = replace(first, choices=tuple(dict.fromkeys(choices)))
            alike = all(isinstance(p, Choice) for p in same)
    if not alike:
        raise PointError(f"{first.name} must be of one type in all spaces of a union")
    return widest


def _without_architecture(point: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in point.items() if key != ARCHITECTURE}
