"""The result as a table that a person reads: in the terminal, and as Markdown in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

COLUMNS = ("point", "parameters", "PSNR (dB)", "confirmed mean (dB)", "found is better by (dB)", "95 % interval")


def rows_of(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Baselines, predictions and the found point, one row each."""
    order = {"baseline": 0, "prediction": 1}
    references = sorted(summary["references"].items(), key=lambda item: order[item[1]["kind"]])
    rows: list[tuple[str, ...]] = [
        (
            f"{reference['kind']} {name}",
            _point(reference["params"]),
            _number(reference["psnr_db"]),
            _confirmed(reference["confirmed"]),
            _number(reference["regret_db"], sign=True),
            _interval(reference["ci95_db"]),
        )
        for name, reference in references
    ]
    best = summary["best"]
    if best:
        found = (_number(best["psnr_db"]), _confirmed(best["confirmed"]))
        rows.append((f"found #{best['number']}", _point(best["params"]), *found, "", ""))
    return rows


def to_rich(summary: Mapping[str, Any]) -> Table:
    """For the terminal."""
    table = Table(title=f"{summary['study']}: {summary['signal']}", title_justify="left")
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number < 2 else "right", overflow="fold")
    for row in rows_of(summary):
        table.add_row(*row, style="bold" if row[0].startswith("found") else "")
    return table


def to_markdown(summary: Mapping[str, Any]) -> str:
    """For a run's description."""
    lines = [f"**{summary['signal']}**, space {summary['space']}: {sentence_of(summary)}", ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(row) + " |" for row in rows_of(summary)]
    return "\n".join(lines)


def sentence_of(summary: Mapping[str, Any]) -> str:
    """The answer in one sentence: which point won, and by how much over the best prediction."""
    best, references = summary["best"], summary["references"]
    if not best:
        return "nothing was found"
    text = f"found {_point(best['params'])}"
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
        text += ", which the interval does not tell from none"
    return text


def _point(params: Mapping[str, Any]) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()
    )


def _number(value: float | None, *, sign: bool = False) -> str:
    return "" if value is None else f"{value:+.1f}" if sign else f"{value:.1f}"


def _confirmed(confirmed: Mapping[str, Any] | None) -> str:
    if not confirmed:
        return ""
    sd = confirmed["sd_db"]
    return f"{confirmed['mean_psnr_db']:.1f}" + (f" (sd {sd:.1f}, n {confirmed['seeds']})" if sd is not None else "")


def _interval(interval: list[float] | None) -> str:
    return f"{interval[0]:+.1f} to {interval[1]:+.1f}" if interval else ""
