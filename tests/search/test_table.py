"""The result as a person reads it in a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from search.table import to_rich

CONFIRMED = {"mean_psnr_db": 25.6, "sd_db": 0.7, "seeds": 3, "mean_held_psnr_db": 22.6, "held_sd_db": 0.3}
SCORES: dict[str, Any] = {"psnr_db": 25.9, "held_psnr_db": 22.7, "confirmed": CONFIRMED}


def summary() -> dict[str, Any]:
    reference = {"kind": "baseline", "params": {"w_first": 3000.0, "lr": 2e-3}, "regret_db": -10.5}
    return {
        "study": "a/b-c",
        "signal": "b.wav",
        "references": {"siren-3000": {**reference, **SCORES, "ci95_db": [-20.1, -1.2]}},
        "best": {"number": 131, "params": {"architecture": "siren", "w_first": 17.5, "lr": 1.86e-3}, **SCORES},
    }


@pytest.mark.parametrize("width", [80, 120])
def test_every_point_and_score_is_there_however_narrow_the_terminal(width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        console.print(to_rich(summary()))
    lines = captured.get().splitlines()
    assert max(len(line) for line in lines) <= width
    for part in ("w_first=3000", "lr=0.002", "w_first=17.5", "25.6 ± 0.7", "22.6 ± 0.3", "-10.5", "[-20.1, -1.2]"):
        assert any(part in line for line in lines), part
