"""Draw a diagnosis: activation spectra by layer, the tangent kernel's eigenvalues, output against target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from trainers.diagnostics import Diagnosis


FLOOR = 1e-6
"""What lies below this share of a panel's largest value is rounding, and is not drawn."""


def draw(path: Path, diagnosis: Diagnosis, title: str) -> None:
    """A PNG of three panels; the start dashed, the end solid.

    Spectra are amplitudes over frequency in units of Nyquist, each scaled to a sum of 1, so that shapes compare.

    Args:
        path: of the picture.
        diagnosis: of one network.
        title: above the panels.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    states = [("start", diagnosis.start, "--")] + ([("end", diagnosis.end, "-")] if diagnosis.end else [])
    f = diagnosis.frequency / diagnosis.nyquist

    right.plot(f, _share(diagnosis.target), color="0.75", label="target", linewidth=4.0)
    for name, state, style in states:
        for number, spectrum in enumerate(state.layers):
            colour = f"C{number}"
            left.plot(f, _share(spectrum), style, color=colour, label=f"layer {number + 1}, {name}", linewidth=1.1)
        ranks = np.arange(1, len(state.ntk_eigenvalues) + 1)
        middle.plot(ranks, _above_floor(state.ntk_eigenvalues), style, color="C0", label=name)
        right.plot(f, _share(state.output), style, color="C0", label=f"output, {name}", linewidth=1.1)

    left.set(title="activations by layer", xlabel="frequency / Nyquist", ylabel="amplitude (sum 1)", yscale="log")
    middle.set(title="empirical tangent kernel", xlabel="rank", ylabel="eigenvalue", xscale="log", yscale="log")
    right.set(title="output and target", xlabel="frequency / Nyquist", ylabel="amplitude (sum 1)", yscale="log")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    if len(diagnosis.start.layers):
        left.legend(fontsize=8, ncols=len(states))
    middle.legend()
    right.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=110)


def _share(spectrum: NDArray[np.float64]) -> NDArray[Any]:
    return _above_floor(spectrum / max(spectrum.sum(), np.finfo(np.float64).tiny))


def _above_floor(values: NDArray[np.float64]) -> NDArray[Any]:
    """Values that a logarithmic axis can show; others are gaps."""
    return np.where(values > FLOOR * values.max(), values, np.nan)
