"""What was found out for each signal of a corpus elsewhere, as one law; known to this process alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Unpack

from spaces.laws import LAWS, STEPS, Fit, Law, register_law
from spaces.spectrum import Spectrum

Key = tuple[int, float]
"""Number of samples and centroid: what tells the signals of a corpus apart, at every size."""


def key_of(spectrum: Spectrum) -> Key:
    """Of a signal at its size."""
    return spectrum.num_samples, spectrum.centroid


class PerSignalLaw:
    """A law for each signal.

    Args:
        name: to begin with; digits follow, of what the laws say: studies keep their fits under a law's name.
        source: where it comes from.
        laws: by signal.
        said: what each of them says, as text.
    """

    space = "siren2"
    is_variant = True

    def __init__(self, name: str, source: str, laws: Mapping[Key, Law], said: Mapping[Key, str]) -> None:
        text = "\n".join(f"{key} {said[key]}" for key in sorted(laws))
        self.name = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
        self.source = source
        self._laws = laws

    @contextmanager
    def known(self) -> Iterator[str]:
        """Make it a heuristic inside the block, by the name that it gives."""
        register_law(self.name, self)
        try:
            yield self.name
        finally:
            del LAWS[self.name]

    def reason_against(self, spectrum: Spectrum, **fit: Unpack[Fit]) -> str | None:
        """Signals that are not of the corpus."""
        return None if key_of(spectrum) in self._laws else f"{self.name} knows the signals of its corpus alone"

    def point(
        self, spectrum: Spectrum, *, width: int, steps: int = STEPS, trained_share: float = 1.0
    ) -> dict[str, float]:
        """What the signal's own law says."""
        return self._laws[key_of(spectrum)].point(spectrum, width=width, steps=steps, trained_share=trained_share)
