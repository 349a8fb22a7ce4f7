"""The space that a study searches, from the signal's spectrum and settings: storage holds both, to rebuild it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.errors import StudyError, UsageError
from search.storage import StudyStorage
from spaces.capacity import with_capacity
from spaces.catalog import build_space
from spaces.parameters import Point, PointError
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
        "features": dict(spectrum.features),
    }


def spectrum_of(facts: Mapping[str, Any]) -> Spectrum:
    """The inverse of `spectrum_facts`."""
    return Spectrum(**{**facts, "shape": tuple(facts["shape"])})


def space_of(study: StudyStorage) -> Space:
    """The space that a study searches, rebuilt.

    Raises:
        StudyError: it has not begun, an older version wrote it, or another space has the name by now.
        UsageError: it is a plugin's, which is not loaded.
    """
    fingerprint, spectrum = study.facts("fingerprint"), study.facts("spectrum")
    if spectrum is None:
        why = "it has not begun, or an older version of winnow wrote it"
        raise StudyError(f"the storage of study {study.name!r} must hold its signal's spectrum, but {why}")
    is_own = bool(fingerprint["plugin_sha256"])
    try:
        space = searched_space(
            spectrum_of(spectrum),
            name=fingerprint["space"],
            **{key: fingerprint[key] for key in ("coordinates", "width", "depth", "max_weights", "lr")},
        )
    except PointError as error:
        if not is_own:
            raise
        raise UsageError(f"study {study.name!r} needs the --plugin that it was run with: {error}") from error
    if space.fingerprint() != fingerprint["space_fingerprint"]:
        cause = "its --plugin changed" if is_own else "another version of winnow searched it"
        raise StudyError(f"space {space.name} must be the one that study {study.name!r} searched, but {cause}")
    return space
