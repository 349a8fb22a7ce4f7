"""Validations and calibrations as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from search.validation_plot import title_of


def to_tables(document: Mapping[str, Any]) -> Iterator[Table]:
    """For the terminal: two tables for each setting."""
    for setting in document["settings"]:
        yield _heuristics(setting)
        if setting["scores"]:
            yield _scores(setting)


def cost_line(setting: Mapping[str, Any]) -> str:
    """What the search itself costs, to compare with the column of seconds."""
    search = setting["search"]
    return f"the search behind it: {search['fit_seconds']:.0f} s of fits a signal ({search['steps']:,.0f} steps)"


def calibration_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """A calibrated law, and what it loses."""
    yield f"{document['law']}, for objective {document['objective']}:"
    yield from (f"  {formula}" for formula in document["formulas"])
    yield "regret on fresh seeds, mean over signals:"
    for key, what in (("loo", "this law, each signal left out"), ("published", "the published law, its rate tuned")):
        if document[f"{key}_mean_regret_db"] is not None:
            regret = _with_interval(document[f"{key}_mean_regret_db"], document[f"{key}_ci95_db"], "+.1f")
            yield f"  {regret} dB: {what}"
    read = ", ".join(f"{form} {entry['left_out_db']:.1f}" for form, entry in document["forms"].items())
    surrogate = document["surrogate"]
    yield f"read from surrogates, left out: {read} dB ({surrogate['kind']};"
    yield (
        f"  its cross-validated error {surrogate['error_db']:.1f} dB of single fits that spread by "
        f"{surrogate['spread_db']:.1f} dB)"
    )
    yield f"the law's file: {document['file']}"


def transfer_line(document: Mapping[str, Any]) -> str:
    """Which way of carrying a point over is the better one, and what was saved."""
    here, there = document["here"], document["there"]
    difference = _with_interval(document["relative_minus_absolute_db"], document["ci95_db"], "+.1f")
    return (
        f"found at {here['samples']:,} samples and {here['steps']} steps, carried to {there['samples']:,} and "
        f"{there['steps']}: relative units minus absolute ones {difference} dB; a search there costs "
        f"{document['cost_ratio']:.0f} times as much"
    )


def _heuristics(setting: Mapping[str, Any]) -> Table:
    title = title_of(setting).replace("\n", "; ")
    table = _table(title, ("", "regret, dB", "p", "by its rate, dB", "beats", "costs"))
    seeds, over = setting["seeds"], "signals" if setting["signals"] > 1 else "seeds"
    table.caption = (
        f"regret: found point minus heuristic on {seeds} fresh seeds [95 % interval over {over}], the rate tuned where "
        "it leaves one open; p: Wilcoxon's over signals; by its rate: what that tuning gave over 1e-4; beats: share of "
        f"the search's trials; costs: a prediction. {cost_line(setting)}"
    )
    for name, entry in setting["heuristics"].items():
        table.add_row(
            name,
            _with_interval(entry["mean_regret_db"], entry["ci95_db"], "+.1f"),
            "" if entry["wilcoxon_p"] is None else f"{entry['wilcoxon_p']:.2g}",
            "" if entry["rate_db"] is None else _with_interval(entry["rate_db"], entry["rate_ci95_db"], "+.1f"),
            "" if entry["percentile"] is None else f"{entry['percentile']:.0f} %",
            _duration(entry["seconds"]),
        )
    return table


def _scores(setting: Mapping[str, Any]) -> Table:
    table = _table("rank correlation of scores with the PSNR of the trials", ("", "rho", "per signal"))
    table.caption = "Spearman's, in the direction that a score promises [95 % interval]; 1: it ranks as the PSNR does"
    for name, entry in setting["scores"].items():
        signals = " ".join(f"{one['spearman']:+.2f}" for one in entry["per_signal"].values())
        table.add_row(name, _with_interval(entry["spearman"], entry["ci95"], "+.2f"), signals)
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption_justify = "left"
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=number < 2)
    return table


def _with_interval(value: float, interval: Sequence[float] | None, spec: str) -> str:
    ends = f" [{interval[0]:{spec[1:]}}, {interval[1]:{spec[1:]}}]" if interval else ""
    return f"{value:{spec}}{ends}"


def _duration(seconds: float | None) -> str:
    if not seconds:
        return ""
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.1f} s"
