"""Width and depth as part of the search, under a budget of weights.

A sampler draws the depth and the share of the budget that a network may use; its width is the largest that keeps
within. So every proposal respects the budget, and width and depth trade against each other along what both cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from spaces.parameters import Float, Int, Interval, Parameter, Point, PointError, Value
from spaces.space import Space

SHAPE = ("width", "depth")

MIN_WIDTH = 4
"""Narrowest network that is proposed: where a small share does not pay for it, it is taken all the same."""

DEPTHS = (2, 8)
"""Hidden layers that are proposed. SIREN^2's second noise scale needs two."""

MIN_SHARE = 0.1
"""Smallest share of the budget that is aimed at, unless the study's own width and depth use less."""

NUM_PRICED = 64
"""Points whose price is looked at before a budget is accepted: several for each branch of a union."""

NumWeights: TypeAlias = Callable[[Point, int, int], int]
"""(point, width, depth) to a network's number of trained weights and biases; grows with width."""


@dataclass(frozen=True, kw_only=True)
class Capacity(Space):
    """A space with width and depth added to its points; `with_capacity` makes it.

    Attributes:
        base: the space without them; its coordinates follow the width of each point, its ranges do not.
        shape: width and depth as a space of their own, with the study's for defaults.
        max_weights: the budget.
        min_share: smallest share that is aimed at.
        num_weights: of a network. It must not depend on what the base's search coordinates mix (noise scales).
    """

    base: Space
    shape: Space
    max_weights: int
    min_share: float
    num_weights: NumWeights = field(compare=False)

    def architecture_of(self, point: Point) -> str:
        """As in the base."""
        return self.base.architecture_of(point)

    @property
    def searched(self) -> tuple[Parameter, ...]:
        """The base's coordinates, depth, and share: the share of the budget that is aimed at."""
        depth = [parameter for parameter in self.shape.searched if parameter.name == "depth"]
        share = Float(name="share", low=self.min_share, high=1.0, log=True, doc="share of the budget of weights")
        return (*self.base.searched, *depth, share)

    def with_fixed(self, name: str, value: Value) -> Space:
        """This space with one parameter held at `value`.

        Raises:
            PointError: the width, which follows from the share of the budget; or as in the base.
        """
        if name == "width":
            raise PointError(f"width cannot be fixed: space {self.name} samples its share of the weights instead")
        fixed = {**self.fixed, name: value}
        if name == "depth":
            return replace(self, shape=self.shape.with_fixed(name, value), fixed=fixed)
        return replace(self, base=self.base.with_fixed(name, value), fixed=fixed)

    def check(self, point: Mapping[str, Any]) -> dict[str, Value]:
        """The base's part of `point`, then width and depth; a network beyond the budget is only not proposed.

        Raises:
            PointError: as in the base; no width or depth.
        """
        base, shape = self._split(point)
        return {**self.base.check(base), **self.shape.check(shape)}

    def complete(self, partial: Mapping[str, Any]) -> dict[str, Value]:
        """`partial` with the base's defaults, the study's depth, and its width or the largest that the budget pays.

        Raises:
            PointError: as `check`.
        """
        base, shape = self._split(partial)
        point, shape = self.base.complete(base), self.shape.complete(shape)
        if "width" not in partial:
            shape["width"] = min(int(shape["width"]), self.largest_width(point, int(shape["depth"])))
        return {**point, **shape}

    def largest_width(self, point: Point, depth: int, share: float = 1.0) -> int:
        """The largest width whose weights keep within that share of the budget; at least `MIN_WIDTH`."""
        # Rounded: the share of a known network must pay for just that network again.
        budget = round(share * self.max_weights)
        width, beyond = MIN_WIDTH, 2 * MIN_WIDTH
        while beyond <= self.max_weights and self.num_weights(point, beyond, depth) <= budget:
            width, beyond = beyond, 2 * beyond
        while beyond - width > 1:
            middle = (width + beyond) // 2
            fits = self.num_weights(point, middle, depth) <= budget
            width, beyond = (middle, beyond) if fits else (width, middle)
        return width

    def to_search(self, point: Mapping[str, Any]) -> dict[str, Value]:
        """The base's coordinates at the point's own width, the depth, and the smallest share that gives the width."""
        checked = self.check(point)
        base, shape = self._split(checked)
        width, depth = int(shape["width"]), int(shape["depth"])
        values = {
            **self.base.at_width(width).to_search(base),
            "depth": depth,
            "share": self._share(base, width, depth),
        }
        return {p.name: values[p.name] for p in self.searched if p.name in values}

    def from_search(self, coordinates: Mapping[str, Any]) -> dict[str, Value]:
        """The point at given coordinates.

        A width that costs no more than a smaller one stands for both: where a network rounds it (wire), they are the
        same network.
        """
        given = dict(coordinates)
        missing = [name for name in ("depth", "share") if name not in given and name not in self.shape.fixed]
        if missing:
            raise PointError(f"capacity needs {missing[0]}, but got {', '.join(sorted(given))}")
        depth, share = int(given.pop("depth", self.shape.fixed.get("depth"))), float(given.pop("share"))
        # The width decides the base's coordinates, and the base's point the width: the part of it that counts
        # weights does not depend on the width.
        width = self.largest_width(self.base.from_search(given), depth, share)
        return self.check({**self.base.at_width(width).from_search(given), "width": width, "depth": depth})

    def sweep(self, num: int) -> list[dict[str, Value]]:
        """The base's points at the default width and depth; where that is another width, at the same coordinates."""
        completed = [(self.base.to_search(point), self.complete(point)) for point in self.base.sweep(num)]
        return [
            {**self.base.at_width(int(point["width"])).from_search(coordinates), **self._split(point)[1]}
            for coordinates, point in completed
        ]

    def translate(self, space_name: str, point: Point, *, width: int, depth: int) -> dict[str, Value] | None:
        """The base's point with the width and depth that its network had."""
        if space_name == self.name:
            return dict(point)
        translated = self.base.translate(space_name, point, width=width, depth=depth)
        return {**translated, "width": width, "depth": depth} if translated is not None else None

    def at_width(self, width: int) -> Space:
        """This space: its coordinates follow the width of each point already."""
        return self

    def in_plain_coordinates(self) -> Space:
        """The base in plain coordinates; the width is sampled as a share all the same."""
        return replace(self, base=self.base.in_plain_coordinates())

    def describe(self) -> dict[str, Any]:
        """The base's description, the budget, and what is sampled."""
        return {
            **super().describe(),
            "coordinates": "capacity",
            "max_weights": self.max_weights,
            "min_width": MIN_WIDTH,
            "base": self.base.describe(),
        }

    def _share(self, point: Point, width: int, depth: int) -> float:
        """What is used of the budget; the smallest share that is aimed at where that gives the same width."""
        used = self.num_weights(point, width, depth) / self.max_weights
        least = self.min_share
        return least if used < least and self.largest_width(point, depth, least) == width else used

    def _split(self, point: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The base's part and the shape."""
        for name in point:
            self._parameter(name)
        base = {name: value for name, value in point.items() if name not in SHAPE}
        return base, {name: point[name] for name in SHAPE if name in point}


def with_capacity(
    base: Space,
    max_weights: int,
    num_weights: NumWeights,
    *,
    width: int,
    depth: int,
    depths: tuple[int, int] = DEPTHS,
) -> Capacity:
    """`base` with width and depth searched under a budget of weights; its name is the base's with "+capacity".

    Args:
        base: any space, a union too, without width and depth.
        max_weights: weights and biases that a proposed network may have.
        num_weights: of the network that a point describes at a width and depth.
        width, depth: of the study: the published default has them, as far as the budget allows.
        depths: fewest and most hidden layers that are proposed.

    Raises:
        PointError: the budget does not pay for the narrowest and deepest network of the space.
    """
    low, high = depths
    # The main frequency parameter may cost weights (octaves): the dearest of enough points to have its ends.
    ends = base.sweep(NUM_PRICED)
    least, dearest = max(((num_weights(point, MIN_WIDTH, high), point) for point in ends), key=lambda pair: pair[0])
    if least > max_weights:
        raise PointError(
            f"`{least} <= max_weights` must hold for {base.architecture_of(dearest)} with {high} layers of "
            f"{MIN_WIDTH}, but got max_weights={max_weights}"
        )
    if num_weights(dearest, 2 * MIN_WIDTH, high) <= least:
        raise PointError(
            f"weights must grow with the width where a budget is searched, but {base.architecture_of(dearest)} has "
            f"{least} at both widths {MIN_WIDTH} and {2 * MIN_WIDTH}"
        )
    domain = Interval(low=1.0)
    shape = Space(
        name=f"{base.name}+capacity",
        architecture="",
        parameters=(
            Int(
                name="width",
                low=MIN_WIDTH,
                high=max(math.isqrt(max_weights), MIN_WIDTH + 1),
                log=True,
                domain=domain,
                doc="features of a layer",
            ),
            Int(name="depth", low=low, high=high, domain=domain, doc="hidden layers"),
        ),
        defaults={"width": width, "depth": depth},
    )
    space = Capacity(
        name=shape.name,
        architecture=base.architecture,
        parameters=(*base.parameters, *shape.parameters),
        defaults={**base.defaults, **shape.defaults},
        fixed=base.fixed,
        base=base,
        shape=shape,
        max_weights=max_weights,
        min_share=MIN_SHARE,
        num_weights=num_weights,
    )
    own = [float(space.to_search(point)["share"]) for point in space.sweep(NUM_PRICED)]
    return replace(space, min_share=min(MIN_SHARE, *own))
