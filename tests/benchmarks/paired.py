"""Rows of the performance table: ours beside the alternative, in turn, in one run, and what was asked of it.

A benchmark is a script whose `main` collects rows and ends with `print_rows(rows)`. `make bench` runs all of them.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROWS_TO = "WINNOW_BENCH_ROWS"
"""Environment variable: a file to which rows are appended as JSON lines, for the table of all benchmarks."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        what: was measured, with its sizes.
        ours: the figure, with its unit.
        alternative: the other's figure and what it is.
        result: what was asked about, mostly a ratio, with its unit.
        asked: the rule that the result has to meet; empty where none was set.
        holds: whether it does.
    """

    what: str
    ours: str
    alternative: str
    result: str
    asked: str = ""
    holds: bool = True


def paired_ratios(
    ours: Callable[[], float], alternative: Callable[[], float], rounds: int
) -> tuple[list[float], list[float], list[float]]:
    """Both in turn, `rounds` times: what ours and the alternative gave (seconds, say), and alternative / ours by pair.

    A machine that slows down slows both of a pair.
    """
    pairs = [(ours(), alternative()) for _ in range(rounds)]
    own, other = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return own, other, [b / a for a, b in pairs]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """`1.81 (1.75 to 1.90)`: median, smallest and largest."""
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"


def to_markdown(rows: Sequence[Row]) -> str:
    """The table of the README."""
    lines = ["| what | ours | alternative | result | asked |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        asked = row.asked if row.holds else f"{row.asked}, MISSED"
        lines.append(f"| {row.what} | {row.ours} | {row.alternative} | {row.result} | {asked} |")
    return "\n".join(lines)


def print_rows(rows: Sequence[Row]) -> None:
    """To stdout, and to the file that `make bench` collects."""
    print(to_markdown(rows), flush=True)  # noqa: T201
    if path := os.environ.get(ROWS_TO):
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
