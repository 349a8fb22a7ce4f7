"""What the studies of a campaign found, side by side: a table, and the picture of their regrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Drawing

from search.figures import Figure, embed
from search.objective import Objective
from search.plots import MARKERS, save
from search.section import Section
from search.table import rows_of

REGRETS = "regrets.png"


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Of a campaign.

    Attributes:
        references: names, predictions first.
        rows: of each study: its section, found point, mean and deviation, and by how much it is better, by reference.
        picture: of the regrets; None where there are none.
    """

    references: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    picture: Figure | None


def overview_of(name: str, sections: Sequence[Section]) -> Overview:
    """The table and the picture of a campaign of that name."""
    kinds = {
        reference: entry["kind"] for section in sections for reference, entry in section.summary["references"].items()
    }
    references = sorted(kinds, key=lambda reference: kinds[reference] != "prediction")
    summaries = {section.name.split("/")[1]: section.summary for section in sections}
    predictions = [reference for reference in references if kinds[reference] == "prediction"]
    return Overview(
        references=references,
        rows=[_row(section) for section in sections],
        picture=_picture(name, summaries, predictions or references),
    )


def _row(section: Section) -> dict[str, Any]:
    rows = {row[""]: row for row in rows_of(section.summary)}
    best = section.summary["best"]
    found = rows[f"found #{best['number']}"] if best else {}
    fresh = "fresh seeds" if section.summary["objective"] == Objective.FIT else "held out, fresh"
    return {
        "section": section,
        "point": found.get("point", ""),
        "fresh": found.get(fresh, ""),
        "better": {name: row["found better by"] for name, row in rows.items()},
    }


def _picture(name: str, summaries: Mapping[str, Mapping[str, Any]], references: Sequence[str]) -> Figure | None:
    is_known = any(
        (summary["references"].get(reference) or {}).get("regret_db") is not None
        for summary in summaries.values()
        for reference in references
    )
    if not is_known:
        return None
    with TemporaryDirectory() as scratch:
        path = Path(scratch, REGRETS)
        save(draw_regrets(summaries, references, title=f"{name}: regret by signal"), path)
        caption = (
            "By how much the found point is better than each reference: mean over paired fresh seeds with its 95 % "
            "interval. Left of the line the reference wins."
        )
        return Figure(heading="Regrets", caption=caption, uri=embed(path))


def draw_regrets(summaries: Mapping[str, Mapping[str, Any]], references: Sequence[str], *, title: str) -> Drawing:
    """A row for each signal, and in it a dot with its interval for each reference.

    Args:
        summaries: of the studies, by what the rows are called.
        references: whose regrets are drawn.
    """
    figure = Drawing(figsize=(8.5, 1.5 + 0.55 * len(summaries)), layout="constrained")
    axes = figure.subplots()
    shifts = np.linspace(-0.25, 0.25, len(references)) if len(references) > 1 else [0.0]
    for shift, marker, reference in zip(shifts, cycle(MARKERS), references, strict=False):
        known = [
            (row + shift, entry["regret_db"], entry["ci95_db"] or (entry["regret_db"], entry["regret_db"]))
            for row, summary in enumerate(summaries.values())
            if (entry := summary["references"].get(reference)) and entry["regret_db"] is not None
        ]
        if not known:
            continue
        rows, regrets, intervals = zip(*known, strict=True)
        below, above = zip(*intervals, strict=True)
        errors = [np.subtract(regrets, below), np.subtract(above, regrets)]
        axes.errorbar(
            regrets, rows, xerr=errors, fmt=marker, capsize=3, markersize=7, markeredgecolor="black", label=reference
        )
    axes.axvline(0.0, color="black", linewidth=1.0)
    for border in range(1, len(summaries)):
        axes.axhline(border - 0.5, color="0.88", linewidth=0.8)
    axes.set_yticks(range(len(summaries)), list(summaries), fontsize=8)
    axes.set_ylim(len(summaries) - 0.5, -0.5)
    held = {summary["objective"] for summary in summaries.values()} != {Objective.FIT}
    axes.set_xlabel(f"found point better by ({'held-out ' if held else ''}PSNR, dB; mean, 95 % interval)")
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return figure
