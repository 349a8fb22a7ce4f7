"""Validations and calibrations as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from search.answer import spell_interval
from search.validation_plot import title_of

Behind = tuple[float, Sequence[float] | None]
"""How much worse a heuristic is than another, dB, and the interval of that."""


def to_parts(document: Mapping[str, Any]) -> Iterator[str | Table]:
    """For the terminal: lines and up to three tables for each setting."""
    for setting in document["settings"]:
        yield title_of(setting).replace("\n", "; ")
        yield _heuristics(setting)
        yield from _heuristics_notes(setting)
        if setting["contrasts"]:
            yield from _against_leader(setting)
        if setting["scores"]:
            yield "rank correlation of zero-cost scores with the PSNR of the trials"
            yield _scores(setting)
            yield "rho: Spearman's, in the direction that a score promises [95 % interval]; 1: it ranks as PSNR does"


def print_parts(document: Mapping[str, Any]) -> None:
    """Lines as they are, tables as wide as the terminal lets them be."""
    console = Console(highlight=False)
    for part in to_parts(document):
        if isinstance(part, str):
            console.print(part, markup=False, soft_wrap=True)
        else:
            console.print(part)


def calibration_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """A calibrated law, and what it loses."""
    yield f"{document['law']}, for objective {document['objective']}:"
    yield from (f"  {formula}" for formula in document["formulas"])
    yield "regret on fresh seeds, mean over signals:"
    for key, what in (("loo", "this law, each signal left out"), ("published", "the published law, its rate tuned")):
        if document[f"{key}_mean_regret_db"] is not None:
            regret = spell_interval(document[f"{key}_mean_regret_db"], document[f"{key}_ci95_db"])
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
    difference = spell_interval(document["relative_minus_absolute_db"], document["ci95_db"])
    return (
        f"found at {here['samples']:,} samples and {here['steps']} steps, carried to {there['samples']:,} and "
        f"{there['steps']}: relative units minus absolute ones {difference} dB; a search there costs "
        f"{document['cost_ratio']:.0f} times as much"
    )


def _heuristics(setting: Mapping[str, Any]) -> Table:
    table = _table(("", "regret, dB", "p", "by its rate, dB", "beats", "costs"))
    for name, entry in setting["heuristics"].items():
        table.add_row(
            name,
            spell_interval(entry["mean_regret_db"], entry["ci95_db"]),
            "" if entry["wilcoxon_p"] is None else f"{entry['wilcoxon_p']:.2g}",
            "" if entry["rate_db"] is None else spell_interval(entry["rate_db"], entry["rate_ci95_db"]),
            "" if entry["percentile"] is None else f"{entry['percentile']:.0f} %",
            _duration(entry["seconds"]),
        )
    return table


def _heuristics_notes(setting: Mapping[str, Any]) -> Iterator[str]:
    over = "signals]; p: Wilcoxon's over them" if setting["signals"] > 1 else "seeds]"
    yield f"regret: found point minus heuristic on {setting['seeds']} fresh seeds [95 % interval over {over}"
    yield "by its rate: what the best of three learning rates gave over 1e-4, where it leaves the rate open"
    search = setting["search"]
    took = f"{search['fit_seconds']:.0f} s of fits a signal ({search['steps']:,.0f} steps)"
    yield f"beats: share of the search's trials; costs: of a prediction, where the search took {took}"


def behind_leader(setting: Mapping[str, Any]) -> tuple[str, dict[str, Behind]]:
    """The heuristic of least mean regret, among those of most signals, and by how much each other one is worse."""
    heuristics = setting["heuristics"]
    leader = min(
        heuristics, key=lambda name: (-len(heuristics[name]["per_signal"]), heuristics[name]["mean_regret_db"])
    )
    behind: dict[str, Behind] = {}
    for contrast in setting["contrasts"]:
        mean, interval = contrast["mean_db"], contrast["ci95_db"]
        if contrast["better"] == leader:
            behind[contrast["than"]] = mean, interval
        elif contrast["than"] == leader:
            behind[contrast["better"]] = -mean, [-end for end in reversed(interval)] if interval else None
    return leader, {name: behind[name] for name in heuristics if name in behind}


def _against_leader(setting: Mapping[str, Any]) -> Iterator[str | Table]:
    leader, behind = behind_leader(setting)
    table = _table(("", "worse by, dB", "told apart"))
    for name, (mean, interval) in behind.items():
        table.add_row(name, spell_interval(mean, interval), _told_apart(interval))
    over = "signals" if setting["signals"] > 1 else "seeds"
    yield f"each against {leader}, which has the least mean regret of them here"
    yield table
    yield f"worse by: PSNR of {leader} minus the heuristic's, seed by seed [95 % interval over {over}]"
    yield "told apart: whether 0 lies outside that interval"


def _told_apart(interval: Sequence[float] | None) -> str:
    if not interval:
        return ""
    return "no" if interval[0] <= 0.0 <= interval[1] else "yes"


def _scores(setting: Mapping[str, Any]) -> Table:
    table = _table(("", "rho", "per signal"))
    for name, entry in setting["scores"].items():
        signals = " ".join(f"{one['spearman']:+.2f}" for one in entry["per_signal"].values())
        table.add_row(name, spell_interval(entry["spearman"], entry["ci95"], digits=2), signals)
    return table


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=number < 2)
    return table


def _duration(seconds: float | None) -> str:
    if not seconds:
        return ""
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.1f} s"
