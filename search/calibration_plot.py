"""Picture of a calibration: what laws lose on landscapes whose signal they have not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure


def draw_calibration(document: Mapping[str, Any]) -> Figure:
    """Left: regret by centroid of each landscape, of the law and the published one, confirmed on fresh seeds.

    Right: the mean regret of each form as its surrogates have it, on signals that it was fitted to and on others.
    """
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    entries: Sequence[Mapping[str, Any]] = list(document["per_signal"].values())
    for key, label, marker, colour in (
        ("published_regret_db", "published law, rate tuned", "s", "0.6"),
        ("regret_db", "calibrated, signal left out", "o", "black"),
    ):
        known = [entry for entry in entries if entry[key] is not None]
        if not known:
            continue
        psi, regret_db = ([entry[name] for entry in known] for name in ("psi", key))
        left.scatter(psi, regret_db, label=label, marker=marker, color=colour, s=34, edgecolors="white")
    left.axhline(0.0, color="0.6", linewidth=1.0, zorder=0)
    left.set(xlabel="spectral centroid psi (Nyquist = 1)", ylabel="regret on fresh seeds (dB)")
    left.grid(alpha=0.25)
    left.legend(fontsize=8, frameon=False)
    forms: Mapping[str, Mapping[str, float]] = document["forms"]
    places = range(len(forms))
    for key, label, shift, colour in (("seen_db", "seen", -0.2, "0.8"), ("left_out_db", "left out", 0.2, "0.35")):
        values = [form[key] for form in forms.values()]
        right.barh([place + shift for place in places], values, 0.36, color=colour, label=label)
    right.set_yticks(list(places), list(forms))
    right.invert_yaxis()
    right.set(xlabel="mean regret read from surrogates (dB)")
    right.legend(fontsize=8, frameon=False)
    return figure
