"""The result as a table that a person reads: in the terminal, and as Markdown in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from search.trial import spell

COLUMNS = ("", "point", "1 seed", "fresh seeds", "found better by")
"""PSNR in dB: of the search's seed; mean and standard deviation over fresh ones; difference with its 95 % interval."""


def rows_of(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Baselines, predictions and the found point, one row each."""
    rows: list[tuple[str, ...]] = [
        (
            name,
            spell(reference["params"]),
            _number(reference["psnr_db"]),
            _confirmed(reference["confirmed"]),
            _regret(reference),
        )
        for kind in ("baseline", "prediction")
        for name, reference in summary["references"].items()
        if reference["kind"] == kind
    ]
    best = summary["best"]
    if best:
        scores = (_number(best["psnr_db"]), _confirmed(best["confirmed"]))
        rows.append((f"found #{best['number']}", spell(best["params"]), *scores, ""))
    return rows


def to_rich(summary: Mapping[str, Any]) -> Table:
    """For the terminal: PSNR in dB."""
    title = f"{summary['study']}: {summary['signal']}, PSNR in dB"
    caption = "fresh seeds: mean ± standard deviation; found better by: mean difference [95 % interval]"
    captioned = any(reference["confirmed"] for reference in summary["references"].values())
    table = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption, table.caption_justify = (caption if captioned else None), "left"
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=number != 1)
    rows = rows_of(summary)
    for row in rows:
        table.add_row(*row, style="bold" if row[0].startswith("found") else "", end_section=row in rows[-2:-1])
    return table


def to_markdown(summary: Mapping[str, Any]) -> str:
    """For a run's description."""
    lines = [f"**{summary['signal']}**, space {summary['space']}: {sentence_of(summary)}. PSNR in dB.", ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(row) + " |" for row in rows_of(summary)]
    return "\n".join(lines)


def sentence_of(summary: Mapping[str, Any]) -> str:
    """The answer in one sentence: which point won, and by how much over the best prediction."""
    best, references = summary["best"], summary["references"]
    if not best:
        return "nothing was found"
    text = f"found {spell(best['params'])}"
    if not best["confirmed"]:
        return f"{text}, {best['psnr_db']:.1f} dB on the search's seed (not confirmed)"
    seeds = best["confirmed"]["seeds"]
    text += f", {best['confirmed']['mean_psnr_db']:.1f} dB in the mean of {seeds} fresh seed{'s' if seeds > 1 else ''}"
    judged = {n: r for n, r in references.items() if r["kind"] == "prediction" and r["regret_db"] is not None}
    if not judged:
        return text
    name, closest = min(judged.items(), key=lambda item: item[1]["regret_db"])
    regret, interval = closest["regret_db"], closest["ci95_db"]
    verdict = "better" if regret >= 0 else "worse"
    text += f"; {abs(regret):.1f} dB {verdict} than the best prediction ({name})"
    if interval and interval[0] <= 0 <= interval[1]:
        return f"{text}, which its 95 % interval does not tell from no difference"
    if regret < 0:
        return f"{text}: take {name}'s point {spell(closest['params'])}, or search with more --trials"
    return text


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _confirmed(confirmed: Mapping[str, Any] | None) -> str:
    if not confirmed:
        return ""
    sd = confirmed["sd_db"]
    return f"{confirmed['mean_psnr_db']:.1f}" + (f" ± {sd:.1f}" if sd is not None else "")


def _regret(reference: Mapping[str, Any]) -> str:
    if reference["regret_db"] is None:
        return ""
    interval = reference["ci95_db"]
    return f"{reference['regret_db']:+.1f}" + (f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else "")
