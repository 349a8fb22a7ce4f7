"""Results of scripts are documents, frames and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from search import StudySpec, predict, run_study
from trainers.signals import Crop


def test_studies_have_a_row_for_each_point_that_was_judged(
    small_spec: Callable[..., StudySpec], tmp_path: Path
) -> None:
    found = run_study(small_spec())
    [summary] = found["studies"]
    frame = found.to_frame().set_index("name")
    assert set(frame.index) == {*summary["references"], "found"}
    assert frame.loc["found", "mean_psnr_db"] == summary["best"]["confirmed"]["mean_psnr_db"]
    assert frame.loc["winner", "regret_db"] == summary["references"]["winner"]["regret_db"]
    assert frame.loc["winner", "ci95_low_db"] == summary["references"]["winner"]["ci95_db"][0]
    assert frame.loc["winner", "s0"] == summary["references"]["winner"]["params"]["s0"]
    assert json.loads(json.dumps(found)) == found
    found.plot().savefig(tmp_path / "studies.png")
    assert (tmp_path / "studies.png").stat().st_size > 8_000


def test_studies_that_were_not_confirmed_have_a_frame_too(small_spec: Callable[..., StudySpec]) -> None:
    frame = run_study(small_spec(search={"confirm": 0})).to_frame()
    assert frame["mean_psnr_db"].isna().all()
    assert frame["psnr_db"].notna().all()


def test_predictions_have_a_row_for_each_heuristic_of_each_signal(tmp_path: Path) -> None:
    said = predict(["synthetic:bright", "synthetic:pink"], crop=Crop(samples=512), width=32)
    frame = said.to_frame()
    assert list(frame["heuristic"]) == ["winner", "bandwidth", "calibrated"] * 2
    [winner] = frame[(frame.signal == "synthetic:pink") & (frame.heuristic == "winner")]["s0"]
    assert winner == pytest.approx(said["signals"][1]["predictions"]["winner"]["s0"])
    said.plot().savefig(tmp_path / "predictions.png")
    assert (tmp_path / "predictions.png").stat().st_size > 8_000
