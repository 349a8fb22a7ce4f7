"""What a person reads while a campaign runs."""

from __future__ import annotations

import pytest

from search.display import Terminal
from search.trial import TrialBuilder
from spaces.catalog import build_space
from trainers.config import Progress, Status
from trainers.signals import Signal


def test_each_open_study_has_its_line_and_its_name_where_there_are_several(
    builder: TrialBuilder, signal: Signal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.display.PLAIN_SECONDS", -1.0)
    display = Terminal()
    display.phase("", "starting workers", 0)
    display.phase("c/one", "search", 5)
    display.references("c/one", {"winner": 40.0})
    display.phase("c/two", "references", 3, 1)
    space = build_space("siren", signal.spectrum(), width=16)
    spec = builder.build("search/0", label="#0", space=space, point=space.complete({"lr": 1e-3}))
    at = Progress(step=1, status=Status.RUNNING, psnr_db=1.0, snr_db=1.0, best_step=0, curve=[], fit_seconds=0.0)
    display.watch(spec, at)
    display.study_ended("c/one")
    display.watch(spec, at)
    display.close()
    assert capsys.readouterr().err.splitlines() == [
        "starting workers",
        "search: 5 fits",
        "two: references: 3 fits, 1 of them done",
        "  one: 0/5 done, 0 running; nothing complete yet (against winner 40.0)",
        "  two: 1/3 done, 0 running; nothing complete yet",
        "  1/3 done, 0 running; nothing complete yet",
    ]
