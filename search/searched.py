"""The space that a study searches, from the signal's spectrum and settings: storage holds both, to rebuild it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spaces.capacity import with_capacity
from spaces.catalog import build_space
from spaces.parameters import Point
from spaces.space import Space
from spaces.spectrum import Spectrum
from trainers.config import network_of


def searched_space(
    spectrum: Spectrum,
    *,
    name: str,
    coordinates: str,
    width: int,
    depth: int,
    max_weights: int | None,
    lr: float | None,
) -> Space:
    """The space of that name for a signal, with a fixed learning rate and a budget of weights where they are given.

    Args:
        spectrum: of the signal.
        name: of the space.
        coordinates: "ridge" or "plain".
        width, depth: of the study's networks, where points name none.
        max_weights: budget under which width and depth are searched; None: they are not.
        lr: None: it is searched.

    Raises:
        PointError: unknown space, a learning rate outside its domain, or too small a budget.
    """
    space = build_space(name, spectrum, width=width, coordinates=coordinates)
    if lr is not None:
        space = space.with_fixed("lr", lr)
    if max_weights is None:
        return space
    base = space

    def num_weights(point: Point, at_width: int, at_depth: int) -> int:
        whole = {**point, "width": at_width, "depth": at_depth}
        shape = {"dims": spectrum.dims, "channels": spectrum.channels}
        return network_of(base, whole, width=width, depth=depth, **shape).num_weights

    return with_capacity(base, max_weights, num_weights, width=width, depth=depth)


def spectrum_facts(spectrum: Spectrum) -> dict[str, Any]:
    """A spectrum as JSON-able data."""
    return {
        "kind": spectrum.kind,
        "shape": list(spectrum.shape),
        "channels": spectrum.channels,
        "centroid": spectrum.centroid,
        "nyquist_rad": spectrum.nyquist_rad,
        "centroids": dict(spectrum.centroids),
    }


def spectrum_of(facts: Mapping[str, Any]) -> Spectrum:
    """The inverse of `spectrum_facts`."""
    return Spectrum(**{**facts, "shape": tuple(facts["shape"])})
