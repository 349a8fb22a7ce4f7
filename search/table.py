"""The result as a table and a sentence that a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from search.answer import closest, is_told_apart, spell_interval
from search.objective import Objective
from search.trial import spell
from spaces.laws import PUBLISHED

Row = dict[str, str]
"""By column. PSNR in dB: of the search's seed; mean and standard deviation over fresh ones, over the trained and the
held-out samples; difference of the objective with its 95 % interval."""


POINT_WIDTH = 12
"""Columns of the terminal that a point has at least, `w_first=3000`: a narrow one would take them all away."""


def rows_of(summary: Mapping[str, Any]) -> list[Row]:
    """Baselines, predictions and the found point, one row each."""
    rows = [
        {**_row(name, reference), "found better by": _regret(reference)}
        for kind in ("baseline", "prediction")
        for name, reference in summary["references"].items()
        if reference["kind"] == kind
    ]
    best = summary["best"]
    if best:
        rows.append({**_row(f"found #{best['number']}", best), "found better by": ""})
    return rows


def _row(name: str, entry: Mapping[str, Any]) -> Row:
    row = {"": name, "point": spell(entry["params"]), "1 seed": _number(entry["psnr_db"])}
    if "held_psnr_db" in entry:
        row["held out"] = _number(entry["held_psnr_db"])
    row["fresh seeds"] = _confirmed(entry["confirmed"], "mean_psnr_db", "sd_db")
    if "held_psnr_db" in entry:
        row["held out, fresh"] = _confirmed(entry["confirmed"], "mean_held_psnr_db", "held_sd_db")
    return row


def to_rich(summary: Mapping[str, Any]) -> Table:
    """For the terminal: PSNR in dB."""
    title = f"{summary['study']}: {summary['signal']}, PSNR in dB"
    caption = "fresh seeds: mean ± standard deviation; found better by: mean difference [95 % interval]"
    captioned = any(reference["confirmed"] for reference in summary["references"].values())
    table = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption, table.caption_justify = (caption if captioned else None), "left"
    rows = rows_of(summary)
    columns = columns_of(rows)
    is_wide = "held out" in columns  # then headers take two lines, and intervals one of their own
    for number, column in enumerate(columns):
        if number == 1:
            table.add_column(column, min_width=POINT_WIDTH, overflow="fold")
            continue
        header = column.replace(" ", "\n", 1) if is_wide else column
        table.add_column(header, justify="left" if number < 2 else "right", no_wrap=True)
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        if is_wide:
            cells[-1] = cells[-1].replace(" [", "\n[")
        table.add_row(*cells, style="bold" if row[""].startswith("found") else "", end_section=row in rows[-2:-1])
    return table


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Of a table of these rows, in order: the widest one's."""
    widest: Row = max(rows, key=len, default={})
    return list(widest)


def legend_of(summary: Mapping[str, Any]) -> str:
    """What the rows are, for who does not know the names."""
    kinds = {"baseline": "Baselines, plain SIREN", "prediction": "Predictions, from the signal before any training"}
    sentences = []
    for kind, what in kinds.items():
        names = [name for name, reference in summary["references"].items() if reference["kind"] == kind]
        if names:
            sentences.append(f"{what}: {', '.join(names)}.")
    if PUBLISHED in summary["references"]:
        sentences.append(f"({PUBLISHED} is the name of a published law.)")
    if summary["best"] and summary["best"]["confirmed"]:
        sentences.append(
            "The found point is the best of a landscape smoothed over all trials and a race on fresh seeds: not the "
            "luckiest trial."
        )
    return " ".join(sentences)


def sentence_of(summary: Mapping[str, Any]) -> str:
    """The answer in one sentence: which point won, and by how much over the best prediction."""
    best = summary["best"]
    if not best:
        return "nothing was found"
    text = f"found {spell(best['params'])}"
    is_held = summary["objective"] != Objective.FIT
    what = "held-out dB" if is_held else "dB"
    mean_name = "mean_held_psnr_db" if is_held else "mean_psnr_db"
    if not best["confirmed"] or mean_name not in best["confirmed"]:
        value = best["held_psnr_db" if is_held else "psnr_db"]
        return f"{text}, {value:.1f} {what} on the search's seed (not confirmed)"
    seeds = best["confirmed"]["seeds"]
    mean = best["confirmed"][mean_name]
    text += f", {mean:.1f} {what} in the mean of {seeds} fresh seed{'s' if seeds > 1 else ''}"
    judged = closest(summary, "prediction")
    if judged is None:
        return text
    name, reference = judged
    regret = reference["regret_db"]
    verdict = "better" if regret >= 0 else "worse"
    text += f"; {abs(regret):.1f} dB {verdict} than the best prediction ({name})"
    if reference["ci95_db"] and not is_told_apart(reference):
        return f"{text}, which its 95 % interval does not tell from no difference"
    if regret < 0:
        return f"{text}: take {name}'s point {spell(reference['params'])}, or search with more --trials"
    return text


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _confirmed(confirmed: Mapping[str, Any] | None, mean: str, sd: str) -> str:
    if not confirmed or mean not in confirmed:
        return ""
    return f"{confirmed[mean]:.1f}" + (f" ± {confirmed[sd]:.1f}" if confirmed[sd] is not None else "")


def _regret(reference: Mapping[str, Any]) -> str:
    return "" if reference["regret_db"] is None else spell_interval(reference["regret_db"], reference["ci95_db"])
